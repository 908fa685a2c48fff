"""Scalefactors in the encoder: from wished gains a band to what the bitstream can say.

A band's scalefactor sf divides its step by 2 ** (sf / 2), or 2 ** sf with scalefac_scale
(2.4.3.4.7.1); in short blocks each window's subblock_gain divides it by 4 ** subblock_gain more.
What they cost is fixed by scalefac_compress, which names the bits of a scalefactor by groups of
bands: four bits for two groups in MPEG-1 (2.4.2.7), nine for four in the lower rates (13818-3,
2.4.3.2).

Never decides how loud noise may be; the gains handed in say that.
"""

from __future__ import annotations

from functools import lru_cache
from operator import add, gt
from typing import List, NamedTuple, Sequence, Tuple

from .tables import LSF_PARTITIONS, PRETAB, SFB_LONG, SFB_SHORT, SLEN

LONG_BANDS = 22  # the last has no scalefactor of its own
_LONG_COUNT = LONG_BANDS - 1
_WORDS = tuple(
    tuple(format(value, "0%db" % width) if width else "" for value in range(1 << width))
    for width in range(5)
)
_SLEN = (4, 3)  # the widest fields of scalefac_compress
_LSF_SLEN = (4, 4, 3, 3)  # ... of its values 0..399


@lru_cache(maxsize=None)
def band_edges(sample_rate: int, is_short: bool) -> Tuple[int, ...]:
    """First coded line of each band, and the end; each window of a short block has its own."""
    if not is_short:
        return SFB_LONG[sample_rate]
    edges, out = SFB_SHORT[sample_rate], [0]
    for low, high in zip(edges, edges[1:]):
        out += [out[-1] + (high - low) * window for window in (1, 2, 3)]
    return tuple(out)


class Scalefactors(NamedTuple):
    """The scalefactors of a granule as they are coded."""

    values: Tuple[int, ...]  # 21 of a long block, 36 (band, window) of a short one
    widths: Tuple[int, ...]  # bits of each
    scalefac_compress: int
    scalefac_scale: int
    preflag: int
    subblock_gain: Tuple[int, int, int]

    @property
    def bits(self) -> int:
        """part2_length; scfsi is not used."""
        return sum(self.widths)

    def coded(self) -> str:
        """The scalefactors as a string of 0 and 1."""
        return "".join([_WORDS[width][value] for value, width in zip(self.values, self.widths)])

    def factors(self) -> List[float]:
        """What lines are multiplied by in each band, the ones without scalefactor too."""
        step = 1.0 if self.scalefac_scale else 0.5
        if len(self.values) == _LONG_COUNT:
            raised = map(add, self.values, PRETAB) if self.preflag else self.values
            return [2.0 ** (step * sf) for sf in raised] + [1.0]
        windows = [4.0**gain for gain in self.subblock_gain]
        values = self.values + (0, 0, 0)
        return [2.0 ** (step * sf) * windows[n % 3] for n, sf in enumerate(values)]


@lru_cache(maxsize=None)
def _groups(is_lsf: bool, is_short: bool) -> Tuple[int, ...]:
    """How many scalefactors each field of scalefac_compress serves."""
    if is_lsf:
        return LSF_PARTITIONS["0..399"][is_short]
    return (18, 18) if is_short else (11, 10)


@lru_cache(maxsize=None)
def _limits(is_lsf: bool, is_short: bool) -> Tuple[int, ...]:
    """The largest value of each scalefactor."""
    slens = _LSF_SLEN if is_lsf else _SLEN
    groups = _groups(is_lsf, is_short)
    return tuple((1 << slen) - 1 for slen, count in zip(slens, groups) for _ in range(count))


def encode(
    wanted: Sequence[float],
    is_lsf: bool,
    is_short: bool,
    subblock_gain: Tuple[int, int, int] = (0, 0, 0),
) -> Scalefactors:
    """The coding nearest to the wanted amplifications (at least 0, in steps of sqrt 2).

    The fine scale if it reaches far enough; preflag where it helps.
    """
    limits = _limits(is_lsf, is_short)
    values = [int(want + 0.5) for want in wanted[: len(limits)]]
    scale = preflag = 0
    if any(map(gt, values, limits)):
        raised = [value - pre for value, pre in zip(values, PRETAB)]
        if not (is_lsf or is_short) and min(raised) >= 0 and not any(map(gt, raised, limits)):
            values, preflag = raised, 1
        else:
            values = [int(want / 2 + 0.5) for want in wanted[: len(limits)]]
            values, scale = list(map(min, values, limits)), 1
    slens, compress = _compress(values, _groups(is_lsf, is_short), is_lsf)
    return Scalefactors(tuple(values), slens, compress, scale, preflag, subblock_gain)


def _compress(values: Sequence[int], groups: Tuple[int, ...], is_lsf: bool) -> Tuple[Tuple[int, ...], int]:
    """The bits of each scalefactor, and the scalefac_compress that says so."""
    needs, at = [], 0
    for count in groups:
        needs.append(max(values[at : at + count]).bit_length())
        at += count
    if is_lsf:
        compress = (needs[0] * 5 + needs[1]) << 4 | needs[2] << 2 | needs[3]
        return _spread(tuple(needs), groups), compress
    compress = _cheapest(needs[0], needs[1], groups)
    return _spread(SLEN[compress], groups), compress


@lru_cache(maxsize=None)
def _spread(slens: Tuple[int, ...], groups: Tuple[int, ...]) -> Tuple[int, ...]:
    return tuple(slen for slen, count in zip(slens, groups) for _ in range(count))


@lru_cache(maxsize=None)
def _cheapest(low: int, high: int, groups: Tuple[int, ...]) -> int:
    """scalefac_compress of the fewest bits with at least these widths (2.4.2.7)."""
    return min(
        (n for n, slen in enumerate(SLEN) if slen[0] >= low and slen[1] >= high),
        key=lambda n: SLEN[n][0] * groups[0] + SLEN[n][1] * groups[1],
    )
