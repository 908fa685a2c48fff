"""What is to be made of which audio: converted how, passed through, or refused before anybody works on it."""

from __future__ import annotations

import pytest

from audiokit.orders import Look, order_of, size_of, wanted_of
from audiokit.wire.problems import Refusal

WAV = Look("wav", "pcm_s16le", 48000, 2, 10.0, 1_536_000, "CBR", False, ())
MP3 = Look("mp3", "mp3", 32000, 2, 10.0, 128_000, "CBR", False, ("a frame is silent",))


def order(look, longest=60.0, name="a song.flac", **given):
    wanted = wanted_of([(key, str(value)) for key, value in given.items()])
    return order_of(wanted, look, name, longest)


@pytest.mark.parametrize("look, given, why", [
    (MP3, {}, "its rate is the default, and no bitrate is asked for"),
    (MP3, {"bitrate": 128, "channels": 2}, "all that is asked for it has"),
    (MP3._replace(bitrate=96_000), {}, "any bitrate will do"),
    (MP3._replace(truncated=True), {}, "an MP3 that was cut is one all the same"),
    (WAV, {"format": "wav", "rate": 48000}, "PCM of 16 bits in WAV"),
    (WAV._replace(channels=1), {"format": "wav", "rate": 48000, "channels": 1}, "of one channel, too"),
])
def test_what_is_as_wanted_is_passed_through(look, given, why):
    made = order(look, **given)
    assert (made.conversion, made.done, made.warnings) == (None, "passthrough", look.warnings), why
    assert size_of(made, look.duration) == 0


@pytest.mark.parametrize("look, given, done, why", [
    (WAV, {}, "converted 48000->32000 mp3 128k stereo", "the defaults"),
    (WAV._replace(channels=1), {}, "converted 48000->32000 mp3 64k mono", "as many channels as there are"),
    (WAV._replace(channels=6), {}, "converted 48000->32000 mp3 128k stereo", "two at most"),
    (WAV, {"quality": 2}, "converted 48000->32000 mp3 q2 stereo", "a quality is no bitrate"),
    (MP3, {"bitrate": 96}, "converted 32000->32000 mp3 96k stereo", "another bitrate"),
    (MP3, {"quality": 4}, "converted 32000->32000 mp3 q4 stereo", "nobody knows the quality of what there is"),
    (MP3._replace(bitrate_mode="VBR"), {"bitrate": 128}, "converted 32000->32000 mp3 128k stereo", "its mean is no bitrate"),
    (MP3, {"channels": 1}, "converted 32000->32000 mp3 64k mono", "fewer channels"),
    (WAV._replace(truncated=True), {"format": "wav", "rate": 48000}, "converted 48000->48000 wav stereo", "its head lies"),
    (WAV._replace(codec="pcm_s24le"), {"format": "wav", "rate": 48000}, "converted 48000->48000 wav stereo", "24 bits"),
    (WAV._replace(container="aiff"), {"format": "wav", "rate": 48000}, "converted 48000->48000 wav stereo", "no WAV"),
])
def test_all_else_is_converted_and_says_how(look, given, done, why):
    made = order(look, **given)
    assert made.done == done and made.conversion.channels in (1, 2), why
    assert made.name == f"a song.{made.conversion.format}"
    assert size_of(made, look.duration) > 0


@pytest.mark.parametrize("look, given, code, why", [
    (WAV._replace(duration=60.5), {}, "too-large", "longer than is converted"),
    (WAV._replace(container="flac", codec="flac"), {}, "unsupported-conversion", "not decoded here"),
    (WAV._replace(sample_rate=1), {}, "unsupported-conversion", "a sample a second"),
    (WAV, {"rate": 44000}, "bad-parameter", "no rate of MP3"),
    (WAV, {"rate": 200_000, "format": "wav"}, "bad-parameter", "more than the resampler makes"),
    (WAV, {"bitrate": 128, "quality": 3}, "bad-parameter", "each decides the other"),
    (WAV, {"bitrate": 128, "format": "wav"}, "bad-parameter", "WAV has none"),
    (WAV, {"id": "x", "source": "a.wav"}, "bad-parameter", "two sources"),
])
def test_what_cannot_be_is_refused_before_anybody_works_on_it(look, given, code, why):
    with pytest.raises(Refusal) as caught:
        order(look, **given)
    assert caught.value.code == code, why


def test_what_has_no_name_is_called_by_what_was_done():
    assert order(WAV, name=None).name == "resampled.mp3"
    assert order(WAV, name=".hidden").name == ".hidden.mp3"
