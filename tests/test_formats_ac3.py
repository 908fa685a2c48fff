"""AC-3 and E-AC-3 by ETSI TS 102 366: every rate and layout, substreams, lost frames, every
truncation, garbage."""

from __future__ import annotations

import pytest

from audiokit.formats.info import NotAudio
from tests import audio_files as files
from tests.audio_files import ac3, eac3_frame, identify, noise

MODES = [(0, 2), (1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 4), (7, 5)]


@pytest.mark.parametrize("mode, channels", MODES)
@pytest.mark.parametrize("has_lfe", (0, 1))
def test_acmod_and_lfeon_say_the_channels(mode, channels, has_lfe):
    assert identify(ac3(mode=mode, has_lfe=has_lfe)).channels == channels + has_lfe
    assert identify(eac3_frame(mode=mode, has_lfe=has_lfe) * 5).channels == channels + has_lfe


@pytest.mark.parametrize("code, rate", [(0, 48000), (1, 44100), (2, 32000)])
@pytest.mark.parametrize("size_code", (0, 1, 20, 21, 36, 37))
def test_every_frame_is_1536_samples_at_every_rate(code, rate, size_code):
    info = identify(ac3(5, code, size_code))
    assert (info.container, info.codec, info.sample_rate) == ("ac3", "ac3", rate)
    assert (info.samples, info.duration) == (5 * 1536, 5 * 1536 / rate)
    assert info.duration_exact and info.bitrate_mode == "CBR" and not info.warnings


@pytest.mark.parametrize("bsid, rate", [(6, 48000), (8, 48000), (9, 24000), (10, 12000)])
def test_bsid_9_and_10_halve_the_rate(bsid, rate):
    assert identify(ac3(bsid=bsid)).sample_rate == rate


@pytest.mark.parametrize("blocks, samples", [(0, 256), (1, 512), (2, 768), (3, 1536)])
def test_an_enhanced_frame_has_one_to_six_blocks(blocks, samples):
    info = identify(eac3_frame(blocks=blocks) * 10)
    assert (info.codec, info.samples, info.mime) == ("eac3", 10 * samples, "audio/eac3")


@pytest.mark.parametrize("half, rate", [(0, 24000), (1, 22050), (2, 16000)])
def test_fscod_3_takes_half_rates_from_the_next_field(half, rate):
    info = identify(eac3_frame(code=3, blocks=half) * 4)
    assert (info.sample_rate, info.samples) == (rate, 4 * 1536)


def test_substreams_take_no_time_and_dependent_ones_add_channels():
    back_pair = 0x0200  # Lrs/Rrs: 7.1 with what the independent one has
    pair = eac3_frame() + eac3_frame(1, 0, mode=2, has_lfe=0, chanmap=back_pair)
    info = identify(pair * 4)
    assert (info.channels, info.samples) == (8, 4 * 1536)
    other_programme = identify((eac3_frame() + eac3_frame(0, 1, mode=2)) * 4)
    assert (other_programme.channels, other_programme.samples) == (6, 4 * 1536)
    its_pair = eac3_frame(0, 1, mode=2) + eac3_frame(1, 0, mode=2, has_lfe=0, chanmap=back_pair)
    with_its_pair = identify((eac3_frame() + its_pair) * 4)
    assert with_its_pair.channels == 6, "what depends on another programme is not of the first"


def test_words_may_be_swapped():
    data = bytearray(ac3(6))
    data[::2], data[1::2] = data[1::2], data[::2]
    info = identify(bytes(data))
    assert (info.codec, info.channels, info.samples) == ("ac3", 6, 6 * 1536)


def test_frames_found_again_are_counted_and_the_loss_is_said():
    info = identify(ac3(6) + noise(1000) + ac3(4))
    assert info.samples == 10 * 1536 and not info.duration_exact
    assert info.warnings == ("1000 bytes between the frames are no audio",)


def test_what_follows_the_last_frame_is_said():
    info = identify(ac3(6) + noise(1000))
    assert info.samples == 6 * 1536 and "frame sync lost" in info.warnings[0]


def test_few_frames_are_believed_for_their_crc():
    assert identify(ac3(1)).samples == 1536
    broken = bytearray(ac3(1))
    broken[100] ^= 1
    with pytest.raises(NotAudio, match="no frame follows"):
        identify(bytes(broken))


BAD = [
    (b"\x0b\x77" + b"x" * 20000, "not audio|plain text|no frame|starts"),
    (b"\x0b\x77" + noise(60000), "."),
    (ac3(1)[:-1], "no frame follows"),
    (b"\x0b\x77" * 10000, "."),
    (b"\x0b\x77" + bytes(5000), "only zeros"),
    (eac3_frame(kind=1) * 5, "first programme"),
]


@pytest.mark.parametrize("data, words", BAD, ids=range(len(BAD)))
def test_a_syncword_alone_is_no_ac3(data, words):
    with pytest.raises(NotAudio, match=words):
        identify(data)


def test_a_syncword_before_random_bytes_is_never_ac3():
    for seed in range(200):
        head = b"\x0b\x77\xcd\x0b\x0c\x40\x43\xe1" + noise(3000, seed)
        assert files.outcome(head)[1] is None


def test_every_truncation_is_refused_or_marked():
    data = ac3(6, size_code=4)
    size = len(data) // 6
    files.check_every_truncation(data, 1, may_end=lambda length: length % size == 0)


def test_garbage_is_ac3_that_makes_sense_or_no_audio():
    files.check_garbage([ac3(4, size_code=2), eac3_frame(size=64) * 8])


def test_false_syncwords_without_end_are_given_up():
    good = ac3(4)
    data = good + (b"\x0b\x77\0\0\x14\x40\0" * 200_000)
    info = identify(data)  # one header among them passes for a frame behind the last true one
    assert info.samples <= 5 * 1536 and "frame sync lost" in info.warnings[0]
