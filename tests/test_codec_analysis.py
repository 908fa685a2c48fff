"""The encoder's filterbanks against the standard's formulas, in floats, one sum after another."""

from __future__ import annotations

import math
import random
import struct

import pytest

from audiokit.codec import analysis
from audiokit.codec.analysis import HISTORY, LINE_SCALE
from audiokit.codec.blocks import GRANULE, LONG, SHORT, START, STOP
from audiokit.codec.packed import slots
from audiokit.codec.tables import ALIAS_C, SFB_SHORT, SYNTHESIS_WINDOW

GRANULES = HISTORY + 4


def pcm_of(samples):
    return struct.pack("<%dh" % len(samples), *samples)


def noise(seed, count):
    rng = random.Random(seed)
    return [
        max(-32768, min(32767, round(9000 * math.sin(0.05 * n) + rng.gauss(0, 4000))))
        for n in range(count)
    ]


def polyphase_by_definition(samples):
    """C.1.3: S[slot][band]."""
    out = []
    for newest in range(31, len(samples), 32):
        x = [samples[newest - i] if i <= newest else 0 for i in range(512)]
        z = [SYNTHESIS_WINDOW[i] / 65536 / 32 * x[i] for i in range(512)]
        y = [sum(z[q::64]) for q in range(64)]
        out.append(
            [
                sum(math.cos((2 * i + 1) * (q - 16) * math.pi / 64) * y[q] for q in range(64))
                for i in range(32)
            ]
        )
    return out


def window_by_definition(block_type):
    """2.4.3.4.10.3."""
    sine = [math.sin(math.pi / 36 * (i + 0.5)) for i in range(36)]
    if block_type == START:
        rise, fall = sine[:18], [math.sin(math.pi / 12 * (i - 18 + 0.5)) for i in range(24, 30)]
        return rise + [1.0] * 6 + fall + [0.0] * 6
    if block_type == STOP:
        rise = [math.sin(math.pi / 12 * (i - 6 + 0.5)) for i in range(6, 12)]
        return [0.0] * 6 + rise + [1.0] * 6 + sine[18:]
    return sine


def mdct_by_definition(z):
    """The transform whose inverse is 2.4.3.4.10.2, divided by N / 4."""
    n = len(z)
    return [
        sum(
            z[i] * math.cos(math.pi / (2 * n) * (2 * i + 1 + n // 2) * (2 * k + 1))
            for i in range(n)
        )
        / (n / 4)
        for k in range(n // 2)
    ]


def lines_by_definition(subbands, granule, block_type, sample_rate):
    long_lines, windows = [], [[], [], []]
    for band in range(32):
        z = [
            subbands[18 * (granule - 1) + t][band] * (-1 if band & 1 and t & 1 else 1)
            for t in range(36)
        ]
        if block_type == SHORT:
            for w in range(3):
                part = z[6 + 6 * w : 18 + 6 * w]
                shaped = [v * math.sin(math.pi / 12 * (i + 0.5)) for i, v in enumerate(part)]
                windows[w] += mdct_by_definition(shaped)
        else:
            shaped = [v * w for v, w in zip(z, window_by_definition(block_type))]
            long_lines += mdct_by_definition(shaped)
    if block_type == SHORT:
        edges = SFB_SHORT[sample_rate]
        return [
            windows[w][line]
            for low, high in zip(edges, edges[1:])
            for w in range(3)
            for line in range(low, high)
        ]
    out = list(long_lines)
    for edge in range(18, 576, 18):
        for i, c in enumerate(ALIAS_C):
            cs, ca = 1 / math.sqrt(1 + c * c), c / math.sqrt(1 + c * c)
            below, above = long_lines[edge - 1 - i], long_lines[edge + i]
            out[edge - 1 - i] = below * cs + above * ca
            out[edge + i] = above * cs - below * ca
    return out


def lines_of(spectra, channel, granule):
    return [v / LINE_SCALE for v in struct.unpack("<576i", spectra.lines(channel, granule))]


@pytest.fixture(scope="module")
def signal():
    samples = noise(1, GRANULES * GRANULE)
    return samples, polyphase_by_definition(samples)


@pytest.mark.parametrize("size", [1, 2, 4, 8, 32])
def test_the_cosine_transform_is_its_definition(size):
    rng = random.Random(size)
    values = [rng.randrange(-1000, 1000) for _ in range(size)]
    for i, value in enumerate(analysis.dct3(values)):
        want = sum(v * math.cos(math.pi * (2 * i + 1) * m / (2 * size)) for m, v in enumerate(values))
        assert value / (1 << 18) == pytest.approx(want, abs=0.05)


def test_the_subbands_are_those_of_the_standard(signal):
    samples, want = signal
    slot = slots(GRANULES, analysis.WIDTH)
    got = analysis.polyphase(analysis.planes_of(pcm_of(samples), 1, slot), slot)
    for granule in range(1, GRANULES):  # the first looks back at nothing
        for t in range(18):
            for band in range(32):
                value = slot.unpack(got[t][band])[granule] / (1 << analysis.SUBBAND_FRACTION)
                assert abs(value - want[18 * granule + t][band]) < 0.05


@pytest.mark.parametrize(
    "types",
    [(LONG, LONG, LONG, LONG), (START, SHORT, STOP, LONG), (SHORT, SHORT, STOP, START)],
)
def test_the_lines_are_those_of_the_standard(signal, types):
    samples, subbands = signal
    spectra = analysis.Spectra(pcm_of(samples), 1, 44100)
    spectra.transform([LONG] * HISTORY + list(types))
    for granule, block_type in enumerate(types, HISTORY):
        want = lines_by_definition(subbands, granule, block_type, 44100)
        got = lines_of(spectra, 0, granule)
        assert max(abs(a - b) for a, b in zip(got, want)) < 1.0, block_type


def test_the_loudest_pcm_that_is_overflows_nothing():
    """Signs chosen to add up in one subband and one line, at full scale."""
    for band in (0, 15, 31):
        samples = [
            32767 if math.cos((2 * band + 1) * (n + 16) * math.pi / 64) > 0 else -32768
            for n in range(GRANULES * GRANULE)
        ]
        spectra = analysis.Spectra(pcm_of(samples), 1, 32000)
        spectra.transform([LONG, LONG, LONG, START, SHORT, STOP])
        subbands = polyphase_by_definition(samples)
        for granule, block_type in ((2, LONG), (3, START), (4, SHORT), (5, STOP)):
            want = lines_by_definition(subbands, granule, block_type, 32000)
            got = lines_of(spectra, 0, granule)
            assert max(abs(a - b) for a, b in zip(got, want)) < 8, (band, block_type)


def test_channels_and_granules_do_not_touch_each_other():
    left, right = noise(2, GRANULES * GRANULE), noise(3, GRANULES * GRANULE)
    types = [LONG, LONG, START, SHORT, STOP, LONG]
    both = analysis.Spectra(pcm_of([s for pair in zip(left, right) for s in pair]), 2, 48000)
    both.transform(types)
    for channel, samples in enumerate((left, right)):
        alone = analysis.Spectra(pcm_of(samples), 1, 48000)
        alone.transform(types)
        for granule in range(HISTORY, GRANULES):
            pairs = zip(lines_of(alone, 0, granule), lines_of(both, channel, granule))
            assert max(abs(a - b) for a, b in pairs) < 2 / LINE_SCALE


def test_middle_and_side_are_sum_and_difference():
    rng = random.Random(4)
    left = [rng.randrange(-(2**29), 2**29) for _ in range(576)]
    right = [rng.randrange(-(2**29), 2**29) for _ in range(576)]
    mid, side = analysis.mid_side(struct.pack("<576i", *left), struct.pack("<576i", *right))
    assert list(struct.unpack("<576i", mid)) == [a + b for a, b in zip(left, right)]
    assert list(struct.unpack("<576i", side)) == [a - b for a, b in zip(left, right)]


def test_short_lines_are_coded_by_band_window_and_frequency():
    order = analysis.short_order(44100)
    assert order[:13] == tuple((w, line) for w in range(3) for line in range(4)) + ((0, 4),)
    assert sorted(order) == [(w, line) for w in range(3) for line in range(192)]
