"""One granule of one channel: its spectrum, what it hides, and its coding.

`left_right` makes the spectra of all channels of a granule, `mid_side` those of the pair's sum and
difference.  `wanted_scalefactors` shapes the noise; the gain then follows from the bits that there
are, or from the masking (`code`).

Never knows of frames or of the reservoir.
"""

from __future__ import annotations

import math
import struct
from itertools import chain, repeat
from operator import mul, sub
from typing import List, NamedTuple, Sequence, Tuple

from . import analysis
from . import psychoacoustics as hearing
from .analysis import LINE_SCALE
from .blocks import GRANULE, LONG, SHORT
from .entropy import PAIRS, Split, choose, long_splits, switched_splits, write
from .frame import MAX_PART2_3_LENGTH, Granule, StreamFormat
from .quantize import HIGHEST_GAIN, LOWEST_GAIN, Levels, quantize, search_gain
from .scalefactors import Scalefactors, band_edges, encode

_UNPACK = struct.Struct("<%di" % GRANULE).unpack
_SIGN_FIRST = bytes(byte >> 7 << 1 for byte in range(256))
_SIGN_SECOND = bytes(byte >> 7 for byte in range(256))
_GLOBAL_GAIN = 210  # global_gain of gain 0 (2.4.3.4.7.1)
_SQRT2 = 2  # in gains

# Short blocks stand where an attack makes a loud window: its noise reaches back over what was quiet
# before, and so less of it is allowed.
_ATTACK = 0.05
_SUBBLOCK = 8  # gains a step of subblock_gain (2.4.3.4.7.1)
_BETWEEN = 0.5  # how far the windows of a short block follow their mean thresholds
_PEAK_MARGIN = 1.001  # above the rounding of 32-bit floats


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
        return _bands(self.layout, self.block_type)[1]

    def magnitudes(self) -> List[float]:
        """|x| ** 0.75 of the lines that are coded, then zeros."""
        lines = _UNPACK(self.data)
        if self.cutoff >= GRANULE:
            return [x**0.75 for x in map(abs, lines)]
        if self.block_type == SHORT:
            keep = analysis.short_order(self.layout.sample_rate)
            end = self.cutoff // 3
            return [abs(x) ** 0.75 if at[1] < end else 0.0 for x, at in zip(lines, keep)]
        heard = [x**0.75 for x in map(abs, lines[: self.cutoff])]
        return heard + [0.0] * (GRANULE - self.cutoff)

    def signs(self) -> bytes:
        """A byte a pair: 2 where its first line is negative, 1 where its second is."""
        tops = self.data[3::4]
        first = int.from_bytes(tops[0::2].translate(_SIGN_FIRST), "little")
        second = int.from_bytes(tops[1::2].translate(_SIGN_SECOND), "little")
        return (first | second).to_bytes(PAIRS, "little")

    def splits(self) -> Sequence[Split]:
        """Where big_values may be divided into regions."""
        if self.block_type == LONG:
            return long_splits(self.layout.sample_rate)
        return switched_splits(self.layout.sample_rate, self.block_type == SHORT)

    def heard(self) -> List[bool]:
        """Whether each band is above its threshold."""
        return [e > t for e, t in zip(self.energies, self.thresholds)]

    def ideal_gains(self) -> List[float]:
        """The gain at which each band's quantisation noise reaches its threshold.

        With q = (x / step) ** 0.75 an error of variance 1/12 in q is one of 4/27 x ** 0.5 step **
        1.5 in x.  The sum of x ** 0.5 over a band is taken as if its lines were all alike.
        """
        gains = []
        for energy, threshold, width in zip(self.energies, self.thresholds, self.widths):
            roots = width * (max(energy, 1e-3) / width) ** 0.25
            gains.append(_GAIN_OF_THRESHOLD * math.log2(threshold / roots) + _GAIN_BIAS)
        return gains


# gain = 4 log2(step), step = (27/4 threshold / roots) ** (2/3) in units of full scale.
_GAIN_OF_THRESHOLD = 4 * 2 / 3
_GAIN_BIAS = _GAIN_OF_THRESHOLD * math.log2(6.75) - 4 * 15


def _bands(layout: StreamFormat, block_type: int) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
    """(edges, widths) of a block's bands in coded order."""
    edges = band_edges(layout.sample_rate, block_type == SHORT)
    return edges, tuple(map(sub, edges[1:], edges))


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
    edges, widths = _bands(layout, block_type)
    lines = [_UNPACK(one) for one in data]
    energies = [hearing.energies(one, edges, LINE_SCALE) for one in lines]
    thresholds = [_thresholds(energy, layout, block_type) for energy in energies]

    def spectrum(one: bytes, e: Sequence[float], t: Sequence[float], is_ms: bool) -> Spectrum:
        entropy = hearing.perceptual_entropy(e, t, widths)
        return Spectrum(layout, block_type, one, cutoff, e, t, entropy, is_ms)

    spectra = tuple([spectrum(*row, False) for row in zip(data, energies, thresholds)])
    if len(data) == 1:
        return Pair(spectra, ())
    lowest = list(map(min, *thresholds))
    side = hearing.side_energies(lines[0], lines[1], edges, LINE_SCALE)
    mid = [max(a + b - c, 0.0) for a, b, c in zip(energies[0], energies[1], side)]
    pair = (spectrum(data[0], mid, lowest, True), spectrum(data[1], side, lowest, True))
    return Pair(spectra, pair)


def mid_side(pair: Pair) -> Tuple[Spectrum, ...]:
    """The spectra of sum and difference, with their lines."""
    data = analysis.mid_side(pair.spectra[0].data, pair.spectra[1].data)
    return tuple([one._replace(data=lines) for one, lines in zip(pair.mid_side, data)])


def wanted_scalefactors(spectrum: Spectrum, shaping: float) -> Tuple[Scalefactors, float]:
    """Scalefactors that bend the noise towards the thresholds, and the gain that then hides it.

    `shaping`: how far, from 0 (the same step in all bands) to 1 (as the thresholds are).

    That gain is the mean, over the lines that are heard, of what each band asks for.
    """
    gains = spectrum.ideal_gains()
    heard = spectrum.heard()
    subblock_gain = (0, 0, 0)
    if spectrum.block_type == SHORT:
        subblock_gain = _subblock_gain(gains, heard, spectrum.widths)
        gains = [gain + _SUBBLOCK * subblock_gain[n % 3] for n, gain in enumerate(gains)]
    top = max([gain for gain, is_heard in zip(gains, heard) if is_heard], default=0.0)
    # A gain has four steps an octave, a scalefactor two.
    wanted = [
        (top - gain) * (shaping / 2) if is_heard else 0.0 for gain, is_heard in zip(gains, heard)
    ]
    is_short = spectrum.block_type == SHORT
    scalefactors = encode(wanted, spectrum.layout.is_lsf, is_short, subblock_gain)
    lines = total = 0.0
    for gain, want, is_heard, width in zip(gains, wanted, heard, spectrum.widths):
        if is_heard:
            lines += width
            total += width * (gain + 2 * want)
    return scalefactors, total / lines if lines else float(HIGHEST_GAIN)


def _subblock_gain(
    gains: Sequence[float], heard: Sequence[bool], widths: Sequence[int]
) -> Tuple[int, int, int]:
    """What makes each window's step fit its own loudness: the noise of one is not the others'."""
    means: List[float] = []
    for window in range(3):
        rows = list(zip(gains[window::3], heard[window::3], widths[window::3]))
        lines = sum([width for _, is_heard, width in rows if is_heard])
        total = sum([gain * width for gain, is_heard, width in rows if is_heard])
        means.append(total / lines if lines else float(HIGHEST_GAIN))
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
    splits = spectrum.splits()
    magnitudes = spectrum.magnitudes()
    factors = scalefactors.factors()
    if max(factors) > 1.0:
        scales = chain.from_iterable(map(repeat, factors, spectrum.widths))
        magnitudes = list(map(mul, magnitudes, scales))
    peak = max(magnitudes)
    gain = max(start_gain, finest_gain)
    used = 0
    if peak > 0.0:
        levels = Levels(magnitudes, peak * _PEAK_MARGIN)
        lowest = max(levels.lowest_gain, finest_gain)
        gain = search_gain(lambda at: levels.cost(at, splits), room, gain, lowest)
        used = levels.used(gain)
    gain = min(max(gain, LOWEST_GAIN + _SQRT2), HIGHEST_GAIN)
    while True:
        quantized = quantize(magnitudes, gain, used)
        coding = choose(quantized.pairs, splits, quantized.largest)
        if coding.bits <= room:
            break
        if gain < HIGHEST_GAIN:
            gain += 1
        else:
            used = 0
    main = scalefactors.coded()
    if used:
        main += write(quantized.pairs, spectrum.signs(), coding, quantized.magnitude)
    global_gain = gain + _GLOBAL_GAIN - (_SQRT2 if spectrum.is_mid_side else 0)
    return Granule(gain, global_gain, spectrum.block_type, coding, scalefactors, main)
