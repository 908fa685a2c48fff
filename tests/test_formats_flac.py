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
from audiokit.formats.flac_frame import crc8, is_whole, parse_frame, parse_stream_info
from audiokit.formats.info import Damaged, NotAudio
from audiokit.formats.source import Source

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
]


@pytest.mark.parametrize("data, samples, declared, truncated, warned, why", LENGTHS)
def test_the_length_is_what_the_frames_hold(data, samples, declared, truncated, warned, why):
    info = identify(data)
    assert (info.samples, info.truncated, bool(info.warnings)) == (samples, truncated, warned), why
    assert info.duration_declared == (declared / 44100 if declared else None), why
    assert (
        info.duration == samples / 44100
        and info.duration_source == "samples"
        and info.duration_exact
    )


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
    assert (found.mime, found.type) == ("image/jpeg", "front cover"), (
        "by its bytes, not by its name"
    )
    assert data[found.offset : found.offset + found.length] == IMAGE


def test_tags_of_other_kinds_around_it_are_no_audio():
    old = b"TAG" + b"Old".ljust(30, b"\0") + bytes(94) + b"\x08"
    info = identify(id3v2(id3_frame("TPE1", b"\3A")) + flac(10) + old)
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


SAMPLES = [flac(10, last=50), flac(6, samples=0, blocks=picture(IMAGE) + PADDING)]


def test_every_truncation_is_marked_or_refused():
    for whole in SAMPLES:
        for data in truncations(whole):
            info = check(data)
            assert (
                info is None or info.truncated or (len(data) - len(whole)) % len(flac_frame(0)) == 0
            ), len(data)


def test_seeded_mutations_are_an_answer_or_a_refusal():
    for seed, whole in enumerate(SAMPLES):
        for data in mutations(whole, 300, seed):
            check(data)


def test_only_head_and_tail_are_read():
    data = flac(3)[:42] + flac_frame(0) + bytes(30_000_000) + flac_frame(77)
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
    parse = reader.parse_frame
    monkeypatch.setattr(reader, "parse_frame", lambda *at: tried.append(1) or parse(*at))
    check(flac(3) + rest * 200_000)
    assert len(tried) <= 2 * reader._MAX_CANDIDATES + 1, why
