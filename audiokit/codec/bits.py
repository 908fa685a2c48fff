"""Bits of main_data, read by position.

A position is a number of bits from the start of the data, so that any granule can be read in any
order and a failed one leaves nothing behind.  `words(data)[p >> 3]` is the big-endian 32-bit word
at the byte of position p: of its bits at least 25 stand at or behind p, enough for one look-up.
Reading past the end gives zeros, MARGIN_BYTES of them; who reads compares positions.
"""

from __future__ import annotations

import sys
from array import array
from typing import List

# The most that a granule can read past its end before it is noticed: 288 pairs of at most
# 19 code bits, 2 x 13 linbits and 2 signs, and 36 scalefactors of 5 bits: under 2 KiB.
MARGIN_BYTES = 2048


def words(data: bytes) -> List[int]:
    """The big-endian 32-bit word at every byte of `data`, zeros behind it."""
    size = len(data)
    padded = bytes(data) + bytes(8 - size % 4)
    result = [0] * (size + MARGIN_BYTES)
    for phase in range(4):
        count = (size - phase + 3) // 4
        column = array("I", padded[phase : phase + 4 * count])
        if sys.byteorder == "little":
            column.byteswap()
        result[phase:size:4] = column.tolist()
    return result


def _crc16_table() -> List[int]:
    """One step of the CRC for each byte: generator x**16 + x**15 + x**2 + 1 (2.4.3.1)."""
    table = []
    for value in range(256):
        crc = value << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x8005 if crc & 0x8000 else crc << 1) & 0xFFFF
        table.append(crc)
    return table


_CRC16 = _crc16_table()


def crc16(data: bytes) -> int:
    """The CRC of a frame's protected bytes: the header's last two, and the side information."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
    return crc
