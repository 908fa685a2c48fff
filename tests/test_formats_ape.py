"""Monkey's Audio: both headers, the table of frames, every truncation, garbage."""

from __future__ import annotations

import pytest

from audiokit.formats.info import Damaged, NotAudio
from tests import audio_files as files
from tests.audio_files import ape, identify, old_ape


@pytest.mark.parametrize("frames, in_last", [(1, 1), (1, 73728), (3, 1000), (60, 5)])
@pytest.mark.parametrize("bits, channels, rate", [(16, 2, 44100), (24, 1, 96000), (8, 2, 8000)])
def test_samples_are_full_frames_and_the_last(frames, in_last, bits, channels, rate):
    info = identify(ape(frames, in_last, 73728, rate, channels, bits))
    assert (info.container, info.codec, info.samples) == (
        "ape",
        "ape",
        (frames - 1) * 73728 + in_last,
    )
    assert (info.bits_per_sample, info.channels, info.sample_rate) == (bits, channels, rate)
    assert (
        info.lossless
        and info.duration_exact
        and not info.warnings
        and info.codec_profile == "normal"
    )


OLD = [
    # version, level, flags, samples a frame, bits
    (3970, 2000, 32, 294912, 16),
    (3950, 2000, 0, 294912, 16),
    (3920, 2000, 8, 73728, 24),
    (3820, 4000, 1, 73728, 8),
    (3820, 3000, 4, 9216, 16),
    (3700, 1000, 4 | 16 | 32, 9216, 16),
]


@pytest.mark.parametrize("version, level, flags, per_frame, bits", OLD)
def test_old_versions_imply_the_length_of_frames(version, level, flags, per_frame, bits):
    info = identify(old_ape(version, level, flags))
    assert (info.samples, info.bits_per_sample) == (2 * per_frame + 1000, bits)
    assert info.duration_exact and not info.warnings


def test_floats_have_a_magic_of_their_own():
    info = identify(b"MACF" + ape(bits=32)[4:])
    assert info.sample_format == "float"


def test_a_file_that_is_cut_has_its_whole_frames():
    info = identify(ape(5, 1000)[:-1000])
    assert (info.samples, info.truncated) == (3 * 73728, True)
    assert info.duration_declared == (4 * 73728 + 1000) / 44100
    assert "3 frames are playable" in info.warnings[0]


BAD = [
    (ape(rate=0), NotAudio, "0 Hz"),
    (ape(channels=0), NotAudio, "0 channels"),
    (ape(bits=7), NotAudio, "7 bits"),
    (ape(per_frame=0, in_last=0), NotAudio, "0 samples a frame"),
    (ape(in_last=80_000), Damaged, "80000 samples"),
    (ape()[:220], Damaged, "ends before"),
    (ape()[:8] + bytes(4) + ape()[12:], Damaged, "descriptor of 0"),
]


@pytest.mark.parametrize("data, kind, words", BAD, ids=[words for _, _, words in BAD])
def test_what_is_no_ape_is_refused_with_its_reason(data, kind, words):
    with pytest.raises(kind, match=words):
        identify(data)


def test_every_truncation_is_refused_or_marked():
    files.check_every_truncation(ape(5))


def test_every_truncation_of_an_old_file_before_its_last_frame_is_refused_or_marked():
    data = old_ape()
    files.check_every_truncation(data, may_end=lambda length: length > len(data) - 900)


def test_garbage_is_ape_that_makes_sense_or_no_audio():
    files.check_garbage([ape(), old_ape(), old_ape(flags=16)])


def test_a_large_file_costs_its_header():
    assert files.check_reads_little(ape()).samples == 2 * 73728 + 1000
