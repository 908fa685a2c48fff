"""Requantization, reordering and stereo against the formulas (2.4.3.4.7 to 2.4.3.4.9)."""

from __future__ import annotations

import math
import random
import struct

import pytest

from audiokit.codec import requantize, stereo
from audiokit.codec.blocks import LONG, SHORT
from audiokit.codec.packed import MAGIC
from audiokit.codec.side_info import Granule
from audiokit.codec.tables import PRETAB, SFB_LONG, SFB_SHORT

RATES = sorted(SFB_LONG)


def lines_of(row):
    values = struct.unpack("<%dd" % (len(row) // 8), row)
    return [(value - MAGIC) / requantize.SCALE for value in values]


def granule(rng, block_type, mixed=0):
    return Granule(
        0, 0, rng.randrange(150, 200), 0, block_type, mixed, (0, 0, 0),
        tuple(rng.randrange(8) for _ in range(3)), 0, 0, int(block_type != LONG),
        rng.randrange(2), rng.randrange(2), 0,
    )  # fmt: skip


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("is_ms", [False, True])
def test_long_lines_follow_the_formula(rate, is_ms):
    rng = random.Random(rate)
    g = granule(rng, LONG)
    values = [rng.choice([0.0, 1.0, -2.5, 40.0]) for _ in range(501)]
    factors = [rng.randrange(8) for _ in range(21)] + [0]
    places = requantize.bands(rate, "long")
    row = requantize.requantize(values, requantize.exponents(g, factors, places, is_ms), places)
    multiplier = 1.0 if g.scalefac_scale else 0.5
    for line, (ours, value) in enumerate(zip(lines_of(row), values)):
        sfb = max(i for i in range(22) if SFB_LONG[rate][i] <= line)
        exponent = multiplier * (factors[sfb] + g.preflag * PRETAB[sfb])
        exact = value * 2 ** ((g.global_gain - 210) / 4) * 2**-exponent
        exact *= math.sqrt(0.5) if is_ms else 1
        assert abs(ours - exact) <= 0.51 / requantize.SCALE


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("kind", ["short", "mixed"])
def test_short_lines_are_scaled_by_window_and_put_in_order(rate, kind):
    rng = random.Random(rate + 1)
    g = granule(rng, SHORT, int(kind == "mixed"))
    places = requantize.bands(rate, kind)
    values = [rng.choice([0.0, 1.0, -2.5, 40.0]) for _ in range(576)]
    factors = [rng.randrange(8) for _ in places.ends]
    row = requantize.requantize(values, requantize.exponents(g, factors, places, False), places)
    ours = lines_of(row)
    step = 1.0 if g.scalefac_scale else 0.5
    at = 0
    for index, width in enumerate(places.widths):
        for i in range(width):
            gain = g.global_gain - 210
            if index < places.longs:
                line = at + i
            else:
                window = places.windows[index]
                gain -= 8 * g.subblock_gain[window]
                first = max(SFB_SHORT[rate][places.sfbs[index]], 12 if kind == "mixed" else 0)
                line = 3 * (first + i) + window
            exact = values[at + i] * 2 ** (gain / 4) * 2 ** -(step * factors[index])
            assert abs(ours[line] - exact) <= 0.51 / requantize.SCALE
        at += width


@pytest.mark.parametrize("rate", RATES)
def test_bands_cover_all_lines_once(rate):
    for kind, longs in (("long", 22), ("short", 0)):
        places = requantize.bands(rate, kind)
        assert places.ends[-1] == 576 and places.longs == longs
    mixed = requantize.bands(rate, "mixed")
    assert mixed.ends[-1] == 576
    assert mixed.ends[mixed.longs - 1] == requantize.MIXED_LINES
    assert mixed.longs == {8000: 3}.get(rate, 8 if rate >= 32000 else 6)


def test_middle_and_side_give_left_and_right():
    rng = random.Random(1)
    middle = [rng.randrange(-(1 << 40), 1 << 40) for _ in range(300)]
    side = [rng.randrange(-(1 << 40), 1 << 40) for _ in range(80)]
    rows = [struct.pack("<%dd" % len(v), *[x + MAGIC for x in v]) for v in (middle, side)]
    left, right = stereo.middle_side(*rows)
    side += [0] * 220
    unpacked = [struct.unpack("<300d", row) for row in (left, right)]
    assert [v - MAGIC for v in unpacked[0]] == [m + s for m, s in zip(middle, side)]
    assert [v - MAGIC for v in unpacked[1]] == [m - s for m, s in zip(middle, side)]
    assert stereo.middle_side(rows[0], b"") == (rows[0], rows[0])


POSITIONS = [  # version 1 (2.4.3.4.9.3): is_ratio = tan(is_pos * pi / 12)
    (0, 0.0, 1.0, "all right"),
    (3, 0.5, 0.5, "the middle"),
    (6, 1.0, 0.0, "all left: the tangent is infinite"),
]


@pytest.mark.parametrize("position, left, right, why", POSITIONS)
def test_intensity_positions_of_version_1(position, left, right, why):
    assert stereo.POSITIONS[position] == pytest.approx((left, right), abs=1e-12), why


LSF = [  # 13818-3 2.4.3.2
    (0, 0, 1.0, 1.0, "both as they are"),
    (1, 0, 2**-0.25, 1.0, "odd: left is attenuated"),
    (2, 0, 1.0, 2**-0.25, "even: right is"),
    (5, 1, 2**-1.5, 1.0, "intensity_scale 1: by steps of 3 dB, (is_pos + 1) / 2 of them"),
    (6, 1, 1.0, 2**-1.5, "is_pos / 2 of them"),
]


@pytest.mark.parametrize("position, scale, left, right, why", LSF)
def test_intensity_positions_of_version_2(position, scale, left, right, why):
    assert stereo.lsf_position(position, scale) == pytest.approx((left, right)), why


class TestIntensity:
    places = requantize.bands(44100, "long")
    short = requantize.bands(44100, "short")
    mixed = requantize.bands(44100, "mixed")

    def test_only_bands_above_the_last_line_of_the_right_channel_are_intensity(self):
        right = [0.0] * 40 + [1.0] + [0.0] * 535  # line 40 is in band 8
        assert stereo.intensity_bands(right, self.places) == [i > 8 for i in range(22)]

    def test_each_window_of_short_blocks_has_its_own_bound(self):
        right = [0.0] * 576
        right[self.short.ends[10] - 1] = 1.0  # band 3, window 1
        applies = stereo.intensity_bands(right, self.short)
        assert applies == [w != 1 or sfb > 3 for w, sfb in zip(self.short.windows, self.short.sfbs)]

    def test_long_bands_of_a_mixed_block_only_where_no_window_has_anything(self):
        right = [1.0] + [0.0] * 575
        assert stereo.intensity_bands(right, self.mixed) == [i > 0 for i in range(38)]
        right[400] = 1.0
        assert not any(stereo.intensity_bands(right, self.mixed)[:8])

    def test_a_band_without_a_position_is_middle_and_side_or_plain(self):
        pairs = [()] * 21 + [(0.25, 0.5)]
        left, right = [8.0] * 576, [2.0] * 418 + [0.0] * 158
        a, b = stereo.joint(left, right, pairs, self.places, False)
        assert (a[0], b[0], a[500], b[500]) == (8.0, 2.0, 2.0, 4.0)
        a, b = stereo.joint(left, right, pairs, self.places, True)
        assert (a[0], b[0]) == pytest.approx((10 / math.sqrt(2), 6 / math.sqrt(2)))
        assert (a[500], b[500]) == (2.0, 4.0)

    def test_positions_that_say_nothing(self):
        right = [0.0] * 576
        positions = [3] * 10 + [7] * 11 + [0]
        pairs = stereo.band_factors(right, positions, [7] * 22, self.places, -1)
        assert pairs == [stereo.POSITIONS[3]] * 10 + [()] * 12

    def test_the_highest_band_takes_the_position_below_it_if_that_is_one(self):
        positions = [2] * 21 + [0]
        pairs = stereo.band_factors([0.0] * 576, positions, [3] * 22, self.places, 0)
        assert pairs[21] == stereo.lsf_position(2, 0)
        right = [0.0] * 417 + [1.0] + [0.0] * 158  # band 20 has something: no position there
        pairs = stereo.band_factors(right, positions, [3] * 22, self.places, 0)
        assert pairs[20] == () and pairs[21] == (1.0, 1.0)
