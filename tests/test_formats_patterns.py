"""What repeats every few bytes is a table or a picture, whatever its first bytes look like."""

from __future__ import annotations

import pytest

from audiokit.formats.patterns import is_pattern
from tests.format_kinds import refusal

PATTERNS = [
    # unit, why
    ("fffb9064", "a header of layer III"),
    ("fffb90640000000000000000", "and zeros"),
    ("fffbe464112233445566778899aabbcc", "layer III, whose frames are sixty times as long"),
    ("fffdc464112233445566778899aabbcc", "layer II"),
    ("fff15080041ffc612ea6cecc1b78e510", "AAC in ADTS"),
    ("0b77a3b5144043e1", "AC-3"),
    ("fe7f018044ccf11acf48614146938f03", "DTS"),
    ("56e012", "AAC in LATM, three bytes"),
    ("56fffa5a0eba63fdbe5f2016828b63577c", "of LATM, with one of layer III in it"),
]


@pytest.mark.parametrize("unit, why", PATTERNS, ids=[row[-1] for row in PATTERNS])
def test_a_pattern_that_begins_like_a_frame_is_no_audio(unit, why):
    refusal(bytes.fromhex(unit) * 3000)


def test_a_header_that_comes_again_and_again_makes_a_pattern_and_nothing_else_does():
    unit = bytes.fromhex("fffb9064aabb")
    assert is_pattern(unit * 10) and is_pattern((unit * 10)[:-3])
    assert is_pattern(unit[:4] * 2 + bytes(50))
    assert not is_pattern(unit + bytes(50)) and not is_pattern(unit) and not is_pattern(b"")
    assert not is_pattern(unit * 9 + b"other")
