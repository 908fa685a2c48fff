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
from typing import List, NamedTuple, Sequence, Tuple

from .analysis import SHORT
from .tables import LSF_PARTITIONS, SFB_LONG, SFB_SHORT, SLEN

LONG_BANDS = 22  # the last has no scalefactor of its own
SHORT_BANDS = 13
_LSF_SLEN = (4, 4, 3, 3)  # the widest fields of scalefac_compress 0..399
_FLAT_GAIN = (0, 0, 0)


@lru_cache(maxsize=None)
def band_edges(sample_rate: int, is_short: bool) -> Tuple[int, ...]:
    """First coded line of each band and the end; of short blocks each window is a band of its own."""
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
    subblock_gain: Tuple[int, int, int]

    @property
    def bits(self) -> int:
        """part2_length, where scfsi shares nothing."""
        return sum(self.widths)

    def coded(self, shared: Sequence[bool] = ()) -> str:
        """The scalefactors as a string of 0 and 1, without those that `shared` marks."""
        return "".join(
            [
                format(value, "0%db" % width)
                for n, (value, width) in enumerate(zip(self.values, self.widths))
                if width and not (shared and shared[n])
            ]
        )

    def factors(self) -> List[float]:
        """What |x| ** 0.75 is multiplied by in each band, the ones without scalefactor too."""
        step = 0.75 if self.scalefac_scale else 0.375
        if len(self.values) < 3 * (SHORT_BANDS - 1):
            return [2.0 ** (step * sf) for sf in self.values] + [1.0]
        windows = [2.0 ** (1.5 * gain) for gain in self.subblock_gain]
        values = self.values + (0, 0, 0)
        return [2.0 ** (step * sf) * windows[n % 3] for n, sf in enumerate(values)]


@lru_cache(maxsize=None)
def _groups(is_lsf: bool, is_short: bool) -> Tuple[int, ...]:
    """How many scalefactors each field of scalefac_compress serves."""
    if is_lsf:
        return LSF_PARTITIONS["0..399"][is_short]
    return (18, 18) if is_short else (11, 10)


def encode(wanted: Sequence[int], is_lsf: bool, block_type: int, **fields: object) -> Scalefactors:
    """The coding of the wanted scalefactors (each at least 0), limited to what can be said."""
    groups = _groups(is_lsf, block_type == SHORT)
    limits = _LSF_SLEN if is_lsf else (4, 3)
    values: List[int] = []
    needs: List[int] = []
    for count, slen in zip(groups, limits):
        group = wanted[len(values) : len(values) + count]
        group = [min(value, (1 << slen) - 1) for value in group]
        needs.append(max(group).bit_length())
        values += group
    if is_lsf:
        slens: Sequence[int] = needs
        compress = (needs[0] * 5 + needs[1]) << 4 | needs[2] << 2 | needs[3]
    else:
        compress = _cheapest(needs[0], needs[1], groups)
        slens = SLEN[compress]
    widths = [slen for slen, count in zip(slens, groups) for _ in range(count)]
    return Scalefactors(
        tuple(values),
        tuple(widths),
        compress,
        int(fields.get("scalefac_scale", 0)),  # type: ignore[call-overload]
        fields.get("subblock_gain", _FLAT_GAIN),  # type: ignore[arg-type]
    )


@lru_cache(maxsize=None)
def _cheapest(low: int, high: int, groups: Tuple[int, ...]) -> int:
    """scalefac_compress of the fewest bits with at least these widths (2.4.2.7)."""
    return min(
        (n for n, slen in enumerate(SLEN) if slen[0] >= low and slen[1] >= high),
        key=lambda n: SLEN[n][0] * groups[0] + SLEN[n][1] * groups[1],
    )
