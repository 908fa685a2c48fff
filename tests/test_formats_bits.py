"""Fields of bits: the highest first, and nothing behind the end."""

from __future__ import annotations

import pytest

from audiokit.formats.bits import Bits, swapped


def test_fields_come_with_the_highest_bit_first():
    bits = Bits(b"\xa5\x0f\xff")
    assert [bits.read(count) for count in (1, 3, 4, 8, 0, 5)] == [1, 2, 5, 15, 0, 31]
    assert bits.left == 3


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xff"])
def test_a_field_that_ends_behind_the_data_is_an_end(data):
    bits = Bits(data)
    assert bits.read(8 * len(data)) == (1 << 8 * len(data)) - 1
    with pytest.raises(EOFError):
        bits.read(1)


@pytest.mark.parametrize("data, other, why", [
    (b"", b"", "nothing"), (b"ab", b"ba", "a word"), (b"abcd", b"badc", "words keep their order"), (b"abc", b"ba", "half a word"),
])
def test_words_are_turned_round_one_by_one(data, other, why):
    assert swapped(data) == other, why
