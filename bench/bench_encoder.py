"""How many seconds of music the encoder codes in a second of CPU time, beside lame.

    python3 bench/bench_encoder.py [--seconds 15] [--rounds 3]

The item is made of arithmetic (bench/audio_items.py): chords with castanets over them, so that
windows switch.  The best of the rounds counts; tables are built in a round before them, and what
that costs is the first row.  lame runs as a process, its start included, where it is installed.
Runs in the interpreter that calls it; for others: python3.9 bench/bench_encoder.py.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audiokit.codec.encoder import Encoder  # noqa: E402
from bench import audio_items  # noqa: E402

ROWS = [
    (32000, 2, {"bitrate_kbps": 128}),
    (32000, 2, {"quality": 4}),
    (32000, 1, {"bitrate_kbps": 64}),
    (44100, 2, {"bitrate_kbps": 128}),
    (44100, 2, {"bitrate_kbps": 320}),
    (22050, 2, {"bitrate_kbps": 64}),
]


def item(rate: int, channels: int, seconds: float) -> bytes:
    """The PCM that is encoded: five seconds, again and again."""
    tones, clicks = audio_items.chords(rate, 5.0), audio_items.castanets(rate, 5.0)
    mix = [[0.7 * a + 0.3 * b for a, b in zip(*pair)] for pair in zip(tones, clicks)]
    whole = audio_items.pcm_of(mix[:channels])
    length = int(seconds * rate) * 2 * channels
    return (whole * (length // len(whole) + 1))[:length]


def encode(pcm: bytes, rate: int, channels: int, options: dict) -> float:
    """CPU seconds of encoding."""
    begun = time.process_time()
    encoder = Encoder(rate, channels, **options)
    encoder.encode(pcm)
    encoder.finish()
    return time.process_time() - begun


def lame_seconds(pcm: bytes, rate: int, channels: int, kbps: int) -> float:
    """Wall seconds of `lame -q5`."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "a.wav")
        with wave.open(str(source), "wb") as out:
            out.setparams((channels, 2, rate, 0, "NONE", ""))
            out.writeframes(pcm)
        command = ["lame", "--quiet", "-q", "5", "--cbr", "-b", str(kbps), str(source)]
        begun = time.perf_counter()
        subprocess.run([*command, str(Path(folder, "a.mp3"))], check=True)
        return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print("Python %s, %s" % (platform.python_version(), platform.machine()))
    print("%-34s %10s %12s" % ("", "ms a second", "x real time"))
    for number, (rate, channels, options) in enumerate(ROWS):
        pcm = item(rate, channels, arguments.seconds)
        if number == 0:
            start = encode(pcm[: 2 * rate * channels], rate, channels, options)
            print("%-34s %7.0f ms in all" % ("the first second, tables included", 1000 * start))
        encode(pcm, rate, channels, options)
        best = min([encode(pcm, rate, channels, options) for _ in range(arguments.rounds)])
        what = "%d Hz, %d channels, %s" % (rate, channels, "%s %d" % list(options.items())[0])
        share = best / arguments.seconds
        print("%-34s %10.1f %12.1f" % (what.replace("_kbps", ""), 1000 * share, 1 / share))
        if shutil.which("lame") and "bitrate_kbps" in options:
            share = lame_seconds(pcm, rate, channels, options["bitrate_kbps"]) / arguments.seconds
            print("%-34s %10.1f %12.1f" % ("    lame -q5", 1000 * share, 1 / share))


if __name__ == "__main__":
    main()
