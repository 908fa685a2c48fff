"""Random access to the bytes of one audio file, as every reader in this room sees it.

Never reads more than asked (rounded up to its block) and never more than `MAX_READ` at once, so that
no size field in a file can swell the process.  Raises nothing of its own: past the end, less comes back.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Callable, Tuple

MAX_READ = 1 << 20  # bytes; a reader that wants more walks in steps
_BLOCK = 1 << 14  # bytes; one read of this size holds the headers of an ordinary small file
_SMALL, _AHEAD = 1 << 10, 1 << 12  # bytes; who reads less than the one elsewhere soon reads more beside it


class Source:
    """The bytes of a file: `size`, and `read(offset, length)`.

    `read_at(offset, length)` is the caller's way to the bytes (a `pread`, a seek and a read); it may
    return less only at the end of the file.  The first block is kept, since every reader looks there, and
    the surroundings of the last small read, since headers stand side by side.
    """

    __slots__ = ("size", "bytes_read", "_read_at", "_head", "_near", "_near_at")

    def __init__(self, read_at: Callable[[int, int], bytes], size: int) -> None:
        self.size = size
        self.bytes_read = 0
        self._read_at = read_at
        self._head = self._near = b""
        self._near_at = 0  # offset of `_near`

    @classmethod
    def of_bytes(cls, data: bytes) -> Source:
        """A source over bytes in memory (tests, pieces inside other containers)."""
        return cls(lambda offset, length: bytes(data[offset : offset + length]), len(data))

    @classmethod
    def of_file(cls, file: BinaryIO, size: int) -> Source:
        """A source over a seekable binary file; used by one thread at a time."""

        def read_at(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        return cls(read_at, size)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, at most `length` of them; fewer (even none) past the end."""
        if length > MAX_READ:
            raise ValueError(f"a read of {length} bytes; readers walk in steps of {MAX_READ}")
        if offset < 0 or length <= 0 or offset >= self.size:
            return b""
        end = offset + length
        if end <= _BLOCK:
            if not self._head:
                self._head = self._fetch(0, min(_BLOCK, self.size))
            return self._head[offset:end]
        length = min(length, self.size - offset)
        if length > _SMALL:
            return self._fetch(offset, length)
        at = offset - self._near_at
        if at < 0 or at + length > len(self._near):
            near_at = min(offset, max(self.size - _AHEAD, _BLOCK))  # tags at the end are read backwards
            self._near, self._near_at = self._fetch(near_at, min(_AHEAD, self.size - near_at)), near_at
            at = offset - near_at
        return self._near[at : at + length]

    def unpack(self, layout: struct.Struct, offset: int) -> Tuple:
        """The fields of `layout` at `offset`; raises EOFError when the file ends inside them."""
        data = self.read(offset, layout.size)
        if len(data) < layout.size:
            raise EOFError(offset + len(data))
        return layout.unpack(data)

    def is_zeros(self, start: int, stop: int) -> bool:
        """Whether nothing but zeros is from `start` to `stop`; reads as far as that holds."""
        for offset in range(start, stop, MAX_READ):
            data = self.read(offset, min(MAX_READ, stop - offset))
            if data != bytes(len(data)):
                return False
        return True

    def content_end(self) -> int:
        """Where the zeros begin that the file ends with; its size where it ends with none."""
        end = self.size
        while end:
            start = max(end - MAX_READ, 0)
            content = self.read(start, end - start).rstrip(b"\0")
            if content:
                return start + len(content)
            end = start
        return 0

    def part(self, start: int, stop: int) -> Source:
        """The bytes from `start` to `stop` (exclusive) as a source of their own."""
        stop = min(stop, self.size)
        start = min(max(start, 0), stop)

        def read_at(offset: int, length: int) -> bytes:
            return self.read(start + offset, min(length, stop - start - offset))

        return Source(read_at, stop - start)

    def _fetch(self, offset: int, length: int) -> bytes:
        data = self._read_at(offset, length)
        self.bytes_read += len(data)
        return data
