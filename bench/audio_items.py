"""Audio for measuring the encoder, made of arithmetic alone: the same on every machine.

Each item is a function (sample_rate, seconds) -> channels, lists of floats within -1 and 1.
"""

from __future__ import annotations

import math
import random
import struct
from typing import Callable, Dict, List, Sequence

Channels = List[List[float]]
TWO_PI = 2 * math.pi


def _silence(rate: int, seconds: float, channels: int, noise: float, rng: random.Random) -> Channels:
    """A floor of noise, as every recording has."""
    count = int(rate * seconds)
    return [[rng.gauss(0, noise) for _ in range(count)] for _ in range(channels)]


def _add(out: Channels, at: int, sound: Sequence[float], gains: Sequence[float]) -> None:
    for channel, gain in zip(out, gains):
        for n, value in enumerate(sound[: len(channel) - at], at):
            channel[n] += gain * value


def _level(out: Channels, peak: float) -> Channels:
    loudest = max(max(map(abs, channel)) for channel in out)
    return [[value * peak / loudest for value in channel] for channel in out]


def chords(rate: int, seconds: float) -> Channels:
    """Plucked notes of fifteen partials, three at a time, panned."""
    rng = random.Random(5)
    out = _silence(rate, seconds, 2, 0.002, rng)
    for beat in range(int(seconds / 0.35)):
        for _ in range(3):
            pitch = 110 * 2 ** (rng.choice((0, 3, 5, 7, 10, 12, 15, 17, 19, 22, 24)) / 12)
            decay, pan = rng.uniform(1.5, 5), rng.random()
            partials = [
                (h * pitch * TWO_PI / rate, rng.uniform(0.3, 1) / h**1.2, rng.random() * TWO_PI)
                for h in range(1, 16)
                if h * pitch < 0.45 * rate
            ]
            note = [
                math.exp(-decay * n / rate)
                * min(1, n / (0.004 * rate))
                * sum([a * math.sin(w * n + p) for w, a, p in partials])
                for n in range(int(0.7 * rate))
            ]
            _add(out, int(beat * 0.35 * rate), note, (1 - 0.7 * pan, 0.3 + 0.7 * pan))
    return _level(out, 0.8)


def castanets(rate: int, seconds: float) -> Channels:
    """Clicks of 20 ms out of near silence, the hardest that block switching knows."""
    rng = random.Random(6)
    out = _silence(rate, seconds, 2, 0.0003, rng)
    at = 0.05
    while at < seconds - 0.1:
        low = rng.uniform(1800, 3200)
        high, pan, loud = low * rng.uniform(1.6, 2.3), rng.random(), rng.uniform(0.3, 0.7)
        click = [
            loud
            * math.exp(-110 * n / rate)
            * (
                math.sin(TWO_PI * low * n / rate)
                + 0.6 * math.sin(TWO_PI * high * n / rate)
                + rng.gauss(0, 0.5)
            )
            for n in range(int(0.05 * rate))
        ]
        _add(out, int(at * rate), click, (0.6 * (1 - 0.6 * pan), 0.6 * (0.4 + 0.6 * pan)))
        at += rng.choice((0.06, 0.12, 0.12, 0.24, 0.35))
    return out


def speech(rate: int, seconds: float) -> Channels:
    """One channel: glottal pulses through three gliding formants, hisses and stops between."""
    rng = random.Random(7)
    out = _silence(rate, seconds, 1, 0.0005, rng)
    at = 0.1
    while at < seconds - 0.3:
        length = int(rng.uniform(0.08, 0.22) * rate)
        if rng.random() < 0.3:
            sound = _resonate([rng.gauss(0, 0.1) for _ in range(length // 2)], rate, [(5500, 1500)])
        else:
            pitch, glide = rng.uniform(90, 180), rng.uniform(-30, 30)
            source, phase = [], 0.0
            for n in range(length):
                phase += (pitch + glide * n / length) / rate
                source.append(1.0 if phase >= 1 else 0.0)
                phase %= 1
            formants = [(rng.uniform(300, 800), 70), (rng.uniform(900, 2200), 100), (2700, 160)]
            sound = _resonate(source, rate, formants)
        fade = int(0.01 * rate)
        sound = [v * min(1, n / fade, (len(sound) - n) / fade) for n, v in enumerate(sound)]
        _add(out, int(at * rate), sound, (1.0,))
        at += length / rate + rng.choice((0.0, 0.0, 0.06, 0.15))
    return _level(out, 0.6)


def _resonate(source: Sequence[float], rate: int, poles: Sequence[Sequence[float]]) -> List[float]:
    """Two-pole resonances (Hz, bandwidth in Hz), one after another."""
    for hertz, width in poles:
        radius = math.exp(-math.pi * width / rate)
        a, b = 2 * radius * math.cos(TWO_PI * hertz / rate), -radius * radius
        y1 = y2 = 0.0
        out = []
        for x in source:
            y1, y2 = (1 - radius) * x + a * y1 + b * y2, y1
            out.append(y1)
        source = out
    return list(source)


def sweep(rate: int, seconds: float) -> Channels:
    """A sine from 50 Hz to nearly half the sample rate, the same in both channels."""
    count, octaves = int(rate * seconds), math.log(0.46 * rate / 50)
    scale = TWO_PI * 50 * seconds / octaves
    tone = [0.5 * math.sin(scale * (math.exp(octaves * n / count) - 1)) for n in range(count)]
    return [tone, list(tone)]


ITEMS: Dict[str, Callable[[int, float], Channels]] = {
    "chords": chords,
    "castanets": castanets,
    "speech": speech,
    "sweep": sweep,
}


def pcm_of(channels: Channels) -> bytes:
    """Interleaved 16-bit PCM."""
    samples = [round(32767 * max(-1.0, min(1.0, v))) for frame in zip(*channels) for v in frame]
    return struct.pack("<%dh" % len(samples), *samples)
