"""Audio files from their beginning to their end: converted, and summarised."""

from __future__ import annotations

import io
import struct

import pytest
from format_kinds import chunk, fmt, riff
from support import wav

import audiometa
from audiokit.codec.encoder import Encoder
from audiokit.resampling import samples_out
from audiokit.summarising import summarise
from audiokit.transcoding import Damage, convert
from audiokit.waveform import Kept


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
    source = io.BytesIO(data)
    convert(source, audiometa.identify(source), str(target), what, lambda share: None)
    return target.read_bytes()


def test_channels_go_where_the_channel_mask_says(tmp_path):
    """2.1: the third channel, which alone sounds, is the low-frequency one and is left out."""
    extra = struct.pack("<HIH", 16, 0xB, 1) + bytes.fromhex("000000001000800000aa00389b71")
    sound = struct.pack("<3h", 0, 0, 20000) * 800
    said = riff(fmt(0xFFFE, 3, 8000, 16, extra=extra), chunk(b"data", sound))
    plain = riff(fmt(1, 3, 8000, 16), chunk(b"data", sound))
    what = wanted("wav", 8000, 2)
    assert not any(whole(said, tmp_path / "said", what)[44:])
    assert any(whole(plain, tmp_path / "plain", what)[44:])


def frames_of(seconds, rate):
    """Frames of MP3 of a sine, without an Info frame in front."""
    encoder = Encoder(rate, 1, with_info=False)
    return encoder.encode(wav(seconds, rate)[44:]) + encoder.finish()


PARTS = [frames_of(0.3, 44100), frames_of(0.2, 24000), frames_of(0.25, 16000)]  # all in one read of the source


@pytest.mark.parametrize("rate", [32000, 44100, 24000, 16000])
def test_what_changes_its_rate_within_a_read_is_converted_part_by_part(tmp_path, rate):
    what = wanted("wav", rate, 1, None)
    joined = whole(b"".join(PARTS), tmp_path / "joined", what)
    assert joined[44:] == b"".join(whole(part, tmp_path / "part", what)[44:] for part in PARTS)


def test_the_waveform_of_what_changes_its_rate_is_as_long_as_its_sound(tmp_path):
    source, target = io.BytesIO(b"".join(PARTS)), tmp_path / "peaks"
    assert summarise(source, audiometa.identify(source), str(target), None) == [
        "the sampling rate changes in between"
    ]
    with open(target, "rb") as file:
        kept = Kept(file)
    in_parts = [audiometa.identify(io.BytesIO(part)) for part in PARTS]
    frames = [samples_out(info.samples, info.sample_rate, 44100) for info in in_parts]
    assert (kept.sample_rate, kept.frames) == (44100, sum(frames))


def test_no_sound_at_all_is_refused_in_words(tmp_path):
    with pytest.raises(Damage):
        whole(wav(0.0), tmp_path / "out", wanted())
