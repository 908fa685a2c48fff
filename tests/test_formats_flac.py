"""FLAC: STREAMINFO against the last frame, and both against the file."""

from __future__ import annotations

import random
import struct

import pytest
from format_kinds import (
    check,
    crc16,
    flac,
    flac_frame,
    id3_frame,
    id3v2,
    identify,
    mutations,
    refusal,
    truncations,
)

from audiokit.formats import flac as reader
from audiokit.formats import flac_end
from audiokit.formats.flac_frame import crc8, is_whole, parse_frame, parse_stream_info
from audiokit.formats.flac_subframe import end_of
from audiokit.formats.info import Damaged, NotAudio
from audiokit.formats.source import Source

JUNK = random.Random(7).getrandbits(8 * 4000).to_bytes(4000, "big")


def old_tag():
    return b"TAG" + b"Old".ljust(30, b"\0") + bytes(94) + b"\x08"


def captured(data):
    """The stream from its fourth frame on, as one has it who tuned in late."""
    return data[:42] + data[42 + 3 * len(flac_frame(0)) :]


def sized(data, least, most):
    """The file with other block sizes in STREAMINFO."""
    return data[:8] + struct.pack(">HH", least, most) + data[12:]


LENGTHS = [
    # file, samples, declared, truncated, warned, why
    (flac(10), 1920, None, False, False, "all agree"),
    (flac(10, last=57), 1977, None, False, False, "a short last frame"),
    (flac(10, last=57, samples=0), 1977, None, False, False, "a pipe: STREAMINFO says nothing"),
    (flac(1, last=0), 192, None, False, False, "a single frame"),
    (flac(10, samples=5000), 1920, 5000, True, True, "cut between frames"),
    (flac(10)[:-5], 1728, 1920, True, True, "cut inside the last frame"),
    (flac(10, samples=0)[:-5], 1728, None, True, True, "a pipe that was cut"),
    (flac(10, samples=1000), 1920, 1000, False, True, "STREAMINFO lies"),
    (flac(120, 4096), 120 * 4096, None, False, False, "numbers below 128 take a byte"),
    (flac(10) + JUNK, 1920, None, False, True, "junk behind"),
    (flac(10, samples=0) + JUNK, 1920, None, False, True, "junk behind a pipe's"),
    (flac(10, samples=0) + b"\0", 1920, None, False, True, "one byte more"),
    (flac(10, last=57, samples=0) + bytes(3 << 20), 1977, None, False, True, "megabytes of zeros"),
    (flac(10, samples=3000) + JUNK, 1920, 3000, True, True, "cut between frames, then junk"),
    (flac(10, samples=0)[:-5] + JUNK, 1728, None, True, True, "cut inside a frame, then junk"),
    (flac(10, samples=0) + b"\xff\xf8\x19", 1920, None, True, True, "cut inside a header"),
    (flac(10) + flac(3), 1920, None, False, True, "a second file behind"),
    (flac(10, samples=0) + flac(30), 1920, None, False, True, "a second file behind a pipe's"),
    (flac(10, samples=0) + id3v2(b"") + flac(30), 1920, None, False, True, "and its tag"),
    (flac(10, samples=0) + old_tag() + old_tag(), 1920, None, False, False, "two tags of one kind"),
    (captured(flac(10, samples=0)), 7 * 192, None, False, True, "a stream joined at its fourth frame"),
    (sized(flac(10), 192, 65535), 1920, None, False, False, "blocks of 192 where more were announced"),
]


@pytest.mark.parametrize("data, samples, declared, truncated, warned, why", LENGTHS, ids=[row[-1] for row in LENGTHS])
def test_the_length_is_what_the_frames_hold(data, samples, declared, truncated, warned, why):
    info = identify(data)
    assert (info.samples, info.truncated, bool(info.warnings)) == (samples, truncated, warned), why
    assert info.duration_declared == (declared / 44100 if declared else None), why
    assert (
        info.duration == samples / 44100
        and info.duration_source == "samples"
        and info.duration_exact
    )


def test_where_no_frame_is_found_the_length_is_no_more_than_told():
    info = identify(flac(10, samples=3000) + b"\xff\xf8" * (1 << 15))  # as many syncwords as are tried
    assert (info.samples, info.truncated, info.duration_source) == (3000, True, "header")
    assert not info.duration_exact and "its length is as STREAMINFO says" in info.warnings[0]


def test_what_a_flac_is():
    info = identify(flac(10, bits=24))
    assert (info.container, info.codec, info.mime, info.lossless) == (
        "flac",
        "flac",
        "audio/flac",
        True,
    )
    assert (info.sample_rate, info.channels, info.bits_per_sample, info.sample_format) == (
        44100,
        1,
        24,
        "int",
    )
    assert info.bitrate == round(info.audio_bytes * 8 / info.duration)


def comments(*texts):
    body = struct.pack("<I", 3) + b"ref" + struct.pack("<I", len(texts))
    body += b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return b"\x04" + len(body).to_bytes(3, "big") + body


def picture(data, kind=3, mime=b"image/png"):
    body = (
        struct.pack(">II", kind, len(mime))
        + mime
        + struct.pack(">I", 2)
        + b"de"
        + struct.pack(">IIII", 1, 1, 24, 0)
    )
    body += struct.pack(">I", len(data)) + data
    return b"\x06" + len(body).to_bytes(3, "big") + body


PADDING = b"\x81" + (20).to_bytes(3, "big") + bytes(20)
IMAGE = b"\xff\xd8\xff\xe0" + b"x" * 50


def test_comments_are_tags():
    pytest.importorskip("audiokit.formats.vorbis_comment")
    data = flac(
        5,
        blocks=comments("TITLE=Tïtél 日本".encode(), b"ARTIST=A", b"artist=B", b"TRACKNUMBER=7/12")
        + PADDING,
    )
    assert identify(data).tags == {
        "title": "Tïtél 日本",
        "artist": ["A", "B"],
        "track": "7",
        "tracktotal": "12",
    }


def test_pictures_are_places_in_the_file():
    data = flac(5, blocks=picture(IMAGE) + picture(b"http://x", mime=b"-->") + PADDING)
    (found,) = identify(data).pictures
    assert (found.mime, found.type) == ("image/jpeg", "front cover"), ("by its bytes, not by its name")
    assert data[found.offset : found.offset + found.length] == IMAGE


def test_tags_of_other_kinds_around_it_are_no_audio():
    info = identify(id3v2(id3_frame("TPE1", b"\3A")) + flac(10) + old_tag())
    assert (info.samples, info.truncated, info.tags) == (
        1920,
        False,
        {"title": "Old", "artist": "A", "genre": "Jazz"},
    )


REFUSED = [
    (b"fLaC", Damaged, "inside a header", "the magic alone"),
    (
        b"fLaC" + b"just some text that goes on and on",
        NotAudio,
        "STREAMINFO does not come first",
        "text",
    ),
    (b"fLaC\x80\0\0\x22" + bytes(34), NotAudio, "0 Hz", "zeros"),
    (flac(10)[:42], Damaged, "promises 1920 samples", "no frames"),
    (
        flac(0, samples=0) + b"this is no frame",
        Damaged,
        "no FLAC frame is at byte 42",
        "something else behind",
    ),
    (flac(1, samples=0)[:-2], Damaged, "inside its first frame", "not one whole frame"),
    (
        b"fLaC\0\0\0\x22" + flac(1)[8:42] + b"\1\0\0\0" * 2000,
        Damaged,
        "more than 1024",
        "blocks without end",
    ),
]


@pytest.mark.parametrize("data, kind, words, why", REFUSED)
def test_what_has_no_frames_is_refused_in_words(data, kind, words, why):
    error = refusal(data)
    assert type(error) is kind and words in error.reason, f"{why}: {error.reason}"


def test_checksums_are_those_of_the_standard():
    # RFC 9639 appendix D.1: the frame header of its first example
    frame = bytes.fromhex("fff869180000bf0358fd03124c5f")[:7]
    assert crc8(frame[:6]) == frame[6] == 0xBF
    assert crc16(b"123456789") == 0xFEE8, "CRC-16/UMTS, as tables of checksums have it"
    rng = random.Random(9639)
    for length in (*range(20), 300, 5000):
        data = rng.getrandbits(8 * length + 1).to_bytes(length + 1, "big")
        frame = data + crc16(data).to_bytes(2, "big")
        assert is_whole(frame) and not is_whole(frame[:-1] + bytes([frame[-1] ^ 1])), length
        assert is_whole(data) == (crc16(data) == 0), length


def test_frame_numbers_are_coded_like_utf_8_up_to_36_bits():
    info = parse_stream_info(flac(1, 4096)[8:42])
    for number, coded in (
        (0x7F, "7f"),
        (0x80, "c280"),
        (0x800, "e0a080"),
        (0x10000, "f0908080"),
        (0x200000, "f888808080"),
        (0x4000000, "fc8480808080"),
        (0x80000000, "fe828080808080"),
    ):
        head = bytes([0xFF, 0xF8, 0xC9, 0x08]) + bytes.fromhex(coded)
        frame = parse_frame(head + bytes([crc8(head)]) + bytes(9), 0, info)
        assert frame.first_sample == number * 4096, hex(number)
        variable = bytes([0xFF, 0xF9]) + head[2:]
        assert (
            parse_frame(variable + bytes([crc8(variable)]) + bytes(9), 0, info).first_sample
            == number
        )
        wrong = head + bytes([crc8(head) ^ 1]) + bytes(9)
        assert parse_frame(wrong, 0, info) is None, "a wrong checksum is no header"
    for coded in ("80", "ff", "c0ff"):
        head = bytes([0xFF, 0xF8, 0xC9, 0x08]) + bytes.fromhex(coded)
        assert parse_frame(head + bytes([crc8(head)]) + bytes(9), 0, info) is None, coded


def test_frames_of_another_kind_do_not_count():
    info = parse_stream_info(flac(1)[8:42])
    good = flac_frame(1)
    assert parse_frame(good, 0, info) is not None
    for position, value, why in (
        (3, 0x18, "two channels"),
        (3, 0x0C, "24 bits"),
        (2, 0x1A, "48 kHz"),
        (2, 0x09, "reserved block"),
        (3, 0x07, "reserved bits"),
        (1, 0xFC, "reserved sync"),
    ):
        head = bytearray(good[:5])
        head[position] = value
        assert parse_frame(bytes(head) + bytes([crc8(head)]) + bytes(10), 0, info) is None, why


def text(value, count):
    return format(value % (1 << count), f"0{count}b") if count else ""


def residual(rng, block, order):
    """Partitions of codes, some of them escaped."""
    method = rng.randrange(2)
    width = 4 + method
    power = rng.choice([n for n in range(5) if block % (1 << n) == 0 and block >> n >= order])
    bits = text(method, 2) + text(power, 4)
    for number in range(1 << power):
        count = (block >> power) - (0 if number else order)
        parameter = rng.randrange(1 << width)
        bits += text(parameter, width)
        if parameter == (1 << width) - 1:
            raw = rng.randrange(32)
            bits += text(raw, 5) + text(rng.getrandbits(raw * count + 1), raw * count)
        else:
            codes = ("0" * rng.randrange(3) + "1" + text(rng.getrandbits(32), parameter) for _ in range(count))
            bits += "".join(codes)
    return bits


def subframe(rng, block, width):
    """One of any kind (9.2), of noise."""
    wasted = rng.choice((0, 0, 1, 3))
    kind = rng.choice((0, 1, 8, 9, 12, 32, 35, 63))
    bits = "0" + text(kind, 6) + ("1" + "0" * (wasted - 1) + "1" if wasted else "0")
    width -= wasted
    if kind < 2:
        return bits + text(rng.getrandbits(width * block), width * (block if kind else 1))
    order = kind - 8 if kind < 32 else kind - 31
    bits += text(rng.getrandbits(width * order + 1), width * order)
    if kind >= 32:
        precision = rng.randrange(1, 16)
        bits += text(precision - 1, 4) + text(rng.getrandbits(5), 5)
        bits += text(rng.getrandbits(precision * order), precision * order)
    return bits + residual(rng, block, order)


def any_frame(rng, assignment):
    """(a frame of the tools that there are, STREAMINFO of its stream)."""
    channels = assignment + 1 if assignment < 8 else 2
    head = bytes([0xFF, 0xF8, 0x19, assignment << 4 | 8, 0])
    side = {8: 1, 9: 0, 10: 1}.get(assignment)
    bits = "".join(subframe(rng, 192, 16 + (channel == side)) for channel in range(channels))
    bits += "0" * (-len(bits) % 8)
    body = head + bytes([crc8(head)]) + int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:]
    packed = 44100 << 44 | channels - 1 << 41 | 15 << 36
    info = struct.pack(">HH", 192, 192) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    return body + crc16(body).to_bytes(2, "big"), parse_stream_info(info)


@pytest.mark.parametrize("assignment", range(11))
def test_a_frame_ends_where_its_subframes_say(assignment):
    rng = random.Random(assignment)
    for _ in range(12):
        data, info = any_frame(rng, assignment)
        frame = parse_frame(data, 0, info)
        assert end_of(data, frame, info) == end_of(data + JUNK, frame, info) == len(data)
        for length in (len(data) - 1, len(data) // 2, frame.header_bytes):
            assert end_of(data[:length], frame, info) is None
        broken = bytearray(data)
        broken[rng.randrange(frame.header_bytes, len(data))] ^= 1 << rng.randrange(8)
        assert end_of(bytes(broken) + JUNK, frame, info) is None


def test_a_frame_of_zeros_or_of_garbage_has_no_end():
    head = flac_frame(0)[:6]
    info = parse_stream_info(flac(1)[8:42])
    frame = parse_frame(flac_frame(0), 0, info)
    for rest in (bytes(100_000), b"\x10" + bytes(100_000), b"\xff" * 1000, JUNK, b"\x12\x10\0" + bytes(99_999)):
        assert end_of(head + rest, frame, info) is None


def test_what_is_spent_on_frames_without_an_end_is_bounded(monkeypatch):
    measured = []
    monkeypatch.setattr(flac_end, "end_of", lambda *of: measured.append(of[1].block_size))
    check(flac(3, samples=0) + flac_frame(1, 4096)[:-2] * 1000)
    assert measured and sum(measured) <= flac_end._MAX_MEASURED


SAMPLES = [flac(10, last=50), flac(6, samples=0, blocks=picture(IMAGE) + PADDING)]


def test_every_truncation_is_marked_or_refused():
    for whole in SAMPLES:
        for data in truncations(whole):
            info = check(data)
            assert (info is None or info.truncated or (len(data) - len(whole)) % len(flac_frame(0)) == 0), len(data)


def test_seeded_mutations_are_an_answer_or_a_refusal():
    for seed, whole in enumerate(SAMPLES):
        for data in mutations(whole, 300, seed):
            check(data)


def test_only_head_and_tail_are_read():
    data = flac(3, samples=78 * 192)[:42] + flac_frame(0) + bytes(30_000_000) + flac_frame(77)
    source = Source.of_bytes(data)
    assert reader.read(source).samples == 78 * 192
    assert source.bytes_read < 1 << 17


@pytest.mark.parametrize(
    "rest, why",
    [
        (b"\xff\xf8\x39\x18", "syncwords whose headers have no right checksum"),
        (b"\xff", "no syncword at all"),
    ],
)
def test_a_crowd_of_syncwords_is_tried_so_often_and_no_more(monkeypatch, rest, why):
    tried = []
    parse = flac_end.parse_frame
    monkeypatch.setattr(flac_end, "parse_frame", lambda *at: tried.append(1) or parse(*at))
    check(flac(3) + rest * 200_000)
    assert len(tried) <= flac_end._MAX_CANDIDATES, why
