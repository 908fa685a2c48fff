"""The synthesis filterbank against the flow chart of the standard (Figure A.2)."""

from __future__ import annotations

import math
import random
import struct

import pytest

from audiokit.codec import hybrid, synthesis
from audiokit.codec.hybrid import SAMPLE_BITS
from audiokit.codec.packed import flip_signs, slots
from audiokit.codec.tables import SYNTHESIS_WINDOW


def by_definition(slots_of_32):
    """The PCM of consecutive time slots: matrixing, shift, window, sum."""
    v, pcm = [0.0] * 1024, []
    for samples in slots_of_32:
        new = [
            sum(math.cos((16 + i) * (2 * k + 1) * math.pi / 64) * samples[k] for k in range(32))
            for i in range(64)
        ]
        v = (new + v)[:1024]
        u = [v[i * 128 + j + (96 - 32 if j >= 32 else 0)] for i in range(8) for j in range(64)]
        for j in range(32):
            pcm.append(sum(u[j + 32 * i] * SYNTHESIS_WINDOW[j + 32 * i] / 65536 for i in range(16)))
    return pcm


def test_pcm_is_that_of_the_definition():
    rng = random.Random(4)
    lanes = 4
    time = [[[rng.uniform(-2000, 2000) for _ in range(32)] for _ in range(18)] for _ in range(lanes)]
    arithmetic = slots(lanes, hybrid.WIDTH)
    packed = [
        [
            arithmetic.pack([round(time[lane][t][k] * (1 << SAMPLE_BITS)) for lane in range(lanes)])
            for k in range(32)
        ]
        for t in range(18)
    ]
    planes = synthesis.synthesize(packed, arithmetic)
    wanted = by_definition([samples for lane in time for samples in lane])
    for lane in range(1, lanes):  # the first has no past here, and neither has the definition
        for t in range(18):
            for j in range(32):
                ours = struct.unpack("<%dh" % lanes, flip_signs(planes[t][j]))[lane]
                exact = wanted[576 * lane + 32 * t + j]
                assert abs(ours - min(max(exact, -32768), 32767)) < 0.7


def test_matrix_is_the_dct_but_for_the_factors():
    rng = random.Random(5)
    samples = [rng.randrange(-(1 << 20), 1 << 20) for _ in range(32)]
    for m, value in enumerate(synthesis.matrix(samples)):
        exact = sum(math.cos(m * (2 * k + 1) * math.pi / 64) * sample for k, sample in enumerate(samples))
        ours = value * synthesis.FACTORS[m] / (1 << synthesis.COSINE_BITS)
        assert math.isclose(ours, exact, abs_tol=80)  # of some 5 million


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_dct_iii_is_its_definition(size):
    rng = random.Random(size)
    z = [rng.randrange(-(1 << 20), 1 << 20) for _ in range(size)]
    for n, value in enumerate(synthesis.dct_iii(z, 20)):
        exact = z[0] / 2 + sum(z[k] * math.cos(math.pi * (2 * n + 1) * k / (2 * size)) for k in range(1, size))
        assert math.isclose(value / (1 << 20), exact, abs_tol=size)


def test_fewer_subbands_are_the_same_as_silent_ones():
    samples = list(range(1, 20))
    assert synthesis.matrix(samples) == synthesis.matrix(samples + [0] * 13)
