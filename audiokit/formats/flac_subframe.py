"""Where a FLAC frame ends, by its subframes, for frames that something else stands behind.

RFC 9639 sections 9.2 and 9.3.  Only lengths are read: no sample is restored.  Pure functions over
bytes; what breaks the rules or is not all there has no end, and nothing is raised.  A code costs
some 0.2 microseconds, so callers bound the samples of the frames that they ask about.
"""

from __future__ import annotations

from typing import Optional

from audiokit.formats.flac_frame import FlacFrame, StreamInfo, is_whole

_CRC_BYTES = 2
_WINDOW_BYTES = 1 << 13  # turned into text at a time, where codes are looked for
_ESCAPES = {0: (4, 15), 1: (5, 31)}  # method -> bits of a parameter, and the one that escapes (9.2.7)
_SIDE = {8: 1, 9: 0, 10: 1}  # stereo decorrelation -> the channel that takes a bit more (9.1.3)


class _Broken(Exception):
    """The bits are no subframe, or are not all there."""


def end_of(data: bytes, frame: FlacFrame, info: StreamInfo) -> Optional[int]:
    """Bytes of the frame that begins `data`, CRC included; None where it is not whole."""
    bits = _Bits(data, 8 * frame.header_bytes)
    try:
        for channel in range(info.channels):
            is_side = _SIDE.get(frame.assignment) == channel
            _skip_subframe(bits, frame.block_size, info.bits + is_side)
    except _Broken:
        return None
    end = (bits.position + 7) // 8 + _CRC_BYTES
    return end if end <= len(data) and is_whole(data[:end]) else None


def _skip_subframe(bits: _Bits, block: int, width: int) -> None:
    head = bits.take(8)  # a zero, six bits of type, one that says whether bits are wasted (9.2.1)
    if head & 0x80:
        raise _Broken
    kind = head >> 1 & 0x3F
    if head & 1:
        width -= bits.unary() + 1
    if width < 1:
        raise _Broken
    if kind == 0:  # constant
        bits.skip(width)
    elif kind == 1:  # verbatim
        bits.skip(width * block)
    elif 8 <= kind <= 12:  # fixed predictor of order 0 to 4
        bits.skip(width * (kind - 8))
        _skip_residual(bits, block, kind - 8)
    elif kind >= 32:  # linear predictor of order 1 to 32
        order = kind - 31
        bits.skip(width * order)
        precision = bits.take(4) + 1
        if precision == 16:
            raise _Broken
        bits.skip(5 + precision * order)
        _skip_residual(bits, block, order)
    else:
        raise _Broken


def _skip_residual(bits: _Bits, block: int, order: int) -> None:
    """Partitions of codes, each with a parameter of its own (9.2.7)."""
    method = bits.take(2)
    if method not in _ESCAPES:
        raise _Broken
    width, escape = _ESCAPES[method]
    partitions = 1 << bits.take(4)
    if block % partitions or block // partitions < order:
        raise _Broken
    for number in range(partitions):
        count = block // partitions - (0 if number else order)
        parameter = bits.take(width)
        if parameter == escape:
            bits.skip(bits.take(5) * count)
        else:
            bits.skip_codes(count, parameter)


class _Bits:
    """A place among the bits of some bytes."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self.position = position  # in bits

    def skip(self, count: int) -> None:
        self.position += count
        if self.position > 8 * len(self._data):
            raise _Broken

    def take(self, count: int) -> int:
        """The next bits, at most 8, as a number."""
        pair = int.from_bytes(self._data[self.position >> 3 :][:2].ljust(2, b"\0"), "big")
        value = pair >> 16 - (self.position & 7) - count & (1 << count) - 1
        self.skip(count)
        return value

    def unary(self) -> int:
        """Zeros before the next one."""
        before = self.position
        self.skip_codes(1, 0)
        return self.position - before - 1

    def skip_codes(self, count: int, parameter: int) -> None:
        """Rice codes: zeros, a one, and as many bits as the parameter says."""
        behind = parameter + 1
        while count:
            start = self.position >> 3
            part = self._data[start : start + _WINDOW_BYTES]
            text = bin(int.from_bytes(b"\1" + part, "big"))[3:]
            at = first = self.position & 7
            find = text.find
            while count:
                one = find("1", at)
                if one < 0:
                    break
                at = one + behind
                count -= 1
            if at == first:  # nothing but zeros, or the end
                raise _Broken
            self.skip(at - first)
