"""WavPack: what the blocks say, lengths not told, channels, DSD, every truncation, garbage."""

from __future__ import annotations

import struct

import pytest

from audiokit.formats import wavpack
from audiokit.formats.info import Damaged, NotAudio
from audiokit.formats.source import Source
from tests import audio_files as files
from tests.audio_files import WV_FINAL, WV_INITIAL, WV_MONO, identify, noise, wv, wv_block

RATES = (
    6000,
    8000,
    9600,
    11025,
    12000,
    16000,
    22050,
    24000,
    32000,
    44100,
    48000,
    64000,
    88200,
    96000,
    192000,
)


@pytest.mark.parametrize("index, rate", enumerate(RATES))
def test_the_flags_say_the_rate(index, rate):
    info = identify(wv(3, 1000, flags=0x1 | index << 23))
    assert (info.container, info.codec, info.sample_rate, info.samples) == (
        "wv",
        "wavpack",
        rate,
        3000,
    )
    assert info.duration == 3000 / rate and info.duration_exact and not info.warnings


def test_any_other_rate_is_in_a_sub_block():
    part = b"\x67\x02" + (37800).to_bytes(3, "little") + b"\0"  # odd size: three bytes and a pad
    assert identify(wv(flags=0x1 | 15 << 23, parts=part)).sample_rate == 37800


def test_a_correction_is_no_song_of_its_own():
    """Of a hybrid stream in two files the second, .wvc, has what makes the first lossless (ID_WVC_BITSTREAM)."""
    part = b"\x0b\x02" + bytes(4)
    with pytest.raises(NotAudio, match="a WavPack correction"):
        identify(wv(flags=0x1 | 0x8 | 9 << 23, parts=part))
    assert identify(wv(flags=0x1 | 0x8 | 9 << 23, parts=b"\x0a\x02" + bytes(4))).codec_profile == "hybrid"


WIDTHS = [
    (0x0, 8, "int", True),
    (0x1, 16, "int", True),
    (0x2, 24, "int", True),
    (0x3, 32, "int", True),
    (0x2 | 4 << 13, 20, "int", True),
    (0x3 | 0x80, 32, "float", True),
    (0x1 | 0x8, 16, "int", False),
]


@pytest.mark.parametrize("flags, bits, style, lossless", WIDTHS)
def test_the_flags_say_the_width(flags, bits, style, lossless):
    info = identify(wv(flags=flags | 9 << 23))
    assert (info.bits_per_sample, info.sample_format, info.lossless) == (bits, style, lossless)


@pytest.mark.parametrize("flags, channels", [(0, 2), (WV_MONO, 1)])
def test_one_block_a_moment_has_one_channel_or_two(flags, channels):
    assert identify(wv(flags=0x1 | 9 << 23 | flags)).channels == channels


def test_channels_are_those_of_all_blocks_of_a_moment():
    flags = 0x1 | 9 << 23
    moment = (flags | WV_INITIAL, flags | WV_MONO, flags | WV_MONO, flags | WV_FINAL)
    data = b"".join(wv_block(n * 500, 500, 1000, one) for n in range(2) for one in moment)
    assert (identify(data).channels, identify(data).samples) == (6, 1000)
    cut = identify(data[:-10])
    assert (cut.samples, cut.truncated) == (500, True)


def test_channels_may_be_told():
    for part, channels in ((b"\x0d\x01\x05\x37", 5), (b"\x0d\x03\x0b\x05\0\0\0\0", 12)):
        flags = 0x1 | 9 << 23
        first = wv_block(0, 500, 500, flags | WV_INITIAL, part)
        assert identify(first + wv_block(0, 500, 500, flags | WV_FINAL)).channels == channels


@pytest.mark.parametrize("shift", (2, 3))
def test_dsd_has_the_rate_of_single_bits(shift):
    part = b"\x0e\x04" + bytes([shift]) + noise(7)
    info = identify(wv(2, 1000, flags=0x80000000 | 12 << 23, parts=part))
    assert (info.sample_rate, info.bits_per_sample, info.samples) == (88200 * 8 << shift, 1, 16000)
    assert info.codec_profile == "DSD" and info.duration == 2000 / (88200 << shift)


def test_a_length_that_is_not_told_is_found_in_the_last_block():
    info = identify(wv(30, 22050, total=-1))
    assert (info.samples, info.duration_source, info.truncated) == (30 * 22050, "frames", False)


def test_a_length_that_lies_is_held_against_the_blocks():
    piped = identify(wv(2, 1000, total=0))
    assert (piped.samples, piped.duration_declared, piped.warnings) == (2000, None, ())
    info = identify(wv(2, 1000, total=5000))
    assert (info.samples, info.truncated, info.duration_declared) == (2000, True, 5000 / 44100)
    info = identify(wv(2, 1000, total=1500))
    assert (info.samples, info.truncated, info.duration_declared) == (2000, False, 1500 / 44100)
    assert info.warnings


def test_blocks_without_samples_take_no_time():
    empty = wv_block(0, 0, 44100, 0x1)
    info = identify(empty + wv() + empty)
    assert info.samples == 44100 and not info.truncated and not info.warnings


def test_a_tag_behind_is_read():
    assert identify(wv() + b"TAG" + b"Title".ljust(125, b"\0")).tags["title"] == "Title"


BAD = [
    (b"wvpk" + noise(999), NotAudio, "first block"),
    (b"wvpk" + bytes(999), NotAudio, "first block"),
    (wv_block()[:100], Damaged, "one whole block"),
    (wv_block(flags=0x1 | 15 << 23 | WV_FINAL), NotAudio, "0 Hz"),
    (wv_block(samples=0), NotAudio, "first block"),
]


@pytest.mark.parametrize("data, kind, words", BAD, ids=[words for _, _, words in BAD])
def test_what_is_no_wavpack_is_refused_with_its_reason(data, kind, words):
    with pytest.raises(kind, match=words):
        identify(data)


def test_every_truncation_is_refused_or_marked():
    files.check_every_truncation(wv(4, 1000))


def test_every_truncation_of_a_length_not_told_is_marked_but_between_blocks():
    data = wv(4, 1000, total=-1)
    size = len(data) // 4
    files.check_every_truncation(data, 1, may_end=lambda length: length % size == 0)


def test_garbage_is_wavpack_that_makes_sense_or_no_audio():
    files.check_garbage([wv(3, 100), wv(3, 100, total=-1)])


def test_a_last_block_is_not_sought_for_ever():
    data = wv(1, 1000) + struct.pack("<4sIH", b"wvpk", 100, 0x410) * 300_000
    assert files.outcome(data)[0]


def test_sub_blocks_without_end_are_given_up():
    flags = 0x1 | 9 << 23 | WV_INITIAL
    crowded = wv_block(0, 500, 500, flags, b"\x20\0" * 200_000)
    data = crowded + wv_block(0, 500, 500, flags | WV_FINAL)
    source = Source.of_bytes(data)
    assert wavpack.read(source).channels == 4
    assert source.bytes_read < 1 << 20


def test_a_large_file_costs_its_ends():
    with pytest.raises(Damaged, match="one whole block"):
        files.check_reads_little(wv(2, 1000), 1 << 32, 6 << 20)
