"""The resampler against its definition: how long, how flat, how clean, and however the input is cut."""

from __future__ import annotations

import math
import random
import struct
from array import array

import pytest

from audiokit.codec.resample import (
    _CONVOLVED,
    _PHASED,
    PASSBAND,
    Resampler,
    _Convolved,
    _Direct,
    _doubling,
    _half_band,
    _Halved,
    _Phased,
    _weights,
    ratio_of,
)

RATES = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000, 176400, 192000]


def tone(hz, rate, frames, level=20000):
    return struct.pack("<%dh" % frames, *[round(level * math.sin(2 * math.pi * hz * n / rate)) for n in range(frames)])


def noise(rng, count):
    """So many samples of any value."""
    return array("h", rng.getrandbits(16 * count).to_bytes(2 * count, "little"))


def run(pcm, rate_in, rate_out, channels=1, **how):
    resampler = Resampler(rate_in, rate_out, channels, **how)
    return resampler.process(pcm) + resampler.finish()


def shorts(pcm):
    return struct.unpack("<%dh" % (len(pcm) // 2), pcm)


def fit(samples, rate, hz):
    """(level of the tone of `hz`, rms of all the rest), the ends left out."""
    samples = samples[len(samples) // 4 : -len(samples) // 4]
    turn = 2 * math.pi * hz / rate
    sines = [math.sin(turn * n) for n in range(len(samples))]
    cosines = [math.cos(turn * n) for n in range(len(samples))]

    def dot(a, b):
        return sum(x * y for x, y in zip(a, b))

    ss, cc, sc = dot(sines, sines), dot(cosines, cosines), dot(sines, cosines)
    ys, yc = dot(samples, sines), dot(samples, cosines)
    det = ss * cc - sc * sc
    a, b = (ys * cc - yc * sc) / det, (yc * ss - ys * sc) / det
    rest = math.sqrt(sum((y - a * s - b * c) ** 2 for y, s, c in zip(samples, sines, cosines)) / len(samples))
    return math.hypot(a, b), rest


QUICK_RATES = (8000, 44100, 48000)  # the others take as long again each, and are slow


@pytest.mark.parametrize(
    "rate_in", [rate if rate in QUICK_RATES else pytest.param(rate, marks=pytest.mark.slow) for rate in RATES]
)
def test_the_output_has_exactly_its_share_of_frames(rate_in):
    for rate_out in RATES:
        if max(ratio_of(rate_in, rate_out)[:2]) > _PHASED:
            continue
        for frames in (0, 1, 2, 499):
            wanted = (2 * frames * rate_out + rate_in) // (2 * rate_in)
            assert len(run(bytes(2 * frames), rate_in, rate_out)) == 2 * wanted, (rate_out, frames)


PAIRS = [(44100, 32000), (48000, 44100), (48000, 32000), (32000, 44100), (8000, 32000), (96000, 32000), (11025, 48000), (44100, 44056)]


@pytest.mark.parametrize("rate_in, rate_out", PAIRS)
@pytest.mark.parametrize("share", [0.05, 0.25, PASSBAND - 0.003])
def test_the_passband_is_flat_and_clean(rate_in, rate_out, share):
    hz = share * min(rate_in, rate_out)
    level, rest = fit(shorts(run(tone(hz, rate_in, rate_in // 8), rate_in, rate_out)), rate_out, hz)
    assert abs(20 * math.log10(level / 20000)) < 0.01
    assert rest < 0.5, "rounding twice is 0.41 of a place; an image or alias would add to it"


@pytest.mark.parametrize("rate_in, rate_out", [(44100, 32000), (96000, 44100), (48000, 32000), (96000, 32000), (32000, 8000)])
def test_what_lies_above_is_gone(rate_in, rate_out):
    hz = (1 - PASSBAND) * rate_out * 1.02
    found = shorts(run(tone(hz, rate_in, rate_in // 4, 32000), rate_in, rate_out))
    assert max(map(abs, found[500:-500])) <= 1, "at the floor of 16 bits"


@pytest.mark.parametrize("rate_in, rate_out", [(48000, 32000), (96000, 32000), (192000, 8000)])
def test_by_design_the_stop_band_is_100_db_down(rate_in, rate_out):
    taps = ratio_of(rate_in, rate_out).taps
    weights = _weights(taps, 0.25, 0.5 * rate_out / rate_in)
    edge = (1 - PASSBAND) * rate_out / rate_in
    for step in range(50):
        turn = 2 * math.pi * (edge + (0.5 - edge) * step / 50)
        real = sum(w * math.cos(turn * k) for k, w in enumerate(weights))
        imaginary = sum(w * math.sin(turn * k) for k, w in enumerate(weights))
        assert math.hypot(real, imaginary) < 1e-5, step


def response(weights, places, turn):
    return abs(sum(w * complex(math.cos(turn * place), math.sin(turn * place)) for w, place in zip(weights, places)))


@pytest.mark.parametrize("up, down", [(320, 441), (147, 160), (147, 320), (129, 130)])
def test_by_design_what_two_steps_leave_is_100_db_down(up, down):
    """Downwards: what the first lets through beyond 1.4531 of the output's rate would fold into its passband."""
    ratio, phases = _doubling(up, down)
    step = ratio.up // 40 or 1
    places, weights = [], []
    for r in range(0, ratio.up, step):  # the filter itself, as densely as it takes
        first, phase = phases[r]
        places += [first + k - r * down / ratio.up for k in range(ratio.taps)]
        weights += [weight / sum(map(sum, (p for _, p in phases[::step]))) for weight in phase]
    for n in range(40):
        edge = (1 + PASSBAND) * up / down + n * 0.01
        assert response(weights, places, 2 * math.pi * edge) < 1e-5, edge
    flat = response(weights, places, 2 * math.pi * PASSBAND * up / down)
    assert abs(20 * math.log10(flat)) < 0.001


def test_by_design_the_half_band_filter_stops_100_db():
    weights = [0.5, *[weight / (1 << 20) for weight in _half_band()]]
    count = len(weights) - 1
    places = [0, *range(1 - count, count, 2)]
    for n in range(60):
        edge = (1 - PASSBAND) / 2
        assert response(weights, places, 2 * math.pi * (edge + (0.5 - edge) * n / 60)) < 1e-5
    assert abs(20 * math.log10(response(weights, places, math.pi * PASSBAND))) < 0.001


@pytest.mark.parametrize("rate_in, rate_out", [(44100, 32000), (48000, 44100), (96000, 11025)])
def test_two_steps_are_what_their_filters_say(rate_in, rate_out):
    """Sum by sum in floats; the samples as wild as samples can be."""
    rng = random.Random(rate_out)
    samples = [rng.choice((-32768, 32767)) for _ in range(700)]
    found = shorts(run(struct.pack("<700h", *samples), rate_in, rate_out))
    up, down = ratio_of(rate_in, rate_out)[:2]
    ratio, phases = _doubling(up, down)
    half = [0.5, *[weight / (1 << 20) for weight in _half_band()]]
    count = len(half) - 1

    def doubled(place):
        group, r = divmod(place, ratio.up)
        first, weights = phases[r]
        at = group * down + first - (ratio.taps // 2 - 1)
        return sum(w * samples[at + k] for k, w in enumerate(weights) if 0 <= at + k < 700) / (1 << 18)

    for n in range(0, len(found), 7):
        value = sum(w * doubled(2 * n + place) for w, place in zip(half, (0, *range(1 - count, count, 2))))
        assert abs(found[n] - min(max(value, -32768), 32767)) < 0.9, n


@pytest.mark.parametrize(
    "rate_in, rate_out",
    [(44100, 32000), (48000, 32000), pytest.param(44100, 44056, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("dither", ["none", "tpdf"])
def test_how_the_input_is_cut_changes_nothing(rate_in, rate_out, dither):
    rng = random.Random(3)
    pcm = noise(rng, 2 * 12000).tobytes()
    whole = run(pcm, rate_in, rate_out, 2, dither=dither)
    resampler = Resampler(rate_in, rate_out, 2, dither=dither)
    out, at = b"", 0
    while at < len(pcm):
        step = 4 * rng.randrange(1, 3000)
        out += resampler.process(pcm[at : at + step])
        at += step
    assert out + resampler.finish() == whole


@pytest.mark.parametrize("rate_in, rate_out", [(44100, 32000), (32000, 44100), (48000, 32000), (44100, 44056)])
def test_segments_put_together_are_the_whole(rate_in, rate_out):
    grain = Resampler(rate_in, rate_out, 1).grain_in
    frames = 2 * grain + 777
    rng = random.Random(4)
    pcm = struct.pack("<%dh" % frames, *[value >> 1 for value in noise(rng, frames)])
    whole = run(pcm, rate_in, rate_out, dither="tpdf")
    out = b""
    for start in (0, grain, 2 * grain):
        stop = min(start + grain, frames)
        part = Resampler(rate_in, rate_out, 1, dither="tpdf", start=start, lead_in=pcm[: 2 * start])
        out += part.process(pcm[2 * start : 2 * stop]) + part.finish(pcm[2 * stop :])
    assert out == whole


def test_full_scale_saturates_and_does_not_wrap():
    square = struct.pack("<h", 32767) * 400 + struct.pack("<h", -32768) * 400
    for rate_out in (32000, 48000):
        found = shorts(run(square * 4, 44100, rate_out))
        inside = [value for n, value in enumerate(found) if 100 < n < len(found) - 100]
        signs = [value > 0 for value in inside]
        changes = sum(a != b for a, b in zip(signs, signs[1:]))
        assert changes <= 8 and max(inside) == 32767 and min(inside) == -32768


def test_channels_do_not_touch_each_other():
    left = tone(997, 48000, 3000)
    both = b"".join(left[n : n + 2] + b"\0\0" for n in range(0, len(left), 2))
    for rate_out in (32000, 44100):
        found = run(both, 48000, rate_out, 2)
        assert found[0::4] + found[1::4] != bytes(len(found) // 2)
        assert not any(found[2::4]) and not any(found[3::4])
        mono = run(left, 48000, rate_out)
        assert found[0::4] == mono[0::2] and found[1::4] == mono[1::2]


def test_dither_has_no_mean_and_two_places_of_width():
    found = shorts(run(bytes(2 * 20000), 48000, 32000, dither="tpdf"))
    assert set(found) == {-1, 0, 1}
    assert abs(sum(found)) / len(found) < 0.03


def test_the_same_rate_is_the_same_bytes():
    assert run(b"\x01\x02\x03\x04", 32000, 32000) == b"\x01\x02\x03\x04"


@pytest.mark.parametrize(
    "rate_in, rate_out, way",
    [
        (48000, 32000, _Convolved),
        (32000, 44100, _Phased),
        (44100, 32000, _Halved),
        (192000, 11025, _Halved),
        (44100, 44056, _Direct),
    ],
)
def test_the_ratio_of_the_rates_chooses_the_way(rate_in, rate_out, way):
    assert type(Resampler(rate_in, rate_out, 1)._way) is way
    up, down = ratio_of(rate_in, rate_out)[:2]
    assert (up * down <= _CONVOLVED) == (way is _Convolved)
    assert (max(up, down) > _PHASED) == (way is _Direct)


@pytest.mark.parametrize("rates", [(999, 32000), (768_001, 32000), (32000, 7999), (32000, 192_001), (0, 0)])
def test_rates_out_of_range_are_named(rates):
    with pytest.raises(ValueError, match="Hz"):
        Resampler(*rates, 1)


@pytest.mark.parametrize("rate_in, rate_out", [(1000, 8000), (7350, 32000), (352_800, 32000), (768_000, 44100)])
def test_sources_may_be_slower_and_faster_than_what_is_made(rate_in, rate_out):
    frames = rate_in // 10
    pcm = b"".join(
        round(16000 * math.sin(2 * math.pi * 300 * i / rate_in)).to_bytes(2, "little", signed=True) for i in range(frames)
    )
    found = array("h", run(pcm, rate_in, rate_out))
    assert len(found) == rate_out // 10
    middle = range(len(found) // 3, 2 * len(found) // 3)
    assert max(abs(found[i] - 16000 * math.sin(2 * math.pi * 300 * i / rate_out)) for i in middle) < 2


def test_the_same_rate_needs_no_range():
    assert run(b"\1\2\3\4", 7350, 7350) == run(b"\1\2\3\4", 384_000, 384_000) == b"\1\2\3\4"
