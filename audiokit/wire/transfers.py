"""Bodies on the move: `Receiving` takes a request's body to a sink, `Sending` takes an answer to a socket.

Both work in steps that never wait on the socket: a step moves what it can, up to a budget, and says what it
needs next.  So that any thread may run any step, all state is in the object, and one thread at a time has it.
Raises `PeerGone` when the other side went away, `Refusal` when it broke the rules, and lets errors of the sink
and of files pass.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections import deque
from typing import Any, Deque, Optional, Union

from .bodies import ChunkedDecoder
from .problems import Refusal, is_full

DONE, WAIT, AGAIN = "done", "wait", "again"  # finished; wants the socket ready; budget spent, has more
SOURCE, SEEK = "source", "seek"  # wants the source's socket ready; wants `seek` called where waiting is allowed
BUDGET = 8 << 20  # bytes a step may move before others get their turn
_PIECE = 1 << 20  # bytes a system call moves; larger gains nothing (measured), smaller costs calls
_CORK = getattr(socket, "TCP_CORK", None)  # Linux: only full segments leave until it is taken off
_CORKED = 1 << 18  # bytes of a file from which that pays: 10 % of 100 MB, as no call ends in a short segment
_DRAWN = 1 << 17  # bytes taken from a source at once: what a slow client makes us hold
_MSG_MORE = getattr(socket, "MSG_MORE", 0)  # "more follows": head and file leave in one segment
_AGAIN = (BlockingIOError, InterruptedError)
_UNSUITED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # this file system or socket cannot do that


class PeerGone(Exception):
    """The client ended or broke the connection."""


class _Pipe:
    """A pipe that ends with whoever has it: a thread that ends leaves no descriptor."""

    def __init__(self) -> None:
        self.ends = os.pipe()
        _widen(self.ends[1])

    def __del__(self) -> None:
        for end in getattr(self, "ends", ()):  # there may have been no descriptors for it
            os.close(end)


class _PerThread(threading.local):
    """What each moving thread keeps: a buffer for the plain path, a pipe for splice."""

    def __init__(self) -> None:
        self._buffer: Optional[bytearray] = None
        self._pipe: Optional[_Pipe] = None

    @property
    def buffer(self) -> bytearray:
        if self._buffer is None:
            self._buffer = bytearray(_PIECE)
        return self._buffer

    @property
    def pipe(self) -> tuple:
        if self._pipe is None:
            self._pipe = _Pipe()
        return self._pipe.ends

    def drop_pipe(self) -> None:
        """A pipe that still holds a client's bytes must never carry another's."""
        self._pipe = None


_mine = _PerThread()


def _widen(pipe_end: int) -> None:
    try:
        import fcntl

        fcntl.fcntl(pipe_end, 1031, _PIECE)  # F_SETPIPE_SZ (Linux); its name came with Python 3.10
    except (ImportError, OSError):
        pass  # 64 KiB moves a sixteenth a call, and is as right


class Receiving:
    """The body of one request on its way to `sink`.

    `length` is Content-Length, or None for chunked.  `first` is what was read already.
    The sink has `write(piece)`, `moved(count)`, `fileno()` (a file that wants the bytes just as they are, or
    None).  `leftover` holds what came behind the body: the next request.
    """

    def __init__(
        self, sock: socket.socket, sink: Any, length: Optional[int], first: bytes, limit: int,
        portable: bool = False,
    ) -> None:
        self.leftover = b""
        self.received = 0
        self._sock, self._sink, self._limit = sock, sink, limit
        self.first = first
        self._left = length
        self._chunks = ChunkedDecoder() if length is None else None
        self._is_bare = type(sock) is socket.socket
        self._may_splice = hasattr(os, "splice") and not portable and self._is_bare

    def step(self, budget: int = BUDGET) -> str:
        """Move up to about `budget` bytes; DONE, WAIT (for the socket to be readable) or AGAIN."""
        if self.first:
            first, self.first = self.first, b""
            self._take(memoryview(first))
        if self._chunks is not None:
            return self._step_buffered(budget)
        if self._may_splice and self._left and self._left > 65536 and self._sink.fileno() is not None:
            return self._step_spliced(budget)
        return self._step_buffered(budget)

    @property
    def is_here(self) -> bool:
        """Whether `first` has all that is still to come."""
        return self._left is not None and len(self.first) >= self._left

    @property
    def is_complete(self) -> bool:
        """Whether the whole body has been moved."""
        return self._chunks.done if self._chunks is not None else self._left == 0

    def _take(self, data: memoryview) -> None:
        if self._chunks is None:
            piece, rest = data[: self._left], data[self._left :]
            self._left -= len(piece)
            self.leftover = bytes(rest)  # before the sink may refuse: the next request is none of its business
            self._write(piece)
            return
        pieces = self._chunks.feed(data)
        if self._chunks.done:
            self.leftover = bytes(self._chunks.leftover)
        for piece in pieces:
            self._write(piece)

    def _write(self, piece: memoryview) -> None:
        if not len(piece):
            return
        self.received += len(piece)
        if self.received > self._limit:
            raise Refusal(
                "too-large", f"the body is larger than {self._limit} bytes", close=True, limit=self._limit
            )
        self._sink.write(piece)

    def _step_buffered(self, budget: int) -> str:
        buffer = _mine.buffer
        view = memoryview(buffer)
        while budget > 0:
            if self.is_complete:
                return DONE
            # A body of known length is read no further than its end: what follows stays in the kernel.  Under TLS
            # it would stay where no poller sees it, so there all is taken.
            wanted = min(self._left, _PIECE) if self._is_bare and self._left is not None else _PIECE
            try:
                count = self._sock.recv_into(view[:wanted])
            except _AGAIN:
                return WAIT
            except OSError as error:
                raise PeerGone(str(error)) from error
            if not count:
                raise _incomplete(self.received, self._left)
            self._take(view[:count])
            budget -= count
        return DONE if self.is_complete else AGAIN

    def _step_spliced(self, budget: int) -> str:
        """Socket to pipe to file without a copy in this process (Linux, Python 3.10 and later)."""
        source, target = self._sock.fileno(), self._sink.fileno()
        out_end, in_end = _mine.pipe
        while budget > 0:
            if not self._left:
                return DONE
            try:
                count = os.splice(source, in_end, min(self._left, _PIECE))
            except _AGAIN:
                return WAIT
            except OSError as error:
                if error.errno in _UNSUITED:
                    self._may_splice = False
                    return AGAIN
                raise PeerGone(str(error)) from error
            if not count:
                raise _incomplete(self.received, self._left)
            self._left -= count
            self.received += count
            budget -= count
            try:
                _pour(out_end, target, count)
            except BaseException:
                _mine.drop_pipe()
                raise
            self._sink.moved(count)
        return DONE if not self._left else AGAIN


def _pour(pipe_end: int, target: int, count: int) -> None:
    while count:
        try:
            moved = os.splice(pipe_end, target, count)
        except OSError as error:
            if is_full(error):
                raise Refusal("no-space", "the disk is full", close=True) from error
            raise
        if not moved:
            raise OSError(f"the file took none of {count} bytes")
        count -= moved


def _incomplete(received: int, left: Optional[int]) -> Refusal:
    wanted = "the last chunk" if left is None else f"{left} more bytes"
    return Refusal(
        "incomplete-body", f"the body ended after {received} bytes, {wanted} missing", close=True
    )


class Span:
    """Bytes `start` to `stop` (exclusive) of an open file."""

    __slots__ = ("fd", "start", "stop")

    def __init__(self, fd: int, start: int, stop: int) -> None:
        self.fd, self.start, self.stop = fd, start, stop

    def __len__(self) -> int:
        return self.stop - self.start


class Drawn:
    """Bytes `start` to `stop` (exclusive) of a `Source` (answers.py)."""

    __slots__ = ("source", "start", "stop")

    def __init__(self, source: Any, start: int, stop: int) -> None:
        self.source, self.start, self.stop = source, start, stop

    def __len__(self) -> int:
        return self.stop - self.start


class Sending:
    """An answer on its way out: bytes, file spans and what is drawn from a source, in order."""

    def __init__(self, sock: socket.socket, portable: bool = False) -> None:
        self.sent = 0
        self._sock = sock
        self._pieces: Deque[Union[memoryview, Span, Drawn]] = deque()
        self._is_corked = False
        self._may_cork = _CORK is not None and not portable
        # Under TLS the kernel must not send what was never encrypted.
        self._may_sendfile = hasattr(os, "sendfile") and not portable and type(sock) is socket.socket
        self._may_pread = hasattr(os, "pread") and not portable

    def add(self, piece: Union[bytes, memoryview, Span, Drawn]) -> None:
        """Append what is to be sent next."""
        if len(piece):
            self._pieces.append(memoryview(piece) if isinstance(piece, bytes) else piece)

    @property
    def left(self) -> int:
        """Bytes not yet handed to the kernel."""
        return sum(map(len, self._pieces))

    @property
    def left_here(self) -> int:
        """Bytes not yet handed to the kernel that are in memory."""
        return sum(len(piece) for piece in self._pieces if isinstance(piece, memoryview))

    def step(self, budget: int = BUDGET) -> str:
        """Send up to about `budget` bytes.

        DONE, WAIT (for the socket to be writable) or AGAIN; of a source also SOURCE or SEEK.
        """
        pieces = self._pieces
        while pieces:
            if budget <= 0:
                return AGAIN
            piece = pieces[0]
            try:
                if isinstance(piece, Span):
                    if self._may_cork and not self._is_corked and len(piece) >= _CORKED:
                        self._cork(True)
                    count = self._send_span(piece)
                elif isinstance(piece, Drawn):
                    outcome = self._draw(piece)
                    if isinstance(outcome, str):
                        return outcome
                    self.sent += outcome
                    budget -= outcome
                    continue
                else:
                    count = self._sock.send(piece, _MSG_MORE if len(pieces) > 1 else 0)
            except _AGAIN:
                return WAIT
            except OSError as error:
                raise PeerGone(str(error)) from error
            self.sent += count
            budget -= count
            if count == len(piece):
                pieces.popleft()
            elif isinstance(piece, Span):
                piece.start += count
            else:
                pieces[0] = piece[count:]
        if self._is_corked:
            self._cork(False)  # or the last short segment would wait for 200 ms
        return DONE

    def _cork(self, on: bool) -> None:
        try:
            self._sock.setsockopt(socket.IPPROTO_TCP, _CORK, on)
            self._is_corked = on
        except OSError:  # not TCP, or gone: the next send tells
            self._may_cork = False

    def _send_span(self, span: Span) -> int:
        count = min(len(span), _PIECE)
        sent = None
        if self._may_sendfile:
            try:
                sent = os.sendfile(self._sock.fileno(), span.fd, span.start, count)
            except OSError as error:
                if error.errno not in _UNSUITED:
                    raise
                self._may_sendfile = False
        if sent is None:
            sent = self._sock.send(self._read(span.fd, span.start, min(count, 262144)))
        if not sent:  # the file shrank under us: the promised length cannot be kept
            raise PeerGone(f"the file ended {len(span)} bytes early")
        return sent

    def seek(self) -> None:
        """After SEEK: have the bytes come that are to be sent next.  Waits; what the source raises passes."""
        drawn = self._pieces[0]
        drawn.source.seek(drawn.start, drawn.stop)

    def _draw(self, drawn: Drawn) -> Union[int, str]:
        """Send the next bytes of the source, and keep what the client does not take; how many were sent, or what is
        needed first."""
        if drawn.source.position != drawn.start:
            return SEEK
        try:
            piece = drawn.source.read(memoryview(_mine.buffer)[:_DRAWN])
        except _AGAIN:
            return SOURCE
        except OSError:
            return SEEK
        drawn.start += len(piece)
        if not len(drawn):
            self._pieces.popleft()
        try:
            sent = self._sock.send(piece, _MSG_MORE if self._pieces else 0)
        except _AGAIN:
            sent = 0
        if sent < len(piece):  # a copy, because the buffer is the thread's
            self._pieces.appendleft(memoryview(bytes(piece[sent:])))
        return sent

    def _read(self, fd: int, start: int, count: int) -> bytes:
        if self._may_pread:
            return os.pread(fd, count, start)
        os.lseek(fd, start, os.SEEK_SET)  # each answer has a descriptor of its own: nobody else seeks it
        return os.read(fd, count)
