"""How fast whole conversions are: `python3 bench/bench_convert.py [SECONDS]`.

Each row is one run of the command `resample` on synthesised sound: wall and CPU time (worker processes included),
and how many times faster than the sound plays.  Wall means something on an idle machine only.
"""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path
from typing import List, Tuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audiokit.codec.pcm import wav_header  # noqa: E402

_PROGRAM = [sys.executable, str(ROOT / "audioserver.py"), "resample"]


def sound(seconds: float, rate: int = 44100) -> bytes:
    """A WAV in stereo: a few partials that decay every half second, with some noise."""
    chance = random.Random(1)
    beat = array("h")
    for n in range(rate * 2):
        t = n / rate
        level = math.exp(-6 * (t % 0.5))
        for turn in (1.0, 1.01):
            tone = sum(math.sin(6.2832 * 220 * k * turn * t) / k for k in range(1, 7))
            beat.append(int(6000 * level * tone + chance.uniform(-300, 300)))
    frames = int(seconds * rate)
    pcm = (beat.tobytes() * (int(seconds / 2) + 1))[: 4 * frames]
    return wav_header(rate, 2, frames) + pcm


def run(commands: List[List[str]]) -> Tuple[float, float]:
    """(wall, CPU) in seconds of commands at the same time."""
    before, begun = os.times(), time.monotonic()
    children = [subprocess.Popen(_PROGRAM + words) for words in commands]
    if any([child.wait() for child in children]):
        raise SystemExit("a conversion failed")
    after = os.times()
    cpu = after.children_user + after.children_system
    return time.monotonic() - begun, cpu - before.children_user - before.children_system


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 180.0
    with tempfile.TemporaryDirectory() as folder:
        place = lambda name: os.path.join(folder, name)  # noqa: E731
        for name, length in (("long.wav", seconds), ("half.wav", 30.0), ("clip.wav", 2.0)):
            Path(place(name)).write_bytes(sound(length))
        run([[place("long.wav"), place("long.mp3"), "--rate", "source"]])
        rows = [
            ("MP3 to 32 kHz MP3, 1 worker", "long.mp3", ["--jobs", "1"], 1, seconds),
            ("MP3 to 32 kHz MP3, 2 workers", "long.mp3", ["--jobs", "2"], 1, seconds),
            ("WAV to 32 kHz MP3, 2 workers", "long.wav", ["--jobs", "2"], 1, seconds),
            ("2 s WAV from a cold start", "clip.wav", [], 1, 2.0),
            ("8 WAVs of 30 s at once", "half.wav", ["--jobs", "1"], 8, 30.0),
        ]
        print(f"load before: {os.getloadavg()[0]:.1f}")
        for name, source, more, count, length in rows:
            orders = [[place(source), place(f"out{i}.mp3"), *more] for i in range(count)]
            wall, cpu = run(orders)
            total = count * length
            print(f"{name:30} wall {wall:6.2f} s {total / wall:5.1f} x   CPU {cpu:6.2f} s {total / cpu:5.1f} x", flush=True)


if __name__ == "__main__":
    main()
