"""Fields of any number of bits in a short header, the highest bit first; and words whose bytes stand the other way round.

Pure.  Raises EOFError at the end of the data.
"""

from __future__ import annotations


class Bits:
    """The bits of `data`, one field after the other."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "big")
        self.left = 8 * len(data)

    def read(self, count: int) -> int:
        """The next `count` bits as a whole number."""
        self.left -= count
        if self.left < 0:
            raise EOFError
        return self._number >> self.left & ((1 << count) - 1)


def swapped(data: bytes) -> bytes:
    """Words of 16 bits in the other order of bytes; half a word at the end is left out."""
    out = bytearray(data[: len(data) & ~1])
    out[::2], out[1::2] = out[1::2], out[::2]
    return bytes(out)
