"""The WAV family: every codec and every lie that WAV files are known for."""

from __future__ import annotations

import struct

import pytest
from format_kinds import (
    check,
    chunk,
    fmt,
    id3_frame,
    id3v2,
    identify,
    mpeg_frame,
    mutations,
    refusal,
    riff,
    truncations,
)

from audiokit.formats.info import Damaged, NotAudio
from tests.audio_files import eac3_frame

GUID = bytes.fromhex("000000001000800000aa00389b71")
AMBISONIC = bytes.fromhex("00002107d3118644c8c1ca000000")


def extensible(tag, channels=2, bits=24, valid=24, mask=3, guid=GUID):
    extra = struct.pack("<HI", valid, mask) + struct.pack("<H", tag) + guid
    return fmt(0xFFFE, channels, 8000, bits, extra=extra)


CODECS = [
    # format chunk, data, codec, samples, bits, sample_format, lossless, why
    (fmt(1, 1, 8000, 8), bytes(800), "pcm_u8", 800, 8, "int", True, "8 bits are unsigned"),
    (fmt(1, 2, 8000, 16), bytes(800), "pcm_s16le", 200, 16, "int", True, "the commonest"),
    (fmt(1, 1, 8000, 24), bytes(300), "pcm_s24le", 100, 24, "int", True, "three bytes"),
    (
        fmt(1, 1, 8000, 20, block=3),
        bytes(300),
        "pcm_s24le",
        100,
        20,
        "int",
        True,
        "20 bits in three bytes",
    ),
    (fmt(1, 1, 8000, 32), bytes(400), "pcm_s32le", 100, 32, "int", True, "four bytes"),
    (
        fmt(1, 2, 8000, 16, block=0),
        bytes(400),
        "pcm_s16le",
        100,
        16,
        "int",
        True,
        "a block of 0 is a lie",
    ),
    (fmt(3, 1, 8000, 32), bytes(400), "pcm_f32le", 100, 32, "float", True, "floats"),
    (fmt(3, 1, 8000, 64), bytes(800), "pcm_f64le", 100, 64, "float", True, "doubles"),
    (fmt(6, 2, 8000, 8), bytes(200), "pcm_alaw", 100, 8, "alaw", False, "A-law"),
    (fmt(6, 2, 8000, 0), bytes(200), "pcm_alaw", 100, 8, "alaw", False, "A-law that tells no bits"),
    (fmt(7, 2, 8000, 8), bytes(200), "pcm_mulaw", 100, 8, "ulaw", False, "mu-law"),
    (
        fmt(0x11, 1, 8000, 4, block=36),
        bytes(72),
        "adpcm_ima_wav",
        130,
        None,
        None,
        False,
        "65 samples in 36 bytes",
    ),
    (
        fmt(0x11, 2, 8000, 4, block=72),
        bytes(72),
        "adpcm_ima_wav",
        65,
        None,
        None,
        False,
        "the same in stereo",
    ),
    (
        fmt(0x11, 1, 8000, 4, block=36),
        bytes(36 + 20),
        "adpcm_ima_wav",
        98,
        None,
        None,
        False,
        "a short last block",
    ),
    (fmt(0x11, 1, 8000, 4, block=36), bytes(40), "adpcm_ima_wav", 66, None, None, False, "a tail of a header only"),
    (fmt(0x11, 2, 8000, 4, block=72), bytes(72 + 22), "adpcm_ima_wav", 74, None, None, False, "a word for each"),
    (fmt(0x11, 2, 8000, 4, block=72), bytes(72 + 7), "adpcm_ima_wav", 65, None, None, False, "half a header is none"),
    (fmt(0x11, 1, 8000, 3, block=28), bytes(56), "adpcm_ima_wav", 130, None, None, False, "3 bits: 32 in 3 words"),
    (fmt(0x69, 2, 8000, 4, block=72), bytes(144), "adpcm_ima_xbox", 128, None, None, False, "its header is no sample"),
    (fmt(2, 2, 8000, 4, block=78), bytes(78 + 20), "adpcm_ms", 66 + 8, None, None, False, "a short last block"),
    (fmt(0x20, 2, 8000, 4, block=1), bytes(400), "adpcm_yamaha", 400, None, None, False, "4 bits, no blocks"),
    (fmt(0x10, 1, 8000, 3, block=1), bytes(300), "adpcm_oki", 800, None, None, False, "3 bits, no blocks"),
    (fmt(0x31, 1, 8000, 0, block=130), bytes(195), "gsm_ms", 960, None, None, False, "frames, however they are packed"),
    (fmt(0x22, 1, 8000, 1, block=32), bytes(100), "truespeech", 720, None, None, False, "240 samples in 32 bytes"),
    (
        fmt(2, 1, 8000, 4, block=39),
        bytes(78),
        "adpcm_ms",
        132,
        None,
        None,
        False,
        "66 samples in 39 bytes",
    ),
    (
        fmt(0x31, 1, 8000, 0, block=65),
        bytes(130),
        "gsm_ms",
        640,
        None,
        None,
        False,
        "two frames in 65 bytes",
    ),
    (
        fmt(0x45, 1, 8000, 4, block=1),
        bytes(400),
        "adpcm_g726",
        800,
        None,
        None,
        False,
        "G.726 at 32 kbit/s",
    ),
    (
        fmt(0x45, 1, 8000, 2, block=1),
        bytes(400),
        "adpcm_g726",
        1600,
        None,
        None,
        False,
        "G.726 at 16 kbit/s",
    ),
    (
        fmt(0x65, 1, 8000, 8, block=1),
        bytes(400),
        "adpcm_g722",
        800,
        None,
        None,
        False,
        "RFC 2361: G.722, which is not G.726",
    ),
    (
        fmt(0x28F, 2, 8000, 8, block=1),
        bytes(400),
        "adpcm_g722",
        400,
        None,
        None,
        False,
        "G.722: a byte holds two samples",
    ),
    (extensible(1), bytes(600), "pcm_s24le", 100, 24, "int", True, "EXTENSIBLE"),
    (
        extensible(1, valid=20),
        bytes(600),
        "pcm_s24le",
        100,
        20,
        "int",
        True,
        "valid bits are fewer than stored",
    ),
    (
        extensible(3, bits=32, valid=32),
        bytes(800),
        "pcm_f32le",
        100,
        32,
        "float",
        True,
        "EXTENSIBLE floats",
    ),
    (
        extensible(1, guid=AMBISONIC),
        bytes(600),
        "pcm_s24le",
        100,
        24,
        "int",
        True,
        "ambisonic B-format",
    ),
]


@pytest.mark.parametrize("format_chunk, data, codec, samples, bits, style, lossless, why", CODECS)
def test_every_codec_is_measured(format_chunk, data, codec, samples, bits, style, lossless, why):
    info = identify(riff(format_chunk, chunk(b"data", data)))
    assert (info.container, info.codec, info.samples) == ("wav", codec, samples), why
    assert (info.bits_per_sample, info.sample_format, info.lossless) == (bits, style, lossless), why
    assert info.duration == samples / 8000 and info.duration_exact and not info.warnings, why
    assert info.mime == "audio/wav" and info.sample_rate == 8000


SIZES = [
    # size of RIFF, size of data, samples, declared, truncated, why
    (None, None, 100, None, False, "what is right is right"),
    (0xFFFFFFFF, 0xFFFFFFFF, 100, None, False, "ffmpeg to a pipe"),
    (0x7FFFFFFF, 0x7FFFFFD3, 100, None, False, "sox to a pipe"),
    (0x7FFFFFFF, 0x7FFFFFFF, 100, None, False, "a speech service"),
    (0, 0, 100, None, False, "a recorder that never came back to the head"),
    (None, 0, 100, None, False, "only the data chunk was not patched"),
    (1036, 1000, 100, 500 / 8000, True, "a download that broke"),
]


@pytest.mark.parametrize("riff_size, data_size, samples, declared, truncated, why", SIZES)
def test_sizes_that_lie_do_not_move_the_truth(riff_size, data_size, samples, declared, truncated, why):
    info = identify(riff(fmt(), chunk(b"data", b"\1\2" * 100, data_size), size=riff_size))
    assert (info.samples, info.duration_declared, info.truncated) == (
        samples,
        declared,
        truncated,
    ), why
    if truncated or data_size and data_size > 0x7FFF0000:
        assert "the file has 200" in info.warnings[0], why


def test_an_empty_data_chunk_before_others_is_empty():
    info = identify(riff(fmt(), chunk(b"data", b""), chunk(b"LIST", b"INFO" + chunk(b"INAM", b"T"))))
    assert (info.samples, info.tags) == (0, {"title": "T"})
    assert info.warnings == ("there are no samples",)


def test_a_wav_beyond_4_gib_whose_size_wrapped_around_is_measured_by_the_file():
    from audiokit.formats import riff as reader
    from audiokit.formats.source import Source

    head = riff(fmt(1, 2, 48000, 16), chunk(b"data", b"", 1000), size=1036)
    size = len(head) + 1000 + (1 << 32)

    def read_at(offset, length):
        return (head[offset : offset + length] + bytes(length))[: min(length, size - offset)]

    source = Source(read_at, size)
    assert reader.read(source).samples == (1000 + (1 << 32)) // 4
    assert source.bytes_read < 1 << 17, "samples are not read"


def test_a_missing_pad_byte_does_not_hide_what_follows():
    odd = b"odd " + struct.pack("<I", 3) + b"abc"
    for pad in (b"", b"\0"):
        info = identify(riff(fmt(), odd + pad, chunk(b"data", bytes(200)), odd + pad + chunk(b"id3 ", b"")))
        assert info.samples == 100


def test_rf64_and_bw64_tell_their_size_in_ds64():
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 1000, 200, 100, 0))
    for magic, container in ((b"RF64", "rf64"), (b"BW64", "bw64")):
        data = riff(
            ds64,
            fmt(),
            chunk(b"data", bytes(200), 0xFFFFFFFF),
            chunk(b"id3 ", b""),
            magic=magic,
            size=0xFFFFFFFF,
        )
        info = identify(data)
        assert (info.container, info.samples, info.truncated) == (container, 100, False)


RF64_PADDED = [
    # bits, samples that ds64 tells, samples, why
    (8, 33, 33, "ds64 tells how many samples there are, and so that the last byte is none"),
    (24, 0, 33, "a byte more than whole samples is padding, too, where nothing tells their number"),
    (8, 30, 34, "a count that lies by more than a byte of padding is not believed"),
]


@pytest.mark.parametrize("bits, told, samples, why", RF64_PADDED, ids=[row[-1] for row in RF64_PADDED])
def test_rf64_whose_size_counts_its_padding_has_the_samples_of_ds64(bits, told, samples, why):
    size = 33 * bits // 8 + 1
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 1000, size, told, 0))
    data = chunk(b"data", bytes(size), 0xFFFFFFFF)
    info = identify(riff(ds64, fmt(1, 1, 8000, bits), data, magic=b"RF64", size=0xFFFFFFFF))
    assert (info.samples, info.truncated, info.warnings) == (samples, False, ()), why


def test_ds64_tells_the_size_of_other_long_chunks_too():
    ds64 = chunk(b"ds64", struct.pack("<QQQI4sQ4sQ", 1000, 200, 100, 2, b"junk", 36, b"more", 1 << 33))
    long = chunk(b"junk", bytes(36), 0xFFFFFFFF)
    data = riff(ds64, long, fmt(), chunk(b"data", bytes(200), 0xFFFFFFFF), magic=b"BW64", size=0xFFFFFFFF)
    assert identify(data).samples == 100


def test_rf64_and_wave64_to_a_pipe_are_as_long_as_what_came():
    ds64 = chunk(b"ds64", bytes(28))
    data = chunk(b"data", bytes(200), 0xFFFFFFFF)
    piped = [riff(ds64, fmt(), data, magic=b"RF64", size=0xFFFFFFFF), w64(claimed=(1 << 63) - 1)]
    for info in map(identify, piped):
        assert (info.samples, info.duration_declared, info.truncated) == (100, None, False)
        assert "to a pipe" in info.warnings[0]


def test_wave64_whose_size_counts_its_padding_has_the_samples_of_fact():
    tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")
    fact = b"fact" + tail + struct.pack("<QQ", 24 + 8, 101)
    data = b"data" + tail + struct.pack("<Q", 24 + 104) + bytes(104)
    format_chunk = b"fmt " + tail + struct.pack("<Q", 24 + 16) + fmt(7, 1, 8000, 8)[8:]
    body = b"wave" + tail + format_chunk + fact + data
    info = identify(w64()[:16] + struct.pack("<Q", 24 + len(body)) + body)
    assert (info.codec, info.samples, info.warnings) == ("pcm_mulaw", 101, ())
    assert info.audio_bytes == 101, "what is converted is what is told"


def test_a_codec_may_be_named_by_a_guid_without_a_format_tag():
    # MEDIASUBTYPE_DOLBY_DDPLUS and MEDIASUBTYPE_MPEG2_AUDIO; the frames tell what they are
    for guid, data, codec, samples in (
        ("af87fba7022dfb42a4d405cd93843bdd", eac3_frame() * 4, "eac3", 4 * 1536),
        ("2b806de046dbcf11b4d100805f6cbbea", mpeg_frame(0xFFFD8004) * 4, "mp2", 4 * 1152),
    ):
        raw = bytes.fromhex(guid)
        form = extensible(int.from_bytes(raw[:2], "little"), bits=0, valid=0, guid=raw[2:])
        info = identify(riff(form, chunk(b"data", data)))
        assert (info.container, info.codec, info.samples) == ("wav", codec, samples)


def test_rifx_is_big_endian():
    body = riff(fmt(1, 1, 8000, 16, order=">"), chunk(b"data", bytes(200), order=">"), magic=b"RIFX")
    info = identify(body)
    assert (info.container, info.codec, info.samples) == ("wav", "pcm_s16be", 100)


def w64(samples=100, claimed=None):
    tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")
    format_chunk = b"fmt " + tail + struct.pack("<Q", 24 + 16) + fmt()[8:]
    size = 24 + 2 * samples if claimed is None else claimed
    data = b"data" + tail + struct.pack("<Q", size) + bytes(2 * samples)
    body = b"wave" + tail + format_chunk + data
    return (bytes.fromhex("726966662e91cf11a5d628db04c10000") + struct.pack("<Q", 24 + len(body)) + body)


def test_wave64_sizes_include_their_header_and_are_padded_to_eight():
    info = identify(w64())
    assert (info.container, info.codec, info.samples) == ("w64", "pcm_s16le", 100)
    assert identify(w64(claimed=24 + 400)).truncated
    assert identify(w64(101)).samples == 101


def test_fact_tells_where_the_last_block_is_only_filled_up():
    block = fmt(0x11, 1, 8000, 4, block=36)
    for fact, samples, warned in (
        (100, 100, False),
        (130, 130, False),
        (0, 130, False),
        (1000, 130, True),
        (5, 130, True),
    ):
        info = identify(riff(block, chunk(b"fact", struct.pack("<I", fact)), chunk(b"data", bytes(72))))
        assert (info.samples, bool(info.warnings)) == (samples, warned), fact


def test_fact_tells_where_a_block_of_plain_adpcm_is_only_filled_up():
    yamaha = fmt(0x20, 2, 8000, 4, block=64)  # 64 samples, two in a byte of each channel in turn
    for fact, samples, warned in ((100, 100, False), (64, 128, True), (128, 128, False), (0, 128, False)):
        info = identify(riff(yamaha, chunk(b"fact", struct.pack("<I", fact)), chunk(b"data", bytes(128))))
        assert (info.samples, bool(info.warnings)) == (samples, warned), fact


def test_mpeg_audio_in_wav_is_counted_by_frames():
    frames = mpeg_frame() * 20
    info = identify(riff(fmt(0x55, 2, 44100, 0, block=1, byte_rate=1), chunk(b"data", frames)))
    assert (info.container, info.codec, info.samples, info.duration_source) == (
        "wav",
        "mp3",
        20 * 1152,
        "frames",
    )
    assert info.channels == 1 and "the format chunk says 2 channels" in info.warnings[0]


def test_a_codec_without_samples_or_blocks_goes_by_fact_or_by_rate():
    by_fact = identify(
        riff(
            fmt(0x32, 1, 8000, 1, block=41, byte_rate=1067),
            chunk(b"fact", struct.pack("<I", 4800)),
            chunk(b"data", bytes(640)),
        )
    )
    assert (by_fact.duration, by_fact.duration_source, by_fact.duration_exact) == (
        0.6,
        "header",
        True,
    )
    by_rate = identify(riff(fmt(0x161, 2, 44100, 16, block=100, byte_rate=1000), chunk(b"data", bytes(640))))
    assert (by_rate.duration, by_rate.duration_source, by_rate.duration_exact) == (
        0.64,
        "estimate",
        False,
    )


def test_tags_are_of_id3_first_then_info_then_bext():
    info_list = chunk(
        b"LIST",
        b"INFO"
        + chunk(b"INAM", "Tïtel".encode() + b"\0")
        + chunk(b"IART", b"T\xefm\0")
        + chunk(b"ITRK", b"7"),
    )
    bext = chunk(b"bext", b"About it".ljust(256, b"\0") + bytes(64) + b"2021-03-04" + bytes(300))
    tag = chunk(b"id3 ", id3v2(id3_frame("TIT2", "\3Von ID3".encode())))
    assert identify(riff(fmt(), bext, info_list, chunk(b"data", bytes(2)))).tags == {
        "title": "Tïtel",
        "artist": "Tïm",
        "track": "7",
        "description": "About it",
        "date": "2021-03-04",
    }
    assert (identify(riff(fmt(), info_list, chunk(b"data", bytes(2)), tag)).tags["title"] == "Von ID3")


def test_a_tag_in_front_is_stepped_over():
    info = identify(id3v2(id3_frame("TIT2", b"\3T"), padding=50) + riff(fmt(), chunk(b"data", bytes(200))))
    assert (info.container, info.samples, info.tags, info.audio_offset) == (
        "wav",
        100,
        {"title": "T"},
        10 + 12 + 50 + 44,
    )


REFUSED = [
    (b"RIFF\x24\0\0\0AVI LIST", NotAudio, "AVI video", "another form"),
    (
        riff(chunk(b"data", bytes(20))),
        NotAudio,
        "without a format chunk",
        "samples that nothing describes",
    ),
    (riff(fmt()), Damaged, "without a data chunk", "a description of nothing"),
    (riff(fmt(), chunk(b"LIST", b"wavl" + chunk(b"data", bytes(8)))), NotAudio, "(wavl), which is not read", "pieces"),
    (
        riff(fmt(), b"data" + struct.pack("<I", 1000)),
        Damaged,
        "1000 bytes, the file ends before",
        "a head alone",
    ),
    (
        riff(fmt(channels=0, block=2), chunk(b"data", bytes(20))),
        NotAudio,
        "0 channels",
        "no channels",
    ),
    (riff(fmt(rate=0), chunk(b"data", bytes(20))), NotAudio, "at 0 Hz", "no rate"),
    (riff(fmt(bits=0), chunk(b"data", bytes(20))), NotAudio, "0 bits", "no bits"),
    (
        riff(fmt(0x1234), chunk(b"data", bytes(20))),
        NotAudio,
        "unknown codec 0x1234",
        "a codec of nobody",
    ),
    (
        riff(extensible(1, guid=bytes(14)), chunk(b"data", bytes(60))),
        NotAudio,
        "no format tag",
        "a foreign GUID",
    ),
    (
        riff(chunk(b"fmt ", bytes(10)), chunk(b"data", bytes(20))),
        NotAudio,
        "10 bytes",
        "half a description",
    ),
]


@pytest.mark.parametrize("data, kind, words, why", REFUSED)
def test_what_is_not_described_is_refused_in_words(data, kind, words, why):
    error = refusal(data)
    assert type(error) is kind and words in error.reason, f"{why}: {error.reason}"


SAMPLES = [
    riff(fmt(), chunk(b"LIST", b"INFO" + chunk(b"INAM", b"T")), chunk(b"data", bytes(100))),
    w64(20),
    riff(fmt(0x55, 1, 44100, 0, block=1), chunk(b"data", mpeg_frame() * 4)),
]


def test_every_truncation_is_marked_or_refused():
    for whole in SAMPLES:
        for data in truncations(whole):
            info = check(data)
            assert info is None or info.truncated or info.warnings, len(data)


def test_seeded_mutations_are_an_answer_or_a_refusal():
    for seed, whole in enumerate(SAMPLES):
        for data in mutations(whole, 300, seed, head=100):
            check(data)


def test_chunks_are_bounded():
    many = riff(fmt(), *[chunk(b"junk", b"")] * 10000, chunk(b"data", bytes(20)))
    assert "without a data chunk" in refusal(many).reason
