"""One granule of one channel: its spectrum, what it hides, and its coding.

`left_right` makes the spectra of all channels of a granule, `mid_side` those of the pair's sum and
difference.  `wanted_scalefactors` shapes the noise; the gain then follows from the bits that there
are, or from the masking (`hidden_gain`), and `code` writes the granule.

Never knows of frames or of the reservoir.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache, partial
from itertools import compress
from operator import gt, mul, sub
from typing import List, NamedTuple, Sequence, Tuple

from . import analysis
from . import psychoacoustics as hearing
from .analysis import LINE_SCALE
from .blocks import GRANULE, LONG, SHORT
from .entropy import PAIRS, Split, choose, long_splits, switched_splits, write
from .frame import MAX_PART2_3_LENGTH, Granule, StreamFormat
from .quantize import HIGHEST_GAIN, LOWEST_GAIN, Levels, lowest_gain, search_gain
from .scalefactors import Scalefactors, band_edges, encode
from .tables import DISPUTED_BANDS, SFB_LONG, SFB_SHORT

_UNPACK = struct.Struct("<%di" % GRANULE).unpack
_GLOBAL_GAIN = 210  # global_gain of gain 0 (2.4.3.4.7.1)
_SQRT2 = 2  # in gains

# Short blocks stand where an attack makes a loud window: its noise reaches back over what was quiet
# before, and so less of it is allowed.
_ATTACK = 0.05
_SUBBLOCK = 8  # gains a step of subblock_gain (2.4.3.4.7.1)
_BETWEEN = 0.5  # how far the windows of a short block follow their mean thresholds
_MARGIN = 1.02  # above the rounding of energies
_NEAR = 8  # gains: hardly any search goes farther from where the last one ended
_ERROR = 2.0**-16  # of the loudest line, what may be the filterbank's own error
_LEAST = 1e-12  # of both channels' energy: what is left of it when their difference is rounded


class Spectrum(NamedTuple):
    """The lines of a granule's channel and what the ear makes of them, by scalefactor band."""

    layout: StreamFormat
    block_type: int
    data: bytes  # analysis.Spectra.lines
    cutoff: int  # lines from here on are not coded
    energies: Sequence[float]  # in squares of a step of 16-bit PCM
    thresholds: Sequence[float]  # the noise that is hidden, likewise
    entropy: float  # about how many bits it needs
    is_mid_side: bool  # the lines are sqrt(2) times too large

    @property
    def widths(self) -> Tuple[int, ...]:
        """Lines of each band."""
        return _bands(self.layout.sample_rate, self.block_type == SHORT)[1]

    def scaled(self, factors: Sequence[float]) -> List[float]:
        """The lines that are coded, multiplied by their band's factor; zeros for the others."""
        is_short = self.block_type == SHORT
        scales: List[float] = []
        for factor, (kept, cut) in zip(factors, _kept(self.layout.sample_rate, is_short, self.cutoff)):
            scales += [factor] * kept
            if cut:
                scales += [0.0] * cut
        return list(map(mul, _UNPACK(self.data), scales))

    def loudest(self, factors: Sequence[float]) -> float:
        """What none of the `scaled` lines passes, but by rounding: the root of a band's energy."""
        energy = max(map(mul, self.energies, map(mul, factors, factors)))
        return LINE_SCALE * math.sqrt(energy * (2 if self.is_mid_side else 1))

    def splits(self) -> Sequence[Split]:
        """Where big_values may be divided into regions."""
        if self.block_type == LONG:
            return long_splits(self.layout.sample_rate)
        return switched_splits(self.layout.sample_rate, self.block_type == SHORT)

    def heard(self) -> List[bool]:
        """Whether each band is above its threshold."""
        return list(map(gt, self.energies, self.thresholds))

    def ideal_gains(self) -> List[float]:
        """The gain at which each band's quantisation noise reaches its threshold.

        With q = (x / step) ** 0.75 an error of variance 1/12 in q is one of 4/27 x ** 0.5 step **
        1.5 in x.  The sum of x ** 0.5 over a band is taken as if its lines were all alike: that is
        width ** 0.75 * energy ** 0.25.
        """
        biases = _gain_biases(self.layout.sample_rate, self.block_type == SHORT)
        log2, factor = math.log2, _GAIN_OF_THRESHOLD / 4
        return [
            bias + factor * log2(t * t * t * t / (e or 1.0))
            for e, t, bias in zip(self.energies, self.thresholds, biases)
        ]


# gain = 4 log2(step), step = (27/4 threshold / roots) ** (2/3) in units of full scale.
_GAIN_OF_THRESHOLD = 4 * 2 / 3
_GAIN_BIAS = _GAIN_OF_THRESHOLD * math.log2(6.75) - 4 * 15


@lru_cache(maxsize=None)
def _gain_biases(sample_rate: int, is_short: bool) -> Tuple[float, ...]:
    """What the width of each band adds to its ideal gain, and what is the same for all."""
    widths = _bands(sample_rate, is_short)[1]
    return tuple([_GAIN_BIAS - _GAIN_OF_THRESHOLD * 0.75 * math.log2(width) for width in widths])


@lru_cache(maxsize=None)
def _bands(sample_rate: int, is_short: bool) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
    """(edges, widths) of a block's bands in coded order."""
    edges = band_edges(sample_rate, is_short)
    return edges, tuple(map(sub, edges[1:], edges))


@lru_cache(maxsize=None)
def _kept(sample_rate: int, is_short: bool, cutoff: int) -> Tuple[Tuple[int, int], ...]:
    """How many lines of each band, in coded order, are below the cutoff, and how many are not."""
    edges, step = (SFB_SHORT[sample_rate], 3) if is_short else (SFB_LONG[sample_rate], 1)
    out: List[Tuple[int, int]] = []
    for low, high in zip(edges, edges[1:]):
        kept = min(max(cutoff // step - low, 0), high - low)
        out += [(kept, high - low - kept)] * step
    return tuple(out)


def _thresholds(energies: Sequence[float], layout: StreamFormat, block_type: int) -> List[float]:
    bands = hearing.bands_of(layout.sample_rate, block_type == SHORT)
    if block_type != SHORT:
        return hearing.thresholds(energies, bands)
    out = [0.0] * len(energies)
    for window in range(3):
        out[window::3] = [_ATTACK * t for t in hearing.thresholds(energies[window::3], bands)]
    return out


class Pair(NamedTuple):
    """The spectra of a granule's channels, and, of two, what the alternative would need."""

    spectra: Tuple[Spectrum, ...]
    mid_side: Tuple[Spectrum, ...]  # data still that of left and right; () for one channel


def left_right(data: Sequence[bytes], block_type: int, layout: StreamFormat, cutoff: int) -> Pair:
    """The spectra of a granule whose channels' lines are `data`.

    Energies of sum and difference add up to those of the channels.  Noise in either appears in both
    channels, and so the lower of their thresholds holds for both.
    """
    edges, widths = _bands(layout.sample_rate, block_type == SHORT)
    cut = hearing.by_band(edges)
    lines = [cut(_UNPACK(one)) for one in data]
    energies = [hearing.energies(bands, LINE_SCALE) for bands in lines]
    thresholds = [_thresholds(energy, layout, block_type) for energy in energies]

    def spectrum(one: bytes, e: Sequence[float], t: Sequence[float], is_ms: bool) -> Spectrum:
        entropy = hearing.perceptual_entropy(e, t, widths)
        return Spectrum(layout, block_type, one, cutoff, e, t, entropy, is_ms)

    spectra = tuple([spectrum(*row, False) for row in zip(data, energies, thresholds)])
    if len(data) == 1:
        return Pair(spectra, ())
    lowest = list(map(min, *thresholds))
    side = hearing.side_energies(lines[0], lines[1], LINE_SCALE)
    mid = [max(a + b - c, _LEAST * (a + b)) for a, b, c in zip(energies[0], energies[1], side)]
    pair = (spectrum(data[0], mid, lowest, True), spectrum(data[1], side, lowest, True))
    return Pair(spectra, pair)


def mid_side(pair: Pair) -> Tuple[Spectrum, ...]:
    """The spectra of sum and difference, with their lines."""
    data = analysis.mid_side(pair.spectra[0].data, pair.spectra[1].data)
    return tuple([one._replace(data=lines) for one, lines in zip(pair.mid_side, data)])


def wanted_scalefactors(spectrum: Spectrum, shaping: float) -> Tuple[Scalefactors, List[float]]:
    """Scalefactors that bend the noise towards the thresholds, and the gain each band then asks for.

    `shaping`: how far, from 0 (the same step in all bands) to 1 (as the thresholds are).
    """
    gains = spectrum.ideal_gains()
    heard = spectrum.heard()
    subblock_gain = (0, 0, 0)
    if spectrum.block_type == SHORT:
        subblock_gain = _subblock_gain(gains, heard, spectrum.widths)
        gains = [gain + _SUBBLOCK * subblock_gain[n % 3] for n, gain in enumerate(gains)]
    top = max(compress(gains, heard), default=0.0)
    share = shaping / 2  # a gain has four steps an octave, a scalefactor two
    wanted = [(top - gain) * share if is_heard else 0.0 for gain, is_heard in zip(gains, heard)]
    is_short = spectrum.block_type == SHORT
    disputed = DISPUTED_BANDS.get(spectrum.layout.sample_rate)
    if disputed and not is_short:
        wanted[disputed - 1 : disputed + 1] = [max(wanted[disputed - 1 : disputed + 1])] * 2
    scalefactors = encode(wanted, spectrum.layout.is_lsf, is_short, subblock_gain)
    return scalefactors, [gain + 2 * want for gain, want in zip(gains, wanted)]


def hidden_gain(spectrum: Spectrum, gains: Sequence[float]) -> float:
    """The gain that hides the noise on the whole, `gains` being what each band asks for."""
    return _mean_gain(gains, spectrum.heard(), spectrum.widths)


def _mean_gain(gains: Sequence[float], heard: Sequence[bool], widths: Sequence[int]) -> float:
    """The mean over the lines that are heard; HIGHEST_GAIN where none is."""
    lines = sum(compress(widths, heard))
    return sum(compress(map(mul, gains, widths), heard)) / lines if lines else float(HIGHEST_GAIN)


def _subblock_gain(gains: Sequence[float], heard: Sequence[bool], widths: Sequence[int]) -> Tuple[int, int, int]:
    """What makes each window's step fit its own loudness: the noise of one is not the others'."""
    means = [_mean_gain(gains[n::3], heard[n::3], widths[n::3]) for n in range(3)]
    top = max([mean for mean in means if mean < HIGHEST_GAIN], default=0.0)
    steps = [round((top - mean) * _BETWEEN / _SUBBLOCK) for mean in means]
    first, second, third = [min(max(step, 0), 7) for step in steps]
    return first, second, third


def code(
    spectrum: Spectrum,
    scalefactors: Scalefactors,
    target: int,
    at_most: int,
    start_gain: int,
    finest_gain: int = LOWEST_GAIN,
) -> Granule:
    """The granule in at most `target` bits, scalefactors included, and nearly so many.

    `at_most` is a bound of the same that the last resort, a granule of zeros without scalefactors,
    always meets; no gain below `finest_gain` is used, though there be bits.
    """
    room = min(target, at_most, MAX_PART2_3_LENGTH) - scalefactors.bits
    if room < 0:
        scalefactors = encode([0.0] * 36, spectrum.layout.is_lsf, spectrum.block_type == SHORT)
        room = min(at_most, MAX_PART2_3_LENGTH)
    factors = scalefactors.factors()
    lines = spectrum.scaled(factors)
    lowest = lowest_gain(_MARGIN * spectrum.loudest(factors))
    if lowest > start_gain - _NEAR:  # it may bind: then the loudest line itself is worth a look
        loudest = max(map(abs, lines))
        lowest = lowest_gain(loudest)
        lines = [line if abs(line) > _ERROR * loudest else 0.0 for line in lines]
    # global_gain of the middle and the side is less by what their lines are too large.
    lowest = max(lowest, finest_gain, LOWEST_GAIN + _SQRT2)
    levels = Levels(lines, spectrum.splits())
    gain = search_gain(levels.cost, room, start_gain, min(lowest, HIGHEST_GAIN))
    pairs, coding = levels.coding(gain)
    if coding.bits > room:  # even at the highest gain
        pairs = bytes(PAIRS)
        coding = choose(pairs, spectrum.splits(), max)
    if not coding.bits:  # any gain will do, but the next granule's search begins at this one
        gain = HIGHEST_GAIN
    main = scalefactors.coded()
    if coding.bits:
        main += write(pairs, levels.signs(), coding, partial(levels.magnitude, gain))
    global_gain = gain + _GLOBAL_GAIN - (_SQRT2 if spectrum.is_mid_side else 0)
    return Granule(gain, global_gain, spectrum.block_type, coding, scalefactors, main)
