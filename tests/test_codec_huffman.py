"""Huffman decoding against what the codes of the tables spell."""

from __future__ import annotations

import random

import pytest

from audiokit.codec import bits
from audiokit.codec.blocks import LONG
from audiokit.codec.huffman import decode_spectrum, pair_table
from audiokit.codec.side_info import Damaged, Granule
from audiokit.codec.tables import HUFFMAN_LINBITS, count1_codes, huffman_codes
from tests.layer3_streams import to_bytes

TABLES = [table for table in range(1, 32) if table not in (4, 14)]


def granule(pairs, tables, count1=0):
    return Granule(0, pairs, 0, 0, LONG, 0, tables, (0, 0, 0), 0, 0, 0, 0, 0, count1)


def spelled(rng, table, pairs, flat=False):
    """(bits, values) of random pairs, the largest values of the table among them."""
    codes, linbits = huffman_codes(table), HUFFMAN_LINBITS[table]
    text, values = "", []
    for _ in range(pairs):
        pair = rng.choice(sorted(codes)) if flat else rng.choice([(0, 0), (0, 1), (1, 0), (1, 1)])
        text += codes[pair]
        for value in pair:
            if linbits and value == 15:
                extra = rng.choice([0, 1, (1 << linbits) - 1])
                text += format(extra, "0%db" % linbits)
                value += extra
            if value:
                sign = rng.randrange(2)
                text += str(sign)
                value = -value if sign else value
            values.append(value)
    return text, values


def dequantized(values):
    return [abs(v) ** (4 / 3) * (-1 if v < 0 else 1) for v in values]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("flat", [True, False])
def test_every_table_decodes_what_its_codes_spell(table, flat):
    rng = random.Random(table)
    text, values = spelled(rng, table, 60, flat)
    words = bits.words(to_bytes("101" + text))
    found = decode_spectrum(words, 3, 3 + len(text), granule(60, (table, 0, 0)), (120, 120, 120))
    assert found == pytest.approx(dequantized(values))


@pytest.mark.parametrize("seed", range(8))
def test_regions_end_where_they_end_whatever_follows(seed):
    rng = random.Random(seed)
    tables = tuple(rng.choice(TABLES + [0]) for _ in range(3))
    sizes = [rng.randrange(0, 40) for _ in range(3)]
    text, values, bounds = "", [], []
    for table, pairs in zip(tables, sizes):
        more, these = spelled(rng, table, pairs, seed & 1) if table else ("", [0] * (2 * pairs))
        text += more
        values += these
        bounds.append(len(values))
    count1 = rng.randrange(2)
    for _ in range(rng.randrange(9)):
        quad = tuple(rng.randrange(2) for _ in range(4))
        text += count1_codes("AB"[count1])[quad]
        for value in quad:
            sign = rng.randrange(2) if value else 0
            text += str(sign) if value else ""
            values.append(-value if sign else value)
    words = bits.words(to_bytes(text + "10110" * 9))
    found = decode_spectrum(words, 0, len(text), granule(sum(sizes), tables, count1), bounds)
    assert found == pytest.approx(dequantized(values))


def test_a_quadruple_that_is_cut_is_dropped():
    code = count1_codes("A")[1, 1, 1, 1] + "0000"
    words = bits.words(to_bytes(code * 2))
    found = decode_spectrum(words, 0, 2 * len(code) - 1, granule(0, (0, 0, 0)), (0, 0, 0))
    assert found == [1.0] * 4


def test_quadruples_stop_at_line_576():
    words = bits.words(to_bytes("1" * 400))  # table A: 1 bit for four zeros
    found = decode_spectrum(words, 0, 400, granule(0, (0, 0, 0)), (0, 0, 0))
    assert len(found) == 576


def test_big_values_past_part2_3_length_are_damaged():
    text, _ = spelled(random.Random(1), 7, 20)
    words = bits.words(to_bytes(text))
    with pytest.raises(Damaged):
        decode_spectrum(words, 0, len(text) - 1, granule(20, (7, 0, 0)), (40, 40, 40))


@pytest.mark.parametrize("table", [4, 14])
def test_tables_that_do_not_exist_are_damaged(table):
    with pytest.raises(Damaged):
        pair_table(table)
