"""Quantisation and noiseless coding: fast paths against plain ones, bits read back by hand."""

from __future__ import annotations

import random

import pytest

from audiokit.codec import entropy
from audiokit.codec.analysis import LINE_SCALE
from audiokit.codec.entropy import LARGEST, PAIRS, choose, long_splits, switched_splits, write
from audiokit.codec.quantize import (
    HIGHEST_GAIN,
    LOWEST_GAIN,
    Levels,
    quantize,
    search_gain,
    step_factor,
)
from audiokit.codec.tables import HUFFMAN_LINBITS, SFB_LONG, count1_codes, huffman_codes


def magnitudes(seed, loud=1e6):
    """|x| ** 0.75 of a spectrum that falls, with silence at its end."""
    rng = random.Random(seed)
    lines = [rng.gauss(0, loud / (1 + n) ** 1.1) for n in range(500)] + [0.0] * 76
    return [abs(x) ** 0.75 for x in lines]


def values_of(quantized):
    return [quantized.magnitude(line) for line in range(576)]


def pairs_of(values):
    clamped = [min(value, 15) for value in values]
    return bytes(a << 4 | b for a, b in zip(clamped[0::2], clamped[1::2]))


class TestQuantizing:
    def test_a_line_of_one_step_is_1_and_full_scale_at_gain_0_is_1(self):
        for gain in (-100, -40, 0):
            line = LINE_SCALE * 32768 * 2 ** (gain / 4)
            assert line**0.75 * step_factor(gain) == pytest.approx(1.0)

    @pytest.mark.parametrize("gain", [-80, -60, -44, -30, 0])
    def test_it_is_the_standards_formula(self, gain):
        """C.1.5.4.4: nint(x ** 0.75 - 0.0946)."""
        source = magnitudes(1)
        got = values_of(quantize(source, gain))
        factor = step_factor(gain)
        for value, magnitude in zip(got, source):
            exact = magnitude * factor + 0.4054
            assert value == int(exact) or abs(exact - round(exact)) < 1 / 128

    def test_only_the_used_lines_are_looked_at(self):
        got = values_of(quantize(magnitudes(2), -70, 100))
        assert any(got[:100]) and not any(got[100:])

    def test_the_largest_magnitude_survives(self):
        source = [0.0] * 576
        source[7] = LARGEST / step_factor(0)
        quantized = quantize(source, 0)
        assert quantized.magnitude(7) == LARGEST == quantized.largest(0, PAIRS)
        assert quantized.pairs[3] == 0x0F

    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("gain", [-75, -60, -45])
    def test_the_fast_way_is_nearly_the_exact_one(self, seed, gain):
        source = magnitudes(seed)
        fast = Levels(source, max(source)).pairs(gain)
        exact = quantize(source, gain).pairs
        halves = [(b >> 4, b & 15) for b in fast], [(b >> 4, b & 15) for b in exact]
        differences = [abs(x - y) for a, b in zip(*halves) for x, y in zip(a, b)]
        assert max(differences) <= 1
        assert sum(differences) <= 0.1 * sum(map(bool, values_of(quantize(source, gain))))

    def test_at_the_lowest_gain_everything_can_be_coded(self):
        for loud in (10.0, 1e4, 1e8):
            source = magnitudes(5, loud)
            lowest = Levels(source, max(source)).lowest_gain
            assert quantize(source, lowest).largest(0, PAIRS) <= LARGEST


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
@pytest.mark.parametrize(
    "splits", [long_splits(44100), switched_splits(44100, True), switched_splits(8000, False)]
)
def test_what_is_written_is_read_back_in_as_many_bits_as_counted(kind, value, splits):
    rng = random.Random(kind)
    magnitude = [value(rng, n) for n in range(576)]
    values = [-v if rng.random() < 0.5 else v for v in magnitude]
    signs = bytes(
        (2 if a < 0 else 0) + (1 if b < 0 else 0) for a, b in zip(values[0::2], values[1::2])
    )
    pairs = pairs_of(magnitude)
    coding = choose(pairs, splits, lambda start, end: max(magnitude[2 * start : 2 * end]))
    bits = write(pairs, signs, coding, magnitude.__getitem__)
    assert len(bits) == coding.bits
    assert read_back(bits, coding, splits) == values
    assert coding.big_values + 2 * coding.quads <= PAIRS


@pytest.mark.parametrize(
    "limit, tables", [(2, (2, 3)), (3, (5, 6)), (5, (7, 8, 9)), (7, (10, 11, 12)), (15, (13, 15))]
)
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
