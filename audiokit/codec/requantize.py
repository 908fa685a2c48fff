"""Requantization and reordering (2.4.3.4.7, 2.4.3.4.8), and where a granule's bands lie.

    xr = sign(is) * |is|**(4/3) * 2**((global_gain - 210 - 8 * subblock_gain) / 4)
         * 2**-(multiplier * (scalefac + preflag * pretab)),  multiplier 1/2 or 1 by scalefac_scale

The Huffman stage gave the first two factors; the rest is one factor a band.  Lines leave as the
bytes of doubles to which `packed.MAGIC` was added: fixed point with FRACTION_BITS below the last
place of 16-bit PCM, ready to be packed.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from operator import itemgetter
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from audiokit.codec.blocks import SHORT
from audiokit.codec.huffman import LINES
from audiokit.codec.packed import MAGIC
from audiokit.codec.side_info import Granule
from audiokit.codec.tables import PRETAB, SFB_LONG, SFB_SHORT

FRACTION_BITS = 7  # 2**-7 of a last place: rounding here is 17 dB below that of the output
SCALE = float(1 << (15 + FRACTION_BITS))  # xr of 1.0 is full scale

MIXED_LINES = 36  # of a mixed block: the lower two subbands, coded as a long block (2.4.2.7)


class Bands(NamedTuple):
    """The scalefactor bands of one kind of block at one sampling rate, in the order of coding."""

    starts: Tuple[int, ...]  # the first line of each band
    ends: Tuple[int, ...]  # the line behind it
    widths: Tuple[int, ...]  # lines of each band
    windows: Tuple[int, ...]  # 0, 1 or 2; 0 for long bands
    sfbs: Tuple[int, ...]  # number of the band among the long or the short ones
    longs: int  # how many of the bands are long: they stand first
    reorder: Optional[Callable[[Sequence[float]], Tuple[float, ...]]]  # coding order -> lines


@lru_cache(maxsize=None)
def bands(sample_rate: int, kind: str) -> Bands:
    """The bands of a "long", "short" or "mixed" block (Table B.8).

    A mixed block is long up to line 36 and short from there, which is the end of a band of either
    kind but for short blocks at 8 kHz (no standard has those): there the band is cut at line 36.
    """
    split = {"long": LINES, "short": 0, "mixed": MIXED_LINES}[kind]
    coded: List[Tuple[int, int, int, List[int]]] = []  # width, window, sfb, lines
    edges = SFB_LONG[sample_rate]
    for sfb, (first, end) in enumerate(zip(edges, edges[1:])):
        if end <= split:
            coded.append((end - first, 0, sfb, list(range(first, end))))
    longs = len(coded)
    edges = SFB_SHORT[sample_rate]
    for sfb, (first, end) in enumerate(zip(edges, edges[1:])):
        first = max(first, split // 3)
        for window in range(3):
            if first < end:
                # 2.4.3.4.8: lines in the order of frequency, then window
                lines = [3 * frequency + window for frequency in range(first, end)]
                coded.append((end - first, window, sfb, lines))
    order = [line for _, _, _, lines in coded for line in lines]
    position_of = {line: position for position, line in enumerate(order)}
    widths = tuple([width for width, _, _, _ in coded])
    return Bands(
        starts=tuple([sum(widths[:i]) for i in range(len(widths))]),
        ends=tuple([sum(widths[: i + 1]) for i in range(len(widths))]),
        widths=widths,
        windows=tuple([window for _, window, _, _ in coded]),
        sfbs=tuple([sfb for _, _, sfb, _ in coded]),
        longs=longs,
        reorder=None
        if kind == "long"
        else itemgetter(*[position_of[line] for line in range(LINES)]),
    )


def region_bounds(granule: Granule, sample_rate: int) -> Tuple[int, int, int]:
    """First line of region 1, first line of region 2, end of big_values (2.4.2.7).

    Where the window switches, region 0 has 9 bands of short blocks or 8 of long ones.
    """
    end = 2 * granule.big_values
    if not granule.window_switching_flag:
        edges = SFB_LONG[sample_rate]
        first = granule.region0_count + 1
        second = min(first + granule.region1_count + 1, 22)
        return min(edges[first], end), min(edges[second], end), end
    if granule.block_type == SHORT:
        first = 3 * SFB_SHORT[sample_rate][3]
    else:
        first = SFB_LONG[sample_rate][8]
    return min(first, end), end, end


# Powers of 2 in quarter steps, from the least to the greatest exponent that side information can
# say: 255 - 210 upwards; downwards 210 + 8 * 7 + 4 * (31 + 3), 31 being a scalefactor of 5 bits.
_LEAST = -(210 + 56 + 136)
_POWERS = tuple([SCALE * 2.0 ** (exponent / 4) for exponent in range(_LEAST, 46)])
_SQRT_HALF = 2  # quarter steps: the 1/sqrt(2) of M/S stereo (2.4.3.4.9.2)


@lru_cache(maxsize=None)
def _packer(count: int) -> Callable[..., bytes]:
    return struct.Struct("<%dd" % count).pack


def exponents(granule: Granule, factors: Sequence[int], places: Bands, is_ms: bool) -> List[int]:
    """The exponent of 2, in quarters, of each band; with the factor 1/sqrt(2) if `is_ms`."""
    gain = granule.global_gain - 210 - (_SQRT_HALF if is_ms else 0)
    step = 4 if granule.scalefac_scale else 2
    if granule.block_type != SHORT:
        if granule.preflag:
            return [gain - step * (f + p) for f, p in zip(factors, PRETAB)]
        return [gain - step * factor for factor in factors]
    gains = [gain - 8 * subblock for subblock in granule.subblock_gain]
    longs = places.longs
    # 2.4.2.7: preflag is never used with short blocks, subblock_gain never with long bands
    result = [gain - step * factor for factor in factors[:longs]]
    result += [
        gains[window] - step * factor
        for window, factor in zip(places.windows[longs:], factors[longs:])
    ]
    # At 8 kHz a mixed block has more bands than scalefactors: the last have none.
    return result + [gains[window] for window in places.windows[len(result) :]]


def _by_band(exponents: Sequence[int], places: Bands) -> Iterator[Tuple[float, int, int]]:
    """(factor, first line, line behind) of each band, in coding order."""
    return zip([_POWERS[exponent - _LEAST] for exponent in exponents], places.starts, places.ends)


def scaled(values: Sequence[float], exponents: Sequence[int], places: Bands) -> List[float]:
    """The values of the first lines, in coding order, with their band's power of 2 and SCALE."""
    return [
        value * factor
        for factor, first, end in _by_band(exponents, places)
        for value in values[first:end]
    ]


def requantize(values: Sequence[float], exponents: Sequence[int], places: Bands) -> bytes:
    """The row of a granule: its lines by frequency as magic doubles, up to the last coded one.

    Short blocks give all 576 lines; a line 3 * frequency + window of each window (2.4.3.4.8).
    """
    if places.reorder is not None:
        return row(scaled(values, exponents, places), places)
    magic = MAGIC
    return _packer(len(values))(
        *[
            value * factor + magic
            for factor, first, end in _by_band(exponents, places)
            for value in values[first:end]
        ]
    )


def row(lines: List[float], places: Bands) -> bytes:
    """The row of scaled lines that stand in coding order."""
    if places.reorder is not None:
        lines = places.reorder(lines + [0.0] * (LINES - len(lines)))
    magic = MAGIC
    return _packer(len(lines))(*[line + magic for line in lines])
