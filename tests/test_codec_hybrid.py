"""Alias reduction and IMDCT against their definitions (2.4.3.4.10), in floating point."""

from __future__ import annotations

import math
import random
import struct

import pytest

from audiokit.codec import hybrid
from audiokit.codec.blocks import LONG, SHORT, START, STOP, window_of
from audiokit.codec.hybrid import SAMPLE_BITS, Block
from audiokit.codec.packed import MAGIC, slots
from audiokit.codec.requantize import FRACTION_BITS
from audiokit.codec.tables import ALIAS_C

TOLERANCE = 0.1  # last places of 16 bits, for lines of up to a thousand of them


def row(lines):
    return struct.pack("<%dd" % len(lines), *[v * (1 << FRACTION_BITS) + MAGIC for v in lines])


def alias(lines, block_type, mixed):
    """2.4.3.4.10.1: eight butterflies an edge; none in short blocks but at a mixed one's first."""
    lines = lines + [0.0] * (576 - len(lines))
    for subband in range(1, 32 if block_type != SHORT else 2 if mixed else 1):
        for i, c in enumerate(ALIAS_C):
            cs, ca = 1 / math.sqrt(1 + c * c), c / math.sqrt(1 + c * c)
            low, high = 18 * subband - 1 - i, 18 * subband + i
            below, above = lines[low], lines[high]
            lines[low] = below * cs - above * ca
            lines[high] = above * cs + below * ca
    return lines


def imdct(lines, count):
    """2.4.3.4.10.2: the definition."""
    half = count // 2
    return [
        sum(
            lines[k] * math.cos(math.pi / (2 * count) * (2 * i + 1 + half) * (2 * k + 1))
            for k in range(half)
        )
        for i in range(count)
    ]


def windowed(lines, block_type):
    """2.4.3.4.10.3: 36 outputs of one subband."""
    if block_type != SHORT:
        return [v * w for v, w in zip(imdct(lines, 36), window_of(block_type))]
    out = [0.0] * 36
    for window in range(3):
        for i, value in enumerate(imdct(lines[window::3], 12)):
            out[6 + 6 * window + i] += value * math.sin(math.pi / 12 * (i + 0.5))
    return out


def by_definition(granules):
    """[granule][time slot][subband] of one channel's (lines, block_type, mixed)."""
    overlap = [[0.0] * 18 for _ in range(32)]
    result = []
    for lines, block_type, mixed in granules:
        lines = alias(lines, block_type, mixed)
        time = [[0.0] * 32 for _ in range(18)]
        for subband in range(32):
            kind = LONG if mixed and subband < 2 else block_type
            out = windowed(lines[18 * subband : 18 * subband + 18], kind)
            for t in range(18):
                sign = -1 if t & 1 and subband & 1 else 1
                time[t][subband] = sign * (out[t] + overlap[subband][t])
            overlap[subband] = out[18:]
        result.append(time)
    return result


def some_granules(seed, kinds, count):
    rng = random.Random(seed)
    return [
        ([rng.uniform(-1000, 1000) for _ in range(rng.choice([0, 40, 100]))], *rng.choice(kinds))
        for _ in range(count)
    ]


ALL = [(t, m) for t in (LONG, START, SHORT, STOP) for m in (0, 1) if t != LONG or not m]


@pytest.mark.parametrize(
    "kinds",
    [[(LONG, 0)], [(LONG, 0), (START, 0), (STOP, 0)], [(SHORT, 0)], [(SHORT, 1)], ALL],
    ids=["long", "windows", "short", "mixed", "all"],
)
def test_time_slots_are_those_of_the_definition(kinds):
    channels = [some_granules(seed, kinds, 5) for seed in (1, 2)]
    blocks = [Block(row(lines), *kind) for granules in channels for lines, *kind in granules]
    arithmetic = slots(10, hybrid.WIDTH)
    time, subbands = hybrid.hybrid(blocks, arithmetic)
    for channel, granules in enumerate(channels):
        wanted = by_definition(granules)
        for t in range(18):
            for subband in range(32):
                vector = time[t][subband] if subband < subbands else 0
                ours = arithmetic.unpack(vector)[5 * channel : 5 * channel + 5]
                # the first lane of a channel takes the last one of the other for its past
                for lane in range(1, 5):
                    error = ours[lane] / (1 << SAMPLE_BITS) - wanted[lane][t][subband]
                    assert abs(error) < TOLERANCE, (channel, lane, t, subband)


def test_the_windows_of_one_kind_and_the_next_reconstruct():
    """Princen-Bradley: w[i]**2 + w[i + 18]**2 = 1 across each allowed pair of halves."""
    for first, second in ((LONG, LONG), (LONG, START), (STOP, LONG), (STOP, START)):
        for i in range(18):
            a, b = window_of(first)[18 + i], window_of(second)[i]
            assert math.isclose(a * a + b * b, 1.0)


def test_lines_far_past_full_scale_are_limited_and_leave_their_neighbours_alone():
    quiet = [100.0] * 36
    blocks = [Block(row(quiet), LONG, 0), Block(row([1e9] * 576), LONG, 0)]
    blocks += [Block(row(quiet), LONG, 0)] * 3
    arithmetic = slots(5, hybrid.WIDTH)
    loud, _ = hybrid.hybrid(blocks, arithmetic)
    blocks[1] = Block(row(quiet), LONG, 0)
    calm, _ = hybrid.hybrid(blocks, arithmetic)
    for t in range(18):
        for subband in range(2):
            a, b = arithmetic.unpack(loud[t][subband]), arithmetic.unpack(calm[t][subband])
            assert all(abs(x - y) <= 1 for x, y in zip(a[3:], b[3:]))


def test_dct_iii_18_is_its_definition():
    rng = random.Random(18)
    z = [rng.randrange(-(1 << 20), 1 << 20) for _ in range(18)]
    for n, value in enumerate(hybrid.dct_iii_18(z)):
        exact = z[0] / 2 + sum(z[k] * math.cos(math.pi * (2 * n + 1) * k / 36) for k in range(1, 18))
        assert math.isclose(value / (1 << hybrid.COSINE_BITS), exact, abs_tol=4)
