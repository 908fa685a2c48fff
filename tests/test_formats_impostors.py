"""What is no audio is called by its name, and no beginning of audio has one."""

from __future__ import annotations

import gzip
import io
import random
import struct
import sys
import tarfile
import zipfile

import pytest

from audiokit.formats.impostors import HEAD_BYTES, image_brand, looks_like, looks_like_text
from tests.support import CORPUS, expected, needs_corpus, wav


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("song.mp3", b"\xff\xfb\x90\x64" + bytes(413))
    return out.getvalue()


NOT_READ = " (a container that is not read here)"


def transport(*streams, extra=0) -> bytes:
    """The first packets of an MPEG transport stream of these (type, descriptors) (ISO/IEC 13818-1 2.4.4)."""

    def packet(pid, section):
        length = (len(section) + 4).to_bytes(2, "big")
        content = b"\0" + section[:1] + bytes([0xB0 | length[0], length[1]]) + section[1:] + bytes(4)
        head = b"\x47" + (0x4000 | pid).to_bytes(2, "big") + b"\x10"
        return bytes(extra) + (head + content).ljust(188, b"\xff")

    association = b"\0" + b"\0\1\xc1\0\0" + b"\0\0\xe0\x10" + b"\0\1\xf0\0"
    body = b"\2" + b"\0\1\xc1\0\0" + b"\xe1\0\xf0\0"
    for number, (kind, descriptors) in enumerate(streams):
        size = (0xF000 | len(descriptors)).to_bytes(2, "big")
        body += bytes([kind]) + (0xE100 + number).to_bytes(2, "big") + size + descriptors
    return packet(0, association) + packet(0x1000, body) + packet(0x100, b"\xff" * 9) * 2


def programme(*streams) -> bytes:
    """A pack of an MPEG programme stream, with a system header that lists these (2.5.3)."""
    listed = b"".join(bytes([stream]) + b"\xc0\x20" for stream in streams)
    system = b"\0\0\1\xbb" + (6 + len(listed)).to_bytes(2, "big") + b"\x80\xc4\xe1\x04\xe1\xff" + listed
    return b"\0\0\1\xba" + bytes(10) + system + bytes(400)


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("song.mp3"), io.BytesIO())
    return out.getvalue()


NAMED = [
    (_zip(), "a ZIP archive"),
    (_tar(), "a tar archive"),
    (gzip.compress(wav()), "gzip data"),
    (b"BZh91AY&SY" + bytes(20), "bzip2 data"),
    (b"%PDF-1.7\n", "a PDF document"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG picture"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG picture"),
    (b"BM" + struct.pack("<IIII", 70, 0, 54, 40) + bytes(36), "a BMP picture"),
    (b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0" + bytes(20), "an icon"),
    (b"RIFF\x24\0\0\0WEBPVP8 ", "a WebP picture"),
    (b"RIFF\x24\0\0\0AVI LIST", "an AVI video"),
    (b"\0\0\0\1\x67\x64\0\x0a" + bytes(20), "an H.264 video stream"),
    (b"\0\0\0\1\x40\1\x0c\1" + bytes(20), "an HEVC video stream"),
    (b"nut/multimedia container\0NM", "a NUT file (a container that is not read here)"),
    (b"\x06\x0e\x2b\x34\2\5\1\1\x0d\1\2\1\1\2", "an MXF file (a container that is not read here)"),
    (b"RIFF\x24\0\0\0RMIDdata", "a MIDI file: notes, not sampled audio"),
    (b"RIFF\x24\0\0\0Abcd", "a RIFF file that is no WAVE"),
    (b"FORM\0\0\0\x248SVXVHDR", "an Amiga 8SVX sound (audio, but of a kind that is not read here)"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture"),
    (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "an AVIF picture"),
    (b"\x7fELF\x02\x01\x01\0", "an ELF program"),
    (b"MZ\x90\0\x03" + bytes(80), "a Windows or DOS program"),
    (b"\xca\xfe\xba\xbe\0\0\0\x34", "a Java class"),
    (b"\xca\xfe\xba\xbe\0\0\0\x02", "a Mach-O program"),
    (b"\0\1\0\0\0\x0a\0\x80\0\3\0\x20" + bytes(20), "a font"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"MThd\0\0\0\6\0\1\0\2", "a MIDI file: notes, not sampled audio"),
    (b"Extended Module: x", "module music (XM): notes, not sampled audio"),
    (bytes(1080) + b"M.K." + bytes(99), "module music (MOD): notes, not sampled audio"),
    (b"title".ljust(44, b"\1") + b"SCRM", "module music (S3M): notes, not sampled audio"),
    ((b"\x47" + bytes(187)) * 4, "an MPEG transport stream" + NOT_READ),
    ((bytes(4) + b"\x47" + bytes(187)) * 4, "an MPEG transport stream" + NOT_READ),
    (transport((0x0F, b"")), "an MPEG transport stream of AAC" + NOT_READ),
    (transport((0x1B, b""), (0x03, b"")), "an MPEG transport stream of MPEG audio and video" + NOT_READ),
    (transport((0x1B, b"")), "an MPEG transport stream of video" + NOT_READ),
    (transport((0x06, b"\x0a\x04eng\0\x7a\1\0")), "an MPEG transport stream of E-AC-3" + NOT_READ),
    (transport((0x11, b""), extra=4), "an MPEG transport stream of AAC in LATM" + NOT_READ),
    (programme(0xC0), "an MPEG programme stream of MPEG audio" + NOT_READ),
    (programme(0xE0, 0xC0), "an MPEG programme stream of MPEG audio and video" + NOT_READ),
    (programme(), "an MPEG programme stream" + NOT_READ),
    (b"FLV\x01\x05", "a Flash video"),
    (b"\x7f\xfe\x80\x01\xfc", "DTS, but its first frame header does not hold"),
    (b"ADIF\0", "AAC in ADIF (audio, but of a kind that is not read here)"),
    (b"<!DOCTYPE html><title>404</title>", "HTML text"),
    (b"\n  <HTML><body>", "HTML text"),
    (b"<!-- saved --> <html>", "HTML text"),
    (b'<?xml version="1.0"?><svg/>', "an SVG picture"),
    (b'<?xml version="1.0"?><rss/>', "XML text"),
    (b'{"error": "not found"}', "JSON text"),
    (b'\xef\xbb\xbf[\n {"a": 1}', "JSON text"),
    (b"#!/bin/sh\n", "a script"),
    (b"#EXTM3U\n#EXTINF:1", "an M3U playlist: a list of files, not a file"),
    (b"version https://git-lfs.github.com/", "a Git LFS pointer: the file itself is elsewhere"),
    (b"hello", "plain text"),
    ("Grüße, 世界\n".encode() * 200, "plain text"),
    ("Grüße aus Köln, ganz ohne UTF-8\n".encode("latin-1"), "plain text"),
    ("hello".encode("utf-16"), "UTF-16 text"),
    ("hello".encode("utf-32"), "UTF-32 text"),
    (b"\xfe\xff" + "hello".encode("utf-16-be"), "UTF-16 text"),
    ("no byte order mark".encode("utf-16-le"), "UTF-16 text"),
    ("no byte order mark".encode("utf-16-be"), "UTF-16 text"),
]


@pytest.mark.parametrize("head, words", NAMED, ids=[words[:24] for _, words in NAMED])
def test_what_is_no_audio_has_a_name(head, words):
    assert looks_like(head[:HEAD_BYTES]) == words


def _mp3(word: int, size: int) -> bytes:
    return (struct.pack(">I", word) + bytes(size - 4)) * 4


UNNAMED = [
    (b"", "nothing"),
    (bytes(HEAD_BYTES), "zeros: some encoders write them in front of the first frame"),
    (b"\xff" * 64, "FF: the same"),
    (_mp3(0xFFFB9064, 417), "an MP3 frame"),
    (_mp3(0xFFF38064, 208), "an MP3 frame of MPEG-2"),
    (_mp3(0xFFFE9064, 400), "layer I with CRC begins as UTF-16 does"),
    (b"\xff\xf1\x50\x80\x02\x1f\xfc" * 20, "ADTS"),
    (b"\x0b\x77\xcd\x0b" + bytes(range(256)), "AC-3"),
    (b"OggS\0\2" + bytes(40), "Ogg"),
    (b"fLaC\0\0\0\x22" + bytes(40), "FLAC"),
    (b"\0\0\0\x18ftypM4A \0\0\0\0isom", "MP4"),
    (b"\0\0\0\x18ftypmp42\0\0\0\0isom", "MP4"),
    (b"MZ too short", "two letters and no program behind them"),
    (b"BM" + b"\xab" * 40, "two letters and no picture behind them"),
    (b"\xca\xfe\xba\xbe", "a magic of two kinds and nothing to tell which"),
    (b"\x47" + bytes(400), "one sync byte is no transport stream"),
    (b"\x56\xe0\x05" + b"\xab" * 30, "one sync is no LATM"),
    (b"\xff\xfe\x00\xd8\x00\xd8\x01\xd8" * 9, "a byte order mark and no text behind it"),
]


@pytest.mark.parametrize("head, why", UNNAMED, ids=[why[:24] for _, why in UNNAMED])
def test_what_may_be_audio_has_no_name(head, why):
    # four letters of plain ASCII are text, whatever else they are; all others have none
    name = looks_like(head)
    assert name is None or head.isascii() and name == "plain text", why


def test_every_beginning_of_every_impostor_is_named_or_not_and_raises_nothing():
    for head, _ in NAMED:
        for length in range(min(len(head), 300)):
            assert looks_like(head[:length]) is None or isinstance(looks_like(head[:length]), str)


def test_random_bytes_have_no_name():
    rng = random.Random(7)
    for _ in range(300):
        head = bytes(rng.randrange(256) for _ in range(64))
        if head[:2] != b"MZ":
            assert looks_like(head) is None


def test_text_is_text_wherever_it_is_cut():
    text = "naïve café ☕ 音楽\n".encode() * 3
    assert all(looks_like_text(text[:n]) for n in range(1, len(text)))


@pytest.mark.parametrize("data", [b"", b"\0", b"abc\0", b"\xff\xfb\x90\x64", b"\x80\x81", b"a\x07"])
def test_what_has_control_characters_or_other_codes_is_no_text(data):
    assert not looks_like_text(data)


def test_an_image_brand_is_told_from_a_film():
    assert image_brand(b"\0\0\0\x18ftypmif1") == "a HEIF picture"
    assert image_brand(b"\0\0\0\x18ftypisom") is None
    assert image_brand(b"heic") is None


def test_the_interpreter_that_runs_this_is_a_program():
    with open(sys.executable, "rb") as file:
        name = looks_like(file.read(HEAD_BYTES))
    assert name in ("an ELF program", "a Mach-O program", "a Windows or DOS program", "a script")


@needs_corpus
def test_no_audio_of_the_corpus_has_a_name_but_containers_of_the_family_and_refused_kinds():
    for name, truth in expected().items():
        if truth["expect"] in ("accept", "warn", "accept?"):
            with open(CORPUS / name, "rb") as file:
                words = looks_like(file.read(HEAD_BYTES))
            assert words in (None, "a WAV file", "an AIFF file", "an AIFF-C file"), name
