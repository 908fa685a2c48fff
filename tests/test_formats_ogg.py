"""Ogg: what plays, from the first sounding sample to the last, whatever the granule positions begin
with."""

from __future__ import annotations

import struct

import pytest

from audiokit.formats import ogg, vorbis_comment, xiph
from tests import audio_files, format_kinds
from tests.format_kinds import identify, refusal

_FIRST, _LAST = 2, 4
_CELT_20_MS = b"\xfc" + bytes(29)  # RFC 6716 section 3.1: configuration 31, stereo, one frame


def page(packets, granule, flags=0, serial=7, number=0) -> bytes:
    """RFC 3533 section 6; the CRC is not looked at, since what plays does not depend on it."""
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, number, 0, len(lacing))
    return head + lacing + b"".join(packets)


def test_a_last_page_that_ends_in_zeros_is_held_against_its_checksum():
    """As a download leaves it that made room for all first and got half of the page."""
    head = b"OpusHead\x01" + struct.pack("<BHIhB", 2, 312, 44100, 0, 0)
    packets = [b"\xfc" + bytes([number]) * 29 for number in range(1, 26)]
    pages = [([head], 0, _FIRST), ([b"OpusTags" + comments()], 0, 0), (packets, 24000, _LAST)]
    whole = b"".join(
        audio_files.ogg_page(flags, granule, 7, number, content) for number, (content, granule, flags) in enumerate(pages)
    )
    info = identify(whole)
    assert (info.samples, info.duration_exact, info.truncated, info.warnings) == (24000 - 312, True, False, ())
    info = identify(whole[:-300] + bytes(300))
    assert (info.duration_exact, info.truncated) == (False, True) and "its checksum does not hold" in info.warnings[0]
    quiet = [b"\xfc" + bytes(29)] * 25  # zeros that are meant
    whole = whole[: whole.rfind(b"OggS")] + audio_files.ogg_page(_LAST, 24000, 7, 2, quiet)
    assert identify(whole).duration_exact


def comments(*pairs: str) -> bytes:
    out = struct.pack("<I4sI", 4, b"test", len(pairs))
    return out + b"".join(struct.pack("<I", len(pair.encode())) + pair.encode() for pair in pairs)


def opus(granules=(24000, 48000), first=24000, preskip=312, serial=7, last=_LAST, pairs=()) -> bytes:
    """Pages of 25 packets of 20 ms, with these granule positions at their ends."""
    head = b"OpusHead\x01" + struct.pack("<BHIhB", 2, preskip, 44100, 0, 0)
    out = page([head], 0, _FIRST, serial) + page([b"OpusTags" + comments(*pairs)], 0, 0, serial, 1)
    for number, granule in enumerate(granules):
        flags = last if number == len(granules) - 1 else 0
        out += page([_CELT_20_MS] * 25, granule, flags, serial, number + 2)
    return out


def speex(granule=16000 * 2, rate=16000) -> bytes:
    head = (
        b"Speex   "
        + b"1.2".ljust(20, b"\0")
        + struct.pack("<13i", 1, 80, rate, 1, 4, 1, -1, 320, 0, 1, 0, 0, 0)
    )
    return (
        page([head], 0, _FIRST)
        + page([comments("ARTIST=A")], 0)
        + page([bytes(30)] * 100, granule, _LAST, 7, 2)
    )


def vorbis(granules=(4000,), last=_LAST) -> bytes:
    """Blocks of 256 and 2048; one mode of long blocks, one of short ones."""
    head = b"\x01vorbis" + struct.pack("<IBIiiiBB", 0, 1, 16000, 0, 64000, 0, 8 | 11 << 4, 1)
    modes = 1 | 0 << 6 | 1 << 47  # number - 1, then a short and a long mode of 41 bits each
    setup = b"\x05vorbis" + bytes(8) + (modes | 1 << 88).to_bytes(12, "little")
    out = page([head], 0, _FIRST) + page([b"\x03vorbis" + comments("TITLE=T") + b"\1", setup], 0, 0, 7, 1)
    for number, granule in enumerate(granules):
        flags = last if number == len(granules) - 1 else 0
        out += page([b"\2" + bytes(40)] * 4, granule, flags, 7, number + 2)  # three times 1024 samples new
    return out


GOOD = (
    (opus(), 48000 - 312, "the pre-skip is never heard (RFC 7845 section 4.2)"),
    (opus((24000, 47000)), 47000 - 312, "the last page may end before its packets do (4.4)"),
    (
        opus((24000 + 3600 * 48000, 48000 + 3600 * 48000)),
        48000 - 312,
        "a recording that begins an hour in (4.3)",
    ),
    (opus((20000,)), 20000 - 312, "one page that is the last: short, not late (4.5)"),
    (opus() + opus(serial=8), 2 * (48000 - 312), "streams one behind the other are added up"),
    (opus() + opus(), 2 * (48000 - 312), "also with one serial number"),
    (opus(preskip=0), 48000, "no pre-skip"),
    (speex(), 32000, "Speex"),
    (speex(32000 - 143), 32000 - 143, "Speex whose first packet ends before 320: its look-ahead"),
    (vorbis((3000,)), 3000, "Vorbis; the last page may end before its packets do"),
    (vorbis((4000,)), 3072, "Vorbis that begins in the midst: what its packets hold"),
    (audio_files.opus(), 48000 - 312, "pages as others write them"),
)


@pytest.mark.parametrize("data, samples, why", GOOD, ids=[row[2] for row in GOOD])
def test_the_length_is_what_a_decoder_presents(data, samples, why):
    info = identify(data)
    assert (info.samples, info.container, info.truncated, info.warnings) == (
        samples,
        "ogg",
        False,
        (),
    ), why
    assert info.duration == pytest.approx(samples / info.sample_rate)


def test_the_media_type_names_the_codec():
    assert identify(opus()).mime == "audio/ogg; codecs=opus"
    assert identify(vorbis()).mime == "audio/ogg; codecs=vorbis"


def test_comments_become_tags():
    assert identify(opus(pairs=("TITLE=Ein Lied", "TRACKNUMBER=03/9"))).tags == {
        "title": "Ein Lied", "track": "3", "tracktotal": "9",
    }  # fmt: skip
    assert identify(vorbis()).tags == {"title": "T"}
    assert identify(speex()).tags == {"artist": "A"}


@pytest.mark.parametrize("data", [b"", b"\xff" * 64, struct.pack("<I4sI", 4, b"test", 9) + b"\xff\xff\xff\xff"])
def test_comments_that_do_not_fit_are_no_tags(data):
    assert vorbis_comment.parse(data) == {}


def test_a_stream_beside_the_audio_is_named_and_not_counted():
    video = page([b"\x80theora" + bytes(40)], 0, _FIRST, 9)
    head, rest = opus()[:47], opus()[47:]
    info = identify(video + head + page([bytes(200)], 99, 0, 9, 1) + rest)
    assert info.samples == 48000 - 312 and info.warnings == (
        "besides the audio there is Theora video",
    )


def test_a_second_audio_stream_at_once_is_named():
    other = vorbis()
    size = 27 + other[26] + sum(other[27 : 27 + other[26]])
    head, rest = opus()[:47], opus()[47:]
    info = identify(head + other[:size] + rest)
    assert (info.codec, info.warnings) == ("opus", ("besides the audio there is Vorbis audio",))


def test_junk_behind_the_end_is_told():
    info = identify(opus() + b"junk" * 10)
    assert info.samples == 48000 - 312 and "40 bytes behind" in info.warnings[0]


def test_a_stream_without_its_end_is_marked():
    info = identify(opus(last=0))
    assert (
        info.truncated
        and info.samples == 48000 - 312
        and "not marked as the end" in info.warnings[0]
    )


def test_streams_of_another_kind_behind_the_first_are_told():
    info = identify(opus() + speex())
    assert info.codec == "opus" and "several kinds" in info.warnings[0]
    assert info.duration == pytest.approx((48000 - 312) / 48000 + 2)


BAD = (
    (page([b"\x80theora" + bytes(40)], 0, _FIRST), "Theora video"),
    (page([b"nothing"], 0, _FIRST), "unknown stream"),
    (opus(()), "no page of it holds audio"),
    (page([b"OpusHead\x01\0" + bytes(9)], 0, _FIRST), "without audio"),
    (b"OggS\0" + bytes(100), "without audio"),
    (opus((24000, 1 << 60)), "granule positions"),
)


@pytest.mark.parametrize("data, words", BAD)
def test_what_holds_no_audio_is_refused_by_name(data, words):
    assert words in refusal(data).reason


def test_every_truncation_is_refused_or_shorter_and_marked():
    for whole in (audio_files.opus(), vorbis((3072, 6000))):
        audio_files.check_every_truncation(whole)


def test_mutations_are_audio_or_not_and_nothing_else():
    for data in (opus(), speex(), vorbis(), opus() + speex()):
        for broken in format_kinds.mutations(data, 150, 3):
            format_kinds.check(broken)


def test_a_long_file_costs_its_head_and_its_tail():
    data = opus(tuple(range(24000, 24000 * 3001, 24000)))
    source = format_kinds.Source.of_bytes(data)
    assert ogg.read(source).samples == 24000 * 3000 - 312
    assert source.bytes_read < 200_000 < len(data)


OPUS_PACKETS = (
    (b"\x00", 480, "SILK, 10 ms"),
    (b"\x18", 2880, "SILK, 60 ms"),
    (b"\x60", 480, "hybrid, 10 ms"),
    (b"\x80", 120, "CELT, 2.5 ms"),
    (b"\xf8", 960, "CELT, 20 ms"),
    (b"\xf9", 1920, "two frames"),
    (b"\xfb\x03", 2880, "three frames, told in the second byte"),
    (b"\xfb", 0, "cut"),
    (b"", 0, "nothing"),
)


@pytest.mark.parametrize("packet, samples, why", OPUS_PACKETS)
def test_an_opus_packet_tells_its_length(packet, samples, why):
    assert xiph.opus_packet_samples(packet) == samples, why
