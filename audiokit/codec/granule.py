"""One granule of one channel: its spectrum, what it hides, and its coding at a number of bits.

`Spectrum` is what is known before bits are given out; `wanted_scalefactors` shapes the noise; the
gain then follows from the bits (`code_at_bits`) or from the masking alone (`hidden_gain`).

Never knows of frames or of the reservoir.
"""

from __future__ import annotations

import math
import struct
from itertools import chain, repeat
from typing import List, Sequence, Tuple

from . import psychoacoustics as hearing
from .analysis import GRANULE, LINE_SCALE, SHORT
from .entropy import PAIRS, Split, choose, long_splits, switched_splits, write
from .frame import MAX_PART2_3_LENGTH, Granule, StreamFormat
from .quantize import HIGHEST_GAIN, Levels, quantize, search_gain
from .scalefactors import Scalefactors, band_edges, encode

_UNPACK = struct.Struct("<%di" % GRANULE).unpack
_SIGN_FIRST = bytes(byte >> 7 << 1 for byte in range(256))
_SIGN_SECOND = bytes(byte >> 7 for byte in range(256))
_GAIN_OFFSET = 210  # global_gain of gain 0
SHAPING = 0.45
_PEAK_MARGIN = 1.001


class Spectrum:
    """The lines of a granule and what the ear makes of them."""

    def __init__(
        self, data: bytes, block_type: int, layout: StreamFormat, cutoff: int, halved: bool
    ) -> None:
        """`data`: analysis.Spectra.lines; `halved`: it is sqrt(2) times too loud (mid_side).

        Lines from `cutoff` on are left out.
        """
        self.data = data
        self.block_type = block_type
        self.layout = layout
        self.halved = halved
        self.edges = band_edges(layout.sample_rate, block_type == SHORT)
        lines = _UNPACK(data)
        if cutoff < GRANULE:
            lines = self._cut(lines, cutoff)
        self.magnitudes = [x**0.75 for x in map(abs, lines)]
        unit = LINE_SCALE * (math.sqrt(2) if halved else 1.0)
        self.energies = hearing.energies(lines, self.edges, unit)
        bands = hearing.bands_of(layout.sample_rate, block_type == SHORT)
        if block_type == SHORT:
            self.thresholds = [0.0] * len(self.energies)
            for window in range(3):
                self.thresholds[window::3] = hearing.thresholds(self.energies[window::3], bands)
            self.widths: Tuple[int, ...] = tuple(w for w in bands.widths for _ in range(3))
        else:
            self.thresholds = hearing.thresholds(self.energies, bands)
            self.widths = bands.widths

    @property
    def entropy(self) -> float:
        """About how many bits it needs."""
        return hearing.perceptual_entropy(self.energies, self.thresholds, self.widths)

    def _cut(self, lines: Sequence[int], cutoff: int) -> Sequence[int]:
        if self.block_type != SHORT:
            return lines[:cutoff] + (0,) * (GRANULE - cutoff)
        out = list(lines)
        end = cutoff // 3
        first = 0
        for n, (low, high) in enumerate(zip(self.edges, self.edges[1:])):
            width = high - low
            if n % 3 == 0:
                first = low // 3
            keep = min(max(end - first, 0), width)
            out[low + keep : high] = [0] * (width - keep)
        return out

    @property
    def signs(self) -> bytes:
        """A byte a pair: 2 where its first line is negative, 1 where its second is."""
        tops = self.data[3::4]
        first = int.from_bytes(tops[0::2].translate(_SIGN_FIRST), "little")
        second = int.from_bytes(tops[1::2].translate(_SIGN_SECOND), "little")
        return (first | second).to_bytes(PAIRS, "little")

    @property
    def splits(self) -> Sequence[Split]:
        """Where big_values may be divided."""
        rate = self.layout.sample_rate
        if self.block_type:
            return switched_splits(rate, self.block_type == SHORT)
        return long_splits(rate)

    def ideal_gains(self) -> List[float]:
        """The gain at which each band's quantisation noise reaches its threshold.

        With q = (x / step) ** 0.75 an error of variance 1/12 in q is one of 4/27 x ** 0.5 step **
        1.5 in x.  The sum of x ** 0.5 over a band is taken as if its lines were all alike.
        """
        out = []
        for energy, threshold, width in zip(self.energies, self.thresholds, self.widths):
            roots = width * (max(energy, 1e-3) / width) ** 0.25
            # In PCM steps; a gain of 0 makes a step of 1 at full scale, 32768.
            step = (6.75 * threshold / roots) ** (2 / 3) / 32768
            out.append(4 * math.log2(step))
        return out


def wanted_scalefactors(spectrum: Spectrum) -> Scalefactors:
    """Scalefactors that bend the noise towards the thresholds, SHAPING of the way."""
    gains = spectrum.ideal_gains()
    heard = [e > t for e, t in zip(spectrum.energies, spectrum.thresholds)]
    top = max([g for g, h in zip(gains, heard) if h], default=0.0)
    # A gain has four steps an octave, a scalefactor two.
    wanted = [
        max((top - g) * SHAPING / 2, 0.0) if h else 0.0 for g, h in zip(gains, heard)
    ]
    return encode(wanted, spectrum.layout.is_lsf, spectrum.block_type == SHORT)


def code_at_bits(
    spectrum: Spectrum, scalefactors: Scalefactors, target: int, at_most: int, start_gain: int
) -> Granule:
    """The granule in about `target` bits and never more than `at_most`, scalefactors included."""
    splits = spectrum.splits
    factors = scalefactors.factors()
    magnitudes = spectrum.magnitudes
    if max(factors) > 1.0:
        widths = spectrum.widths
        scales = chain.from_iterable(map(repeat, factors, widths))
        magnitudes = [m * f for m, f in zip(magnitudes, scales)]
    peak = max(magnitudes)
    gain, used = 0, 0
    if peak > 0:
        levels = Levels(magnitudes, peak * _PEAK_MARGIN)

        def bits_at(gain: int) -> Tuple[int, int]:
            coding = levels.code(gain, splits)
            return coding.bits, 2 * coding.big_values + 4 * coding.quads

        room = min(target, MAX_PART2_3_LENGTH) - scalefactors.bits
        gain = search_gain(bits_at, room, start_gain, levels.lowest_gain)
        used = GRANULE
    room = min(target, at_most, MAX_PART2_3_LENGTH) - scalefactors.bits
    while True:
        quantized = quantize(magnitudes, gain, used)
        coding = choose(quantized.pairs, splits, quantized.largest)
        if coding.bits <= room or gain >= HIGHEST_GAIN:
            break
        gain += 1
    main = scalefactors.coded()
    main += write(quantized.pairs, spectrum.signs, coding, quantized.magnitude)
    global_gain = gain + _GAIN_OFFSET - (2 if spectrum.halved else 0)
    return Granule(global_gain, spectrum.block_type, coding, scalefactors, main)
