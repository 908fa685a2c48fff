"""Names and texts of tags: the same word for the same thing, whatever the scheme."""

from __future__ import annotations

import random

import pytest

from audiokit.formats import tags as t

NAMES = [
    ("vorbis", "TRACKNUMBER", "track", "the usual key"),
    (
        "vorbis",
        "Album Artist",
        "albumartist",
        "keys are compared without case, space, dash, underscore",
    ),
    ("vorbis", "album_artist", "albumartist", "as ffmpeg writes it"),
    ("vorbis", "MY_OWN", "my_own", "a user's own key is kept"),
    ("vorbis", "METADATA_BLOCK_PICTURE", None, "a picture is no text"),
    ("vorbis", "a=b", None, "not a key"),
    ("ape", "Year", "date", "APEv2's word"),
    ("id3", "TIT2", "title", "ID3v2.3 and 2.4"),
    ("id3", "TT2", "title", "ID3v2.2"),
    ("id3", "TXYZ", None, "an unknown frame says nothing to people"),
    ("id3", "BARCODE", "barcode", "a TXXX description"),
    ("mp4", "\xa9nam", "title", "iTunes"),
    ("mp4", "\xa9xyz", None, "the place of recording is not ours to publish"),
    ("mp4", "iTunSMPB", None, "machinery"),
    ("mp4", "stik", None, "what a player shows it as is no tag"),
    ("mp4", "Mood", "mood", "a short name of '----'"),
    ("mp4", "ISRC", "isrc", "a name of '----'"),
    ("riff", "IPRD", "album", "RIFF calls it product"),
    ("riff", "ISRC", None, "RIFF means the source, not the recording code"),
    ("riff", "title", None, "RIFF has no free keys"),
    ("aiff", "ANNO", "comment", "annotation"),
    ("asf", "WM/AlbumTitle", "album", "attributes behind WM/"),
    ("asf", "WM/Picture", None, "a picture is no text"),
    ("matroska", "PART_NUMBER", "track", "Matroska counts parts"),
    ("caf", "recorded date", "date", "CAF's information chunk"),
]


@pytest.mark.parametrize("scheme, key, name, why", NAMES)
def test_a_key_means_the_same_in_every_scheme(scheme, key, name, why):
    assert t.canonical(scheme, key) == name, why


VALUES = [
    ([("title", " A ")], {"title": "A"}, "outer spaces are no content"),
    ([("title", "A\0")], {"title": "A"}, "a terminator is no content"),
    ([("title", "\x1b[31mA")], {"title": "[31mA"}, "no terminal sequence gets out"),
    ([("title", "")], {}, "nothing is not a value"),
    ([(None, "A")], {}, "what has no name is left out"),
    ([("artist", "A"), ("artist", "B")], {"artist": ["A", "B"]}, "a repeated tag is a list"),
    ([("artist", "A"), ("artist", "A")], {"artist": "A"}, "the same again is no repeat"),
    ([("track", "07/12")], {"track": "7", "tracktotal": "12"}, "number and total"),
    ([("track", "7/")], {"track": "7"}, "no total"),
    ([("disc", "1 of 2")], {"disc": "1", "disctotal": "2"}, "as people write"),
    ([("track", "A1")], {"track": "A1"}, "vinyl sides are not numbers"),
    ([("track", "0")], {}, "zero is no track"),
    ([("comment", "a\r\nb")], {"comment": "a\nb"}, "lines stay lines"),
]


@pytest.mark.parametrize("pairs, tags, why", VALUES)
def test_values_are_put_in_order(pairs, tags, why):
    found = {}
    for name, value in pairs:
        t.add(found, name, value)
    assert {name: found[name] for name in sorted(found)} == tags, why


def test_names_values_and_lengths_are_bounded():
    found = {}
    for number in range(1000):
        t.add(found, f"name{number}", "x" * 100000)
        t.add(found, "name0", str(number))
    assert len(found) == t.MAX_NAMES and len(found["name0"]) == t.MAX_VALUES
    assert len(found["name1"]) == t.MAX_CHARACTERS
    other = {}
    t.fill(other, found)
    t.fill(other, {"one": "more", "name1": "loses"})
    assert other == found, "the first scheme that has a name wins"


TEXTS = [
    (t.utf8_or_cp1252, "Tïtél 日本".encode("utf-8") + b"\0junk", "Tïtél 日本", "UTF-8 where valid"),
    (t.utf8_or_cp1252, b"T\xeft\xe9l \x93x\x94", "Tïtél “x”", "else Windows-1252"),
    (t.latin1, b"\x81\xe9", "é", "a code without a letter is left out"),
    (t.utf16, b"\xff\xfeT\0\xef\0", "Tï", "little endian by its mark"),
    (t.utf16, b"\xfe\xff\0T\0\xef", "Tï", "big endian by its mark"),
    (t.utf16, b"T\0\xef\0\x41", "Tï", "no mark, and half a unit at the end"),
    (t.utf16, b"\x3d\xd8", "\ufffd", "half a surrogate pair does not get out"),
]


@pytest.mark.parametrize("decode, data, text, why", TEXTS)
def test_text_of_any_encoding(decode, data, text, why):
    assert decode(data) == text, why


def test_genres_are_id3v1s_and_winamps():
    assert len(t.GENRES) == 192 and len(set(t.GENRES)) == 192
    assert [t.genre(n) for n in (0, 8, 17, 79, 80, 137, 147, 191, 192, 255, -1)] == [
        "Blues",
        "Jazz",
        "Rock",
        "Hard Rock",
        "Folk",
        "Heavy Metal",
        "Synthpop",
        "Psybient",
        None,
        None,
        None,
    ]


def test_seeded_garbage_is_text_and_never_an_error():
    rng = random.Random(3)
    for _ in range(1000):
        data = bytes(rng.randrange(256) for _ in range(rng.randrange(40)))
        found = {}
        for decode in (t.utf8_or_cp1252, t.latin1, t.utf16):
            t.add(found, t.canonical("vorbis", decode(data[:9])), decode(data))
        for value in found.values():
            for text in [value] if isinstance(value, str) else value:
                text.encode("utf-8")
