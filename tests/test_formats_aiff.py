"""AIFF and AIFF-C: every compression, and headers against what is there."""

from __future__ import annotations

import struct

import pytest
from format_kinds import check, chunk, id3_frame, id3v2, identify, mutations, refusal, truncations

from audiokit.formats.info import Damaged, NotAudio

RATES = {  # the 80-bit floats that matter
    8000: bytes.fromhex("400bfa00000000000000"),
    44100: bytes.fromhex("400eac44000000000000"),
    22254: bytes.fromhex("400daddd1745d1745d17"),  # 22254.5454…, the first Macintosh's
}


def comm(channels=1, frames=100, bits=16, rate=RATES[8000], compression=None):
    content = struct.pack(">hIh", channels, frames, bits) + rate
    if compression is not None:
        content += compression + b"\x04Name\0"
    return chunk(b"COMM", content, order=">")


def ssnd(data, size=None, offset=0):
    return chunk(b"SSND", struct.pack(">II", offset, 0) + bytes(offset) + data, size, order=">")


def form(*chunks, kind=b"AIFF", size=None):
    body = kind + b"".join(chunks)
    return b"FORM" + struct.pack(">I", len(body) if size is None else size) + body


KINDS = [
    # compression, bits in COMM, bytes a sample, codec, bits, sample_format, why
    (None, 16, 2, "pcm_s16be", 16, "int", "plain AIFF"),
    (None, 8, 1, "pcm_s8", 8, "int", "8 bits are signed, and have no order"),
    (None, 12, 2, "pcm_s16be", 12, "int", "12 bits take two bytes"),
    (None, 24, 3, "pcm_s24be", 24, "int", "three bytes"),
    (None, 32, 4, "pcm_s32be", 32, "int", "four bytes"),
    (b"NONE", 16, 2, "pcm_s16be", 16, "int", "AIFF-C without compression"),
    (b"twos", 16, 2, "pcm_s16be", 16, "int", "big endian by name"),
    (b"sowt", 16, 2, "pcm_s16le", 16, "int", "little endian"),
    (b"sowt", 24, 3, "pcm_s24le", 24, "int", "little endian of three bytes"),
    (b"raw ", 8, 1, "pcm_u8", 8, "int", "unsigned"),
    (b"in24", 16, 3, "pcm_s24be", 16, "int", "the name tells the width"),
    (b"in32", 32, 4, "pcm_s32be", 32, "int", "the name tells the width"),
    (b"23ni", 32, 4, "pcm_s32le", 32, "int", "in32 backwards"),
    (b"fl32", 32, 4, "pcm_f32be", 32, "float", "floats"),
    (b"FL64", 64, 8, "pcm_f64be", 64, "float", "doubles"),
    (b"ulaw", 16, 1, "pcm_mulaw", 8, "ulaw", "COMM gives the bits before compression"),
    (b"ALAW", 16, 1, "pcm_alaw", 8, "alaw", "in upper case too"),
]


@pytest.mark.parametrize("compression, bits, width, codec, valid, style, why", KINDS)
def test_every_compression_is_measured(compression, bits, width, codec, valid, style, why):
    for channels in (1, 2):
        described = comm(channels, 100, bits, compression=compression)
        kind = b"AIFF" if compression is None else b"AIFC"
        info = identify(form(described, ssnd(bytes(100 * width * channels)), kind=kind))
        assert (info.container, info.codec, info.samples) == (kind.decode().lower(), codec, 100), (why)
        assert (info.bits_per_sample, info.sample_format, info.channels) == (
            valid,
            style,
            channels,
        ), why
        assert info.duration == 100 / 8000 and info.duration_exact and not info.warnings, why
        assert info.lossless == (style in ("int", "float"))


def test_rates_are_80_bit_floats():
    assert identify(form(comm(rate=RATES[44100]), ssnd(bytes(200)))).sample_rate == 44100
    old = identify(form(comm(rate=RATES[22254], frames=22254), ssnd(bytes(44508))))
    assert old.sample_rate == 22255 and abs(old.duration - 22254 / (22254 + 6 / 11)) < 1e-9


def test_ima4_is_counted_in_packets_or_in_samples():
    for frames, samples in ((3, 192), (192, 192), (150, 150), (0, 192)):
        info = identify(form(comm(1, frames, 16, compression=b"ima4"), ssnd(bytes(34 * 3)), kind=b"AIFC"))
        assert (info.codec, info.samples, info.bits_per_sample) == (
            "adpcm_ima_qt",
            samples,
            None,
        ), frames
    one = identify(form(comm(1, 1, 16, compression=b"ima4"), ssnd(bytes(34)), kind=b"AIFC"))
    assert one.samples == 64, "one packet rather than a packet for one sample"
    cut = identify(form(comm(1, 300, 16, compression=b"ima4"), ssnd(bytes(34 * 3)), kind=b"AIFC"))
    assert cut.samples == 192 and cut.duration_declared == 300 * 64 / 8000


SIZES = [
    # COMM frames, SSND size, samples, declared, truncated, why
    (100, None, 100, None, False, "all agree"),
    (0, 0, 100, None, False, "a pipe: nothing was told"),
    (0xFFFFFFFF, 0xFFFFFFFF, 100, None, False, "a pipe: everything is unknown"),
    (100, 0x7FFFFFFF, 100, None, False, "a pipe, by another program"),
    (0x3F800000, 0x7F000008, 100, None, False, "SoX to a pipe: COMM counts the same fiction"),
    (500, 1008, 100, 500 / 8000, True, "a download that broke"),
    (500, None, 100, 500 / 8000, False, "COMM lies"),
    (50, None, 50, None, False, "COMM rules where there is more"),
]


@pytest.mark.parametrize("frames, size, samples, declared, truncated, why", SIZES)
def test_sizes_that_lie_do_not_move_the_truth(frames, size, samples, declared, truncated, why):
    info = identify(form(comm(frames=frames), ssnd(bytes(200), size)))
    assert (info.samples, info.duration_declared, info.truncated) == (
        samples,
        declared,
        truncated,
    ), why
    assert bool(info.warnings) == (why != "all agree")
    assert info.audio_bytes == 2 * samples, "what is converted is what is told"


def test_samples_may_start_at_an_offset_and_chunks_in_any_order():
    info = identify(form(ssnd(bytes(200), offset=16), comm()))
    assert (info.samples, info.audio_offset) == (100, 12 + 8 + 8 + 16)


def test_texts_and_id3_are_tags():
    texts = [
        chunk(name, text, order=">")
        for name, text in (
            (b"NAME", b"Ttl"),
            (b"AUTH", "Aüth".encode()),
            (b"(c) ", b"C\xe9"),
            (b"ANNO", b"one"),
            (b"ANNO", b"two"),
        )
    ]
    assert identify(form(comm(), *texts, ssnd(bytes(200)))).tags == {
        "title": "Ttl",
        "artist": "Aüth",
        "copyright": "Cé",
        "comment": ["one", "two"],
    }
    tag = chunk(b"ID3 ", id3v2(id3_frame("TIT2", b"\3Id3")), order=">")
    assert identify(form(comm(), texts[0], ssnd(bytes(200)), tag)).tags["title"] == "Id3"


REFUSED = [
    (form(comm(), ssnd(b""), kind=b"8SVX"), NotAudio, "8SVX", "another form"),
    (form(ssnd(bytes(200))), Damaged, "without a COMM chunk", "samples that nothing describes"),
    (form(comm()), Damaged, "no SSND chunk", "a promise alone"),
    (form(comm(), ssnd(b"", 1000))[:-8], Damaged, "", "a head alone"),
    (form(comm(channels=0), ssnd(bytes(200))), NotAudio, "0 channels", "no channels"),
    (form(comm(channels=-1), ssnd(bytes(200))), NotAudio, "-1 channels", "fewer than none"),
    (form(comm(rate=bytes(10)), ssnd(bytes(200))), NotAudio, "0 Hz", "no rate"),
    (form(comm(rate=b"\x7f\xff" + b"\xff" * 8), ssnd(bytes(200))), NotAudio, "Hz", "not a number"),
    (form(comm(bits=0), ssnd(bytes(200))), NotAudio, "0 bits", "no bits"),
    (
        form(comm(compression=b"????"), ssnd(bytes(200)), kind=b"AIFC"),
        NotAudio,
        "'????'",
        "unknown compression",
    ),
    (
        form(comm(), ssnd(bytes(8), offset=8)[:4] + b"\0\0\0\x04" + b"\0\0\0\xff" + bytes(300)),
        Damaged,
        "into itself",
        "an offset beyond the chunk",
    ),
]


@pytest.mark.parametrize("data, kind, words, why", REFUSED)
def test_what_is_not_described_is_refused_in_words(data, kind, words, why):
    error = refusal(data)
    assert type(error) is kind and words in error.reason, f"{why}: {error.reason}"


def test_no_samples_are_no_error_where_none_are_promised():
    assert identify(form(comm(frames=0))).warnings == ("there are no samples",)


SAMPLES = [
    form(comm(), chunk(b"NAME", b"T", order=">"), ssnd(bytes(200))),
    form(comm(1, 2, 16, compression=b"ima4"), ssnd(bytes(68)), kind=b"AIFC"),
]


def test_every_truncation_is_marked_or_refused():
    for whole in SAMPLES:
        for data in truncations(whole):
            info = check(data)
            assert info is None or info.truncated, len(data)


def test_seeded_mutations_are_an_answer_or_a_refusal():
    for seed, whole in enumerate(SAMPLES):
        for data in mutations(whole, 300, seed, head=120):
            check(data)
