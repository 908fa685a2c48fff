"""The frame header of MPEG audio against the tables of ISO/IEC 11172-3 and 13818-3."""

from __future__ import annotations

import random

import pytest

from audiokit.formats.mpeg_header import (
    BITRATES,
    DUAL_CHANNEL,
    JOINT_STEREO,
    MAX_FRAME_BYTES,
    SAMPLE_RATES,
    SINGLE_CHANNEL,
    STEREO,
    FrameHeader,
    frame_sizes,
    free_format_bytes,
    parse_header,
    parse_stream_note,
    part2_3_lengths,
    same_stream,
)

HEADERS = [
    # word, version, layer, crc, kbit/s, Hz, channels, samples, bytes, why
    (0xFFFB9064, 1.0, 3, False, 128, 44100, 2, 1152, 417, "the commonest frame there is"),
    (0xFFFB9264, 1.0, 3, False, 128, 44100, 2, 1152, 418, "2.4.3.1: a padding slot of one byte"),
    (0xFFFA9064, 1.0, 3, True, 128, 44100, 2, 1152, 417, "the CRC lies inside the frame's length"),
    (0xFFF38064, 2.0, 3, False, 64, 22050, 2, 576, 208, "13818-3: one granule a frame"),
    (0xFFE318C4, 2.5, 3, False, 8, 8000, 1, 576, 72, "version 2.5 has a sync of eleven bits"),
    (0xFFFD8004, 1.0, 2, False, 128, 44100, 2, 1152, 417, "layer II"),
    (
        0xFFF548C4,
        2.0,
        2,
        False,
        32,
        16000,
        1,
        1152,
        288,
        "layer II keeps 1152 samples in version 2",
    ),
    (0xFFFFE000, 1.0, 1, False, 448, 44100, 2, 384, 484, "layer I counts slots of four bytes"),
    (0xFFFFE200, 1.0, 1, False, 448, 44100, 2, 384, 488, "layer I pads by four bytes"),
    (0xFFFB0064, 1.0, 3, False, 0, 44100, 2, 1152, 0, "free format does not tell its length"),
]


@pytest.mark.parametrize("word, version, layer, crc, kbps, rate, channels, samples, size, why", HEADERS)
def test_a_header_says_what_the_standard_says(word, version, layer, crc, kbps, rate, channels, samples, size, why):
    header = parse_header(word)
    assert header == parse_header(word.to_bytes(4, "big") + b"more")
    assert (header.version, header.layer, header.has_crc) == (version, layer, crc), why
    assert (header.bitrate_kbps, header.sample_rate, header.channels) == (kbps, rate, channels), why
    assert (header.samples_per_frame, header.frame_bytes) == (samples, size), why


NOT_HEADERS = [
    (0x7FFB9064, "no sync"),
    (0xFFDB9064, "ten bits of sync are one too few"),
    (0xFFEB9064, "version 1 is reserved"),
    (0xFFF99064, "layer 0 is reserved: this is ADTS"),
    (0xFFFBF064, "bitrate 15 is forbidden"),
    (0xFFFB9C64, "sampling frequency 3 is reserved"),
    (0xFFFFFFFF, "all ones"),
]


@pytest.mark.parametrize("word, why", NOT_HEADERS)
def test_what_the_standard_reserves_is_no_header(word, why):
    assert parse_header(word) is None, why


def test_fewer_than_four_bytes_are_no_header():
    assert [parse_header(b"\xff\xfb\x90\x64"[:n]) for n in range(4)] == [None] * 4


def test_modes_and_their_extensions():
    assert [parse_header(0xFFFB9000 | mode << 6).mode for mode in range(4)] == [
        STEREO,
        JOINT_STEREO,
        DUAL_CHANNEL,
        SINGLE_CHANNEL,
    ]
    both = parse_header(0xFFFB9000 | JOINT_STEREO << 6 | 0x30)
    assert (both.ms_stereo, both.intensity_stereo) == (True, True)
    assert not parse_header(0xFFFB9000 | STEREO << 6 | 0x30).ms_stereo, "only joint stereo has them"


def test_side_information_is_32_17_17_or_9_bytes_behind_header_and_crc():
    sides = [
        (0xFFFB9000, 32, 4),
        (0xFFFB90C0, 17, 4),
        (0xFFF39000, 17, 4),
        (0xFFE390C0, 9, 4),
        (0xFFFA9000, 32, 6),
    ]
    for word, size, offset in sides:
        header = parse_header(word)
        assert (header.side_info_bytes, header.side_info_offset) == (size, offset), hex(word)


def test_no_frame_is_larger_than_the_largest_and_sizes_agree_with_headers():
    for word in range(0xFFE00000, 0x1_0000_0000, 0x100):
        header = parse_header(word)
        if header is None:
            continue
        assert header.frame_bytes <= MAX_FRAME_BYTES
    for version in SAMPLE_RATES:
        for layer in (1, 2, 3):
            stream = FrameHeader(version, layer, False, 64, SAMPLE_RATES[version][0], 0, 0, 0, 0, 0, 0, 0)
            sizes = frame_sizes(stream, free_bytes=600)
            assert sum(size > 0 for size in sizes) == 15 * 2 * 2, "15 bit rates, padding, private"
            index = BITRATES[version == 1.0, layer].index(64)
            assert sizes[index << 4] == stream.frame_bytes


def test_a_stream_keeps_version_layer_and_rate_but_may_change_bit_rate_and_mode():
    first = parse_header(0xFFFB9064)
    assert same_stream(first, parse_header(0xFFFAE0C4))
    for other in (0xFFF39064, 0xFFFD9064, 0xFFFB9464):
        assert not same_stream(first, parse_header(other))


def free_stream(size: int, count: int) -> bytes:
    """Silence: the side information is zero, what is behind it is of no meaning."""
    frames = []
    for number in range(count):
        padding = number % 2
        head = (0xFFFB0000 | padding << 9).to_bytes(4, "big") + bytes(32)
        frames.append(head + b"\x55" * (size - 36 + padding))
    return b"".join(frames)


def test_a_free_format_length_is_the_distance_to_the_next_header():
    for size in (105, 731, 1632, 2089):
        data = free_stream(size, 4)
        assert free_format_bytes(data) == size
        assert free_format_bytes(data, size) == size, "from a padded frame too"
        assert free_format_bytes(data[: size + 4]) == size, "the data may end before a third header"
        assert free_format_bytes(data[:size]) == 0, "without a next header it cannot be known"
    assert free_format_bytes(free_stream(9000, 3)) == 0, "no stream has frames so long"
    assert free_format_bytes(b"\xff\xfb\x90\x64" * 9) == 0, "not a free-format header"


def xing_frame(kind=b"Xing", flags=15, frames=100, size=41700, extension=b"", crc=0, shift=0) -> bytes:
    head = (0xFFFB9064 - (crc << 16)).to_bytes(4, "big") + bytes(32 + shift)
    fields = (frames.to_bytes(4, "big") if flags & 1 else b"") + (size.to_bytes(4, "big") if flags & 2 else b"")
    fields += bytes(100) if flags & 4 else b""
    fields += bytes(4) if flags & 8 else b""
    return (head + kind + flags.to_bytes(4, "big") + fields + extension).ljust(417, b"\0")


def lame(method=4, delay=576, padding=1105, name=b"LAME3.100") -> bytes:
    return (name + bytes([method]) + bytes(11) + (delay << 12 | padding).to_bytes(3, "big") + bytes(12))


@pytest.mark.parametrize("flags", range(16))
def test_xing_fields_are_there_as_its_flags_say(flags):
    frame = xing_frame(flags=flags, extension=lame())
    note = parse_stream_note(frame, parse_header(frame))
    assert note.frames == (100 if flags & 1 else None)
    assert note.bytes == (41700 if flags & 2 else None)
    assert (note.encoder, note.encoder_delay, note.encoder_padding) == ("LAME3.100", 576, 1105)
    assert note.bitrate_mode == "VBR" and note.has_gapless


def test_lame_says_the_mode_and_others_by_their_kind():
    for extension, kind, mode in [
        (lame(1), b"Info", "CBR"),
        (lame(2), b"Xing", "ABR"),
        (lame(3), b"Xing", "VBR"),
        (lame(0), b"Info", "CBR"),
        (b"", b"Xing", "VBR"),
        (b"", b"Info", "CBR"),
    ]:
        frame = xing_frame(kind, extension=extension)
        assert parse_stream_note(frame, parse_header(frame)).bitrate_mode == mode
    frame = xing_frame(extension=b"\0" * 40)
    assert not parse_stream_note(frame, parse_header(frame)).has_gapless, ("zeros are no encoder's name")


def test_lame_signs_short_where_its_version_is_long():
    frame = xing_frame(extension=lame(name=b"L3.99r1\0\0"))
    note = parse_stream_note(frame, parse_header(frame))
    assert (note.encoder, note.encoder_delay, note.encoder_padding) == ("L3.99r1", 576, 1105)


# Where part2_3_length, big_values and the window's three bits stand, by 2.4.1.7 and 13818-3 2.4.1.7:
# (header, bits of the side information, bits before the first granule, bits of a granule, granules)
SIDES = [
    (0xFFFB9064, 256, 20, 59, 4),
    (0xFFFB90C4, 136, 18, 59, 2),
    (0xFFF39064, 136, 10, 63, 2),
    (0xFFF390C4, 72, 9, 63, 1),
]


@pytest.mark.parametrize("word, total, first, each, granules", SIDES)
def test_side_information_tells_how_many_bits_each_granule_takes(word, total, first, each, granules):
    header = parse_header(word)

    def lengths(*fields):
        """of a frame with (granule, bit of the granule, width, value) set"""
        side = 0
        for granule, at, width, value in fields:
            side |= value << total - first - granule * each - at - width
        frame = word.to_bytes(4, "big") + side.to_bytes(total // 8, "big")
        return part2_3_lengths(frame.ljust(header.frame_bytes, b"\x55"), header)

    assert lengths() == (0,) * granules, "silence"
    window = 33 if header.version == 1.0 else 38  # behind 12, 9, 8 and 4 or 9 bits
    last = granules - 1
    assert lengths((last, 0, 12, 100))[last] == 100
    assert lengths((last, 12, 9, 288)) is not None, "576 lines are 288 pairs"
    assert lengths((last, 12, 9, 289)) is None
    assert lengths((last, window, 3, 0b110)) is not None, "short blocks"
    assert lengths((last, window, 3, 0b100)) is None, "a switched window is not the normal one"
    full = tuple((granule, 0, 12, 0xFFF) for granule in range(granules))
    assert lengths(*full) is None, "more bits than the frame has"
    assert part2_3_lengths(word.to_bytes(4, "big") + bytes(total // 8 - 1), header) is None, "cut"


def test_a_crc_before_the_side_information_does_not_hide_the_note():
    for shift in (0, 2):
        frame = xing_frame(crc=1, shift=shift, extension=lame())
        assert parse_stream_note(frame, parse_header(frame)).frames == 100


def test_vbri_stands_32_bytes_behind_the_header_whatever_the_mode():
    for word in (0xFFFB9064, 0xFFF380C4):
        frame = (word.to_bytes(4, "big") + bytes(32) + b"VBRI" + bytes(6) + (25875).to_bytes(4, "big"))
        frame += (51).to_bytes(4, "big")
        note = parse_stream_note(frame, parse_header(frame))
        assert (note.kind, note.frames, note.bytes, note.has_gapless) == ("VBRI", 51, 25875, False)


def test_every_truncation_of_a_note_is_none_or_less_and_never_an_error():
    frame = xing_frame(extension=lame())
    header = parse_header(frame)
    for length in range(len(frame)):
        note = parse_stream_note(frame[:length], header)
        assert note is None or note.kind == "Xing"


def test_seeded_garbage_is_none_or_a_header_and_never_an_error():
    rng = random.Random(11172)
    for _ in range(2000):
        data = bytes([0xFF, rng.randrange(0xE0, 0x100)]) + bytes(rng.randrange(256) for _ in range(60))
        header = parse_header(data)
        if header is not None:
            parse_stream_note(data, header)
            assert 0 <= free_format_bytes(data) <= 8192
