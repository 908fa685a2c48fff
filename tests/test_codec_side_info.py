"""Side information and scalefactors against the syntax of the standard, field by field."""

from __future__ import annotations

import random

import pytest

from audiokit.codec import bits, side_info
from audiokit.codec.blocks import LONG, SHORT
from audiokit.codec.side_info import Damaged, Granule, parse_side_info
from audiokit.formats.mpeg_header import parse_header
from tests.layer3_streams import to_bytes

HEADERS = {
    "version 1 stereo": b"\xff\xfb\x90\x00",
    "version 1 mono": b"\xff\xfb\x90\xc0",
    "version 2 stereo": b"\xff\xf3\x80\x00",
    "version 2 mono": b"\xff\xf3\x80\xc0",
}
PLAIN = Granule(0, 0, 0, 0, LONG, 0, (0, 0, 0), (0, 0, 0), 0, 0, 0, 0, 0, 0)


def some_side_info(rng, header):
    """(bits, what they say) of random side information."""
    is_v1 = header.version == 1.0
    text, said = "", []

    def put(count, value=None):
        nonlocal text
        value = rng.randrange(1 << count) if value is None else value
        text += format(value, "0%db" % count)
        return value

    begin = put(9 if is_v1 else 8)
    put((5 if header.channels == 1 else 3) if is_v1 else header.channels)
    scfsi = tuple(put(4) for _ in range(header.channels)) if is_v1 else (0,) * header.channels
    for _ in range(header.granules * header.channels):
        fields = dict(part2_3_length=put(12), big_values=put(9, rng.randrange(289)))
        fields.update(global_gain=put(8), scalefac_compress=put(4 if is_v1 else 9))
        fields["window_switching_flag"] = put(1)
        if fields["window_switching_flag"]:
            fields.update(block_type=put(2, rng.randrange(1, 4)), mixed_block_flag=put(1))
            fields["table_select"] = (put(5), put(5), 0)
            fields["subblock_gain"] = (put(3), put(3), put(3))
        else:
            fields["table_select"] = (put(5), put(5), put(5))
            fields.update(region0_count=put(4), region1_count=put(3))
        fields["preflag"] = put(1) if is_v1 else int(fields["scalefac_compress"] >= 500)
        fields.update(scalefac_scale=put(1), count1table_select=put(1))
        said.append(PLAIN._replace(**fields))
    rows = tuple(tuple(said[i : i + header.channels]) for i in range(0, len(said), header.channels))
    return to_bytes(text), side_info.SideInfo(begin, scfsi, rows)


@pytest.mark.parametrize("name", sorted(HEADERS))
@pytest.mark.parametrize("seed", range(5))
def test_every_field_is_read_where_it_stands(name, seed):
    header = parse_header(HEADERS[name])
    data, said = some_side_info(random.Random(seed), header)
    assert len(data) == header.side_info_bytes
    assert parse_side_info(data, header) == said


def test_what_the_standard_forbids_is_damaged():
    header = parse_header(HEADERS["version 1 mono"])
    fine = "0" * 18  # main_data_begin, private_bits, scfsi
    reserved = fine + "0" * 33 + "1" + "00"
    too_many = fine + "0" * 12 + "1" * 9
    for text in (reserved, too_many):
        with pytest.raises(Damaged):
            parse_side_info(to_bytes(text).ljust(17, b"\0"), header)


def test_scfsi_copies_groups_of_bands_and_reads_the_others():
    granule = PLAIN._replace(scalefac_compress=13)  # slen 3 and 2
    first = [1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 3, 2, 1, 0, 1, 2, 3, 0, 1, 2, 0]
    text = "".join(format(7, "03b") for _ in range(5))  # bands 6..10 of group 1
    words = bits.words(to_bytes(text))
    factors, position = side_info.read_scalefactors(words, 0, granule, 0b1011, first)
    assert position == 15
    assert factors == first[:6] + [7] * 5 + first[11:21] + [0]


@pytest.mark.parametrize("mixed, count", [(0, 36), (1, 35)])
def test_short_blocks_have_a_scalefactor_a_window_and_0_in_the_last_band(mixed, count):
    granule = PLAIN._replace(scalefac_compress=15, block_type=SHORT, mixed_block_flag=mixed)
    words = bits.words(b"\xff" * 40)
    factors, position = side_info.read_scalefactors(words, 0, granule, 0, [])
    first = 17 if mixed else 18  # 4 bits, then 3
    assert position == 4 * first + 3 * 18
    assert factors == [15] * first + [7] * 18 + [0] * 3 and len(factors) == count + 3


def test_all_lsf_compress_values_have_the_widths_of_the_text():
    """13818-3 2.4.3.2, as its formulas stand there."""
    for c in range(512):
        if c < 400:
            wanted = ((c >> 4) // 5, (c >> 4) % 5, (c % 16) >> 2, c % 4)
        elif c < 500:
            wanted = (((c - 400) >> 2) // 5, ((c - 400) >> 2) % 5, (c - 400) % 4, 0)
        else:
            wanted = ((c - 500) // 3, (c - 500) % 3, 0, 0)
        assert side_info.lsf_partition(c, False, 0)[1] == wanted
        i = c >> 1
        if i < 180:
            wanted = (i // 36, (i % 36) // 6, (i % 36) % 6, 0)
        elif i < 244:
            wanted = (((i - 180) % 64) >> 4, ((i - 180) % 16) >> 2, (i - 180) % 4, 0)
        else:
            wanted = ((i - 244) // 3, (i - 244) % 3, 0, 0)
        assert side_info.lsf_partition(c, True, 0)[1] == wanted


def test_the_largest_value_of_a_position_is_what_its_bits_hold():
    granule = PLAIN._replace(scalefac_compress=2 * 36)  # intensity: 1 bit for the first 7 bands
    factors, largest, position = side_info.read_lsf_scalefactors(bits.words(b"\xff\xff\xff"), 0, granule, True)
    assert position == 7
    assert factors == [1] * 7 + [0] * 15 and largest[:21] == [1] * 7 + [0] * 14


def test_words_are_the_bits_at_every_byte_and_zeros_behind():
    data = bytes(range(1, 12))
    words = bits.words(data)
    for at in range(20):
        assert words[at] == int.from_bytes(data[at : at + 4].ljust(4, b"\0"), "big")


def test_crc16_by_long_division():
    """2.4.3.1: generator x**16 + x**15 + x**2 + 1, all ones at first, highest bit first."""
    data = bytes(random.Random(1).randrange(256) for _ in range(34))
    crc = 0xFFFF
    for byte in data:
        for bit in range(7, -1, -1):
            feedback = crc >> 15 ^ byte >> bit & 1
            crc = crc << 1 & 0xFFFF ^ (0x8005 if feedback else 0)
    assert bits.crc16(data) == crc
