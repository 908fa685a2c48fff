"""AAC in LATM: every frame counted, with the configuration that the first element holds."""

from __future__ import annotations

import pytest

from audiokit.formats import latm
from audiokit.formats.info import NotAudio
from tests import audio_files, format_kinds
from tests.audio_files import latm_element
from tests.format_kinds import check, identify, refusal

LC = f"{2:05b}{4:04b}{2:04b}000"  # 44.1 kHz, stereo
HE = f"{5:05b}{7:04b}{2:04b}{4:04b}{2:05b}000"  # 22.05 kHz, and twice that with SBR
MONO = f"{2:05b}{8:04b}{1:04b}000"
LESS = f"{2:05b}{4:04b}{2:04b}100"  # frames of 960

GOOD = [
    # first element, frames in each, rate, channels, samples of a frame, profile, why
    (latm_element(LC), 1, 44100, 2, 1024, "LC", "the plainest"),
    (latm_element(MONO), 1, 16000, 1, 1024, "LC", "mono of 16 kHz"),
    (latm_element(LC, frames=3), 3, 44100, 2, 1024, "LC", "three frames in an element"),
    (latm_element(HE), 1, 44100, 2, 2048, "HE-AAC", "SBR doubles the rate"),
    (latm_element(LESS), 1, 44100, 2, 960, "LC", "digital radio's frames"),
    (latm_element(LC, version=1), 1, 44100, 2, 1024, "LC", "version 1, which tells lengths"),
    (latm_element(HE + "0" * 13, version=1), 1, 44100, 2, 2048, "HE-AAC", "and fills up"),
]


@pytest.mark.parametrize("first, frames, rate, channels, size, profile, why", GOOD, ids=[row[-1] for row in GOOD])
def test_every_frame_is_counted(first, frames, rate, channels, size, profile, why):
    info = identify(first + latm_element() * 19)
    assert (info.container, info.codec, info.codec_profile) == ("latm", "aac", profile)
    assert (info.sample_rate, info.channels, info.samples) == (rate, channels, 20 * frames * size)
    assert info.duration_exact and not info.truncated and not info.warnings


def test_junk_between_and_behind_frames_is_told():
    body = latm_element(LC) + latm_element() * 4
    info = identify(body + b"\0" * 33 + latm_element() * 5)
    assert info.samples == 10 * 1024 and info.warnings == (f"33 bytes at byte {len(body)} are not frames",)
    info = identify(body + b"junk" * 9)
    assert info.samples == 5 * 1024 and not info.truncated and "36 bytes behind" in info.warnings[0]


BAD = [
    (latm_element() * 9, "cannot be read", "no configuration in the first element"),
    (latm_element(LC, layers=1) + latm_element() * 9, "cannot be read", "layers"),
    (latm_element(f"{2:05b}{13:04b}{2:04b}000") + latm_element() * 9, "cannot be read", "a reserved rate"),
    (latm_element(f"{8:05b}{8:04b}{1:04b}000") + latm_element() * 9, "cannot be read", "CELP, which is no AAC"),
    (b"\x56\xe0\x12" * 334, "", "a pattern of a syncword"),
    (b"\x56\xe0\x05" + b"\xab" * 300, "", "one syncword"),
    (b"\x56\xe0\x00" * 300, "", "elements of nothing"),
]


@pytest.mark.parametrize("data, words, why", BAD, ids=[row[-1] for row in BAD])
def test_what_cannot_be_described_is_refused(data, words, why):
    assert words in refusal(data).reason


def test_gaps_are_read_on_behind_as_many_as_there_are_and_junk_only_so_far():
    run = latm_element() * 4
    info = identify(latm_element(LC) + (run + b"junk") * 1500 + run)
    assert info.samples == (1 + 4 * 1501) * 1024 and not info.truncated
    assert info.warnings[-1] == "1500 places in all are not frames"
    behind = latm_element(LC) + run * 400 + b"junk" * 20_000
    info = identify(behind)
    assert info.truncated and info.warnings[0].startswith("frame sync lost at byte")


def test_syncwords_that_begin_nothing_are_tried_only_so_often():
    for fill in (b"\x56\xe0\x01" * 13_000, b"\x56\xe0\x01\0\x56\xe0\x01\0x" * 4000):
        source = format_kinds.Source.of_bytes(latm_element(LC) + (latm_element() * 4 + fill) * 100)
        with pytest.raises(NotAudio, match="frame sync lost"):
            latm.read(source)
        assert source.bytes_read < source.size // 2


def test_every_truncation_is_refused_or_shorter_and_marked():
    data = latm_element(LC) + latm_element() * 12
    size = len(latm_element())
    audio_files.check_every_truncation(data, may_end=lambda length: (length - len(latm_element(LC))) % size == 0)


def test_mutations_are_audio_or_not_and_nothing_else():
    for broken in format_kinds.mutations(latm_element(HE) + latm_element() * 9, 300, 5):
        check(broken)


def test_what_is_no_audio_is_refused_after_little_reading():
    source = format_kinds.Source.of_bytes(latm_element(LC) + latm_element() * 3 + b"\x56\xe0\0" * 500_000)
    with pytest.raises(NotAudio):
        latm.read(source)
    assert source.bytes_read <= 3 << 20
