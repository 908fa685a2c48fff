"""Fields of any number of bits in a short header, the highest bit first.  Raises EOFError at the end of the data."""

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
