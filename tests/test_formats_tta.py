"""TTA: the header under its CRC, frames by their table, every truncation, garbage."""

from __future__ import annotations

import struct
import zlib

import pytest

from audiokit.formats.info import Damaged, NotAudio
from tests import audio_files as files
from tests.audio_files import identify, tta

GOOD = [
    # samples, Hz, channels, bits, format
    (100_000, 44100, 2, 16, 1),
    (46080, 44100, 1, 24, 1),
    (46079, 44100, 2, 8, 1),
    (46081, 44100, 6, 32, 3),
    (1, 8000, 1, 16, 1),
    (960_000, 96000, 2, 24, 1),
]


@pytest.mark.parametrize("samples, rate, channels, bits, form", GOOD)
def test_the_header_says_all(samples, rate, channels, bits, form):
    info = identify(tta(samples, rate, channels, bits, form))
    assert (info.container, info.codec, info.samples, info.sample_rate) == (
        "tta",
        "tta",
        samples,
        rate,
    )
    assert (info.channels, info.bits_per_sample, info.lossless) == (channels, bits, True)
    assert info.sample_format == ("float" if form == 3 else "int")
    assert info.duration == samples / rate and info.duration_exact and not info.warnings


def test_a_file_that_is_cut_has_its_whole_frames():
    data = tta(5 * 46080, frame_bytes=500)
    info = identify(data[: len(data) - 501])
    assert (info.samples, info.truncated, info.duration_declared) == (
        3 * 46080,
        True,
        5 * 46080 / 44100,
    )


def test_a_tag_behind_is_no_frame():
    data = tta()
    tag = b"TAG" + b"Title".ljust(30, b"\0") + bytes(95)
    info = identify(data + tag)
    assert info.tags["title"] == "Title" and not info.truncated
    assert identify(data[:-100] + tag).truncated


def _signed(**fields) -> bytes:
    head = struct.pack(
        "<4sHHHII", fields.get("magic", b"TTA1"), fields.get("form", 1), fields.get("channels", 2),
        fields.get("bits", 16), fields.get("rate", 44100), fields.get("samples", 9),
    )  # fmt: skip
    return head + struct.pack("<I", zlib.crc32(head)) + bytes(64)


BAD = [
    (_signed(form=2), NotAudio, "encrypted"),
    (_signed(form=9), NotAudio, "format 9"),
    (_signed(channels=0), NotAudio, "0 channels"),
    (_signed(rate=0), NotAudio, "0 Hz"),
    (_signed(bits=0), NotAudio, "0 bits"),
    (_signed(magic=b"TTA2"), NotAudio, "version 2"),
    (_signed(rate=1, samples=0xFFFFFFFF), Damaged, "4294967295 samples"),
    (_signed(samples=0xFFFFFFFF), Damaged, "no whole frame"),
    (tta()[:21] + b"\0" + tta()[22:], Damaged, "CRC"),
]


@pytest.mark.parametrize("data, kind, words", BAD, ids=[words for _, _, words in BAD])
def test_what_is_no_tta_is_refused_with_its_reason(data, kind, words):
    with pytest.raises(kind, match=words):
        identify(data)


def test_every_truncation_is_refused_or_marked():
    files.check_every_truncation(tta(5 * 46080))


def test_garbage_is_tta_that_makes_sense_or_no_audio():
    files.check_garbage([tta(), _signed(rate=245, samples=1 << 28)])


def test_a_large_file_costs_its_header_and_table():
    assert files.check_reads_little(tta(5 * 46080)).samples == 5 * 46080
