"""Bytes of one object on their way from a store's socket to a client's, in constant memory.

`seek` waits, in a worker; `read` never does: it takes what the store's socket has, so that whoever moves bytes waits
for that socket as for any other (`fileno`).  A store that goes silent or cuts the connection short is found by counting,
and `seek` goes on where it stopped, by Range.  Raises `Cut` where a seek is needed, and what the store raises.
"""

from __future__ import annotations

import errno
import re
import ssl
from typing import Any, Optional

from .errors import StoreDown, StoreRefused
from .http_store import Answer, HttpStore, Request

_FIRST = 1 << 16  # bytes at most that come along with the head of an answer
_IN_VAIN = 4  # seeks in a row that brought nothing
_NOT_YET = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Cut(OSError):
    """What is wanted next is not on its way: seek."""


class Flow:
    """Bytes of the object `name`, which has `size` of them.  One thread at a time."""

    def __init__(self, store: HttpStore, name: str, size: int) -> None:
        self._store, self._name, self._size = store, name, size
        self._answer: Optional[Answer] = None
        self._first = b""  # came with the head
        self._vain = 0
        self.position = 0  # of the next byte that `read` gives
        self._stop = 0  # exclusive

    def fileno(self) -> int:
        """The socket that will have more."""
        return self._answer.line.sock.fileno() if self._answer is not None else -1

    def seek(self, start: int, stop: int) -> None:
        """Have the bytes `start` to `stop` (exclusive) come.  Waits for the store to answer."""
        self.close()
        if start == self.position and self._stop:
            self._vain += 1
            if self._vain > _IN_VAIN:
                raise StoreDown(f"the store ends its answer at byte {start} again and again")
        self.position, self._stop = start, stop
        is_whole = (start, stop) == (0, self._size)
        wanted = () if is_whole else (("Range", f"bytes={start}-{stop - 1}"),)
        answer = self._store.begin(Request("GET", self._name, headers=wanted))
        try:
            self._check(answer, start, stop, is_whole)
            self._first = answer.response.read1(min(_FIRST, stop - start))
            answer.line.sock.setblocking(False)
        except BaseException:
            self._store.drop(answer.line)
            raise
        self._answer = answer

    def _check(self, answer: Answer, start: int, stop: int, is_whole: bool) -> None:
        if "transfer-encoding" in answer.headers:
            raise StoreRefused("the store sends an object in chunks, without its length")
        told = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("content-range", ""))
        if told is not None:  # some stores say 200 beside it
            found = (int(told.group(1)), int(told.group(2)) + 1)
        else:
            length = answer.headers.get("content-length", "")
            found = (0, int(length)) if is_whole and length.isdigit() else (-1, -1)
        if found != (start, stop):
            raise StoreRefused(
                f"asked for the bytes {start} to {stop} of {self._name}, the store gives "
                + (f"{found[0]} to {found[1]}" if found[0] >= 0 else f"{answer.status} without saying which"),
            )

    def read(self, buffer: memoryview) -> memoryview:
        """The next bytes, as many as are there and fit; `buffer` may be used for them.

        BlockingIOError when none are there yet, `Cut` when none will come.
        """
        if self.position >= self._stop or self._answer is None:
            raise Cut(errno.EPIPE, "nothing is on its way")
        if self._first:
            piece, self._first = memoryview(self._first), b""
        else:
            wanted = buffer[: min(len(buffer), self._stop - self.position)]
            try:
                piece = wanted[: self._answer.line.sock.recv_into(wanted)]
            except _NOT_YET:
                raise BlockingIOError from None
            except BlockingIOError:
                raise
            except OSError as error:
                self.close()
                raise Cut(errno.EPIPE, str(error)) from error
        if not piece:
            self.close()
            raise Cut(errno.EPIPE, f"the store ended its answer {self._stop - self.position} bytes early")
        self.position += len(piece)
        self._vain = 0
        if self.position == self._stop:
            self._end()
        return piece

    def _end(self) -> None:
        answer: Any = self._answer
        self._answer = None
        self._store.give_back(answer.line, answer)

    def close(self) -> None:
        """Let the store go; harmless a second time."""
        answer, self._answer, self._first = self._answer, None, b""
        if answer is not None:
            self._store.drop(answer.line)
