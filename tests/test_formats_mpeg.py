"""MPEG audio: every frame counted, nothing else taken for frames."""

from __future__ import annotations

import math
import random
import struct

import pytest
from format_kinds import (
    check,
    id3_frame,
    id3v2,
    identify,
    mpeg_frame,
    mutations,
    refusal,
    truncations,
)
from test_formats_mpeg_header import free_stream, lame, xing_frame

from audiokit.formats import mpeg
from audiokit.formats.info import Damaged, NotAudio
from audiokit.formats.source import Source

STEREO_128 = 0xFFFB9064
MONO_64 = 0xFFFB50C4


def stream(count=20, word=STEREO_128):
    return mpeg_frame(word) * count


KINDS = [
    # header word, codec, profile, Hz, channels, samples a frame, kbit/s
    (0xFFFB9064, "mp3", "MPEG-1 layer III", 44100, 2, 1152, 128),
    (0xFFFA90C4, "mp3", "MPEG-1 layer III", 44100, 1, 1152, 128),
    (0xFFF38064, "mp3", "MPEG-2 layer III", 22050, 2, 576, 64),
    (0xFFE318C4, "mp3", "MPEG-2.5 layer III", 8000, 1, 576, 8),
    (0xFFFD8004, "mp2", "MPEG-1 layer II", 44100, 2, 1152, 128),
    (0xFFF548C4, "mp2", "MPEG-2 layer II", 16000, 1, 1152, 32),
    (0xFFFFE000, "mp1", "MPEG-1 layer I", 44100, 2, 384, 448),
]


@pytest.mark.parametrize("word, codec, profile, rate, channels, samples, kbps", KINDS)
def test_every_version_and_layer_is_counted(word, codec, profile, rate, channels, samples, kbps):
    info = identify(stream(20, word))
    assert (info.container, info.codec, info.codec_profile) == ("mp3", codec, profile)
    assert (info.sample_rate, info.channels, info.samples) == (rate, channels, 20 * samples)
    assert (info.bitrate, info.bitrate_mode, info.duration_source) == (kbps * 1000, "CBR", "frames")
    assert info.duration == 20 * samples / rate and info.duration_exact and not info.warnings
    assert info.bits_per_sample is None and not info.lossless and info.mime == "audio/mpeg"


def test_a_variable_bit_rate_without_a_header_is_counted_not_guessed():
    data = mpeg_frame(0xFFFB1064) * 50 + mpeg_frame(0xFFFBE064) * 50
    info = identify(data)
    assert (info.samples, info.bitrate_mode) == (100 * 1152, "VBR")
    assert info.bitrate == round(len(data) * 8 / info.duration)


def test_free_format_is_counted():
    info = identify(free_stream(1632, 9))
    assert (info.samples, info.bitrate_mode) == (9 * 1152, "CBR")


def test_free_format_may_be_silent_from_end_to_end():
    silence = (0xFFFB0064).to_bytes(4, "big") + bytes(32) + b"\xaa" * 700
    assert identify(silence * 9).samples == 9 * 1152
    assert identify(b"junk" * 9 + silence * 9).samples == 9 * 1152
    layer_2 = bytes.fromhex("fffd0004 22333355") + b"\x66" * 600
    assert identify(layer_2 * 9).samples == 9 * 1152, "at the start it is believed"


def tone(rate: int, amplitude: int, order: str, *pitches: int) -> bytes:
    """A second of samples without a header, of 16 bits: sines, which repeat within 4410 bytes."""
    angles = [2 * math.pi * hz / rate for hz in pitches]
    share = amplitude / len(pitches)
    samples = [int(share * sum(math.sin(a * i) for a in angles)) for i in range(rate)]
    return struct.pack(f"{order}{rate}h", *samples)


TONES = [
    # samples, why
    (tone(8000, 3276, "<", 440), "every 400 bytes, as layer II of 22050 Hz might"),
    (tone(8000, 3276, "<", 440, 660), "every 800 bytes, as layer III of 44100 Hz might"),
    (tone(22050, 32767, "<", 440), "loud"),
    (tone(22050, 3276, ">", 100, 150), "the other order"),
    (tone(22050, 3276, ">", 440), "FF is the upper half of what is just below zero"),
    (bytes(range(256)) * 2000, "a ramp of bytes"),
]


@pytest.mark.parametrize("data, why", TONES, ids=[why for _, why in TONES])
def test_a_steady_tone_without_a_header_is_no_free_format(data, why):
    for cut in (0, 1, 50):
        assert refusal(data[cut:]).reason, why


def test_lame_delay_and_padding_are_not_presented():
    frame = xing_frame(b"Info", frames=20, size=417 * 21, extension=lame(1, 576, 1105))
    info = identify(frame + stream(20))
    assert (info.samples, info.audio_offset, info.tags) == (
        20 * 1152 - 576 - 1105,
        0,
        {"encoder": "LAME3.100"},
    )
    assert not info.warnings and info.bitrate == 128000


def told(frames, size, delay=576, padding=1105):
    """A descriptive frame of LAME for so many frames of 417 bytes, itself among the bytes."""
    return xing_frame(b"Info", frames=frames, size=size, extension=lame(1, delay, padding))


GAPLESS = [
    # frames told, bytes told, delay, padding, frames there, samples presented, why
    (20, 417 * 21, 576, 1105, 20, 20 * 1152 - 1681, "all is there"),
    (20, 417 * 21, 576, 1105, 19, 19 * 1152 - 1105, "cut: the padding has gone, the delays have not"),
    (20, 417 * 21, 576, 1105, 12, 12 * 1152 - 1105, "cut further in front"),
    (20, 417 * 21, 576, 2000, 19, 20 * 1152 - 2576, "cut in the padding, all of the original is there"),
    (20, 417 * 21, 576, 3900, 18, 20 * 1152 - 4476, "the same, by two frames"),
    (20, 417 * 21, 576, 3900, 17, 17 * 1152 - 1105, "by three"),
    (20, 417 * 21, 1105, 100, 20, 20 * 1152 - 1205, "less padding than a decoder is late"),
    (21, 417 * 21, 576, 1105, 20, 20 * 1152 - 1681, "an encoder that counts its own frame"),
    (20, 417 * 21, 576, 1105, 25, 25 * 1152 - 1105, "more behind: the padding lies amid it"),
    (200, 417 * 21, 576, 1105, 20, 20 * 1152 - 1681, "a count that is a lie: the bytes are all there"),
    (15, 417 * 21, 576, 1105, 20, 20 * 1152 - 1681, "another lie"),
    (2, 417 * 3, 1200, 1105, 2, 2 * 1152, "a note that takes more than there is is a lie"),
    (2, 417 * 3, 1199, 1105, 2, 0, "a recording of nothing"),
    (20, 417 * 21, 2000, 1105, 2, 0, "cut in the delay: nothing of the original is there"),
    (20, 417 * 21, 0, 0, 20, 20 * 1152, "0 and 0 tell nothing"),
]


@pytest.mark.parametrize("frames, size, delay, padding, count, samples, why", GAPLESS, ids=[row[-1] for row in GAPLESS])
def test_the_padding_is_at_the_end_of_the_whole_stream(frames, size, delay, padding, count, samples, why):
    info = identify(told(frames, size, delay, padding) + stream(count))
    assert (info.samples, info.duration) == (samples, samples / 44100)
    is_cut = count < frames and size > 417 * (count + 1)
    assert info.truncated == is_cut
    lies = is_cut or not 0 <= frames - count <= 1
    original = max(frames * 1152 - delay - padding, 0)
    assert info.duration_declared == (original / 44100 if lies else None)


NOTES = [
    # frames told, bytes told, frames there, declared frames, truncated, why
    (20, 417 * 21, 20, None, False, "all agree"),
    (21, 417 * 21, 20, None, False, "an encoder that counts its own frame"),
    (40, 417 * 41, 20, 40, True, "half of the file"),
    (200, 417 * 21, 20, 200, False, "a count that is a lie: the bytes are all there"),
    (10, 417 * 11, 20, 10, False, "two streams one behind the other"),
]


@pytest.mark.parametrize("told, size, count, declared, truncated, why", NOTES)
def test_a_descriptive_frame_is_checked_against_the_frames(told, size, count, declared, truncated, why):
    info = identify(xing_frame(frames=told, size=size) + stream(count))
    assert info.samples == count * 1152 and info.truncated == truncated, why
    assert info.duration_declared == (declared * 1152 / 44100 if declared else None), why
    assert bool(info.warnings) == (declared is not None), why


def test_zero_frames_told_are_a_warning_only():
    info = identify(xing_frame(frames=0) + stream(5))
    assert info.duration_declared is None and "says 0 frames" in info.warnings[0]


def test_a_file_cut_inside_a_frame_says_so():
    info = identify(stream(10)[:-100])
    assert (info.samples, info.truncated) == (9 * 1152, True)
    assert info.warnings == ("the file ends inside the frame at byte 3753: 0.235 s are playable",)


def test_a_gap_is_stepped_over_and_told():
    info = identify(stream(10) + b"\0garbage" * 30 + stream(10))
    assert info.samples == 20 * 1152 and not info.truncated
    assert info.warnings == ("240 bytes at byte 4170 are not frames",)
    assert info.audio_bytes == 20 * 417


DAMAGED = [
    # data, frames, warning, why
    (stream(10)[:-100] + stream(10), 20, "the frame before byte 4070 lacks 100 bytes", "in the middle"),
    (stream(10)[:-100] + stream(1), 11, "the frame before byte 4070 lacks 100 bytes", "one more behind it"),
    (stream(10) + b"\0garbage" * 30 + stream(1), 11, "240 bytes at byte 4170", "a gap before the last frame"),
    (stream(10)[:-9] * 8, 79, "7 frames in all lack bytes", "again and again"),
    (stream(9) + b"\xff\xfb\xe0" + stream(10)[3:], 19, "the frame before byte 4170 lacks 627 bytes", "a bit rate"),
]


@pytest.mark.parametrize("data, frames, warning, why", DAMAGED, ids=[row[-1] for row in DAMAGED])
def test_a_damaged_frame_takes_no_other_with_it(data, frames, warning, why):
    info = identify(data)
    assert info.samples == frames * 1152
    assert any(warning in one for one in info.warnings), info.warnings


@pytest.mark.parametrize("zeros", [4000, 3 << 20])
def test_zeros_behind_the_frames_are_padding(zeros):
    """Or what a download has left empty, however much that is."""
    info = identify(stream(50) + bytes(zeros))
    assert info.samples == 50 * 1152 and f"{zeros} bytes of zeros" in info.warnings[0]
    refusal(stream(50) + bytes(zeros) + b"\1" + bytes(50_000))


def test_frames_that_are_less_than_half_of_the_file_are_damage():
    error = refusal(stream(10) + random.Random(5).getrandbits(8 * 80000).to_bytes(80000, "big"))
    assert isinstance(error, Damaged) and error.offset == 4170
    assert error.reason == "frame sync lost at byte 4170: 0.3 s are playable"


ID3V1 = (
    b"TAG"
    + b"Ttl".ljust(30, b"\0")
    + b"Art".ljust(30, b"\0")
    + bytes(30)
    + b"2021"
    + bytes(28)
    + b"\0\x07\x08"
)


def ape_item(key, value, flags=0):
    return struct.pack("<II", len(value), flags) + key + b"\0" + value


def ape_tag(*items, header=True):
    body = b"".join(items)

    def edge(flags):
        return b"APETAGEX" + struct.pack("<IIII8x", 2000, len(body) + 32, len(items), flags)

    has = 1 << 31 if header else 0
    return (edge(has | 1 << 29) if header else b"") + body + edge(has)


LYRICS = b"LYRICSBEGININD0000200"
TAILS = [
    (ID3V1, {"title": "Ttl", "artist": "Art", "date": "2021", "track": "7", "genre": "Jazz"}),
    (
        ape_tag(ape_item(b"Title", b"Ape"), ape_item(b"Artist", b"A\0B")),
        {"title": "Ape", "artist": ["A", "B"]},
    ),
    (ape_tag(ape_item(b"Title", b"Ape"), header=False) + ID3V1, {"title": "Ape", "artist": "Art"}),
    (LYRICS + b"%06dLYRICS200" % len(LYRICS) + ID3V1, {"title": "Ttl"}),
    (b"LYRICSBEGINla la laLYRICSEND" + ID3V1, {"title": "Ttl"}),
    (
        id3v2(id3_frame("TIT2", b"\3End"), flags=0x10)
        + b"3DI"
        + id3v2(id3_frame("TIT2", b"\3End"), flags=0x10)[3:10],
        {"title": "End"},
    ),
]


@pytest.mark.parametrize("tail, tags", TAILS)
def test_tags_behind_the_audio_are_no_audio(tail, tags):
    info = identify(stream(10) + tail)
    assert (info.samples, info.audio_bytes, info.warnings) == (11520, 4170, ())
    assert {name: info.tags.get(name) for name in tags} == tags


def test_a_cover_in_an_ape_tag_is_a_place_in_the_file():
    cover = b"\xff\xd8\xff\xe0" + b"\xff\xfb\x90\x64" * 3000
    data = stream(10) + ape_tag(ape_item(b"Cover Art (Front)", b"a.jpg\0" + cover, 2))
    info = identify(data)
    (picture,) = info.pictures
    assert info.samples == 11520 and (picture.mime, picture.type) == ("image/jpeg", "front cover")
    assert data[picture.offset : picture.offset + picture.length] == cover


def test_an_ape_tag_may_stand_in_front():
    cover = b"\xff\xd8\xff\xe0" + b"\xff\xfb\x90\x64" * 30_000
    front = ape_tag(ape_item(b"Title", b"Front"), ape_item(b"Cover Art (Front)", b"a.jpg\0" + cover, 2))
    for data in (front + stream(10), id3v2(id3_frame("TPE1", b"\3A")) + front + stream(10) + ID3V1):
        info = identify(data)
        assert (info.samples, info.tags["title"], info.warnings) == (11520, "Front", ())
        (picture,) = info.pictures
        assert data[picture.offset : picture.offset + picture.length] == cover
    assert refusal(front).reason == "an APE tag with no audio behind it"
    for broken in (front[:-1], front[:32], front[:12] + b"\xff" * 4 + front[16:]):
        assert refusal(broken).reason


def test_id3_wins_over_what_stands_behind():
    info = identify(id3v2(id3_frame("TIT2", b"\3Front")) + stream(10) + ID3V1)
    assert (info.tags["title"], info.tags["artist"]) == ("Front", "Art")


def test_frames_may_begin_behind_a_little_that_is_none():
    for junk in (b"\x9f" * 1000, b"\xff\xfb" * 500, bytes(3000)):
        info = identify(junk + stream(10))
        assert (info.samples, info.audio_offset) == (
            11520,
            len(junk),
        ) and "not audio" in info.warnings[0]


def test_an_id3_tag_whose_size_is_too_small_hides_nothing():
    tag = id3v2(id3_frame("TIT2", b"\3T")) + b"\xff\xd8" + b"picture" * 20000
    assert identify(tag + stream(400)).samples == 400 * 1152


def test_layer_one_is_only_taken_at_the_very_start():
    assert identify(stream(10, 0xFFFFE000)).codec == "mp1"
    assert "no MPEG audio" in refusal(b"\x01\x02" * 40 + stream(10, 0xFFFFE000)).reason


def test_few_frames_are_enough_if_they_are_the_whole_file():
    for count in (1, 2, 3):
        assert identify(stream(count)).samples == count * 1152
    assert identify(stream(2)[:-1]).truncated
    refusal(stream(1)[:-1])
    refusal(stream(1) + b"text and text")
    refusal(stream(2) + b"text and text" * 100)


REFUSED = [
    (b"\xff" * 70000, "a syncword is not a frame"),
    (b"\xff\xfb\x90\x64" * 20000, "headers without frames"),
    (b"\xff\xfb\x00\x64" * 20000, "free format without frames"),
    (random.Random(1).getrandbits(8 * 300000).to_bytes(300000, "big"), "chance"),
    (bytes(100000), "nothing"),
]


@pytest.mark.parametrize("data, why", REFUSED, ids=[why for _, why in REFUSED])
def test_what_has_no_frames_is_refused_having_read_little(data, why):
    big = data * (20_000_000 // len(data) + 1)
    source = Source.of_bytes(big)
    with pytest.raises(NotAudio):
        mpeg.read(source)
    assert source.bytes_read <= 1 << 20, why


def test_a_search_is_bounded_even_where_everything_looks_like_a_header():
    for junk, left in ((b"\xff\xfb\x00\x64", "_free_tries"), (b"\xff\xfb\x90\x64", "_tries")):
        search = mpeg._Search(Source.of_bytes(junk * 30000), len(junk) * 30000)
        with pytest.raises(NotAudio):
            search.first(0)
        assert getattr(search, left) < 0


SAMPLES = [
    id3v2(id3_frame("TIT2", b"\3T"))
    + xing_frame(frames=8, size=417 * 9, extension=lame())
    + stream(8)
    + ID3V1,
    free_stream(500, 8),
    stream(8, MONO_64) + ape_tag(ape_item(b"Title", b"T")),
]


def test_every_truncation_of_a_described_stream_is_marked_or_refused():
    for data in truncations(SAMPLES[0][:-128], every=61):
        info = check(data)
        assert info is None or info.truncated or info.warnings, len(data)


def test_seeded_mutations_are_an_answer_or_a_refusal():
    for seed, whole in enumerate(SAMPLES):
        for data in mutations(whole, 250, seed, head=600):
            check(data)


def test_blocks_of_reading_do_not_show():
    data = stream(6000, MONO_64) + stream(1, MONO_64)[:50]
    info = identify(data)
    assert len(data) > 1 << 20 and (info.samples, info.truncated) == (6000 * 1152, True)
