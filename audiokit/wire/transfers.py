"""Bodies on the move: `Receiving` takes a request's body to a sink, `Sending` takes an answer to a socket.

Both work in steps that never wait on the socket: a step moves what it can, up to a budget, and says what it
needs next.  So that any thread may run any step, all state is in the object, and one thread at a time has it.
Raises `PeerGone` when the other side went away, `Refusal` when it broke the rules, and lets errors of the sink
and of files pass.
"""

from __future__ import annotations

import errno
import mmap
import os
import socket
import threading
from collections import deque
from queue import Empty, LifoQueue
from typing import Any, Deque, Optional, Union

from .bodies import ChunkedDecoder
from .problems import Refusal

DONE, WAIT, AGAIN = "done", "wait", "again"  # finished; wants the socket ready; budget spent, has more
SOURCE, SEEK = "source", "seek"  # wants the source's socket ready; wants `seek` called where waiting is allowed
BUDGET = 8 << 20  # bytes a step may move before others get their turn
_PIECE = 1 << 20  # bytes a system call moves; larger gains nothing (measured), smaller costs calls
_TAKEN = 2 << 20  # bytes of a body that are written at once: half as many cost 0.05 s of CPU a GB more, a quarter 0.1
_KEPT = 4  # pieces of that size that sinks may have at a time: what the process holds in memory of all uploads
_PATIENCE_S = 0.02  # a sender that fills pieces waits so long for one: what cannot be kept costs twice the CPU
_WORTH = _TAKEN // 2  # bytes in a piece from which it may be kept: slow clients must not use up all of them
_SHORT = 1 << 12  # bytes of a chunk below which handing it on by itself costs more than copying it to the others
_CORK = getattr(socket, "TCP_CORK", None)  # Linux: only full segments leave until it is taken off
_CORKED = 1 << 18  # bytes of a file from which that pays: 10 % of 100 MB, as no call ends in a short segment
_DRAWN = 1 << 17  # bytes taken from a source at once: what a slow client makes us hold
_MSG_MORE = getattr(socket, "MSG_MORE", 0)  # "more follows": head and file leave in one segment
_AGAIN = (BlockingIOError, InterruptedError)
_UNSUITED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # this file system or socket cannot do that


class PeerGone(Exception):
    """The client ended or broke the connection."""


class Piece:
    """Memory for a part of a body, which begins with a page.  Whoever keeps it gives it back, from any thread."""

    __slots__ = ("view", "_home", "_holders", "_lock")

    def __init__(self, home: Optional[LifoQueue] = None) -> None:
        self.view = memoryview(mmap.mmap(-1, _TAKEN))
        self._home = home
        self._holders = 0
        self._lock = threading.Lock()

    @property
    def may_be_kept(self) -> bool:
        """Whether what is in it may be read after the call that it came with."""
        return self._home is not None

    def __enter__(self) -> Piece:
        self.keep()
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def keep(self) -> None:
        """Have what is in it last until as many have given it back as keep it."""
        with self._lock:
            self._holders += 1

    def give_back(self) -> None:
        """Nobody here needs it any more."""
        with self._lock:
            self._holders -= 1
            is_free = not self._holders
        if is_free and self._home is not None:
            self._home.put(self)


class _Pieces:
    """The pieces that sinks may keep, a few for the whole process; who finds none has one that cannot be kept."""

    def __init__(self, most: int) -> None:
        self._free: LifoQueue = LifoQueue()
        self._unmade = iter(range(most))  # `next` of it is one step for all threads

    def take(self, patience: float = 0.0) -> Piece:
        """Memory to receive into, a context manager; waits for one that may be kept no longer than `patience` s."""
        if self._free.empty() and next(self._unmade, None) is not None:
            return Piece(self._free)
        try:
            return self._free.get(patience > 0, patience)  # the one last used: it is still in the processor's cache
        except Empty:
            return _mine.piece


class _PerThread(threading.local):
    """What each moving thread keeps: a buffer, made when first needed."""

    def __init__(self) -> None:
        self._piece: Optional[Piece] = None

    @property
    def piece(self) -> Piece:
        if self._piece is None:
            self._piece = Piece()
        return self._piece

    @property
    def buffer(self) -> memoryview:
        return self.piece.view


_mine = _PerThread()
_pieces = _Pieces(_KEPT)


class Receiving:
    """The body of one request on its way to `sink`.

    `length` is Content-Length, or None for chunked.  `first` is what was read already.
    The sink has `write(view)`, `lend(view, piece)` for bytes that it may keep for a while, and `trailed(fields)` for
    what came behind the chunks.  `leftover` holds what came behind the body: the next request.
    """

    def __init__(
        self, sock: socket.socket, sink: Any, length: Optional[int], first: bytes, limit: int,
    ) -> None:
        self.leftover = b""
        self.received = 0
        self._sock, self._sink, self._limit = sock, sink, limit
        self.first = first
        self._left = length
        self._chunks = ChunkedDecoder() if length is None else None
        self._is_bare = type(sock) is socket.socket
        self._is_fast = False  # whether the last piece was full

    def step(self, budget: int = BUDGET) -> str:
        """Move up to about `budget` bytes; DONE, WAIT (for the socket to be readable) or AGAIN."""
        if self.first:
            first, self.first = self.first, b""
            self._take(memoryview(first))
        if self._is_bare and self._chunks is None:
            return self._step_in_pieces(budget)
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
        if len(pieces) * _SHORT > len(data):
            pieces = [memoryview(b"".join(pieces))]
        for piece in pieces:
            self._write(piece)
        if self._chunks.done and self._chunks.trailers:
            self._sink.trailed(self._chunks.trailers)

    def _write(self, view: memoryview, piece: Optional[Piece] = None) -> None:
        if not len(view):
            return
        self.received += len(view)
        if self.received > self._limit:
            raise Refusal("too-large", f"the body is larger than {self._limit} bytes", close=True, limit=self._limit)
        if piece is None:
            self._sink.write(view)
        else:
            self._sink.lend(view, piece)

    def _step_buffered(self, budget: int) -> str:
        """What has to be looked into: chunks, and what TLS decrypts.  All is taken that came: a poller sees only the
        socket."""
        view = _mine.buffer
        while budget > 0:
            if self.is_complete:
                return DONE
            count = self._receive_into(view)
            if count is None:
                return WAIT
            self._take(view[:count])
            budget -= count
        return DONE if self.is_complete else AGAIN

    def _step_in_pieces(self, budget: int) -> str:
        """A body of known length, megabytes at a time: so a file system takes it at less than the cost of its pages.

        It is read no further than its end: what follows stays in the kernel.
        """
        while self._left:
            if budget <= 0:
                return AGAIN
            with _pieces.take(_PATIENCE_S if self._is_fast else 0.0) as piece:
                view = piece.view[: min(self._left, -self.received % mmap.PAGESIZE or _TAKEN)]  # soon they begin pages
                filled, count = 0, 1
                while filled < len(view) and count is not None:
                    count = self._receive_into(view[filled:], filled)
                    filled += count or 0
                self._is_fast = filled >= _WORTH
                self._left -= filled
                budget -= filled
                self._write(view[:filled], piece if piece.may_be_kept and filled >= _WORTH else None)
            if count is None:
                return WAIT
        return DONE

    def _receive_into(self, view: memoryview, filled: int = 0) -> Optional[int]:
        """How many bytes came, None when there are none yet; `filled` came before and are not counted yet."""
        try:
            count = self._sock.recv_into(view)
        except _AGAIN:
            return None
        except OSError as error:
            raise PeerGone(str(error)) from error
        if not count:
            raise _incomplete(self.received + filled, self._left and self._left - filled)
        return count


def _incomplete(received: int, left: Optional[int]) -> Refusal:
    wanted = "the last chunk" if left is None else f"{left} more bytes"
    return Refusal("incomplete-body", f"the body ended after {received} bytes, {wanted} missing", close=True)


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
