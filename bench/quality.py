"""How far coding noise lies below what masks it: our encoder and lame, in one run.

    python3 bench/quality.py [--rate 32000] [--kbps 128] [--quality N] [--seconds 5] [FILE.wav ...]

Items are synthesised (bench/audio_items.py); 16-bit WAV files may be added.  One channel gets half
the bitrate.  Everything is decoded by our own decoder.  lame is measured where it is installed.

    nmr     noise-to-mask ratio in dB, mean over bands, frames of 2048 samples (1024 below 32 kHz)
    heard   percent of those frames in which some band's noise passes its mask by 1.5 dB
    attack  the same ratio in frames of 256 samples, the mask being of what came before: pre-echo
    snr     segmental signal-to-noise ratio in dB, frames of 512 samples, limited to -10..60

The ear model follows BS.1387's: FFT, outer ear, bands of a quarter Bark, spreading that depends on
level, forward masking; simpler, its figures are for comparing and are no ODG.  It shares no code
with the encoder's own model.
"""

from __future__ import annotations

import argparse
import cmath
import math
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
import wave
from functools import lru_cache
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audiokit.codec.decoder import Decoder  # noqa: E402
from audiokit.codec.encoder import Encoder  # noqa: E402
from bench import audio_items  # noqa: E402

FULL_SCALE_DB = 92.0  # the loudness of a full-scale sine


# The ear
# ---------------------------------------------------------------------------------------


@lru_cache(maxsize=None)
def _turns(size: int) -> List[complex]:
    return [cmath.exp(-2j * math.pi * n / size) for n in range(size // 2)]


def fft(values: Sequence[complex]) -> List[complex]:
    """The discrete Fourier transform of a power of two of values."""
    size = len(values)
    if size == 1:
        return list(values)
    even, odd = fft(values[0::2]), fft(values[1::2])
    odd = [w * value for w, value in zip(_turns(size), odd)]
    return [a + b for a, b in zip(even, odd)] + [a - b for a, b in zip(even, odd)]


class Ear:
    """Masks and noise of frames of `size` samples, half overlapping."""

    def __init__(self, rate: int, size: int) -> None:
        self.size, self.hop = size, size // 2
        self._window = [0.5 - 0.5 * math.cos(2 * math.pi * n / size) for n in range(size)]
        hertz = [max(n, 0.5) * rate / size for n in range(size // 2 + 1)]
        gain = 10 ** (FULL_SCALE_DB / 10) / (32768 * size / 4) ** 2
        self._weights = [gain * 10 ** (self._outer_ear(f) / 10) for f in hertz]
        # Bands of a quarter Bark (Schroeder), each at least one line wide.
        edges, self.centres = [0], []
        while edges[-1] <= size // 2:
            bark = 7 * math.asinh(edges[-1] * rate / size / 650) + 0.25
            edges.append(max(edges[-1] + 1, round(650 * math.sinh(bark / 7) * size / rate)))
            self.centres.append((edges[-2] + edges[-1]) / 2 * rate / size)
        self._edges = [min(edge, size // 2 + 1) for edge in edges]
        barks = [7 * math.asinh(f / 650) for f in self.centres]
        self._steps = [b - a for a, b in zip(barks, barks[1:])]
        self._offsets = [10 ** (-(3.0 if z <= 12 else 0.25 * z) / 10) for z in barks]
        self._floor = [10 ** (0.4 * 0.364 * (f / 1000) ** -0.8) for f in self.centres]
        times = [0.008 + 100 / max(f, 50) * 0.022 for f in self.centres]
        self._decay = [math.exp(-self.hop / rate / t) for t in times]

    @staticmethod
    def _outer_ear(hertz: float) -> float:
        k = hertz / 1000
        return -2.184 * k**-0.8 + 6.5 * math.exp(-0.6 * (k - 3.3) ** 2) - 0.001 * k**3.6

    def _bands(self, powers: Sequence[float]) -> List[float]:
        return [sum(powers[a:b]) for a, b in zip(self._edges, self._edges[1:])]

    def _spread(self, energy: Sequence[float]) -> List[float]:
        out = [e + floor for e, floor in zip(energy, self._floor)]
        for n, step in enumerate(self._steps):
            slope = max(24 + 230 / self.centres[n] - 2 * math.log10(out[n]), 4.0)
            out[n + 1] += out[n] * 10 ** (-slope * step / 10)
        for n in range(len(out) - 2, -1, -1):
            out[n] += out[n + 1] * 10 ** (-2.7 * self._steps[n])
        return out

    def ratios(self, before: Sequence[int], after: Sequence[int]) -> Iterator[List[float]]:
        """Noise / mask of every band, frame by frame."""
        mask = list(self._floor)
        for at in range(0, len(before) - self.size + 1, self.hop):
            x, y = before[at : at + self.size], after[at : at + self.size]
            both = fft([complex(a, b) * w for a, b, w in zip(x, y, self._window)])
            back = both[:1] + both[:0:-1]
            powers, noise = [], []
            for z, mirror, weight in zip(both, back, self._weights):
                a = abs(z + mirror.conjugate()) / 2
                b = abs(z - mirror.conjugate()) / 2
                powers.append(a * a * weight)
                noise.append((a - b) ** 2 * weight)
            spread = self._spread(self._bands(powers))
            mask = [
                max(now, decay * old + (1 - decay) * now)
                for now, old, decay in zip(spread, mask, self._decay)
            ]
            yield [n / (m * offset) for n, m, offset in zip(self._bands(noise), mask, self._offsets)]


def decibels(ratio: float) -> float:
    return 10 * math.log10(max(ratio, 1e-9))


def figures(pcm: bytes, coded: bytes, rate: int, channels: int) -> Tuple[float, ...]:
    """(nmr, heard, attack, snr) of a coded signal."""
    a, b = (struct.unpack("<%dh" % (len(one) // 2), one) for one in (pcm, coded))
    long_ear, short_ear = Ear(rate, 2048 if rate >= 32000 else 1024), Ear(rate, 256)
    means: List[float] = []
    heard: List[bool] = []
    attacks: List[float] = []
    segments: List[float] = []
    for channel in range(channels):
        x, y = a[channel::channels], b[channel::channels]
        for ratios in long_ear.ratios(x, y):
            means.append(sum(ratios) / len(ratios))
            heard.append(max(ratios) > 10**0.15)
        attacks += [sum(ratios) / len(ratios) for ratios in short_ear.ratios(x, y)]
        for at in range(0, len(x) - 511, 512):
            signal = sum([v * v for v in x[at : at + 512]])
            noise = sum([(v - w) ** 2 for v, w in zip(x[at : at + 512], y[at : at + 512])])
            if signal > 512 * 100:
                segments.append(min(max(decibels(signal / (noise + 40)), -10), 60))
    return (
        decibels(sum(means) / len(means)),
        100 * sum(heard) / len(heard),
        decibels(sum(attacks) / len(attacks)),
        sum(segments) / max(len(segments), 1),
    )


# The encoders
# ---------------------------------------------------------------------------------------


def ours(pcm: bytes, rate: int, channels: int, kbps: int, quality: Optional[int]) -> bytes:
    """Our MP3."""
    options = {"bitrate_kbps": kbps} if quality is None else {"quality": quality}
    encoder = Encoder(rate, channels, **options)
    out = encoder.encode(pcm) + encoder.finish()
    info = encoder.info_frame()
    return info + out[len(info) :]


def lame(pcm: bytes, rate: int, channels: int, kbps: int, quality: Optional[int]) -> bytes:
    """lame -q5's."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "a.wav"), Path(folder, "a.mp3")
        with wave.open(str(source), "wb") as out:
            out.setparams((channels, 2, rate, 0, "NONE", ""))
            out.writeframes(pcm)
        how = ["--cbr", "-b", str(kbps)] if quality is None else ["-V", str(quality)]
        command = ["lame", "--quiet", "-q", "5", "--resample", str(rate / 1000)]
        subprocess.run(command + how + [str(source), str(target)], check=True)
        return target.read_bytes()


def items(arguments: argparse.Namespace) -> Iterator[Tuple[str, int, int, bytes]]:
    """(name, rate, channels, PCM) of everything to be measured."""
    for name, make in audio_items.ITEMS.items():
        channels = make(arguments.rate, arguments.seconds)
        yield name, arguments.rate, len(channels), audio_items.pcm_of(channels)
    for path in arguments.files:
        with wave.open(path) as file:
            if file.getsampwidth() != 2:
                sys.exit("quality: %s is not 16-bit" % path)
            pcm = file.readframes(int(arguments.seconds * file.getframerate()))
            yield Path(path).stem, file.getframerate(), file.getnchannels(), pcm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="FILE.wav")
    parser.add_argument("--rate", type=int, default=32000, help="of the synthesised items, Hz")
    parser.add_argument("--kbps", type=int, default=128, help="of two channels")
    parser.add_argument("--quality", type=int, help="0 to 9: variable rate instead")
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    encoders = {"ours": ours}
    if shutil.which("lame"):
        encoders["lame"] = lame
    print("Python %s, %s" % (platform.python_version(), platform.machine()))
    if "lame" not in encoders:
        print("lame is not installed: only ours is measured")
    row = "%-12s %-6s %7s %7s %7s %7s %7s"
    print(row % ("item", "coder", "kbit/s", "nmr", "heard", "attack", "snr"))
    totals: Dict[str, List[Tuple[float, ...]]] = {}
    for name, rate, channels, pcm in items(arguments):
        kbps = arguments.kbps * channels // 2
        for coder, encode in encoders.items():
            data = encode(pcm, rate, channels, kbps, arguments.quality)
            decoder = Decoder()
            coded = decoder.feed(data) + decoder.finish()
            values = figures(pcm, coded[: len(pcm)].ljust(len(pcm), b"\0"), rate, channels)
            spent = len(data) * 8 / (len(pcm) / 2 / channels / rate) / 1000
            totals.setdefault(coder, []).append((spent, *values))
            print(row % (name, coder, *("%.1f" % v for v in (spent, *values))), flush=True)
    for coder, rows in totals.items():
        means = [sum(column) / len(column) for column in zip(*rows)]
        print(row % ("mean", coder, *("%.1f" % v for v in means)))


if __name__ == "__main__":
    main()
