"""AU by au(5): every encoding, sizes that lie, every truncation, garbage."""

from __future__ import annotations

import pytest

from audiokit.formats.info import Damaged, NotAudio
from tests import audio_files as files
from tests.audio_files import au, identify

ENCODINGS = [
    # code, codec, bits, format, bytes of 1000 samples of two channels
    (1, "pcm_mulaw", 8, "ulaw", 2000),
    (2, "pcm_s8", 8, "int", 2000),
    (3, "pcm_s16be", 16, "int", 4000),
    (4, "pcm_s24be", 24, "int", 6000),
    (5, "pcm_s32be", 32, "int", 8000),
    (6, "pcm_f32be", 32, "float", 8000),
    (7, "pcm_f64be", 64, "float", 16000),
    (23, "adpcm_g726", None, None, 1000),
    (24, "adpcm_g722", None, None, 1000),
    (25, "adpcm_g726", None, None, 750),
    (26, "adpcm_g726", None, None, 1250),
    (27, "pcm_alaw", 8, "alaw", 2000),
]


@pytest.mark.parametrize("code, codec, bits, style, size", ENCODINGS)
def test_every_encoding_has_its_samples(code, codec, bits, style, size):
    info = identify(au(code, 8000, 2, bytes(size)))
    assert (info.container, info.codec, info.bits_per_sample, info.sample_format) == (
        "au",
        codec,
        bits,
        style,
    )
    assert (info.samples, info.duration, info.sample_rate, info.channels) == (1000, 0.125, 8000, 2)
    assert info.duration_exact and not info.truncated and not info.warnings
    assert info.lossless == (style in ("int", "float"))
    assert info.bitrate == size * 64


def test_a_little_endian_file_has_little_endian_samples():
    info = identify(au(3, 8000, 1, bytes(200), magic=b"dns."))
    assert (info.codec, info.samples) == ("pcm_s16le", 100)


def test_only_mu_law_at_8000_hz_is_audio_basic():
    assert identify(au(1, 8000, 1)).mime == "audio/basic"
    assert identify(au(1, 8000, 2)).mime == identify(au(3, 8000, 1)).mime == "audio/x-au"


SIZES = [
    (0xFFFFFFFF, 100, None, False, 0, "not known: the file's"),
    (0, 100, None, False, 1, "never patched"),
    (0x7FFFF000, 100, None, False, 1, "as if written to a pipe"),
    (100, 50, 0.0125, False, 0, "something follows the samples"),
    (400, 100, 0.05, True, 1, "cut short"),
]


@pytest.mark.parametrize("declared, samples, seconds, is_cut, warnings, why", SIZES)
def test_sizes_are_held_against_the_file(declared, samples, seconds, is_cut, warnings, why):
    info = identify(au(3, 8000, 1, bytes(200), size=declared))
    assert (info.samples, info.truncated, len(info.warnings)) == (samples, is_cut, warnings), why
    assert info.duration_declared == (0.025 if is_cut else None), why


def test_the_annotation_is_a_comment_or_fields():
    assert identify(au(note=b"by hand\0")).tags == {"comment": "by hand"}
    assert identify(au(note=b"title=A\nartist=B\0\0\0")).tags == {"title": "A", "artist": "B"}
    assert identify(au(note=bytes(8))).tags == {}


BAD = [(au(code), NotAudio, "unknown encoding") for code in (0, 8, 22, 28, 0xFFFFFFFF)] + [
    (au(rate=0), NotAudio, "0 Hz"),
    (au(channels=0), NotAudio, "0 channels"),
    (au(channels=1 << 20), NotAudio, "channels"),
    (au(rate=0xFFFFFFFF), NotAudio, "Hz"),
    (au(data=b"", size=100), Damaged, "ends before"),
    (b".snd\0\0\0\x04" + au()[8:], Damaged, "begin at 4"),
    (b".snd\xff\xff\xff\xff" + au()[8:], Damaged, "begin at"),
]


@pytest.mark.parametrize("data, kind, words", BAD, ids=[words for _, _, words in BAD])
def test_what_is_no_au_is_refused_with_its_reason(data, kind, words):
    with pytest.raises(kind, match=words):
        identify(data)


def test_every_truncation_is_refused_or_marked():
    files.check_every_truncation(au(3, 8000, 2, bytes(1600), note=b"a note  "))


def test_garbage_is_an_au_that_makes_sense_or_no_audio():
    files.check_garbage([au(code, data=bytes(64)) for code in (1, 3, 23)])


def test_a_large_file_costs_its_header():
    info = files.check_reads_little(au(size=0xFFFFFFFF), 1 << 32)
    assert info.samples == ((1 << 32) - 24) // 2
