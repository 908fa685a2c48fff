"""Packed integers against their plain definitions: lists of ints."""

from __future__ import annotations

import random
import struct

import pytest

from audiokit.codec import packed
from audiokit.codec.packed import Slots, flip_signs, slots

WIDTHS = (24, 32, 40, 48, 64, 96)


def some(seed, count, bits):
    """Signed numbers of up to `bits` bits, the extremes among them."""
    rng = random.Random(seed)
    extremes = [0, 1, -1, (1 << bits) - 1, -(1 << bits)]
    return (extremes + [rng.randrange(-(1 << bits), 1 << bits) for _ in range(count)])[:count]


@pytest.mark.parametrize("width", WIDTHS)
class TestVectors:
    def test_what_is_packed_is_unpacked(self, width):
        values = some(1, 37, width - 1)
        s = slots(37, width)
        assert s.unpack(s.pack(values)) == values

    def test_the_value_is_the_polynomial(self, width):
        values = some(2, 9, width - 1)
        s = slots(9, width)
        assert s.pack(values) == sum(v << (width * i) for i, v in enumerate(values))

    def test_sums_and_products_are_slot_by_slot(self, width):
        a, b = some(3, 20, width - 10), some(4, 20, width - 10)[::-1]
        s = slots(20, width)
        assert s.unpack(s.pack(a) - 77 * s.pack(b)) == [x - 77 * y for x, y in zip(a, b)]

    @pytest.mark.parametrize("shift", [0, 1, 5, 17])
    def test_rescale_rounds_half_up(self, width, shift):
        values = some(5, 50, width - 3) + [(1 << shift) >> 1, -((1 << shift) >> 1), 3, -3]
        s = slots(len(values), width)
        half = (1 << shift) >> 1
        assert s.unpack(s.rescale(s.pack(values), shift)) == [(v + half) >> shift for v in values]

    def test_select_keeps_the_chosen_lanes_and_zeroes_the_rest(self, width):
        values = some(6, 24, width - 2)
        chosen = [(7 * i) % 3 == 0 for i in range(24)]
        s = slots(24, width)
        kept = s.select(s.pack(values), s.lanes(chosen))
        assert s.unpack(kept) == [v if c else 0 for v, c in zip(values, chosen)]

    def test_delay_moves_one_slot_and_loses_the_last(self, width):
        values = some(7, 24, width - 2)
        s = slots(24, width)
        assert s.unpack(s.delay(s.pack(values))) == [0] + values[:-1]

    @pytest.mark.parametrize("bits", [3, 15])
    def test_clamp_limits_and_exceeds_says_when(self, width, bits):
        values = some(8, 30, bits + 4)
        s = slots(30, width)
        limited = [min(max(v, -(1 << bits)), (1 << bits) - 1) for v in values]
        assert s.exceeds(s.pack(values), bits)
        assert s.unpack(s.clamp(s.pack(values), bits)) == limited
        assert not s.exceeds(s.pack(limited), bits)
        assert s.clamp(s.pack(limited), bits) == s.pack(limited)

    def test_int16_samples_pack_as_themselves(self, width):
        values = some(9, 40, 15)
        s = slots(40, width)
        plane = struct.pack("<40h", *values)
        assert s.unpack(s.pack_int16(plane)) == values
        assert s.unpack(s.pack_offset16(plane)) == [v + 32768 for v in values]


@pytest.mark.parametrize(
    "width, fraction, loud",
    [
        (64, 40, 22), (64, 16, 40), (64, 20, 40), (64, 33, 29), (40, 20, 18), (40, 4, 30),
        (48, 20, 24), (48, 24, 22), (32, 8, 22), (32, 1, 29), (24, 4, 18),
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_int16_rounds_and_saturates(width, fraction, loud, seed):
    rng = random.Random(seed)
    s = Slots(60, width)
    quiet = [rng.randrange(-32768 << fraction, 32767 << fraction) for _ in range(60)]
    for values in (quiet, quiet[:-1] + some(seed, 9, loud + fraction)[-1:], some(1, 60, loud)):
        want = [min(max((v + (1 << (fraction - 1))) >> fraction, -32768), 32767) for v in values]
        plane = s.int16(s.pack(values), fraction)
        assert list(struct.unpack("<60h", flip_signs(plane))) == want


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, 1 << 70, -(1 << 70)])
def test_int16_of_a_slot_past_its_width_is_some_sample_and_the_others_stay(value):
    s = slots(4, 64)
    plane = s.int16((value << 192) + (5 << 43), 43)
    assert struct.unpack("<4h", flip_signs(plane))[:3] == (5, 0, 0)


def test_floats_round_to_nearest():
    values = [0.0, 1.49, -1.49, 2.51, -7.75, 2.0**50, -(2.0**50), 1e-9]
    s = slots(len(values), 64)
    assert s.unpack(s.pack_floats(values)) == [round(v) for v in values]


def test_a_slot_that_overflows_spoils_only_itself_and_its_neighbours_last_place():
    s = slots(3, 32)
    vector = s.pack([5, (1 << 31) - 1, 7]) + s.pack([0, 100, 0])
    assert s.unpack(vector)[0] == 5 and abs(s.unpack(vector)[2] - 7) <= 1


def test_flip_signs_is_its_own_inverse():
    pcm = struct.pack("<4h", -32768, -1, 0, 32767)
    assert struct.unpack("<4H", flip_signs(pcm)) == (0, 32767, 32768, 65535)
    assert flip_signs(flip_signs(pcm)) == pcm
    assert flip_signs(b"") == b""


@pytest.mark.parametrize("width", [0, 8, 16, 33])
def test_a_width_that_is_not_whole_bytes_is_refused(width):
    with pytest.raises(ValueError):
        packed.Slots(4, width)
