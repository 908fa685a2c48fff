"""Peaks: every lowest and highest sample is the true one, at every zoom, in every form they are written in."""

from __future__ import annotations

import io
import json
import random
import struct
from array import array

import pytest
from audio_files import aiff
from support import ROOT, wav

import audiometa
from audiokit import waveform
from audiokit.codec.decoder import Decoder
from audiokit.codec.pcm import PcmReader
from audiokit.codec.peaks import PIXEL, Summary, pairs
from audiokit.summarising import _at_first_rate, summarise
from audiokit.transcoding import Piece
from audiokit.waveform import Kept, Span, Torn, Waveform, Writer


def noise(length, seed=1):
    """Bytes of any value, the same each time."""
    return random.Random(seed).getrandbits(8 * length + 8).to_bytes(length + 1, "little")[:length]


EXTREMES = struct.pack("<4h", -32768, 32767, 0, -1)


def by_definition(pcm, channels, pixel):
    """For each pixel and channel the lowest and the highest sample."""
    samples = struct.unpack("<%dh" % (len(pcm) // 2), pcm)
    out = []
    for at in range(0, len(samples), pixel * channels):
        for channel in range(channels):
            some = samples[at : at + pixel * channels][channel::channels]
            out += [min(some), max(some)]
    return out


def summary(pcm, channels, piece=1 << 20):
    made, out = Summary(channels), array("h")
    for at in range(0, len(pcm), piece * 2 * channels):
        out += made.add(pcm[at : at + piece * 2 * channels])
    assert made.frames == len(pcm) // (2 * channels)
    return list(out + made.finish())


def kept(pcm, channels, rate=8000):
    """A kept file of this PCM."""
    file = io.BytesIO()
    writer, made = Writer(file, channels), Summary(channels)
    writer.add(made.add(pcm))
    writer.add(made.finish())
    writer.finish(rate, made.frames)
    file.seek(0)
    return file


LENGTHS = [
    (0, "nothing"), (1, "one sample is lowest and highest"), (255, "not one whole pixel"), (256, "just one"),
    (257, "and a bit"), (5000, "some"), (256 * 256 + 300, "more than a block"),
]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames, why", LENGTHS)
def test_the_quick_way_is_the_definition(frames, why, channels):
    pcm = (noise(2 * channels * frames) + EXTREMES * 200)[: 2 * channels * frames]
    assert summary(pcm, channels) == by_definition(pcm, channels, PIXEL), why


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("value", [-32768, -1, 0, 1, 32767])
def test_a_constant_is_its_own_lowest_and_highest(value, channels):
    pcm = struct.pack("<h", value) * 600 * channels
    assert summary(pcm, channels) == [value] * 3 * 2 * channels


@pytest.mark.parametrize("piece", [1, 255, 256, 257, 1000])
def test_the_pieces_that_come_do_not_matter(piece):
    pcm = noise(4 * 1500)
    assert summary(pcm, 2, piece) == by_definition(pcm, 2, PIXEL)


@pytest.mark.parametrize("pixel", [1, 2, 7, 256])
def test_little_pcm_one_by_one_is_the_definition(pixel):
    pcm = noise(4 * 333)
    assert list(pairs(pcm, 2, pixel)) == by_definition(pcm, 2, pixel)


# -- zoom ---------------------------------------------------------------------------------------------------

RATE, FRAMES = 4000, 500_000  # 125 s
PCM = noise(2 * FRAMES, seed=3)


@pytest.fixture(scope="module")
def long_mono():
    return kept(PCM, 1, RATE)


@pytest.mark.parametrize("start, stop, width", [
    (0.0, None, 1), (0.0, None, 3), (0.0, None, 100), (0.0, None, 1024), (0.0, None, 8192), (10.0, 20.0, 50),
    (20.0, 120.5, 777), (124.9, None, 10), (0.0, 1e9, 64), (3.0, 3.001, 500), (126.0, None, 5),
])
def test_every_zoom_is_the_definition_of_the_part_it_says(long_mono, start, stop, width):
    long_mono.seek(0)
    file = Kept(long_mono)
    wave = file.read(Span(start, stop, width))
    first, end = Span(start, stop, width).frames(RATE, FRAMES)
    pixel = wave.samples_per_pixel
    begin = first // pixel * pixel
    assert wave.length == -(-(end - begin) // pixel) if end > first else wave.length == 0
    assert wave.length <= width + 1
    wanted = by_definition(PCM[2 * begin : 2 * (begin + wave.length * pixel)], 1, pixel)
    assert list(wave.values) == wanted
    if pixel > waveform.FINEST:
        assert wave.length >= min(0.8 * width, (end - first) / pixel) - 1 or pixel == 2 * waveform.FINEST


@pytest.mark.parametrize("frames, width", [(1, 1), (300, 1), (10**6, 1000), (10**10, 1), (10**10, 8192), (0, 5)])
def test_a_zoom_fits_its_width_and_reads_little(frames, width):
    samples, level = waveform.zoom(frames, width)
    unit = waveform.FINEST * 4**level
    assert samples % unit == 0 and -(-frames // samples) <= width
    assert samples // unit <= 20, "numbers that are read a pixel"


@pytest.mark.parametrize("part, width, wanted, why", [
    ((0, 1000), 10, (0, 1000, 100), "finer than 256: the audio itself"),
    ((999, 2000), 100, (990, 2000, 11), "from a whole pixel on"),
    ((0, 2560), 10, None, "256 is kept"),
    ((5, 5), 10, (5, 5, 1), "nothing is a part too"),
])
def test_what_is_finer_than_is_kept_is_made_of_the_audio(part, width, wanted, why):
    assert waveform.deep(part, width) == wanted, why


# -- the kept file ------------------------------------------------------------------------------------------


def test_every_truncation_of_a_kept_file_is_torn():
    data = kept(noise(2 * 3000), 1).getvalue()
    for length in range(len(data)):
        with pytest.raises(Torn):
            Kept(io.BytesIO(data[:length]))
    with pytest.raises(Torn):
        Kept(io.BytesIO(data + b"\0"))
    assert Kept(io.BytesIO(data)).frames == 3000


def test_garbage_is_torn_and_nothing_else():
    rng, whole = random.Random(7), kept(noise(2 * 3000), 1).getvalue()
    for _ in range(2000):
        data = bytearray(whole)
        for _ in range(3):
            data[rng.randrange(32)] = rng.randrange(256)
        try:
            Kept(io.BytesIO(bytes(data))).read(Span(0.0, None, 100))
        except Torn:
            pass


class FailingFile(io.BytesIO):
    """The `at`-th write fails."""

    at = 0

    def write(self, data):
        self.at -= 1
        if self.at == 0:
            raise OSError(28, "full")
        return super().write(data)


def test_whichever_write_fails_the_file_is_torn():
    values = array("h", range(-3000, 3000))
    for at in range(1, 100):
        file = FailingFile()
        file.at = at
        try:
            writer = Writer(file, 1)
            writer.add(values)
            writer.finish(8000, 3000 * waveform.FINEST)
        except OSError:
            with pytest.raises(Torn):
                Kept(io.BytesIO(file.getvalue()))
        else:
            assert at > 4, "head, level 0, level 1, head again"
            return
    raise AssertionError("it never came to an end")


# -- out ----------------------------------------------------------------------------------------------------

WAVE = Waveform(48000, 2, 512, array("h", [-32768, 32767, -257, 257, -256, 255, -1, 1]))


def test_the_json_form_has_the_fields_of_its_document():
    assert json.loads(waveform.as_json(WAVE, 16)) == {
        "version": 2, "channels": 2, "sample_rate": 48000, "samples_per_pixel": 512, "bits": 16, "length": 2,
        "data": [-32768, 32767, -257, 257, -256, 255, -1, 1],
    }


def test_eight_bits_are_rounded_towards_silence():
    assert json.loads(waveform.as_json(WAVE, 8))["data"] == [-128, 127, -1, 1, -1, 0, 0, 0]


@pytest.mark.parametrize("bits, flags, data", [
    (8, 1, bytes([0x80, 0x7F, 0xFF, 1, 0xFF, 0, 0, 0])),
    (16, 0, struct.pack("<8h", -32768, 32767, -257, 257, -256, 255, -1, 1)),
])
def test_the_binary_form_has_the_head_of_its_document(bits, flags, data):
    head = b"".join(value.to_bytes(4, "little") for value in (2, flags, 48000, 512, 2, 2))
    assert waveform.as_dat(WAVE, bits) == head + data


# -- from audio ---------------------------------------------------------------------------------------------


def made(tmp_path, data, region=None):
    """What the worker makes of a file's bytes."""
    source = io.BytesIO(data)
    info = audiometa.identify(source)
    summarise(source, info, str(tmp_path / "peaks"), region)
    return info, io.BytesIO((tmp_path / "peaks").read_bytes())


def riff(kind, bits, channels, data):
    form = struct.pack("<HHIIHH", kind, channels, 8000, 8000 * channels * bits // 8, channels * bits // 8, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


KINDS = [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64), (6, 8), (7, 8)]


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("kind, bits", KINDS)
def test_every_word_of_wav_shows_what_it_converts_to(tmp_path, kind, bits, channels):
    frames = 700
    data = noise(frames * channels * bits // 8)
    if kind == 3:
        values = [random.Random(i).uniform(-1, 1) for i in range(frames * channels)]
        data = struct.pack("<%d%s" % (len(values), "f" if bits == 32 else "d"), *values)
    info, file = made(tmp_path, riff(kind, bits, channels, data))
    out = min(channels, 2)
    wanted = by_definition(PcmReader(info.codec, channels).convert(data), out, 256)
    wave = Kept(file).read(Span(0.0, None, 1024))
    assert (wave.channels, wave.sample_rate, list(wave.values)) == (out, 8000, wanted)


def test_aiff_is_shown(tmp_path):
    data = aiff(frames=800)
    info, file = made(tmp_path, data)
    pcm = PcmReader("pcm_s16be", 1).convert(data[info.audio_offset :])
    assert list(Kept(file).read(Span(0.0, None, 10)).values) == by_definition(pcm, 1, 256)


@pytest.mark.parametrize("part", [(0, 800, 1), (256, 700, 33), (700, 5000, 9), (900, 1000, 5)])
def test_a_region_of_pcm_is_as_fine_as_is_asked_for(tmp_path, part):
    first, stop, pixel = part
    data = wav(0.1)
    _, file = made(tmp_path, data, part)
    wave = Kept(file).everything()
    assert wave.samples_per_pixel == pixel
    assert list(wave.values) == by_definition(data[44 + 2 * first : 44 + 2 * stop], 1, pixel)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("start, stop, width", [
    (0.0, None, 1), (0.0, 3.0, 7), (1.0, 2.0, 25), (1.001, 7.3, 3), (5.0, 9.0, 100), (9.9, None, 2), (0.5, 9.75, 1), (2.0, 9.0, 5),
])
def test_a_wide_region_by_itself_is_what_the_whole_shows_of_it(tmp_path, monkeypatch, channels, start, stop, width):
    monkeypatch.setattr("audiokit.summarising.PIECE", 1000)  # pieces and pixels end apart
    data = riff(1, 16, channels, noise(2 * 80_001 * channels))
    span = Span(start, stop, width)
    _, whole = made(tmp_path, data)
    wanted = Kept(whole).read(span)
    region = waveform.wide(span.frames(8000, 80_001), width, 80_001)
    _, part = made(tmp_path, data, region)
    assert Kept(part).everything() == wanted and wanted.length


@pytest.mark.parametrize("name", ["layer3_44100_joint_all_tools", "layer3_22050_mono_all_tools"])
def test_mp3_shows_what_it_decodes_to(tmp_path, name):
    data = (ROOT / "tests" / "vectors" / f"{name}.mp3").read_bytes()
    decoder = Decoder()
    pcm = decoder.feed(data) + decoder.finish()
    _, file = made(tmp_path, data)
    wave = Kept(file).read(Span(0.0, None, 8192))
    assert (wave.sample_rate, wave.channels) == (decoder.sample_rate, decoder.channels)
    assert list(wave.values) == by_definition(pcm, decoder.channels, 256)


def test_where_the_rate_changes_a_pixel_stays_as_long():
    pieces = [Piece(bytes(4 * 4410), 44100, 0.5), Piece(bytes(4 * 4800), 48000, 1.0)]
    lengths = [(rate, len(pcm) // 4) for rate, pcm in _at_first_rate(iter(pieces), 2)]
    assert {rate for rate, _ in lengths} == {44100}
    assert abs(sum(frames for _, frames in lengths) - 8820) <= 1


def test_what_is_cut_shows_what_is_there(tmp_path):
    whole = wav(0.2)
    for length in range(46, len(whole), 301):
        _, file = made(tmp_path, whole[:length])
        pcm = whole[44 : 44 + (length - 44) // 2 * 2]
        assert list(Kept(file).read(Span(0.0, None, 100)).values) == by_definition(pcm, 1, 256)
