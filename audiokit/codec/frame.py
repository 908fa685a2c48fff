"""Frames of Layer III as bytes: header, side information, main data (11172-3 and 13818-3, 2.4.1).

A frame's main data begins up to 511 bytes before its own header (255 in the lower rates), inside
the frames before it: `main_data_begin`.  `FrameWriter` is the interleaving of the two streams.

Never decides a value; ValueError for a format that Layer III does not have.
"""

from __future__ import annotations

from collections import deque
from typing import Deque, List, NamedTuple, Sequence, Tuple

from ..formats.mpeg_header import (
    BITRATES,
    HEADER_BYTES,
    JOINT_STEREO,
    SAMPLE_RATES,
    SIDE_INFO_BYTES,
    SINGLE_CHANNEL,
)
from .blocks import GRANULE, LONG
from .entropy import Coding
from .scalefactors import Scalefactors

_VERSION_BITS = {1.0: 3, 2.0: 2, 2.5: 0}
_LAYER_III_UNPROTECTED = 0b011  # layer, then protection_bit: no CRC
_ORIGINAL = 1 << 2
MAX_PART2_3_LENGTH = 4095  # bits of a granule's channel, by its 12-bit field
MID_SIDE = 2  # mode_extension


class StreamFormat(NamedTuple):
    """What stays the same in a stream, in the standard's terms."""

    version: float  # 1.0, 2.0 or 2.5
    sample_rate: int
    channels: int

    @property
    def is_lsf(self) -> bool:
        """Whether this is one of the lower sampling frequencies of 13818-3."""
        return self.version != 1.0

    @property
    def granules(self) -> int:
        """Granules a frame."""
        return 1 if self.is_lsf else 2

    @property
    def frame_samples(self) -> int:
        """Samples a channel and frame."""
        return GRANULE * self.granules

    @property
    def bitrates(self) -> Tuple[int, ...]:
        """kbit/s by bitrate_index, the first (0) being free format."""
        return BITRATES[not self.is_lsf, 3]

    @property
    def overhead(self) -> int:
        """Bytes of header and side information."""
        return HEADER_BYTES + SIDE_INFO_BYTES[not self.is_lsf, self.channels == 1]

    @property
    def largest_begin(self) -> int:
        """The largest main_data_begin, bytes."""
        return 255 if self.is_lsf else 511

    def frame_bytes(self, bitrate_kbps: int, padding: int = 0) -> int:
        """Bytes of a frame, rounded down, plus padding (2.4.3.1)."""
        return self.frame_samples // 8 * 1000 * bitrate_kbps // self.sample_rate + padding

    def header(self, bitrate_kbps: int, padding: int, mode_extension: int) -> bytes:
        """The four bytes of a header (2.4.1.3)."""
        mode = SINGLE_CHANNEL if self.channels == 1 else JOINT_STEREO
        word = (
            0x7FF << 21
            | _VERSION_BITS[self.version] << 19
            | _LAYER_III_UNPROTECTED << 16
            | self.bitrates.index(bitrate_kbps) << 12
            | SAMPLE_RATES[self.version].index(self.sample_rate) << 10
            | padding << 9
            | mode << 6
            | mode_extension << 4
            | _ORIGINAL
        )
        return word.to_bytes(HEADER_BYTES, "big")


def stream_format(sample_rate: int, channels: int) -> StreamFormat:
    """The format of a sampling rate and a number of channels."""
    for version, rates in SAMPLE_RATES.items():
        if sample_rate in rates:
            if channels not in (1, 2):
                raise ValueError("%d channels: Layer III has 1 or 2" % channels)
            return StreamFormat(version, sample_rate, channels)
    allowed = sorted(rate for rates in SAMPLE_RATES.values() for rate in rates)
    raise ValueError("a sample rate of %d Hz: Layer III has %s" % (sample_rate, ", ".join(map(str, allowed))))


class Granule(NamedTuple):
    """One channel of one granule, coded (2.4.1.7)."""

    gain: int  # as `quantize` counts it
    global_gain: int
    block_type: int
    coding: Coding
    scalefactors: Scalefactors
    main: str  # scalefactors, then huffmancodebits, as 0 and 1

    def side_info(self, is_lsf: bool) -> str:
        """Its part of the side information, as 0 and 1."""
        coding, scalefactors = self.coding, self.scalefactors
        tables = coding.table_select
        compress = format(scalefactors.scalefac_compress, "09b" if is_lsf else "04b")
        out = [
            format(len(self.main), "012b") + format(coding.big_values, "09b"),
            format(self.global_gain, "08b") + compress,
        ]
        if self.block_type == LONG:
            out.append("0" + "".join([format(table, "05b") for table in tables]))
            out.append(format(coding.split.region0_count << 3 | coding.split.region1_count, "07b"))
        else:
            out.append("1" + format(self.block_type, "02b") + "0")
            out.append("".join([format(table, "05b") for table in tables[:2]]))
            out.append("".join([format(gain, "03b") for gain in scalefactors.subblock_gain]))
        out.append("" if is_lsf else str(scalefactors.preflag))
        out.append(format(scalefactors.scalefac_scale << 1 | coding.count1table_select, "02b"))
        return "".join(out)


def side_info(
    layout: StreamFormat,
    main_data_begin: int,
    scfsi: Sequence[Sequence[int]],
    granules: Sequence[Sequence[Granule]],
) -> bytes:
    """The side information of a frame: scfsi[channel][band], granules[granule][channel]."""
    if layout.is_lsf:
        bits = format(main_data_begin, "08b") + "0" * layout.channels
    else:
        bits = format(main_data_begin, "09b") + ("00000" if layout.channels == 1 else "000")
        bits += "".join([str(flag) for channel in scfsi for flag in channel])
    bits += "".join([one.side_info(layout.is_lsf) for row in granules for one in row])
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def main_data(granules: Sequence[Sequence[Granule]]) -> bytes:
    """The main data of a frame, filled up to a whole byte."""
    bits = "".join([one.main for row in granules for one in row])
    if not bits:
        return b""
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


class FrameWriter:
    """Lays main data into the frames, each piece as early as its main_data_begin says."""

    def __init__(self) -> None:
        self._heads: Deque[Tuple[bytes, int]] = deque()
        self._main = bytearray()
        self._room = 0  # bytes of the frames that have been added and not been given out

    @property
    def ahead(self) -> int:
        """Bytes of room that earlier frames left: the main_data_begin of the next one."""
        return self._room - len(self._main)

    def add(self, head: bytes, area: int, main: bytes) -> bytes:
        """A frame: header and side information, bytes of room behind them, and its main data.

        Gives the frames that are now complete.  The main data must fit: it is at most `ahead` plus
        `area` bytes, and what it leaves is at most the largest main_data_begin.
        """
        self._heads.append((head, area))
        self._room += area
        self._main += main
        return self._complete()

    def finish(self) -> bytes:
        """The last frames, their room filled up with zeros."""
        self._main += bytes(self._room - len(self._main))
        return self._complete()

    def _complete(self) -> bytes:
        out: List[bytes] = []
        at = 0
        while self._heads and at + self._heads[0][1] <= len(self._main):
            head, area = self._heads.popleft()
            out += [head, bytes(self._main[at : at + area])]
            at += area
        del self._main[:at]
        self._room -= at
        return b"".join(out)
