"""AMR by RFC 4867: every mode of both bands, lost sync, every truncation, garbage."""

from __future__ import annotations

import pytest

from audiokit.formats import amr as amr_reader
from audiokit.formats.info import Damaged, NotAudio
from audiokit.formats.source import Source
from tests import audio_files as files
from tests.audio_files import AMR_BYTES, amr, identify

MODES = [(codec, mode) for codec, sizes in AMR_BYTES.items() for mode in range(len(sizes))]


@pytest.mark.parametrize("codec, mode", MODES)
def test_every_frame_is_20_ms_in_every_mode(codec, mode):
    info = identify(amr(50, mode, codec))
    assert (info.container, info.codec, info.duration, info.channels) == ("amr", codec, 1.0, 1)
    assert info.sample_rate == info.samples == (16000 if codec == "amr_wb" else 8000)
    assert info.bitrate == AMR_BYTES[codec][mode] * 8 * 50
    assert info.duration_exact and not info.warnings and info.bits_per_sample is None


def test_channels_take_turns():
    info = identify(amr(100, channels=2))
    assert (info.channels, info.duration) == (2, 1.0)


def test_frames_without_data_take_time():
    assert identify(b"#!AMR\n" + b"\x7c" * 50).duration == 1.0
    assert identify(b"#!AMR-WB\n" + b"\x7c\x74" * 25).duration == 1.0


def test_millions_of_frames_without_data_are_counted_at_once():
    calls = []

    class Counted(bytes):
        def __getitem__(self, index):
            calls.append(index)
            return super().__getitem__(index)

    source = Source(
        lambda offset, length: Counted((b"#!AMR\n" + b"\x7c" * 999_994)[offset : offset + length]),
        10**6,
    )
    assert amr_reader.read(source).duration == 999_994 / 50
    assert 0 < len(calls) < 100


def test_frames_end_where_a_first_byte_is_none():
    info = identify(amr(50) + b"\xff garbage")
    assert info.duration == 1.0 and not info.truncated
    assert info.warnings == (f"frame sync lost at byte {6 + 50 * 32}: 1 s are playable",)


ZEROS = [
    # mode, whole frames, zeros behind, seconds, why
    (7, 50, 500, 1.0, "zeros look like damaged frames of 4.75 kbit/s, as they are in a file made longer"),
    (0, 50, 500, 1.0, "behind true frames of 4.75 kbit/s, too"),
    (0, 50, 2_500_000, 1.0, "in more than one read"),
    (7, 50, 3, 1.0, "a few are not a frame that is cut"),
]


@pytest.mark.parametrize("mode, count, zeros, seconds, why", ZEROS, ids=[row[-1] for row in ZEROS])
def test_zeros_at_the_end_are_no_frames(mode, count, zeros, seconds, why):
    whole = amr(count, mode)
    info = identify(whole + bytes(zeros))
    assert (info.duration, info.warnings[0].split(":")[0]) == (seconds, f"{zeros} zeros from byte {len(whole)} on"), why


@pytest.mark.parametrize("magic", (b"#!AMR\n", b"#!AMR-WB\n"))
def test_a_few_frames_before_much_else_are_none(magic):
    with pytest.raises(Damaged, match="where something else goes on"):
        identify(magic + b"<html>".ljust(62) + b"\xff" * 500)
    assert identify(amr(2) + b"\xff garbage").duration == 2 / 50


def test_a_damaged_frame_amid_others_is_one():
    assert identify(amr(10, 0) + bytes(1) + b"x" * 12 + amr(10, 0)[6:]).duration == 21 / 50


def test_a_long_file_is_counted_over_the_borders_of_reads():
    assert identify(amr(100_000, 7)).duration == 2000.0


BAD = [
    (b"#!AMR\n", Damaged, "one whole frame"),
    (b"#!AMR\nthis is text", Damaged, "one whole frame"),
    (b"#!AMR\n\x3c" + bytes(20), Damaged, "one whole frame"),
    (b"#!AMR-WB+\n" + bytes(99), NotAudio, "unknown kind"),
    (amr(9, channels=0), NotAudio, "0 channels"),
    (amr(9, channels=1 << 31), NotAudio, "channels"),
    (amr(1, channels=2), Damaged, "one whole frame"),
]


@pytest.mark.parametrize("data, kind, words", BAD, ids=[words for _, _, words in BAD])
def test_what_is_no_amr_is_refused_with_its_reason(data, kind, words):
    with pytest.raises(kind, match=words):
        identify(data)


def test_every_truncation_is_refused_or_marked():
    files.check_every_truncation(amr(40), 1, may_end=lambda length: (length - 6) % 32 == 0)


def test_garbage_is_amr_that_makes_sense_or_no_audio():
    files.check_garbage([amr(9), amr(9, 3, "amr_wb"), amr(8, channels=2)])


def test_a_large_file_of_silence_is_counted_in_steps():
    data = b"#!AMR\n" + (b"\4" + bytes(12)) * 300_000
    source = Source(lambda offset, length: data[offset : offset + length], len(data))
    assert amr_reader.read(source).samples == 300_000 * 160
    assert source.bytes_read <= len(data) + (1 << 15)


def test_a_file_of_zeros_behind_the_magic_is_no_recording():
    with pytest.raises(Damaged, match="without one whole frame"):
        files.check_reads_little(b"#!AMR\n", 1 << 22, 6 << 20)
