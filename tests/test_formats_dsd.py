"""DSF and DSDIFF: true rates, samples without the padding, DST by its frames, every truncation,
garbage."""

from __future__ import annotations

import struct

import pytest

from audiokit.formats.info import Damaged, NotAudio
from tests import audio_files as files
from tests.audio_files import dff, dff_titled, dsf, identify

RATES = (2822400, 5644800, 11289600, 3072000)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", (1, 2, 6))
def test_the_rate_is_of_single_bits(rate, channels):
    for info in (
        identify(dsf(50_000, rate, channels)),
        identify(dff(7500 * channels, rate, channels)),
    ):
        assert (info.codec, info.sample_rate, info.channels) == ("dsd", rate, channels)
        assert info.bits_per_sample == 1 and info.lossless and info.duration_exact
        assert info.bitrate == rate * channels and not info.warnings


def test_padding_of_the_last_block_is_no_sound():
    info = identify(dsf(50_000))
    assert (info.container, info.samples, info.duration) == ("dsf", 50_000, 50_000 / 2822400)


def test_dsdiff_counts_its_bytes():
    info = identify(dff(40_000, channels=2))
    assert (info.container, info.samples) == ("dff", 160_000)


def test_dst_counts_its_frames():
    info = identify(dff(compression=b"DST ", dst_frames=150))
    assert (info.codec, info.duration, info.duration_source, info.bitrate_mode) == (
        "dst",
        2.0,
        "frames",
        "VBR",
    )
    assert info.sample_rate == 2822400


def test_tags_are_read_at_the_end():
    tag = b"ID3\x03\0\0\0\0\0\x10TIT2\0\0\0\6\0\0\0Title"
    assert identify(dsf(tag=tag)).tags == {"title": "Title"}
    assert identify(dff_titled()).tags == {"artist": "Artist", "title": "Title"}


def test_a_dsf_that_is_cut_has_what_all_channels_have():
    data = dsf(3 * 32768, channels=2)
    one_group_and_a_half = 28 + 52 + 12 + 2 * 4096 + 4096 + 1000
    info = identify(data[:one_group_and_a_half])
    assert (info.samples, info.truncated) == (32768 + 8000, True)
    assert info.duration_declared == 3 * 32768 / 2822400


def test_a_dst_that_is_cut_has_its_whole_frames():
    data = dff(compression=b"DST ", dst_frames=75)
    info = identify(data[: len(data) - 1])
    assert (info.truncated, info.duration_declared) == (True, 1.0)
    assert info.duration == pytest.approx(74 / 75, abs=1e-6)


def _patched(data: bytes, offset: int, content: bytes) -> bytes:
    return data[:offset] + content + data[offset + len(content) :]


BAD = [
    (_patched(dsf(), 4, bytes(8)), Damaged, "DSD chunk"),
    (_patched(dsf(), 28, b"abcd"), Damaged, "fmt chunk"),
    (_patched(dsf(), 40, b"\2"), NotAudio, "version 2"),
    (_patched(dsf(), 52, bytes(4)), NotAudio, "0 channels"),
    (_patched(dsf(), 56, bytes(4)), NotAudio, "0 Hz"),
    (_patched(dsf(), 60, b"\3"), NotAudio, "3 bits"),
    (_patched(dsf(), 80, b"abcd"), Damaged, "data chunk"),
    (dsf()[:92], Damaged, "ends before"),
    (b"FRM8" + struct.pack(">Q", 4) + b"DSD ", Damaged, "PROP"),
    (dff(rate=0), NotAudio, "0 Hz"),
    (dff(channels=0), NotAudio, "0 channels"),
    (dff(compression=b"WHAT"), NotAudio, "unknown compression"),
    (
        _patched(dff(compression=b"DST "), dff(compression=b"DST ").index(b"FRTE") + 16, bytes(2)),
        Damaged,
        "0 frames",
    ),
]


@pytest.mark.parametrize("data, kind, words", BAD, ids=[words for _, _, words in BAD])
def test_what_is_no_dsd_is_refused_with_its_reason(data, kind, words):
    with pytest.raises(kind, match=words):
        identify(data)


def test_every_truncation_is_refused_or_marked():
    for data in (dsf(), dff(9000), dff(compression=b"DST ", dst_frames=20)):
        files.check_every_truncation(data, 97)


def test_garbage_is_dsd_that_makes_sense_or_no_audio():
    files.check_garbage([dsf(), dff(900), dff(compression=b"DST ", dst_frames=20), dff_titled(size=100)])


def test_a_large_file_costs_its_header():
    assert files.check_reads_little(dsf(50_000)).samples == 50_000
