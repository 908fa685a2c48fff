"""What a file is: content alone decides, in words, whatever the bytes, and without reading what
need not be read."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys

import pytest
from format_kinds import (
    check,
    chunk,
    flac,
    fmt,
    id3_frame,
    id3v2,
    identify,
    mpeg_frame,
    mutations,
    refusal,
    riff,
)
from support import CORPUS, ROOT, expected, needs_corpus

import audiometa
from audiokit.formats.info import AudioInfo, Damaged, NotAudio
from audiokit.formats.source import MAX_READ, Source

WAV = riff(fmt(), chunk(b"data", bytes(1600)))
MP3 = mpeg_frame() * 12

NOT_AUDIO = [
    (b"", "the file is empty", "nothing at all"),
    (b"PK\x03\x04" + MP3, "starts like a ZIP archive", "an archive may hold frames"),
    (b"%PDF-1.7\n" + MP3, "starts like a PDF document", "a document"),
    (b"\x89PNG\r\n\x1a\n" + MP3, "starts like a PNG picture", "a picture"),
    (b"\x7fELF\2\1\1" + MP3, "starts like a", "a program"),
    (b"\x1f\x8b\x08\0" + WAV, "starts like gzip data", "packed audio is not audio"),
    (b"<!DOCTYPE html><html>" + MP3, "starts like", "a page"),
    (b'{"error": "not found"}', "starts like", "an answer that was saved"),
    (bytes(257) + b"ustar\x0000" + bytes(247) + MP3, "starts like a tar archive", "a magic far in"),
    (
        "plain text in two-byte units ".encode("utf-16") * 99,
        "starts like UTF-16 text",
        "FF FE is a syncword, too",
    ),
    (b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk", "MIDI", "notes are not audio"),
    (b"RIFF\x24\0\0\0WEBPVP8 ", "WebP", "RIFF is more than WAVE"),
    (id3v2(b"", padding=100), "no audio behind", "a tag alone"),
    (
        id3v2(b"", padding=100) + b"\x89PNG\r\n\x1a\n",
        "starts like a PNG picture",
        "a tag before something else",
    ),
    (b"ID3\4\0\0\x7f\x7f\x7f\x7f" + MP3, "the file has", "a tag larger than the file"),
]


@pytest.mark.parametrize("data, words, why", NOT_AUDIO, ids=[why for _, _, why in NOT_AUDIO])
def test_what_is_not_audio_is_refused_by_its_name(data, words, why):
    assert words in refusal(data).reason, why


def test_a_tag_in_front_belongs_to_whatever_follows():
    tag = id3v2(id3_frame("TIT2", b"\3T")) + id3v2(id3_frame("TPE1", b"\3A"), padding=30)
    for data, container in ((WAV, "wav"), (MP3, "mp3"), (flac(5), "flac")):
        info = identify(tag + data)
        assert (info.container, info.tags) == (container, {"title": "T", "artist": "A"})
        assert info.audio_offset >= len(tag)


def test_an_error_of_reading_too_far_is_damage_with_an_offset():
    error = refusal(b"fLaC\0\0\0\x22" + bytes(3))
    assert isinstance(error, Damaged) and error.offset == 11 and "byte 11" in error.reason


class Flaky(io.BytesIO):
    """A file whose n-th read fails."""

    def __init__(self, data, fail_at):
        super().__init__(data)
        self.left = fail_at

    def read(self, *args):
        self.left -= 1
        if self.left < 0:
            raise OSError(5, "the disk is gone")
        return super().read(*args)


def test_an_error_of_the_disk_goes_through():
    for data in (WAV, MP3 + b"TAG" + bytes(125), flac(200)):
        fail_at = 0
        while True:
            try:
                audiometa.identify(Flaky(data, fail_at))
                break
            except OSError as error:
                assert error.errno == 5
                fail_at += 1
        assert fail_at > 0


def test_a_file_by_path_by_descriptor_and_by_bytes_is_the_same(tmp_path):
    path = tmp_path / "no name that says anything"
    path.write_bytes(WAV)
    by_path = audiometa.identify_path(str(path))
    with open(path, "rb") as file:
        assert audiometa.identify(file) == by_path == audiometa.identify(io.BytesIO(WAV))
        assert audiometa.identify(file, len(WAV) - 10).truncated, ("the size that is given is believed")


def test_without_pread_it_seeks_and_reads(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "pread", raising=False)
    path = tmp_path / "a"
    path.write_bytes(WAV)
    assert audiometa.identify_path(str(path)).samples == 800


def test_the_record_has_every_audio_field_and_is_json():
    picture = (b"APIC" + (30).to_bytes(4, "big") + b"\0\0" + b"\0image/png\0\3\0\x89PNG".ljust(30, b"x"))
    fields = audiometa.record_fields(identify(id3v2(picture) + MP3))
    assert set(fields) == {
        "container",
        "codec",
        "codec_profile",
        "mime",
        "duration",
        "duration_exact",
        "duration_source",
        "duration_declared",
        "truncated",
        "sample_rate",
        "channels",
        "bits_per_sample",
        "sample_format",
        "bitrate",
        "bitrate_mode",
        "lossless",
        "tags",
        "pictures",
        "warnings",
    }
    assert json.loads(json.dumps(fields)) == fields
    assert fields["pictures"] == [{"mime": "image/png", "type": "front cover", "offset": 33, "length": 17}]


def test_every_container_has_a_family_and_an_extension():
    containers = {row["container"] for row in expected().values() if row["expect"] in ("accept", "warn")}
    containers |= {
        "wav",
        "rf64",
        "bw64",
        "w64",
        "aiff",
        "aifc",
        "mp3",
        "flac",
        "ogg",
        "mp4",
        "adts",
        "matroska",
        "webm",
        "asf",
        "ac3",
        "au",
        "caf",
        "amr",
        "wv",
        "ape",
        "mpc",
        "tta",
        "dsf",
        "dff",
        "dts",
        "latm",
    }
    for container in containers:
        assert audiometa.FAMILY[container] in containers
        assert audiometa.EXTENSION[container].startswith(".")
    assert audiometa.extension(identify(MP3)) == ".mp3"
    assert audiometa.extension(identify(mpeg_frame(0xFFFD8004) * 5)) == ".mp2"
    assert audiometa.FAMILY["w64"] == audiometa.FAMILY["rf64"] == "wav"


def test_starting_reads_no_reader():
    code = (
        "import sys, audiometa; print([name for name in sys.modules"
        " if name.startswith('audiokit.formats.')"
        " and name.rpartition('.')[2] not in ('info', 'source')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    assert ran.stdout.strip() == b"[]"


BIG = [
    (bytes(1), "zeros"),
    (b"\xff", "all ones"),
    (b"some text\n", "text"),
    ("text ".encode("utf-16-le"), "UTF-16"),
    (b"\xff\xfb\x90\x64", "headers of MPEG audio"),
    (b"\xff\xf1\x50\x80", "headers of ADTS"),
    (b"\x0b\x77", "syncwords of AC-3"),
    (b"OggS", "page marks"),
    (b"\0\0\0\x08free", "empty boxes"),
    (b"\x1aE\xdf\xa3", "element marks"),
    (b"RIFF", "RIFF marks"),
    (b"fLaC", "FLAC marks"),
    (bytes(range(256)), "every byte"),
    (b"wvpk", "WavPack marks"),
    (b"MPCK", "Musepack marks"),
]


@pytest.mark.parametrize("unit, why", BIG, ids=[why for _, why in BIG])
@pytest.mark.parametrize("front", [b"", id3v2(b"", padding=9)], ids=["bare", "behind ID3"])
def test_20_megabytes_of_anything_are_refused_having_read_one(unit, why, front):
    size = 20_000_000
    block = unit * (2 * MAX_READ // len(unit) + 1)

    def read_at(offset, length):
        data = front[offset : offset + length]
        shift = (max(offset, len(front)) - len(front)) % len(unit)
        return data + block[shift : shift + min(length, size - offset) - len(data)]

    source = Source(read_at, size)
    with pytest.raises(NotAudio):
        audiometa.identify_source(source)
    assert source.bytes_read <= 1 << 20


@pytest.mark.parametrize("size", (0, 1, 4095, (1 << 14) - 1, 1 << 14, (1 << 14) + 1, 20_480, 50_000))
def test_a_source_gives_the_bytes_of_the_file_whatever_it_keeps(size):
    data = random.Random(size).choices(range(256), k=size)
    source = Source.of_bytes(bytes(data))
    places = random.Random(1)
    for _ in range(2000):
        offset, length = places.randrange(size + 50), places.choice((0, 1, 8, 100, 1024, 1025, 5000, size))
        assert source.read(offset, length) == bytes(data[offset : offset + length]), (offset, length)


def test_a_read_that_fails_leaves_nothing_that_another_place_is_taken_for():
    data, failures = random.Random(3).choices(range(256), k=100_000), []

    def read_at(offset, length):
        if failures:
            raise failures.pop()
        return bytes(data[offset : offset + length])

    source = Source(read_at, len(data))
    assert source.read(30_000, 8) == bytes(data[30_000:30_008])
    failures.append(OSError("the disk"))
    with pytest.raises(OSError, match="the disk"):
        source.read(60_000, 8)
    assert source.read(60_000, 8) == bytes(data[60_000:60_008])


def test_headers_side_by_side_and_tags_at_the_end_are_one_read_each():
    calls = []

    def read_at(offset, length):
        calls.append((offset, length))
        return bytes(length)

    source = Source(read_at, 1 << 30)
    for offset in range(1 << 20, (1 << 20) + 4000, 8):
        assert len(source.read(offset, 8)) == 8
    assert calls == [(1 << 20, 4096)]
    for behind in range(32, 4096, 128):
        assert len(source.read((1 << 30) - behind, 32)) == 32
    assert calls[1:] == [((1 << 30) - 4096, 4096)]


def test_mutations_of_small_files_are_an_answer_or_a_refusal():
    for seed, data in enumerate((WAV, MP3, flac(4), id3v2(id3_frame("TIT2", b"\3T")) + MP3)):
        for broken in mutations(data, 60, seed, head=64):
            check(broken)


def verdict(info: AudioInfo) -> bool:
    return info.truncated or info.duration_declared is not None or bool(info.warnings)


# Durations that the bytes do not tell as exactly as their maker knows them: seconds of tolerance
INEXACT = {
    "m4a/frag.mp4": 0.024,  # a frame of priming, and no edit list that says so
    "caf/opus.caf": 0.021,  # a packet of filling, and no packet table that tells
    "mp3/truncated_half_xing.mp3": 0.017,  # what is cut has no padding left; the table takes it off
    "wma/wmav1_tags.wma": 0.05,  # ASF tells milliseconds of packets
}


@needs_corpus
@pytest.mark.parametrize("name, row", expected().items(), ids=list(expected()))
def test_the_corpus_is_told_as_it_is(name, row):
    expect = row["expect"]
    try:
        info = audiometa.identify_path(str(CORPUS / name))
    except NotAudio as error:
        assert expect in ("reject", "policy", "optional", "reject?", "accept?"), (f"{expect}: {error.reason}")
        assert len(error.reason) > 10
        return
    assert expect != "reject", info
    fields = dict(audiometa.record_fields(info), samples=info.samples, mode=info.bitrate_mode)
    for field in ("container", "codec", "sample_rate", "channels", "bits_per_sample", "mode"):
        if field in row:
            assert fields[field] == row[field], field
    if "duration" in row:
        assert abs(info.duration - row["duration"]) <= INEXACT.get(name, 0.0015)
    if "samples" in row and info.samples is not None:
        assert info.samples == row["samples"]
    assert {tag: info.tags.get(tag) for tag in row.get("tags", {})} == row.get("tags", {})
    if expect == "warn":
        assert verdict(info)
        assert (
            info.duration_declared is None
            or "duration_declared" not in row
            or (abs(info.duration_declared - row["duration_declared"]) < 0.03)
        )
