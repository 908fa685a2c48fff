"""ASF with Windows Media Audio, from its header and, where that is silent, from its packets."""

from __future__ import annotations

import struct

import pytest
from format_kinds import check, identify, mutations, refusal, truncations

from audiokit.formats import asf
from audiokit.formats.info import Damaged, NotAudio

PACKET = 200  # bytes


def obj(guid, content, size=None):
    return guid + struct.pack("<Q", 24 + len(content) if size is None else size) + content


def properties(seconds=2.0, packets=4, preroll=3000, flags=2):
    play = round((seconds + preroll / 1000) * 1e7) if seconds else 0
    return obj(
        asf._FILE,
        bytes(16)
        + struct.pack("<QQQQQQIIII", 0, 0, packets, play, play, preroll, flags, PACKET, PACKET, 64000),
    )


def stream(tag=0x161, kind=asf._AUDIO, channels=2, rate=44100):
    wave = struct.pack("<HHIIHHH", tag, channels, rate, 8000, 1485, 16, 0)
    return obj(asf._STREAM, kind + bytes(16) + struct.pack("<QIIHI", 0, len(wave), 0, 1, 0) + wave)


def packet(send):
    """A packet without error correction or length fields: flags, properties, u32 send time, u16
    duration."""
    return struct.pack("<BBIH", 0, 0x5D, send, 500).ljust(PACKET, b"\1")


def data_object(packets=4, told=None):
    body = bytes(16) + struct.pack("<QH", packets if told is None else told, 0x101)
    return obj(
        asf._DATA,
        body + b"".join(packet(3000 + 500 * n) for n in range(packets)),
        24 + len(body) + PACKET * (packets if told is None else told),
    )


def utf16(text):
    return (text + "\0").encode("utf-16-le")


def content(*texts):
    coded = [utf16(text) for text in texts]
    return obj(asf._CONTENT, struct.pack("<5H", *map(len, coded)) + b"".join(coded))


def extended(*pairs):
    body = struct.pack("<H", len(pairs))
    for name, kind, value in pairs:
        body += (
            struct.pack("<H", len(utf16(name)))
            + utf16(name)
            + struct.pack("<HH", kind, len(value))
            + value
        )
    return obj(asf._EXTENDED, body)


def library(*pairs):
    body = struct.pack("<H", len(pairs))
    for name, kind, value in pairs:
        body += (struct.pack("<HHHHI", 0, 0, len(utf16(name)), kind, len(value)) + utf16(name) + value)
    inner = obj(asf._LIBRARY, body)
    return obj(asf._EXTENSION, bytes(16) + struct.pack("<HI", 6, len(inner)) + inner)


def file(*objects, audio=None):
    body = b"".join(objects)
    return obj(asf._HEADER, struct.pack("<IBB", len(objects), 1, 2) + body) + (
        data_object() if audio is None else audio
    )


def test_what_a_wma_is():
    info = identify(file(properties(), stream()))
    assert (info.container, info.codec, info.mime) == ("asf", "wmav2", "audio/x-ms-wma")
    assert (info.sample_rate, info.channels, info.bits_per_sample, info.bitrate) == (
        44100,
        2,
        None,
        64000,
    )
    assert (info.duration, info.duration_source, info.duration_exact) == (2.0, "header", False)
    assert not info.warnings and not info.truncated


def test_a_broadcast_is_measured_by_its_packets():
    info = identify(file(properties(0, 0, flags=1), stream(), audio=data_object(4, 0)))
    assert (info.duration, info.duration_source) == (2.0, "estimate")


def test_a_file_cut_short_says_how_much_is_there():
    info = identify(file(properties(), stream())[: -2 * PACKET])
    assert (info.duration, info.duration_declared, info.truncated) == (1.0, 2.0, True)
    assert info.warnings == ("the header says 4 packets, the file has 2",)


def test_a_duration_that_cannot_be_is_not_repeated():
    info = identify(file(properties(100_000.0), stream()))
    assert (info.duration, info.duration_declared) == (2.0, 100_000.0)
    assert info.warnings == ("the header says 100000.0 s, the times of its packets 2.0 s",)


def test_tags_of_all_three_objects():
    data = file(
        properties(),
        stream(),
        content("Tïtel", "A", "C", "D", ""),
        extended(
            ("WM/AlbumTitle", 0, utf16("Al")),
            ("WM/Year", 0, utf16("2021")),
            ("WM/TrackNumber", 3, struct.pack("<I", 7)),
            ("WM/Track", 3, struct.pack("<I", 6)),
            ("IsVBR", 2, struct.pack("<I", 1)),
            ("WM/Composer", 0, utf16("K")),
        ),
        library(
            ("WM/Composer", 0, utf16("K")),
            ("Author", 0, utf16("B")),
            ("WM/Genre", 0, utf16("Jazz")),
            ("WM/Genre", 0, utf16("Folk")),
        ),
    )
    assert identify(data).tags == {
        "title": "Tïtel",
        "artist": ["A", "B"],  # further values are in the library, which may repeat the first
        "composer": "K",
        "copyright": "C",
        "comment": "D",
        "album": "Al",
        "date": "2021",
        "track": "7",
        "genre": ["Jazz", "Folk"],
    }


def test_a_picture_is_a_place_in_the_file():
    image = b"\xff\xd8\xff\xe0" + b"x" * 70
    value = struct.pack("<BI", 3, len(image)) + utf16("image/jpeg") + utf16("c") + image
    for holder in (extended, library):
        data = file(properties(), stream(), holder(("WM/Picture", 1, value)))
        (picture,) = identify(data).pictures
        assert (picture.mime, picture.type) == ("image/jpeg", "front cover")
        assert data[picture.offset : picture.offset + picture.length] == image


def test_other_streams_are_told():
    info = identify(file(properties(), stream(kind=asf._VIDEO), stream(), stream(0x160)))
    assert info.codec == "wmav2"
    assert info.warnings == (
        "besides the audio there is video",
        "2 audio streams; the first is described",
    )


REFUSED = [
    (file(properties()), NotAudio, "no audio stream", "nothing"),
    (file(properties(), stream(kind=asf._VIDEO)), NotAudio, "video without audio", "a film"),
    (file(stream()), Damaged, "without file properties", "half a header"),
    (file(properties(), stream(0x1234)), NotAudio, "0x1234", "a codec of nobody"),
    (file(properties(), stream(), audio=b""), Damaged, "without a data object", "a header alone"),
    (
        file(properties(0, 0, flags=1), stream(), audio=data_object(0, 0)),
        Damaged,
        "nothing tells",
        "no packet",
    ),
    (
        file(obj(bytes(16), b"", 0), stream()),
        Damaged,
        "object of 0 bytes",
        "a size that goes nowhere",
    ),
    (
        asf._HEADER + struct.pack("<Q", 1 << 62) + bytes(90),
        Damaged,
        "the file has",
        "a size beyond the file",
    ),
]


@pytest.mark.parametrize("data, kind, words, why", REFUSED)
def test_what_has_no_audio_is_refused_in_words(data, kind, words, why):
    error = refusal(data)
    assert type(error) is kind and words in error.reason, f"{why}: {error.reason}"


WHOLE = file(properties(), stream(), content("T", "A", "", "", ""), extended(("WM/Genre", 0, utf16("Jazz"))))


def test_every_truncation_is_marked_or_refused():
    for data in truncations(WHOLE):
        info = check(data)
        assert info is None or info.truncated, len(data)


def test_seeded_mutations_are_an_answer_or_a_refusal():
    for data in mutations(WHOLE, 500, 9, head=600):
        check(data)
