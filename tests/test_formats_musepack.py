"""Musepack SV7 and SV8: gapless lengths, frames and packets counted, every truncation, garbage."""

from __future__ import annotations

import pytest

from audiokit.formats import musepack
from audiokit.formats.info import Damaged, NotAudio
from tests import audio_files as files
from tests.audio_files import identify, mpc7, mpc8

RATES = (44100, 48000, 37800, 32000)


@pytest.mark.parametrize("index, rate", enumerate(RATES))
def test_both_versions_have_four_rates(index, rate):
    old, new = identify(mpc7(rate_index=index)), identify(mpc8(rate_index=index))
    assert (old.container, old.codec, old.sample_rate, old.channels) == (
        "mpc",
        "musepack7",
        rate,
        2,
    )
    assert (new.container, new.codec, new.sample_rate, new.channels) == (
        "mpc",
        "musepack8",
        rate,
        2,
    )
    for info in (old, new):
        assert info.duration == info.samples / rate
        assert (
            info.duration_exact
            and not info.lossless
            and info.bits_per_sample is None
            and not info.warnings
        )


LENGTHS = [
    # frames, samples in the last, gapless, samples
    (20, 700, True, 19 * 1152 + 700),
    (1, 1, True, 1),
    (20, 0, True, 20 * 1152),
    (20, 700, False, 20 * 1152 - 481),
]


@pytest.mark.parametrize("frames, in_last, is_gapless, samples", LENGTHS)
def test_version_7_tells_its_last_frame_or_loses_the_decoder_delay(frames, in_last, is_gapless, samples):
    assert identify(mpc7(frames, in_last, 0, is_gapless)).samples == samples


@pytest.mark.parametrize("bits", (1, 11, 12, 13, 31, 32, 33, 999, 0xFFFF))
def test_version_7_frames_are_counted_wherever_they_begin_in_a_word(bits):
    data = mpc7(9, bits=bits)
    assert not identify(data).truncated
    if bits > 64:
        cut = identify(data[: len(data) - 2 * bits // 8])
        assert cut.truncated and cut.samples < identify(data).samples


NO_FRAMES = [
    (mpc7()[:4] + bytes(70_000), "a header of zeros promises nothing"),
    (mpc7()[:24] + bytes(70_000), "zeros are no frames"),
    (b"MP+\x07" + b"The quick brown fox. " * 3000, "text"),
    (mpc7()[:24] + files.noise(70_000), "frames that are longer than their samples"),
]


@pytest.mark.parametrize("data, why", NO_FRAMES, ids=[row[-1] for row in NO_FRAMES])
def test_version_7_without_a_few_frames_of_those_promised_is_refused(data, why):
    with pytest.raises(Damaged, match="Musepack whose header says"):
        identify(data)


def test_version_7_whose_end_is_zeros_lacks_it():
    whole = mpc7(20)
    info = identify(whole[: len(whole) // 2] + bytes(len(whole) // 2))
    assert info.truncated and info.samples < identify(whole).samples * 0.6


@pytest.mark.parametrize("samples, silence, power", [(57331, 0, 3), (1, 0, 0), (100_000, 1000, 2), (9999, 0, 7)])
def test_version_8_presents_its_samples_less_the_silence(samples, silence, power):
    info = identify(mpc8(samples, silence, block_power=power))
    assert info.samples == samples - silence


@pytest.mark.parametrize("channels", (1, 2, 6))
def test_version_8_tells_its_channels(channels):
    assert identify(mpc8(channels=channels)).channels == channels


def test_version_8_without_a_length_counts_its_packets():
    info = identify(mpc8(2 * 1152 * 16, promised=0))
    assert (info.samples, info.truncated) == (2 * 1152 * 16 - 481, False)


def test_files_that_are_cut_say_what_was_promised():
    old = identify(mpc7(20)[:-300])
    new = identify(mpc8(100_000)[:-50])
    assert old.truncated and old.duration_declared == (19 * 1152 + 700) / 44100
    assert new.truncated and new.duration_declared == 100_000 / 44100
    assert new.samples == 5 * 16 * 1152 - 481, "the decoder's delay is in front"


def test_a_tag_behind_is_read_and_is_no_frame():
    tag = b"TAG" + b"Title".ljust(125, b"\0")
    for data in (mpc7(), mpc8()):
        info = identify(data + tag)
        assert info.tags["title"] == "Title" and not info.truncated


BAD = [
    (b"MP+\x04" + bytes(99), NotAudio, "version 4"),
    (b"MP+\x08" + bytes(99), NotAudio, "version 8"),
    (b"MPCK" + bytes(99), Damaged, "no Musepack packet"),
    (b"MPCKAP\x05abSH", Damaged, "SH packet"),
    (b"MPCKRG\x00" + bytes(9), Damaged, "of 0 bytes"),
    (b"MPCKSH\x0f\0\0\0\0\x07" + bytes(9), NotAudio, "version 07"),
    (mpc8(rate_index=4), NotAudio, "reserved rate"),
    (b"MPCK" + b"XX\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Damaged, "without an end"),
]


@pytest.mark.parametrize("data, kind, words", BAD, ids=[words for _, _, words in BAD])
def test_what_is_no_musepack_is_refused_with_its_reason(data, kind, words):
    with pytest.raises(kind, match=words):
        identify(data)


def test_every_truncation_is_refused_or_marked():
    data = mpc7(20)
    files.check_every_truncation(data, may_end=lambda length: length >= len(data) - 4)
    data = mpc8(100_000)
    all_audio = len(data) - 3
    files.check_every_truncation(data, may_end=lambda length: length >= all_audio)


def test_garbage_is_musepack_that_makes_sense_or_no_audio():
    files.check_garbage([mpc7(5), mpc8(30_000)])


def test_packets_without_end_are_given_up(monkeypatch):
    monkeypatch.setattr(musepack, "MAX_PACKETS", 3)
    with pytest.raises(Damaged, match="more than 3 Musepack packets"):
        identify(mpc8(100_000))


def test_frames_beyond_what_is_counted_are_believed(monkeypatch):
    monkeypatch.setattr(musepack, "MAX_COUNTED", 5)
    assert identify(mpc7(20)).samples == 19 * 1152 + 700


def test_a_large_file_costs_its_packets():
    assert files.check_reads_little(mpc8(100_000)).samples == 100_000
