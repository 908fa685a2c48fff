"""The sha256 of bytes that come in pieces: of what is there, and of a file that is still growing.

Raises what the source of the bytes raises.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from typing import Any, BinaryIO, Deque, Iterable, Iterator, Optional, Tuple

_PIECE = 1 << 20  # bytes of a file read at a time
_TAKEN = 1 << 19  # bytes a read of the follower takes: the hash's own speed is reached from 256 KiB on
_TURN = 32 << 20  # bytes it hashes before another file gets its turn
BEHIND = 1 << 20  # bytes the follower may lag before it is sent after the writer


def sha256_of(pieces: Iterable[Any]) -> str:
    """Of all pieces, lower-case hex."""
    hash = hashlib.sha256()
    for piece in pieces:
        hash.update(piece)
    return hash.hexdigest()


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    """What an open file has from here to its end."""
    return iter(lambda: file.read(_PIECE), b"")


class _Buffers(threading.local):
    """One buffer a thread, made when first used."""

    def __init__(self) -> None:
        self._bytes: Optional[bytearray] = None

    def get(self) -> bytearray:
        if self._bytes is None:
            self._bytes = bytearray(_TAKEN)
        return self._bytes


_buffers = _Buffers()


class FollowingDigest:
    """The sha256 of a file that is still growing, taken in `crew`'s thread while another one writes.

    What the writer lends is hashed where it is; the rest is read back from the page cache, so that a slow hash never
    holds up the socket.  Needs `os.preadv`: where it is missing, `WritingDigest` serves.
    """

    def __init__(self, fd: int, crew: Any) -> None:
        self._fd, self._crew = fd, crew
        self._hash = hashlib.sha256()
        self._hashed = self._grown = 0
        self._lent: Deque[Tuple[int, memoryview, Any]] = deque()  # where in the file, what, and whose
        self._lock = threading.Lock()
        self._sent = False
        self._closed = False

    def grew(self, count: int) -> None:
        """The file has `count` bytes more."""
        self._grown += count
        if not (self._sent or self._closed) and (self._lent or self._grown - self._hashed >= BEHIND):
            self._sent = True
            self._crew.submit(self._follow)

    def lent(self, view: memoryview, piece: Any) -> None:
        """The file has the bytes of `view` more, which stay as they are until `piece` is given back."""
        self._lent.append((self._grown, view, piece))  # first, so that whoever sees the file grown sees it
        self.grew(len(view))

    def digest(self) -> bytes:
        """The digest of all that was written; hashes here what is left."""
        with self._lock:
            self._advance(self._grown)
            self._closed = True
            return self._hash.digest()

    def close(self) -> None:
        """The descriptor is about to be closed: never read it again."""
        with self._lock:
            self._closed = True
            while self._lent:
                self._lent.popleft()[2].give_back()

    def _follow(self) -> None:
        with self._lock:
            self._sent = False
            self._advance(min(self._grown, self._hashed + _TURN))
        self.grew(0)

    def _advance(self, end: int) -> None:
        while self._hashed < end and not self._closed:
            if self._lent and self._lent[0][0] == self._hashed:
                _, view, piece = self._lent.popleft()
                try:
                    self._hash.update(view)
                finally:
                    piece.give_back()
                self._hashed += len(view)
            else:
                self._read_back(min(end, self._lent[0][0]) if self._lent else end)

    def _read_back(self, end: int) -> None:
        view = memoryview(_buffers.get())[: end - self._hashed]
        count = os.preadv(self._fd, [view], self._hashed)
        if not count:
            raise OSError(f"the upload's file ends at {self._hashed}, {end} were written")
        self._hash.update(view[:count])
        self._hashed += count


class WritingDigest:
    """The plain path: the sha256 of what is written, taken as it is written."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def wrote(self, piece: memoryview) -> None:
        """These bytes went into the file."""
        self._hash.update(piece)

    def digest(self) -> bytes:
        """The digest of all of them."""
        return self._hash.digest()
