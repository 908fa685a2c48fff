"""Conversions as a worker does them: whole files, and segments that put together are the whole."""

from __future__ import annotations

import io
import os

import audio_files
import pytest
from support import wav

import audiometa
from audiokit import conversion_worker as worker
from audiokit.codec.decoder import Decoder


def wanted(format="mp3", rate=32000, channels=2, bitrate=128, quality=None, dither="none"):
    return {
        "format": format,
        "rate": rate,
        "channels": channels,
        "bitrate": bitrate,
        "quality": quality,
        "dither": dither,
    }


def whole(data, target, what):
    """The result of a conversion in one go."""
    worker.convert(
        io.BytesIO(data),
        str(target),
        what,
        lambda file: audiometa.identify(file),
        lambda share: None,
    )
    return target.read_bytes()


def in_segments(data, target, what):
    """The result of a conversion in segments, and how many there were."""
    source = io.BytesIO(data)
    info = audiometa.identify(source)
    segments = worker.segments_of(info, what)
    parts = [str(target) + f".{number}" for number in range(len(segments))]
    shares = []
    for (first, end), part in zip(segments, parts):
        is_last = part is parts[-1]
        worker.convert_segment(source, info, part, what, first, end, is_last, shares.append)
        assert shares[-1] == 1.0
    samples = worker._samples_out(segments[-1][1], info.sample_rate, what["rate"])
    worker.join(parts, str(target), what, samples)
    return target.read_bytes(), len(segments)


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    monkeypatch.setattr(worker, "_SEGMENT", 1)


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
def test_segments_of_pcm_are_the_whole_bit_for_bit(
    tmp_path, rate, channels, rate_out, channels_out
):
    data = wav(2.7, rate, channels)
    what = wanted("wav", rate_out, channels_out, None)
    joined, count = in_segments(data, tmp_path / "joined", what)
    assert count > 2 and joined == whole(data, tmp_path / "whole", what)
    assert not list(tmp_path.glob("joined.*"))


@pytest.mark.parametrize(
    "rate, what",
    [
        (48000, wanted()),
        (32000, wanted(channels=1, bitrate=64)),
        (48000, wanted(bitrate=None, quality=5)),
        (16000, wanted(rate=16000, channels=1, bitrate=32)),
    ],
)
def test_segments_of_mp3_are_one_stream_of_the_same_sound(tmp_path, rate, what):
    data = wav(2.9, rate, what["channels"])
    joined, count = in_segments(data, tmp_path / "joined", what)
    assert count > 1
    info = audiometa.identify(io.BytesIO(joined))
    assert (info.samples, info.warnings) == (round(2.9 * what["rate"]), ())
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
    assert (
        worst < 2000
    )  # the first frames of a segment have fewer bits to spend: a few per cent of the sine's 16,000


def test_what_is_short_is_one_segment(tmp_path):
    assert len(worker.segments_of(audiometa.identify(io.BytesIO(wav(1.1, 48000))), wanted())) == 1


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000, 44101])
def test_segments_cover_the_input_without_a_gap(rate):
    info = audiometa.identify(io.BytesIO(wav(0.1, rate)))
    for frames in (1, 799, 10**6, 10**8 + 7):
        long = audiometa.AudioInfo(**{**vars(info), "audio_bytes": 2 * frames})
        edges = worker.segments_of(long, wanted())
        assert edges[0][0] == 0 and edges[-1][1] == frames
        assert all(one[1] == two[0] for one, two in zip(edges, edges[1:])) and all(
            a < b for a, b in edges
        )


def test_mp3_comes_in_one_piece():
    assert len(worker.segments_of(audiometa.identify(io.BytesIO(audio_files.mp3())), wanted())) == 1


def test_no_sound_at_all_is_refused_in_words(tmp_path):
    with pytest.raises(worker.Damage):
        whole(wav(0.0), tmp_path / "out", wanted())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_told_as_such(tmp_path):
    source = tmp_path / "in.wav"
    source.write_bytes(wav(0.5))
    order = {"source": str(source), "target": "/dev/full", "conversion": wanted()}
    said = worker._carried_out(order, audiometa.identify)
    assert said["failure"] == "no-space"
