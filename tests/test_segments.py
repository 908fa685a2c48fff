"""Long conversions in segments: put together they are the whole."""

from __future__ import annotations

import io
from functools import lru_cache

import pytest
from support import wav
from test_transcoding import wanted, whole

import audiometa
from audiokit.codec.decoder import Decoder
from audiokit.codec.encoder import Encoder
from audiokit.segments import convert_segment, join, plan, reported
from audiokit.transcoding import convert


def in_segments(data, target, what):
    """The result of a conversion in segments, and how many there were."""
    source = io.BytesIO(data)
    info = audiometa.identify(source)
    segments = plan(source, info, str(target), what)
    shares = []
    for number, (first, end) in enumerate(segments):
        part = (number, first, end)
        convert_segment(source, audiometa.identify, str(target), what, part, shares.append)
        assert shares[-1] == 1.0
    parts = [f"{target}.{number}" for number in range(len(segments))]
    join(parts, str(target), what, segments[-1][1])
    assert reported(str(target), len(segments)) == []
    return target.read_bytes(), len(segments)


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    monkeypatch.setattr("audiokit.segments.SEGMENT_S", 0.5)


@pytest.mark.parametrize(
    "rate, channels, rate_out, channels_out",
    [
        (48000, 2, 32000, 2),
        (48000, 1, 32000, 2),
        (32000, 2, 32000, 1),
        (16000, 1, 8000, 1),
        (8000, 1, 48000, 1),
    ],
)
def test_segments_of_pcm_are_the_whole_bit_for_bit(tmp_path, rate, channels, rate_out, channels_out):
    data = wav(1.1, rate, channels)
    what = wanted("wav", rate_out, channels_out, None)
    joined, count = in_segments(data, tmp_path / "joined", what)
    assert count > 1 and joined == whole(data, tmp_path / "whole", what)
    assert not list(tmp_path.glob("joined.*"))


@pytest.mark.parametrize(
    "rate, what",
    [
        (48000, wanted()),
        (32000, wanted(channels=1, bitrate=64)),
        pytest.param(48000, wanted(bitrate=None, quality=5), marks=pytest.mark.slow),
        (16000, wanted(rate=16000, channels=1, bitrate=32)),
    ],
)
def test_segments_of_mp3_are_one_stream_of_the_same_sound(tmp_path, rate, what):
    data = wav(1.1, rate, what["channels"])
    joined, count = in_segments(data, tmp_path / "joined", what)
    assert count > 1
    info = audiometa.identify(io.BytesIO(joined))
    assert (info.samples, info.warnings) == (round(1.1 * what["rate"]), ())
    decoder, other = Decoder(), Decoder()
    pcm = decoder.feed(joined) + decoder.finish()
    reference = whole(data, tmp_path / "whole", what)
    expected = other.feed(reference) + other.finish()
    assert len(pcm) == len(expected) and not decoder.report.warnings
    worst = max(
        abs(
            int.from_bytes(pcm[at : at + 2], "little", signed=True)
            - int.from_bytes(expected[at : at + 2], "little", signed=True)
        )
        for at in range(0, len(pcm), 2)
    )
    # The first frames of a segment have fewer bits to spend: a few per cent of the sine's 16,000.
    assert worst < 2000


@pytest.mark.parametrize("dither", ["none", pytest.param("tpdf", marks=pytest.mark.slow)])
@pytest.mark.parametrize("rate, channels, rate_out", [(44100, 2, 32000), (22050, 1, 16000)])
def test_segments_of_mp3_are_decoded_and_resampled_bit_for_bit(tmp_path, rate, channels, rate_out, dither):
    source = layer3(1.1 if dither == "none" else 4.6, rate, channels)
    what = wanted("wav", rate_out, channels, None, dither=dither)
    joined, count = in_segments(source, tmp_path / "joined", what)
    assert count > 1 and joined == whole(source, tmp_path / "whole", what)
    assert not list(tmp_path.glob("joined.*"))


def test_an_mp3_is_looked_at_for_its_plan_and_not_for_each_segment(tmp_path):
    def identify(file):
        raise AssertionError("that takes longer than a segment where the file is long")

    source, what, target = io.BytesIO(layer3(1.1, 44100, 2)), wanted("wav"), str(tmp_path / "joined")
    segments = plan(source, audiometa.identify(source), target, what)
    for number, part in enumerate(segments):
        convert_segment(source, identify, target, what, (number, *part), print)


def test_mp3_to_mp3_in_segments_has_exactly_the_samples(tmp_path):
    source = layer3(1.1, 44100, 2)
    joined, count = in_segments(source, tmp_path / "joined", wanted())
    info = audiometa.identify(io.BytesIO(joined))
    assert (count, info.samples, info.warnings) == (2, round(1.1 * 32000), ())


def test_damage_is_counted_once_though_segments_overlap(tmp_path):
    source = bytearray(layer3(1.6, 44100, 2))
    for place in (len(source) // 3, len(source) // 2):
        source[place : place + 300] = bytes(300)
    what = wanted("wav", 32000, 2, None)
    target = tmp_path / "joined"
    file = io.BytesIO(source)
    info = audiometa.identify(file)
    segments = plan(file, info, str(target), what)
    for number, (first, end) in enumerate(segments):
        convert_segment(file, audiometa.identify, str(target), what, (number, first, end), print)
    expected = convert(file, info, str(tmp_path / "whole"), what, print)
    assert len(segments) == 3 and reported(str(target), 3) == expected != []


@lru_cache(maxsize=None)
def layer3(seconds, rate, channels):
    """A stream of MP3 of a sine."""
    encoder = Encoder(rate, channels)
    head = encoder.encode(wav(seconds, rate, channels)[44:]) + encoder.finish()
    info = encoder.info_frame()
    return info + head[len(info) :]


def test_what_is_short_is_made_in_one_piece(tmp_path):
    source = io.BytesIO(wav(0.6, 48000))
    assert plan(source, audiometa.identify(source), str(tmp_path / "x"), wanted()) is None


def test_a_join_that_breaks_off_can_be_done_again(tmp_path):
    wanted = {"format": "wav", "rate": 8000, "channels": 1, "bitrate": None, "quality": None}
    parts = [str(tmp_path / f"target.{number}") for number in range(2)]
    (tmp_path / "target.0").write_bytes(b"\x01\x00")
    with pytest.raises(FileNotFoundError):
        join(parts, str(tmp_path / "target"), wanted, 2)
    (tmp_path / "target.1").write_bytes(b"\x02\x00")
    join(parts, str(tmp_path / "target"), wanted, 2)
    assert (tmp_path / "target").read_bytes()[44:] == b"\x01\x00\x02\x00"
