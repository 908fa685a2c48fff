"""The psychoacoustic model: how much noise each scalefactor band hides (as 11172-3, annex D).

The model works on the energies of the lines themselves, a value a scalefactor band: the energy
spreads to the neighbouring bands, a fixed distance below it is the masking threshold, and nothing
is ever required below the threshold in quiet.  Energies are in the square of one step of 16-bit
PCM, in which a sine of amplitude A has about A**2.

Never changes a line; never knows of bits.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import starmap
from operator import itemgetter
from typing import Callable, Iterable, List, NamedTuple, Sequence, Tuple

from .scalefactors import band_edges

# Masking falls by 27 dB a Bark towards lower frequencies; towards higher ones by 24 dB and 230 dB
# / f, less a fifth of the masker's level (Terhardt), which for an energy E is a power of E.
_SLOPE_DOWN, _SLOPE_UP, _SLOPE_UP_HERTZ, _SLOPE_UP_LEVEL = 27.0, 24.0, 230.0, 0.2
_OFFSET_LOW = 13.0  # dB of noise under its masker up to 12 Bark
_OFFSET_RISE = 0.25  # dB a Bark above
_QUIET_OFFSET = 10.0  # dB: who listens to quiet music turns the volume up


def bark(hertz: float) -> float:
    """Critical band rate of a frequency (Zwicker and Terhardt)."""
    return 13 * math.atan(0.00076 * hertz) + 3.5 * math.atan((hertz / 7500) ** 2)


def quiet_db(hertz: float) -> float:
    """Threshold in quiet in dB above one step of PCM (Terhardt), full scale at about 90 dB."""
    khz = max(hertz, 20.0) / 1000
    return 3.64 * khz**-0.8 - 6.5 * math.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**3.6


class Bands(NamedTuple):
    """The scalefactor bands of one window of a block at a sampling rate, and what hearing adds."""

    edges: Tuple[int, ...]
    widths: Tuple[int, ...]
    up: Tuple[Tuple[float, float], ...]  # ... above: a factor and an exponent
    down: Tuple[float, ...]  # of a band's energy, what reaches the next one below
    ratios: Tuple[float, ...]  # of threshold and spread energy
    quiet: Tuple[float, ...]  # threshold in quiet of each


@lru_cache(maxsize=None)
def bands_of(sample_rate: int, is_short: bool) -> Bands:
    """The model's constants; for short blocks those of one of the three windows."""
    edges = band_edges(sample_rate, is_short)
    if is_short:
        edges = tuple(edge // 3 for edge in edges[::3])
    line_hertz = sample_rate / 2 / edges[-1]
    hertz = [(low + high) / 2 * line_hertz for low, high in zip(edges, edges[1:])]
    centres = [bark(f) for f in hertz]
    steps = [b - a for a, b in zip(centres, centres[1:])]
    quiet = []
    for low, high in zip(edges, edges[1:]):
        quietest = min(quiet_db((line + 0.5) * line_hertz) for line in range(low, high))
        quiet.append(10 ** ((min(quietest, 60.0) - _QUIET_OFFSET) / 10))
    return Bands(
        edges,
        tuple(high - low for low, high in zip(edges, edges[1:])),
        tuple(
            (10 ** (-step * (_SLOPE_UP + _SLOPE_UP_HERTZ / f) / 10), 1 + step * _SLOPE_UP_LEVEL)
            for step, f in zip(steps, hertz)
        ),
        tuple(10 ** (-step * _SLOPE_DOWN / 10) for step in steps),
        tuple(10 ** (-(_OFFSET_LOW + _OFFSET_RISE * max(z - 12, 0)) / 10) for z in centres),
        tuple(quiet),
    )


@lru_cache(maxsize=None)
def by_band(edges: Tuple[int, ...]) -> Callable[[Tuple[int, ...]], Tuple[Tuple[int, ...], ...]]:
    """What cuts all lines into those of each band."""
    return itemgetter(*[slice(low, high) for low, high in zip(edges, edges[1:])])


def energies(bands: Iterable[Sequence[float]], unit: float) -> List[float]:
    """The energy of each band, lines being `unit` for one step of PCM.

    `hypot` is four times as fast as a sum of products, its square root notwithstanding.
    """
    scale = 1.0 / (unit * unit)
    return [amplitude * amplitude * scale for amplitude in starmap(math.hypot, bands)]


def side_energies(left: Iterable[Sequence[float]], right: Iterable[Sequence[float]], unit: float) -> List[float]:
    """The energy of (left - right) / sqrt(2) in each band."""
    scale = 0.5 / (unit * unit)
    return [amplitude * amplitude * scale for amplitude in map(math.dist, left, right)]


def thresholds(energy: Sequence[float], bands: Bands) -> List[float]:
    """The noise energy that each band hides."""
    spread = list(energy)
    for n, (share, power) in enumerate(bands.up):
        spread[n + 1] += share * spread[n] ** power
    for n in range(len(spread) - 2, -1, -1):
        spread[n] += spread[n + 1] * bands.down[n]
    return [max(s * r, quiet) for s, r, quiet in zip(spread, bands.ratios, bands.quiet)]


def perceptual_entropy(energy: Sequence[float], threshold: Sequence[float], widths: Sequence[int]) -> float:
    """About how many bits the lines need for their noise to stay hidden."""
    return (
        sum([width * math.log2(e / t) for e, t, width in zip(energy, threshold, widths) if e > t])
        * 0.5
    )
