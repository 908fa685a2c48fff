"""DTS: every frame counted, in any packing of its words, with what extensions add."""

from __future__ import annotations

import struct

import pytest

from audiokit.formats import dts
from audiokit.formats.dts_header import layout_channels, parse_extension
from tests import audio_files, format_kinds
from tests.audio_files import dts_frame
from tests.format_kinds import check, identify, refusal


def swapped(data: bytes) -> bytes:
    return b"".join(struct.pack("<H", word) for (word,) in struct.iter_unpack(">H", data))


def of_14_bits(data: bytes) -> bytes:
    """Words of which 14 bits are used, the highest of these repeated above them."""
    bits = int.from_bytes(data, "big") << -len(data) * 8 % 14
    count = -(-len(data) * 8 // 14)
    words = [bits >> 14 * (count - 1 - n) & 0x3FFF for n in range(count)]
    return struct.pack(f">{count}H", *[word | (0xC000 if word & 0x2000 else 0) for word in words])


def extension(channels=8, rate=13, bits=24, asset=b"\x41\xa2\x95\x47", is_long=False, size=400, text=b"") -> bytes:
    """An extension substream (TS 102 114 section 7.4.1) of one asset, by its fields that do not change."""
    wide = 20 if is_long else 16
    fields = "1" + "00" + "000" + "1" + "0" * 36 + "000" + "000" + "1" + "0" * 8
    fields += "1" + "00" + "00" + "01" + "0" * 8  # two mixes of four channels
    fields += format(size - 61, f"0{wide}b") + format(40, "09b") + "000" + "1" + "0000" + "1" + "0" * 24
    fields += "1" + format(len(text) - 1, "010b") + "".join(format(b, "08b") for b in text) if text else "0"
    fields += format(bits - 1, "05b") + format(rate, "04b") + format(channels - 1, "08b")
    head = "0" * 8 + "00" + str(int(is_long)) + format(59, "012b" if is_long else "08b")
    head += format(size - 1, f"0{wide}b") + fields
    head += "0" * (-len(head) % 8)
    header = b"\x64\x58\x20\x25" + int("1" + head, 2).to_bytes(len(head) // 8 + 1, "big")[1:]
    return (header.ljust(60, b"\0") + asset).ljust(size, b"\xaa")


GOOD = [
    # data, rate, channels, samples, why
    (dts_frame() * 20, 48000, 2, 20 * 512, "stereo"),
    (dts_frame(mode=9, lfe=2) * 20, 48000, 6, 20 * 512, "5.1"),
    (dts_frame(mode=0, rate=8, blocks=32, size=2012) * 9, 44100, 1, 9 * 1024, "mono of 44.1 kHz"),
    (dts_frame(blocks=128, size=8000) * 5, 48000, 2, 5 * 4096, "long frames"),
    (swapped(dts_frame() * 20), 48000, 2, 20 * 512, "the other order"),
    (of_14_bits(dts_frame(size=448)) * 20, 48000, 2, 20 * 512, "words of 14 bits"),
    (swapped(of_14_bits(dts_frame(size=448))) * 20, 48000, 2, 20 * 512, "of 14 bits in the other order"),
    ((dts_frame() + dts_frame(size=600)) * 10, 48000, 2, 20 * 512, "frames of two sizes"),
    (dts_frame(), 48000, 2, 512, "one frame is the whole file"),
    (dts_frame() * 20 + b"TAG" + bytes(125), 48000, 2, 20 * 512, "a tag behind"),
]


@pytest.mark.parametrize("data, rate, channels, samples, why", GOOD, ids=[row[-1] for row in GOOD])
def test_every_frame_is_counted(data, rate, channels, samples, why):
    info = identify(data)
    assert (info.container, info.codec, info.codec_profile, info.mime) == ("dts", "dts", "DTS", "audio/vnd.dts")
    assert (info.sample_rate, info.channels, info.samples) == (rate, channels, samples)
    assert info.duration == samples / rate and info.duration_exact and not info.warnings
    assert info.bitrate_mode == ("VBR" if "two sizes" in why else "CBR") and info.bits_per_sample is None and not info.lossless


EXTENDED = [
    # extension, profile, rate, channels, bits, why
    (extension(), "DTS-HD Master Audio", 96000, 8, 24, "lossless"),
    (extension(2, 14, 24, is_long=True), "DTS-HD Master Audio", 192000, 2, 24, "long fields"),
    (extension(6, 12, 16, text=b"a text"), "DTS-HD Master Audio", 48000, 6, 16, "a text in front"),
    (extension(asset=b"\x65\x5e\x31\x5e"), "DTS-HD High Resolution", 96000, 8, None, "lossy"),
]


@pytest.mark.parametrize("more, profile, rate, channels, bits, why", EXTENDED, ids=[row[-1] for row in EXTENDED])
def test_an_extension_adds_channels_and_rate_and_no_time(more, profile, rate, channels, bits, why):
    info = identify((dts_frame() + more) * 20)
    assert (info.codec_profile, info.sample_rate, info.channels) == (profile, rate, channels)
    assert (info.bits_per_sample, info.lossless) == (bits, bits is not None)
    assert info.duration == 20 * 512 / 48000 and info.samples == info.duration * rate
    assert info.bitrate_mode == "VBR" and info.mime == "audio/vnd.dts.hd" and not info.warnings


IN_CORE = [
    # EXT_AUDIO_ID, profile, rate, channels, why
    (0, "DTS-ES", 48000, 7, "a channel behind"),
    (2, "DTS 96/24", 96000, 6, "twice the rate"),
    (6, "DTS", 48000, 6, "more channels, which the header does not count"),
]


@pytest.mark.parametrize("more, profile, rate, channels, why", IN_CORE, ids=[row[-1] for row in IN_CORE])
def test_what_a_core_frame_has_besides_is_presented_too(more, profile, rate, channels, why):
    info = identify(dts_frame(mode=9, lfe=2, more=more) * 20)
    assert (info.codec_profile, info.sample_rate, info.channels) == (profile, rate, channels)
    assert info.duration == 20 * 512 / 48000 and info.samples == info.duration * rate and not info.lossless


def test_an_extension_that_is_cut_says_nothing():
    whole = extension()
    for length in range(24):
        assert parse_extension(whole[:length]) is None
    assert parse_extension(whole[:200]).channels == 8


def test_junk_between_and_behind_frames_is_told():
    info = identify(dts_frame() * 5 + b"\0" * 33 + dts_frame() * 5)
    assert info.samples == 10 * 512 and info.warnings == ("33 bytes between the frames are not audio",)
    info = identify(dts_frame() * 5 + b"junk" * 9)
    assert info.samples == 5 * 512 and not info.truncated and "36 bytes behind" in info.warnings[0]


BAD = [
    (dts_frame() + bytes(600), "nothing follows"),
    (dts_frame() + dts_frame(rate=8) * 4, "another rate behind it"),
    (dts_frame(rate=0) * 9, "a reserved rate"),
    (dts_frame(mode=20) * 9, "channels that are not told"),
    (dts_frame(blocks=3) * 9, "too few blocks"),
    (b"\x7f\xfe\x80\x01" * 999, "a pattern"),
    (bytes.fromhex("fe7f018044ccf11acf48614146938f03") * 400, "a pattern that holds a whole header"),
]


@pytest.mark.parametrize("data, why", BAD, ids=[row[-1] for row in BAD])
def test_what_does_not_chain_is_refused(data, why):
    assert "DTS" in refusal(data).reason


def test_speakers_are_pairs_and_singles():
    for mask, channels in ((0x0002, 2), (0x0001, 1), (0x000F, 6), (0x084B, 8), (0xFFFF, 25)):
        assert layout_channels(mask) == channels, hex(mask)


def test_gaps_are_read_on_behind_as_many_as_there_are():
    gap = b"junk" * 3
    info = identify(dts_frame() * 4 + (gap + dts_frame(size=96, blocks=6) * 2) * 5000)
    assert info.samples == 4 * 512 + 10_000 * 192 and not info.duration_exact and not info.truncated
    assert info.warnings == (f"{5000 * len(gap)} bytes between the frames are not audio",)


def test_syncwords_that_begin_nothing_are_tried_only_so_often():
    source = format_kinds.Source.of_bytes(dts_frame() * 4 + (b"\x7f\xfe\x80\x01" * 40_000 + dts_frame() * 3) * 40)
    info = dts.read(source)
    assert info.truncated and not info.duration_exact and source.bytes_read < 3 << 20
    assert info.warnings == ("frame sync lost at byte 2048: 0.043 s are playable",)


def test_behind_a_core_frame_are_no_more_than_four_extensions():
    short = extension(size=70)
    info = identify((dts_frame() + short * 4) * 20)
    assert info.samples == 20 * 512 * 2 and not info.warnings  # at the rate of the extension
    info = identify(dts_frame() * 4 + short * 500)
    assert info.samples == 4 * 512 * 2 and f"{496 * 70} bytes behind the last frame" in info.warnings[0]


def test_a_stream_of_two_frames_and_the_beginning_of_a_third_is_told():
    info = identify((dts_frame() * 3)[:-100])
    assert info.samples == 2 * 512 and info.truncated


def test_every_truncation_is_refused_or_shorter_and_marked():
    audio_files.check_every_truncation(dts_frame() * 12, may_end=lambda length: length % 512 == 0)


def test_mutations_are_audio_or_not_and_nothing_else():
    for broken in format_kinds.mutations((dts_frame() + extension()) * 6, 300, 5):
        check(broken)


def test_what_is_no_audio_costs_little():
    for fill in (bytes(4), b"\x7f\xfe\x80\x01"):
        source = format_kinds.Source.of_bytes(dts_frame() * 4 + fill * 500_000)
        info = dts.read(source)
        assert info.samples == 4 * 512 and source.bytes_read < 8 << 20
