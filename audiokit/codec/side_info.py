"""Side information and scalefactors (11172-3 2.4.1.7, 2.4.2.7; 13818-3 2.4.1.7, 2.4.3.2).

Side information says how each granule of each channel is coded; the scalefactors, the first part of
a granule's main_data ("part2"), scale its bands.  Pure functions; `Damaged` for what the standard
forbids, so that the decoder mutes that frame.
"""

from __future__ import annotations

from typing import List, NamedTuple, Sequence, Tuple

from audiokit.codec.blocks import LONG, SHORT
from audiokit.codec.tables import LSF_PARTITIONS, SCFSI_BANDS, SLEN
from audiokit.formats.mpeg_header import FrameHeader


class Damaged(Exception):
    """Bits that no encoder writes: this frame or granule cannot be decoded."""


class Granule(NamedTuple):
    """One granule of one channel, in the standard's names (2.4.2.7)."""

    part2_3_length: int  # bits of scalefactors and Huffman codes
    big_values: int  # pairs in the three regions
    global_gain: int
    scalefac_compress: int
    block_type: int  # LONG, START, SHORT or STOP
    mixed_block_flag: int
    table_select: Tuple[int, int, int]
    subblock_gain: Tuple[int, int, int]
    region0_count: int  # scalefactor bands - 1; of no use where the window switches
    region1_count: int
    window_switching_flag: int
    preflag: int
    scalefac_scale: int
    count1table_select: int


class SideInfo(NamedTuple):
    """The side information of a frame."""

    main_data_begin: int  # bytes of main_data in front of this frame's own
    scfsi: Tuple[int, ...]  # a channel: 4 bits, from band group 0 (8) to 3 (1); version 1 only
    granules: Tuple[Tuple[Granule, ...], ...]  # [granule][channel]


class _Bits:
    """Takes fields from the front of a few bytes."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)


def parse_side_info(data: bytes, header: FrameHeader) -> SideInfo:
    """The side information in `header.side_info_bytes` bytes; Damaged if it cannot be true."""
    take = _Bits(data).take
    channels = header.channels
    if header.version == 1.0:
        main_data_begin = take(9)
        take(5 if channels == 1 else 3)  # private_bits
        scfsi = tuple([take(4) for _ in range(channels)])
    else:
        main_data_begin = take(8)
        take(channels)
        scfsi = (0,) * channels
    granules = tuple(
        [
            tuple([_parse_granule(take, header.version == 1.0) for _ in range(channels)])
            for _ in range(header.granules)
        ]
    )
    return SideInfo(main_data_begin, scfsi, granules)


def _parse_granule(take, is_version_1: bool) -> Granule:
    part2_3_length, big_values, global_gain = take(12), take(9), take(8)
    scalefac_compress = take(4 if is_version_1 else 9)
    window_switching_flag = take(1)
    if window_switching_flag:
        block_type, mixed_block_flag = take(2), take(1)
        table_select = (take(5), take(5), 0)
        subblock_gain = (take(3), take(3), take(3))
        region0_count = region1_count = 0
        if block_type == LONG:
            raise Damaged("window_switching_flag with block_type 0")  # 2.4.2.7: reserved
    else:
        block_type = mixed_block_flag = LONG
        table_select = (take(5), take(5), take(5))
        subblock_gain = (0, 0, 0)
        region0_count, region1_count = take(4), take(3)
    if is_version_1:
        preflag = take(1)
    else:  # 13818-3 2.4.3.2: the range of scalefac_compress says it
        preflag = int(scalefac_compress >= 500)
    if big_values > 288:
        raise Damaged("big_values %d, past 288 pairs" % big_values)
    return Granule(
        part2_3_length,
        big_values,
        global_gain,
        scalefac_compress,
        block_type,
        mixed_block_flag,
        table_select,
        subblock_gain,
        region0_count,
        region1_count,
        window_switching_flag,
        preflag,
        take(1),
        take(1),
    )


# --- Scalefactors ----------------------------------------------------------------------------

# How many scalefactors a kind of block has, in the order of its bands (short ones: band, window).
# 0 is appended for the last band of each window, which has none (2.4.2.7).
_MPEG1_PARTITIONS = {  # kind -> (how many of the first slen, how many of the second)
    "long": (11, 10),
    "short": (18, 18),
    "mixed": (17, 18),  # 8 long bands and short bands 3..5, then short bands 6..11
}
_UNCODED = {"long": [0], "short": [0, 0, 0], "mixed": [0, 0, 0]}
_KINDS = ("long", "short", "mixed")


def block_kind(granule: Granule) -> str:
    """Which bands a granule has: "long", "short" or "mixed"."""
    if granule.block_type != SHORT:
        return "long"
    return "mixed" if granule.mixed_block_flag else "short"


def read_scalefactors(
    words: List[int], position: int, granule: Granule, scfsi: int, previous: Sequence[int]
) -> Tuple[List[int], int]:
    """(scalefactors in the order of the granule's bands, position behind them): version 1.

    `scfsi` is 0 in granule 0; in granule 1 its set bits copy groups of bands from `previous`, the
    scalefactors of granule 0 (2.4.2.7).
    """
    slen1, slen2 = SLEN[granule.scalefac_compress]
    kind = block_kind(granule)
    factors: List[int] = []
    if kind != "long" or not scfsi:
        for count, slen in zip(_MPEG1_PARTITIONS[kind], (slen1, slen2)):
            position = _read_run(words, position, slen, count, factors)
        return factors + _UNCODED[kind], position
    for group, (first, end) in enumerate(SCFSI_BANDS):
        if scfsi & (8 >> group):
            if len(previous) != 22:
                raise Damaged("scfsi after a granule of short blocks")
            factors += previous[first:end]
        else:
            slen = slen1 if group < 2 else slen2
            position = _read_run(words, position, slen, end - first, factors)
    return factors + [0], position


def read_lsf_scalefactors(
    words: List[int], position: int, granule: Granule, is_intensity: bool
) -> Tuple[List[int], List[int], int]:
    """(scalefactors, the largest value of each band's bits, position behind): versions 2, 2.5.

    `is_intensity`: this is the right channel of a frame with intensity stereo, whose
    scalefac_compress is split differently and whose scalefactors are intensity positions, of which
    the largest is "illegal": no position (13818-3 2.4.3.2).
    """
    kind = _KINDS.index(block_kind(granule))
    counts, slens = lsf_partition(granule.scalefac_compress, is_intensity, kind)
    factors: List[int] = []
    largest: List[int] = []
    for count, slen in zip(counts, slens):
        position = _read_run(words, position, slen, count, factors)
        largest += [(1 << slen) - 1] * count
    uncoded = _UNCODED[_KINDS[kind]]
    return factors + uncoded, largest + uncoded, position


def lsf_partition(scalefac_compress: int, is_intensity: bool, kind: int) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
    """(how many scalefactors, of how many bits) in the four partitions (13818-3 2.4.3.2).

    `kind` is 0 for long blocks, 1 for short and 2 for mixed ones.
    """
    if is_intensity:
        code = scalefac_compress >> 1  # its lowest bit is intensity_scale
        if code < 180:
            name, slens = "intensity 0..179", (code // 36, code % 36 // 6, code % 6, 0)
        elif code < 244:
            code -= 180
            name, slens = "intensity 180..243", (code >> 4, code >> 2 & 3, code & 3, 0)
        else:
            code -= 244
            name, slens = "intensity 244..255", (code // 3, code % 3, 0, 0)
    else:
        code = scalefac_compress
        if code < 400:
            name, slens = "0..399", (code // 80, code // 16 % 5, code >> 2 & 3, code & 3)
        elif code < 500:
            code -= 400
            name, slens = "400..499", (code // 20, code // 4 % 5, code & 3, 0)
        else:
            code -= 500
            name, slens = "500..511", (code // 3, code % 3, 0, 0)
    return LSF_PARTITIONS[name][kind], slens


def _read_run(words: List[int], position: int, slen: int, count: int, factors: List[int]) -> int:
    """Append `count` values of `slen` bits each to `factors`; the position behind them."""
    if not slen:
        factors += [0] * count
        return position
    mask = (1 << slen) - 1
    while count:
        some = min(count, 25 // slen)  # what one word holds
        bits = some * slen
        word = words[position >> 3] >> (32 - bits - (position & 7))
        factors += [word >> shift & mask for shift in range(bits - slen, -1, -slen)]
        position += bits
        count -= some
    return position
