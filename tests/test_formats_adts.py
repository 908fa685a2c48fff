"""ADTS: every frame counted, and nothing taken for a frame that is none."""

from __future__ import annotations

import pytest

from audiokit.formats import adts
from tests import audio_files, format_kinds
from tests.format_kinds import identify, refusal


def frame(size=200, rate=4, channels=2, profile=1, blocks=1, protected=False, fullness=0x7FF) -> bytes:
    """ISO/IEC 13818-7 section 6.2."""
    word = (0xFFF << 44 | 1 << 43 | (not protected) << 40 | profile << 38 | rate << 34 | channels << 30)
    word |= size << 13 | fullness << 2 | blocks - 1
    return word.to_bytes(7, "big") + bytes([0x21]) * (size - 7)


GOOD = (
    (frame() * 50, 44100, 2, 51200, "stereo at 44.1 kHz"),
    (frame(rate=8, channels=1) * 10, 16000, 1, 10240, "mono at 16 kHz"),
    (frame(channels=7) * 10, 44100, 8, 10240, "configuration 7 is 7.1"),
    (frame(blocks=4) * 10, 44100, 2, 40960, "four raw data blocks in a frame"),
    (frame(protected=True) * 10, 44100, 2, 10240, "frames with a CRC"),
    (frame(300) + frame(150) * 9, 44100, 2, 10240, "frames of many sizes"),
    (frame() * 2, 44100, 2, 2048, "two frames that are the whole file"),
    (audio_files.adts(), 44100, 2, 12288, "MPEG-4's ID bit"),
)


@pytest.mark.parametrize("data, rate, channels, samples, why", GOOD, ids=[row[4] for row in GOOD])
def test_every_frame_is_counted(data, rate, channels, samples, why):
    info = identify(data)
    assert (info.container, info.codec, info.codec_profile, info.mime) == (
        "adts",
        "aac",
        "LC",
        "audio/aac",
    )
    assert (info.sample_rate, info.channels, info.samples) == (rate, channels, samples)
    assert info.duration_exact and not info.truncated and not info.warnings


def test_channels_that_the_header_does_not_tell_are_told_by_the_first_element():
    """Configuration 0: a program config element comes first (13818-7 8.1.1, 14496-3 4.5.1.2.1)."""
    # 3 bits ID_PCE, 4 + 2 + 4, then a pair, a single and an LFE in front; 8 bits of comment
    element = "101" "0000" "01" "0100" "0010" "0000" "0000" "01" "000" "0000" "000"
    element += "1" "0000" "0" "0000" "0000"
    element += "0" * (-len(element) % 8) + "00000000"
    block = int(element, 2).to_bytes(len(element) // 8, "big")
    for protected in (False, True):
        head = frame(channels=0, protected=protected)
        at = 9 if protected else 7
        data = head[:at] + block + head[at + len(block) :]
        info = identify(data * 5)
        assert (info.channels, info.warnings) == (4, ()), protected
    info = identify(frame(channels=0) * 5)
    assert info.channels == 2 and "2 are assumed" in info.warnings[0]


def test_an_id3_tag_in_front_is_stepped_over():
    tag = b"ID3\3\0\0\0\0\0\x10TIT2\0\0\0\6\0\0\0Title"
    info = identify(tag + frame() * 5)
    assert (info.samples == 5120 and info.tags == {"title": "Title"} and info.audio_offset == len(tag))


def test_junk_behind_the_frames_is_no_missing_end():
    whole = frame() * 5
    for junk, word in ((b"\0", "zeros"), (bytes(3 << 20), "zeros"), (b"junk" * 99, "not audio")):
        info = identify(whole + junk)
        assert word in info.warnings[0] and not info.truncated
    assert identify(whole + frame()[:100]).truncated


def test_junk_between_frames_is_told_and_not_counted():
    info = identify(frame() * 5 + b"\0" * 33 + frame() * 5)
    assert info.samples == 10240 and info.warnings == ("33 bytes at byte 1000 are not frames",)


BAD = (
    (frame()[:100] + bytes(500), "a header that nothing follows"),
    (frame(size=7, rate=4)[:7] + b"\xff" * 600, "a file of ones"),
    (b"\xff\xf1" * 400, "a pattern"),
    (frame() + frame(rate=5) * 3, "another rate behind it"),
    (frame() * 5 + b"\x11" * 5000, "less than half are frames"),
)


@pytest.mark.parametrize("data, why", BAD, ids=[row[1] for row in BAD])
def test_what_does_not_chain_is_refused(data, why):
    refusal(data)


HEADERS = (
    (frame()[:7], True),
    (frame()[:6], False),
    (b"\xff\xfb\x90\x64\0\0\0", False),
    (frame(rate=13)[:7], False),
    (frame(size=7)[:7], False),
    (b"\xff\xf1\x50\x80\0\x1f\xfc", False),
    (frame(size=9, protected=True)[:7], False),
)


@pytest.mark.parametrize("head, is_one", HEADERS)
def test_a_header_is_told_by_its_bits(head, is_one):
    assert adts.matches(head) is is_one


def test_every_truncation_is_refused_or_shorter_and_marked():
    data = frame() * 12
    audio_files.check_every_truncation(data, may_end=lambda length: length % 200 == 0)


def test_mutations_are_audio_or_not_and_nothing_else():
    for broken in format_kinds.mutations(frame() * 12, 300, 5):
        format_kinds.check(broken)


def test_what_is_no_audio_is_refused_after_little_reading():
    for fill in (b"\0", b"\xff", b"\xff\xf1\x50\x80\x00\xff\xfc"):
        head = frame() + fill * 100_000
        source = format_kinds.Source.of_bytes(head)
        with pytest.raises(adts.NotAudio):
            adts.read(source)
        assert source.bytes_read <= 1 << 20


def test_frames_of_another_rate_last_as_long_as_they_say():
    """As two songs one behind the other have them, or a radio station that changes its encoder."""
    info = identify(frame() * 10 + frame(rate=7, channels=1) * 20)
    assert (info.sample_rate, info.channels) == (44100, 2)
    assert info.duration == 10 * 1024 / 44100 + 20 * 1024 / 22050
    assert info.warnings == ("from byte 2000 on the frames are of 22050 Hz, channels: 1",)
    assert not info.truncated and info.audio_bytes == 6000
