"""Quantisation and noiseless coding: packed ways against plain ones, bits read back by hand."""

from __future__ import annotations

import random
import struct
from functools import partial

import pytest

from audiokit.codec import entropy
from audiokit.codec.analysis import LINE_SCALE, short_order
from audiokit.codec.blocks import LONG, SHORT
from audiokit.codec.entropy import LARGEST, PAIRS, choose, long_splits, switched_splits, write
from audiokit.codec.frame import stream_format
from audiokit.codec.granule import left_right, mid_side
from audiokit.codec.quantize import (
    HIGHEST_GAIN,
    LOWEST_GAIN,
    Levels,
    lowest_gain,
    search_gain,
    step_factor,
)
from audiokit.codec.tables import HUFFMAN_LINBITS, SFB_LONG, count1_codes, huffman_codes


def lines_of(seed, loud=1e6):
    """A spectrum that falls, with silence at its end."""
    rng = random.Random(seed)
    return [rng.gauss(0, loud / (1 + n) ** 1.1) for n in range(500)] + [0.0] * 76


def values_of(levels, gain):
    """The magnitudes of all lines, clamped ones as they are."""
    halves = [half for pair in levels.pairs(gain) for half in (pair >> 4, pair & 15)]
    return [levels.magnitude(gain, n) if half == 15 else half for n, half in enumerate(halves)]


def pairs_of(values):
    clamped = [min(value, 15) for value in values]
    return bytes(a << 4 | b for a, b in zip(clamped[0::2], clamped[1::2]))


SPLITS = long_splits(44100)


class TestQuantizing:
    def test_a_line_of_one_step_is_1_and_full_scale_at_gain_0_is_1(self):
        for gain in (-100, -40, 0):
            line = LINE_SCALE * 32768 * 2 ** (gain / 4)
            assert line**0.75 * step_factor(gain) == pytest.approx(1.0)

    @pytest.mark.parametrize("seed", range(2))
    @pytest.mark.parametrize("gain", [LOWEST_GAIN, -96, -81, -80, -60, -44, -31, -1, 0, HIGHEST_GAIN])
    @pytest.mark.parametrize("loud", [10.0, 1e6, 2e9])
    def test_it_is_the_standards_formula(self, seed, gain, loud):
        """C.1.5.4.4: nint(x ** 0.75 - 0.0946)."""
        source = lines_of(seed, loud)
        got = values_of(Levels(source, SPLITS), gain)
        factor = step_factor(gain)
        for value, line in zip(got, source):
            exact = abs(line) ** 0.75 * factor + 0.4054
            assert value == int(exact) or (abs(exact - round(exact)) < 1 / 128 and value <= 15)

    @pytest.mark.parametrize("gain", range(-70, -54))
    def test_each_of_1_to_15_begins_where_the_formula_says(self, gain):
        begins = [((q - 0.4054) / step_factor(gain)) ** (4 / 3) for q in range(1, 16)]
        for side, less in ((1.0005, 0), (0.9995, 1)):
            source = [begin * side for begin in begins] + [0.0] * 561
            got = values_of(Levels(source, SPLITS), gain)
            assert got[:15] == [q - less for q in range(1, 16)]

    def test_the_largest_magnitude_survives(self):
        source = [0.0] * 576
        source[7] = -((LARGEST / step_factor(0)) ** (4 / 3))
        levels = Levels(source, SPLITS)
        assert levels.magnitude(0, 7) == LARGEST == levels.largest(0, 0, PAIRS)
        assert levels.pairs(0)[3] == 0x0F
        assert levels.signs()[3] == 1

    def test_at_the_lowest_gain_everything_can_be_coded(self):
        for loud in (10.0, 1e4, 1e8):
            source = lines_of(5, loud)
            peak = max(map(abs, source))
            lowest = lowest_gain(peak)
            assert LARGEST / 2 < Levels(source, SPLITS).largest(lowest, 0, PAIRS) <= LARGEST
        assert lowest_gain(0.0) == LOWEST_GAIN

    @pytest.mark.parametrize("apart", [0, 1, 2, 5000])
    def test_no_line_passes_what_the_energies_allow(self, apart):
        """Of left and nearly the negative left, all but nothing is left in the middle."""
        rng = random.Random(apart)
        left = [rng.randrange(-(10**7), 10**7) for _ in range(576)]
        right = [rng.randint(-apart, apart) - value for value in left]
        data = [struct.pack("<576i", *lines) for lines in (left, right)]
        pair = left_right(data, LONG, stream_format(44100, 2), 576)
        for spectrum in (*pair.spectra, *mid_side(pair)):
            factors = [rng.choice((1.0, 2.0, 4.0)) for _ in range(22)]
            assert max(map(abs, spectrum.scaled(factors))) <= 1.02 * spectrum.loudest(factors)

    def test_lines_from_the_cutoff_on_are_not_coded(self):
        data = [struct.pack("<576i", *([1000] * 576))]
        layout = stream_format(44100, 1)
        for block_type, factors in ((LONG, [1.0] * 22), (SHORT, [1.0] * 39)):
            (spectrum,) = left_right(data, block_type, layout, 300).spectra
            lines = spectrum.scaled(factors)
            assert len(lines) == 576 and sum(map(bool, lines)) == 300
            if block_type == LONG:
                assert not any(lines[300:])
            else:
                frequencies = [line for _, line in short_order(44100)]
                assert all(bool(x) == (f < 100) for x, f in zip(lines, frequencies))

    def test_a_gain_costs_what_its_coding_takes(self):
        levels = Levels(lines_of(3), SPLITS)
        for gain in (-70, -50, -30):
            pairs, coding = levels.coding(gain)
            assert pairs == levels.pairs(gain)
            assert len(write(pairs, levels.signs(), coding, partial(levels.magnitude, gain))) == coding.bits
            assert levels.cost(gain) == (coding.bits, 2 * coding.big_values + 4 * coding.quads)


class TestSearch:
    @pytest.mark.parametrize("target", [0, 1, 7, 100, 999, 10**6])
    @pytest.mark.parametrize("start", [LOWEST_GAIN, -60, 0, HIGHEST_GAIN])
    def test_it_finds_a_gain_that_fits_and_leaves_less_than_a_step(self, target, start):
        def bits_at(gain):
            return max(-gain * 12 - 300, 0), max(-gain // 2, 0)

        found = search_gain(bits_at, target, start, -200)
        bits, lines = bits_at(found)
        assert bits <= target
        one_step = 0.6 * max(lines, 8) * 3 / 16
        assert found == -200 or target - bits <= one_step or bits_at(found - 1)[0] > target

    def test_it_ends_where_nothing_fits(self):
        assert search_gain(lambda gain: (10**6, 576), 100, -60, -150) == HIGHEST_GAIN


def read_back(bits, coding, splits):
    """576 signed values from huffmancodebits, code by code."""
    at = 0
    values = []

    def word(codes):
        nonlocal at
        end = at + 1
        while bits[at:end] not in codes:
            end += 1
            assert end - at < 20
        code, at = bits[at:end], end
        return codes[code]

    def take(count):
        nonlocal at
        at += count
        return int(bits[at - count : at] or "0", 2)

    def signed(magnitude):
        return -magnitude if magnitude and take(1) else magnitude

    ends = (coding.split.first, coding.split.second, coding.big_values)
    for end, table in zip(ends, coding.table_select):
        codes = {v: k for k, v in huffman_codes(table).items()} if table else {}
        while len(values) < 2 * end:
            for magnitude in word(codes) if table else (0, 0):
                if magnitude == 15 and table:
                    magnitude += take(HUFFMAN_LINBITS[table])
                values.append(signed(magnitude))
    codes = {v: k for k, v in count1_codes("AB"[coding.count1table_select]).items()}
    for _ in range(coding.quads):
        values += [signed(one) for one in word(codes)]
    assert at == len(bits)
    return values + [0] * (576 - len(values))


KINDS = [
    ("silence", lambda rng, n: 0),
    ("ones to the end", lambda rng, n: rng.randrange(2)),
    ("ones, then nothing", lambda rng, n: rng.randrange(2) if n < 101 else 0),
    ("small", lambda rng, n: rng.randrange(8) if n < 300 else rng.randrange(2)),
    ("up to 15", lambda rng, n: rng.randrange(16) if n < 77 else 0),
    ("linbits", lambda rng, n: rng.randrange(200) if n < 90 else rng.randrange(3)),
    ("the largest", lambda rng, n: LARGEST if n in (0, 91, 575) else rng.randrange(3)),
    ("the last line alone", lambda rng, n: int(n == 575)),
    ("the last line is big", lambda rng, n: 2 * (n == 575)),
    ("ones behind an odd pair", lambda rng, n: 2 if n == 2 else int(n > 2)),
]


@pytest.mark.parametrize("kind, value", KINDS, ids=[kind for kind, _ in KINDS])
@pytest.mark.parametrize("splits", [long_splits(44100), switched_splits(44100, True), switched_splits(8000, False)])
def test_what_is_written_is_read_back_in_as_many_bits_as_counted(kind, value, splits):
    rng = random.Random(kind)
    magnitude = [value(rng, n) for n in range(576)]
    values = [-v if rng.random() < 0.5 else v for v in magnitude]
    signs = bytes((2 if a < 0 else 0) + (1 if b < 0 else 0) for a, b in zip(values[0::2], values[1::2]))
    pairs = pairs_of(magnitude)
    coding = choose(pairs, splits, lambda start, end: max(magnitude[2 * start : 2 * end]))
    bits = write(pairs, signs, coding, magnitude.__getitem__)
    assert len(bits) == coding.bits
    assert read_back(bits, coding, splits) == values
    assert coding.big_values + 2 * coding.quads <= PAIRS


@pytest.mark.parametrize("limit, tables", [(2, (2, 3)), (3, (5, 6)), (5, (7, 8, 9)), (7, (10, 11, 12)), (15, (13, 15))])
@pytest.mark.parametrize("seed", range(3))
def test_no_other_table_of_that_reach_is_cheaper(limit, tables, seed):
    rng = random.Random(seed)
    weights = [8 ** (-seed * value / limit) for value in range(limit + 1)]
    values = [limit, *rng.choices(range(limit + 1), weights, k=575)]
    table, bits = entropy._best_table(pairs_of(values), 0, PAIRS, lambda start, end: limit)

    def cost(select):
        codes = huffman_codes(select)
        return sum(len(codes[p]) + (p[0] > 0) + (p[1] > 0) for p in zip(values[0::2], values[1::2]))

    assert table in tables
    assert bits == cost(table) == min(map(cost, tables))


@pytest.mark.parametrize("rate", [8000, 24000, 44100])
def test_a_split_lies_on_band_edges_and_within_the_pairs(rate):
    edges = SFB_LONG[rate]
    for pairs, split in enumerate(long_splits(rate)):
        zero = edges[split.region0_count + 1] // 2
        one = edges[min(split.region0_count + split.region1_count + 2, 22)] // 2
        assert (split.first, split.second) == (min(zero, pairs), min(one, pairs))
        assert split.region0_count < 16 and split.region1_count < 8
