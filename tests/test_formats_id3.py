"""ID3: every version, encoding and flag, and every size that writers got wrong."""

from __future__ import annotations

import random
import zlib

import pytest
from format_kinds import id3_frame, id3v2, mutations, syncsafe, truncations

from audiokit.formats import id3
from audiokit.formats.info import AudioInfo, Picture
from audiokit.formats.source import Source


def read(data):
    return id3.leading_tags(Source.of_bytes(data))


def text(name, value, version=4, encoding=3):
    codecs = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}
    return id3_frame(name, bytes([encoding]) + value.encode(codecs[encoding]), version)


TAGS = [
    (
        id3v2(text("TIT2", "Tïtél 日本", encoding=1, version=3), 3),
        {"title": "Tïtél 日本"},
        "UTF-16 with a mark",
    ),
    (id3v2(text("TIT2", "Tïtél", encoding=0, version=3), 3), {"title": "Tïtél"}, "ISO 8859-1"),
    (id3v2(text("TIT2", "日本", encoding=2)), {"title": "日本"}, "UTF-16BE"),
    (id3v2(text("TIT2", "日本\0", encoding=3)), {"title": "日本"}, "UTF-8, terminated"),
    (
        id3v2(id3_frame("TIT2", b"\0" + "日本".encode())),
        {"title": "日本"},
        "UTF-8 that claims ISO 8859-1",
    ),
    (
        id3v2(id3_frame("TIT2", b"\1" + "Ti".encode("utf-16-be"))),
        {"title": "Ti"},
        "no mark, big endian",
    ),
    (
        id3v2(text("TT2", "T", 2) + text("TP1", "A", 2) + text("TYE", "1999", 2), 2),
        {"title": "T", "artist": "A", "date": "1999"},
        "version 2.2",
    ),
    (id3v2(text("TPE1", "A\0B")), {"artist": ["A", "B"]}, "several values"),
    (
        id3v2(text("TRCK", "7/12") + text("TPOS", "1/2")),
        {"track": "7", "tracktotal": "12", "disc": "1", "disctotal": "2"},
        "numbers and totals",
    ),
    (
        id3v2(text("TYER", "2021", 3) + text("TDAT", "0403", 3), 3),
        {"date": "2021-03-04"},
        "TDAT is DDMM",
    ),
    (
        id3v2(text("TDRC", "2021-03-04T05:06") + text("TYER", "1999")),
        {"date": "2021-03-04T05:06"},
        "TDRC wins",
    ),
    (id3v2(text("TCON", "(17)")), {"genre": "Rock"}, "a genre's number in brackets"),
    (id3v2(text("TCON", "8")), {"genre": "Jazz"}, "a bare number"),
    (
        id3v2(text("TCON", "(4)Eurodisco")),
        {"genre": ["Disco", "Eurodisco"]},
        "a number and its refinement",
    ),
    (id3v2(text("TCON", "(RX)(CR)")), {"genre": ["Remix", "Cover"]}, "the two words of 2.3"),
    (id3v2(text("TCON", "Jazz\0Folk")), {"genre": ["Jazz", "Folk"]}, "several genres"),
    (id3v2(text("TCON", "(255)")), {}, "255 is no genre"),
    (
        id3v2(text("TXXX", "MOOD\0calm") + text("TXXX", "replaygain_track_gain\0-1 dB")),
        {"mood": "calm", "replaygain_track_gain": "-1 dB"},
        "a user's own",
    ),
    (id3v2(id3_frame("COMM", b"\3eng\0Comm")), {"comment": "Comm"}, "a comment"),
    (
        id3v2(id3_frame("COMM", b"\1eng\xff\xfe\0\0\xff\xfeC\0")),
        {"comment": "C"},
        "a comment in UTF-16",
    ),
    (id3v2(id3_frame("COMM", b"\3engiTunNORM\0 0000")), {}, "iTunes' volume is no comment"),
    (
        id3v2(id3_frame("COMM", b"\3engdesc\0x") + id3_frame("COMM", b"\3eng\0y")),
        {"comment": "y"},
        "the comment without a description is meant",
    ),
    (id3v2(id3_frame("USLT", b"\3eng\0la la\nla")), {"lyrics": "la la\nla"}, "lyrics"),
    (
        id3v2(text("TIT2", "A")) + id3v2(text("TIT2", "B") + text("TPE1", "C")),
        {"title": "A", "artist": "C"},
        "of several tags the first wins",
    ),
    (
        id3v2(id3_frame("TIT2", b"\3T")[:8] + b"\0\x08" + zlib.compress(b"\3T")),
        {},
        "a length that does not fit ends it",
    ),
]


@pytest.mark.parametrize("data, tags, why", TAGS)
def test_frames_become_tags(data, tags, why):
    found = read(data + b"audio")
    assert found.tags == tags, why
    assert found.end == len(data) and found.found


def test_unsynchronisation_is_undone():
    for version in (3, 4):
        frame = id3_frame("TIT2", b"\0\xff\xe0T", version)
        plain = id3v2(frame, version)
        stuffed = frame.replace(b"\xff\xe0", b"\xff\x00\xe0")
        if version == 4:
            stuffed = b"TIT2" + syncsafe(len(frame) - 10 + 1) + b"\0\2" + stuffed[10:]
        assert read(plain).tags == read(id3v2(stuffed, version, 0x80)).tags == {"title": "ÿàT"}


def test_extended_headers_are_stepped_over():
    frame = text("TIT2", "T", 3)
    assert read(id3v2(b"\0\0\0\x06" + bytes(6) + frame, 3, 0x40)).tags == {"title": "T"}
    assert read(id3v2(syncsafe(6) + b"\1\0" + text("TIT2", "T"), 4, 0x40)).tags == {"title": "T"}
    assert read(id3v2(frame, 3, 0x40)).tags == {"title": "T"}, "the flag without the header"


def test_sizes_in_the_wrong_notation_are_read_as_they_were_meant():
    long = "x" * 300
    plain_in_24 = b"TIT2" + (301).to_bytes(4, "big") + b"\0\0\3" + long.encode() + text("TPE1", "A")
    assert read(id3v2(plain_in_24, 4, padding=20)).tags == {"title": long, "artist": "A"}
    syncsafe_in_23 = b"TIT2" + syncsafe(301) + b"\0\0\0" + long.encode() + text("TPE1", "A", 3)
    assert read(id3v2(syncsafe_in_23, 3, padding=20)).tags == {"title": long, "artist": "A"}


def test_flags_of_frames_put_bytes_before_the_content():
    content = b"\3T"
    packed = zlib.compress(content)
    grouped = b"TIT2" + syncsafe(3) + b"\0\x40" + b"\7" + content
    compressed = b"TIT2" + syncsafe(4 + len(packed)) + b"\0\x09" + syncsafe(2) + packed
    old = (b"TIT2" + (4 + len(packed)).to_bytes(4, "big") + b"\0\x80" + (2).to_bytes(4, "big") + packed)
    encrypted = b"TIT2" + syncsafe(3) + b"\0\x04" + b"\7" + content
    assert (
        read(id3v2(grouped)).tags
        == read(id3v2(compressed)).tags
        == read(id3v2(old, 3)).tags
        == {"title": "T"}
    )
    assert read(id3v2(encrypted)).tags == {}


IMAGE = b"\x89PNG\r\n\x1a\n" + b"pixels"
PICTURES = [
    (id3v2(id3_frame("APIC", b"\0image/png\0\3cover\0" + IMAGE)), "image/png", "front cover"),
    (
        id3v2(id3_frame("APIC", b"\1image/png\0\4\xff\xfec\0\0\0" + IMAGE)),
        "image/png",
        "back cover",
    ),
    (id3v2(id3_frame("APIC", b"\0\0\x00\0" + IMAGE)), "image/png", "other"),
    (id3v2(id3_frame("PIC", b"\0PNG\3\0" + IMAGE, 2), 2), "image/png", "front cover"),
]


@pytest.mark.parametrize("data, mime, kind", PICTURES)
def test_pictures_are_places_in_the_file(data, mime, kind):
    (picture,) = read(data).pictures
    assert picture == Picture(mime, kind, data.index(IMAGE), len(IMAGE))


def test_a_picture_that_is_stored_encoded_is_told_not_offered():
    frame = id3_frame("APIC", b"\0image/jpeg\0\3\0\xff\xd8\xff\xe0", 3)
    data = id3v2(frame.replace(b"\xff", b"\xff\x00"), 3, 0x80)
    found = read(data)
    assert not found.pictures and "not offered" in found.warnings[0]
    assert not read(id3v2(id3_frame("APIC", b"\0-->\0\3\0http://x"))).pictures, ("a link is no picture")


BIG = b"\xff\xd8\xff\xe0" + b"\xff\x00\xe1" * 700_000


def unsynchronised(frames, version=3):
    """A tag whose FF all are followed by a stuffed zero where the scheme asks for one (2.3 section 5)."""
    return id3v2(frames.replace(b"\xff\x00", b"\xff\x00\x00").replace(b"\xff\xe1", b"\xff\x00\xe1"), version, 0x80)


@pytest.mark.parametrize("shift", range(4))
def test_frames_behind_a_large_unsynchronised_picture_are_found(shift):
    """Whatever is stuffed where a step of reading ends."""
    picture = id3_frame("APIC", b"\0image/jpeg\0\3" + b"x" * shift + b"\0" + BIG, 3)
    data = unsynchronised(text("TIT2", "T", version=3) + picture + text("TPE1", "A", version=3))
    found = read(data)
    assert found.tags == {"title": "T", "artist": "A"} and "not offered" in found.warnings[0]


def test_what_was_unsynchronised_is_read_in_steps():
    picture = id3_frame("APIC", b"\0image/jpeg\0\3\0" + BIG * 2, 3)
    data = unsynchronised(picture + text("TPE1", "A", version=3))
    longest = []
    source = Source(lambda at, length: longest.append(length) or data[at : at + length], len(data))
    assert id3.read_tag(source, 0).tags == {"artist": "A"}
    assert max(longest) <= 1 << 16 and source.bytes_read < 2 * len(data)


def test_a_picture_in_which_nothing_was_stuffed_is_where_it_is():
    for version, flags in ((3, 0x80), (4, 0x80)):
        data = id3v2(id3_frame("APIC", b"\0image/png\0\3\0" + IMAGE, version), version, flags)
        (picture,) = read(data).pictures
        assert data[picture.offset : picture.offset + picture.length] == IMAGE


def test_a_picture_that_is_stuffed_far_behind_is_not_offered():
    image = IMAGE + bytes(3 << 20) + b"\xff\x00\x00"
    frame = id3_frame("APIC", b"\0image/png\0\3\0" + image, 4)
    found = read(id3v2(frame[:9] + b"\2" + frame[10:]))
    assert not found.pictures and "not offered" in found.warnings[0]


def test_padding_is_stepped_over_even_where_the_size_leaves_it_out():
    tag = id3v2(text("TIT2", "T"), padding=100)
    assert read(tag + b"audio").end == len(tag)
    assert read(tag + bytes(50) + b"audio").end == len(tag) + 50
    assert read(tag + b"\0audio").end == len(tag), "a zero or three may be audio"


def test_what_is_no_tag_is_none():
    for data in (
        b"",
        b"ID3",
        b"ID3\x05\0\0\0\0\0\0",
        b"ID3\4\xff\0\0\0\0\0",
        b"ID3\4\0\0\0\0\0\x80",
        b"TAG",
    ):
        found = read(data)
        assert (found.end, found.found, found.tags) == (0, False, {})


def test_the_tag_in_front_wins_in_bare_streams_and_fills_gaps_elsewhere():
    tag = read(id3v2(text("TIT2", "ID3") + text("TPE1", "A")))
    base = dict(
        codec="x",
        sample_rate=1,
        channels=1,
        duration=1.0,
        duration_exact=True,
        duration_source="frames",
        mime="x",
        tags={"title": "own"},
    )
    for container in ("mp3", "adts", "latm", "ac3", "dts", "amr", "tta"):  # ID3v1 behind it has 30 characters
        assert id3.merge(AudioInfo(container=container, **base), tag).tags == {"title": "ID3", "artist": "A"}, container
    assert id3.merge(AudioInfo(container="flac", **base), tag).tags == {
        "title": "own",
        "artist": "A",
    }


def test_version_one_is_the_last_128_bytes():
    tag = (b"TAG" + b"T".ljust(30) + b"A".ljust(30, b"\0") + bytes(30) + b"1999" + b"C" * 30 + b"\x11")
    assert id3.read_v1(Source.of_bytes(b"x" + tag), 129) == {
        "title": "T",
        "artist": "A",
        "date": "1999",
        "comment": "C" * 30,
        "genre": "Rock",
    }
    assert id3.read_v1(Source.of_bytes(tag[:-1]), 127) is None
    assert id3.read_v1(Source.of_bytes(b"x" * 128), 128) is None


WHOLE = id3v2(
    text("TIT2", "T" * 40) + id3_frame("APIC", b"\0image/png\0\3\0" + IMAGE) + text("TPE1", "A"),
    padding=9,
)


def test_every_truncation_ends_early_and_nothing_else():
    for data in truncations(WHOLE):
        found = read(data)
        assert set(found.tags) <= {"title", "artist"}


def test_seeded_mutations_never_raise():
    for data in mutations(WHOLE, 600, 33, head=len(WHOLE)):
        for picture in read(data).pictures:
            assert picture.length > 0
    rng = random.Random(2)
    for version in (2, 3, 4):
        for _ in range(300):
            read(
                id3v2(
                    bytes(rng.choice(b"TIAC\0\1\3PE2\xff") for _ in range(60)),
                    version,
                    rng.randrange(256),
                )
            )


def test_a_huge_tag_is_not_read():
    head = id3v2(id3_frame("APIC", b"\0image/png\0\3\0" + IMAGE))
    size = 200_000_000
    head = head[:6] + syncsafe(size - 10) + head[10:14] + syncsafe(size - 20) + head[18:]
    source = Source(lambda offset, length: (head[offset:] + bytes(length))[:length], size + 5)
    found = id3.leading_tags(source)
    assert found.end == size and found.pictures[0].length == size - 20 - 13
    assert source.bytes_read < 1 << 18
