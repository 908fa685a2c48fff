"""The standard's tables: complete, consistent, and where the reference is at hand, equal to it."""

from __future__ import annotations

import json
import math

import pytest

from audiokit.codec import tables
from tests.support import SHARED

PATH = SHARED / "mpeg" / "tables.json"
needs_reference = pytest.mark.skipif(
    not PATH.is_file(), reason="skipped: the reference tables are not beside this checkout"
)
SIDES = {1: 2, 2: 3, 3: 3, 5: 4, 6: 4, 7: 6, 8: 6, 9: 6, 10: 8, 11: 8, 12: 8, 13: 16, 15: 16}
BIG_VALUES_TABLES = [table for table in range(1, 32) if table not in (4, 14)]


@pytest.mark.parametrize("table", BIG_VALUES_TABLES)
def test_every_big_values_table_is_a_complete_prefix_code_of_a_square(table):
    codes = tables.huffman_codes(table)
    side = SIDES.get(table, 16)
    assert sorted(codes) == [(x, y) for x in range(side) for y in range(side)]
    assert sum(2.0 ** -len(code) for code in codes.values()) == 1.0
    ordered = sorted(codes.values())
    assert not any(b.startswith(a) for a, b in zip(ordered, ordered[1:]))


@pytest.mark.parametrize("table", [0, 4, 14])
def test_tables_that_do_not_exist_have_no_codes(table):
    with pytest.raises(KeyError):
        tables.huffman_codes(table)


def test_the_count1_tables_code_all_quadruples_and_b_is_the_complement_in_four_bits():
    for table in "AB":
        codes = tables.count1_codes(table)
        assert len(codes) == 16 and sum(2.0 ** -len(code) for code in codes.values()) == 1.0
    for (v, w, x, y), code in tables.count1_codes("B").items():
        assert int(code, 2) == 15 - (8 * v + 4 * w + 2 * x + y)


def test_linbits_are_told_for_all_32_tables():
    assert len(tables.HUFFMAN_LINBITS) == 32
    assert max(tables.HUFFMAN_LINBITS) == 13  # 2.4.2.7: the largest value is 15 + 2**13 - 1


@pytest.mark.parametrize("rate", sorted(tables.SFB_LONG))
def test_scalefactor_bands_rise_to_the_end(rate):
    for bands, count, end in ((tables.SFB_LONG[rate], 23, 576), (tables.SFB_SHORT[rate], 14, 192)):
        assert len(bands) == count and bands[0] == 0 and bands[-1] == end
        assert all(a < b and (b - a) % 2 == 0 for a, b in zip(bands, bands[1:]))


def test_partitions_serve_all_scalefactors():
    for name, kinds in tables.LSF_PARTITIONS.items():
        assert [sum(kind) for kind in kinds] == [21, 36, 33], name


def test_the_synthesis_window_reconstructs():
    """The 512 taps, folded by 64, are nearly a power-complementary prototype (Annex C.1.3)."""
    window = [value / 65536 for value in tables.SYNTHESIS_WINDOW]
    assert len(window) == 512 and window[256] == max(window)
    prototype = [-v if (i // 64) & 1 else v for i, v in enumerate(window)]
    for phase in range(1, 32):
        total = sum(prototype[i] ** 2 for at in (phase, 32 + phase) for i in range(at, 512, 64))
        assert math.isclose(total, sum(v * v for v in prototype) / 32, rel_tol=2e-4)


@needs_reference
class TestAgainstTheReference:
    reference = json.loads(PATH.read_text("utf-8")) if PATH.is_file() else {}

    def test_codes(self):
        for name, table in self.reference["huffman"].items():
            codes = {(x, y): bits for x, y, _, bits in table["codes"]}
            assert tables.huffman_codes(int(name)) == codes
        for name in "AB":
            codes = {tuple(quad[:4]): quad[5] for quad in self.reference["count1_" + name]}
            assert tables.count1_codes(name) == codes
        linbits = self.reference["huffman_linbits"]
        assert [linbits.get(str(n), 0) for n in range(32)] == list(tables.HUFFMAN_LINBITS)

    def test_bands_and_window(self):
        for name, bands in (("sfb_long", tables.SFB_LONG), ("sfb_short", tables.SFB_SHORT)):
            assert {int(r): tuple(v) for r, v in self.reference[name].items()} == bands
        window = self.reference["synthesis_window_D_times_65536"]
        assert tuple(window) == tables.SYNTHESIS_WINDOW
