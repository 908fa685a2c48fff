"""How many seconds of sound each part of the codec does in a second of CPU time, beside its peers.

    python3 bench/bench_codec.py [--seconds 20] [--rounds 3] [--node-modules DIR]
    python3 bench/bench_codec.py --beside TREE [--seconds 4] [--rounds 25]

The item is made of arithmetic (bench/audio_items.py): chords with castanets over them, so that
windows switch.  The best of the rounds counts; tables are built in a round before them.  MP3 files
are lame's where it is installed, else our encoder's.  Peers run as processes in the same run, their
start included: lame, ffmpeg, mpg123 from the system, js-mp3 and lamejs from DIR (npm).
Runs in the interpreter that calls it; for others: python3.9 bench/bench_codec.py.

`--beside` compares with another checkout of the project: each round runs a part in one tree and at once
in the other, in a process each.  The median of the rounds' ratios holds where the machine's own speed
does not.
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Callable, Dict, List, Sequence

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audiokit.codec import decoder, hybrid, main_data, synthesis  # noqa: E402
from audiokit.codec.decoder import Decoder  # noqa: E402
from audiokit.codec.encoder import Encoder  # noqa: E402
from audiokit.codec.resample import Resampler  # noqa: E402
from bench import audio_items  # noqa: E402

CHUNK = 1 << 16  # bytes handed over at a time, as the service does

# What the decoder's time is told apart into: module and name of each stage's one function.
STAGES = (
    (main_data, "parse_side_info"),
    (main_data, "read_scalefactors"),
    (main_data, "decode_spectrum"),
    (main_data, "_rows"),
    (hybrid, "gather"),
    (hybrid, "reduce_alias"),
    (hybrid, "imdct36"),
    (hybrid, "_add_short_blocks"),
    (synthesis, "matrix"),
    (decoder, "synthesize"),
    (decoder, "render"),
)

JS_MP3 = """
const Mp3 = require('js-mp3'), fs = require('fs');
const b = fs.readFileSync(process.argv[2]);
const d = Mp3.newDecoder(b.buffer.slice(b.byteOffset, b.byteOffset + b.length));
d.decode();
"""
LAMEJS = """
const fs = require('fs'), path = require('path'), vm = require('vm');
const dir = process.argv[3];
vm.runInThisContext(fs.readFileSync(path.join(dir, 'lamejs', 'lame.all.js'), 'utf8'));
const b = fs.readFileSync(process.argv[2]).subarray(44);
const x = new Int16Array(b.buffer.slice(b.byteOffset, b.byteOffset + b.length));
const n = x.length / 2, l = new Int16Array(n), r = new Int16Array(n);
for (let i = 0; i < n; i++) { l[i] = x[2 * i]; r[i] = x[2 * i + 1]; }
const e = new lamejs.Mp3Encoder(2, +process.argv[4], 128);
for (let i = 0; i < n; i += 1152) e.encodeBuffer(l.subarray(i, i + 1152), r.subarray(i, i + 1152));
e.flush();
"""


def item(rate: int, seconds: float) -> bytes:
    """Stereo PCM: five seconds, again and again."""
    tones, clicks = audio_items.chords(rate, 5.0), audio_items.castanets(rate, 5.0)
    mix = [[0.7 * a + 0.3 * b for a, b in zip(*pair)] for pair in zip(tones, clicks)]
    whole = audio_items.pcm_of(mix)
    length = int(seconds * rate) * 4
    return (whole * (length // len(whole) + 1))[:length]


def cpu(call: Callable[[], object]) -> float:
    """CPU seconds of a call, and of the processes that it waited for."""

    def now() -> float:
        times = os.times()
        return time.process_time() + times.children_user + times.children_system

    begun = now()
    call()
    return now() - begun


def best(call: Callable[[], object], rounds: int) -> float:
    """The least CPU seconds of some rounds, behind one that warms up."""
    call()
    return min(cpu(call) for _ in range(rounds))


def decode(data: bytes) -> bytes:
    """The PCM of an MP3 stream."""
    machine = Decoder()
    parts = [machine.feed(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK)]
    return b"".join(parts) + machine.finish()


def resample(pcm: bytes, rate_in: int, rate_out: int) -> bytes:
    """Stereo PCM at another rate."""
    machine = Resampler(rate_in, rate_out, 2)
    parts = [machine.process(pcm[at : at + CHUNK]) for at in range(0, len(pcm), CHUNK)]
    return b"".join(parts) + machine.finish()


def encode(pcm: bytes, rate: int) -> bytes:
    """Stereo PCM as MP3 of 128 kbit/s."""
    machine = Encoder(rate, 2, bitrate_kbps=128)
    parts = [machine.encode(pcm[at : at + CHUNK]) for at in range(0, len(pcm), CHUNK)]
    return b"".join(parts) + machine.finish()


def stages(data: bytes) -> Dict[str, float]:
    """CPU seconds of each stage of a decode; what a stage calls is within it."""
    spent: Dict[str, float] = {}

    def timed(name: str, call: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(call)
        def wrapper(*args: object, **options: object) -> object:
            begun = time.process_time()
            result = call(*args, **options)
            spent[name] = spent.get(name, 0.0) + time.process_time() - begun
            return result

        return wrapper

    kept = [(module, name, getattr(module, name)) for module, name in STAGES]
    try:
        for module, name, call in kept:
            setattr(module, name, timed(name, call))
        spent["all"] = cpu(lambda: decode(data))
    finally:
        for module, name, call in kept:
            setattr(module, name, call)
    return spent


WORKER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from bench.bench_codec import decode, encode, resample
parts = {
    "decode 128": lambda mp3, pcm44, pcm32: decode(mp3),
    "resample 44.1 to 32": lambda mp3, pcm44, pcm32: resample(pcm44, 44100, 32000),
    "encode 32 kHz": lambda mp3, pcm44, pcm32: encode(pcm32, 32000),
    "whole way": lambda mp3, pcm44, pcm32: encode(resample(decode(mp3), 44100, 32000), 32000),
}
inputs = [open(path, "rb").read() for path in sys.argv[2:]]
for line in sys.stdin:
    begun = time.process_time()
    parts[line.strip()](*inputs)
    print(time.process_time() - begun, flush=True)
"""


def beside(tree: str, inputs: Sequence[Path], seconds: float, rounds: int) -> None:
    """Prints how this tree's parts compare with another's, in alternation."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(Path(root).resolve()), *map(str, inputs)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii",
        )
        for root in (tree, ROOT)
    ]  # fmt: skip

    def ask(worker: subprocess.Popen, what: str) -> float:
        worker.stdin.write(what + "\n")
        worker.stdin.flush()
        return float(worker.stdout.readline())

    print("%-22s %8s %22s %18s" % ("this tree by that", "ratio", "middle half", "least, ms/s"))
    for what in ("decode 128", "resample 44.1 to 32", "encode 32 kHz", "whole way"):
        for worker in workers:
            ask(worker, what)
        pairs = [[ask(worker, what) for worker in workers] for _ in range(rounds)]
        low, middle, high = statistics.quantiles([new / old for old, new in pairs], n=4)
        least = tuple([1000 * min(one) / seconds for one in zip(*pairs)])
        print("%-22s %8.3f %13.3f to %.3f %8.1f, was %.1f" % (what, middle, low, high, *least[::-1]))
    for worker in workers:
        worker.communicate()


def run(*command: str) -> Callable[[], object]:
    """A call that runs a process to its end."""
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def write_wav(path: Path, pcm: bytes, rate: int) -> None:
    """Stereo PCM as a file."""
    with wave.open(str(path), "wb") as out:
        out.setparams((2, 2, rate, 0, "NONE", ""))
        out.writeframes(pcm)


def mp3_files(folder: Path, pcm: bytes) -> Dict[int, Path]:
    """44.1 kHz files of 128 and 320 kbit/s, by bit rate."""
    write_wav(folder / "44.wav", pcm, 44100)
    files = {}
    for bitrate in (128, 320):
        path = files[bitrate] = folder / ("%d.mp3" % bitrate)
        if shutil.which("lame"):
            run("lame", "--quiet", "-b", str(bitrate), str(folder / "44.wav"), str(path))()
        else:
            machine = Encoder(44100, 2, bitrate_kbps=bitrate)
            path.write_bytes(machine.encode(pcm) + machine.finish())
    return files


def peers(folder: Path, mp3: Path, node_modules: str) -> List[tuple]:
    """(what, peer, call) of the peers that this machine has."""
    wav32, out = str(folder / "32.wav"), str(folder / "out.mp3")
    found = []
    if shutil.which("ffmpeg"):
        quiet = ("ffmpeg", "-v", "error", "-y", "-threads", "1", "-i")
        found += [
            ("decode 128", "ffmpeg", run(*quiet, str(mp3), "-f", "null", "-")),
            ("whole way", "ffmpeg", run(*quiet, str(mp3), "-ar", "32000", "-b:a", "128k", out)),
        ]
    if shutil.which("mpg123"):
        found.append(("decode 128", "mpg123", run("mpg123", "-q", "-w", os.devnull, str(mp3))))
    if shutil.which("lame"):
        found.append(("encode 32 kHz", "lame", run("lame", "--quiet", "-b", "128", wav32, out)))
    if shutil.which("node") and node_modules:
        for what, name, script, source in (
            ("decode 128", "js-mp3", JS_MP3, str(mp3)),
            ("encode 32 kHz", "lamejs", LAMEJS, wav32),
        ):
            path = Path(node_modules) / ("bench_%s.js" % name)  # beside what it requires
            path.write_text(script, "utf-8")
            found.append((what, name, run("node", str(path), source, node_modules, "32000")))
    return found


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--node-modules", default="", help="where npm put js-mp3 and lamejs")
    parser.add_argument("--beside", metavar="TREE", help="another checkout, to compare with")
    options = parser.parse_args()
    seconds = options.seconds or (4.0 if options.beside else 20.0)
    rounds = options.rounds or (25 if options.beside else 3)
    print("CPython %s, %s" % (platform.python_version(), platform.platform()))
    pcm44, pcm48, pcm32 = [item(rate, seconds) for rate in (44100, 48000, 32000)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_wav(folder / "32.wav", pcm32, 32000)
        files = mp3_files(folder, pcm44)
        if options.beside:
            for rate, pcm in ((44, pcm44), (32, pcm32)):
                (folder / ("%d.pcm" % rate)).write_bytes(pcm)
            inputs = [files[128], folder / "44.pcm", folder / "32.pcm"]
            beside(options.beside, inputs, seconds, rounds)
            return
        streams = {bitrate: path.read_bytes() for bitrate, path in files.items()}
        whole = lambda: encode(resample(decode(streams[128]), 44100, 32000), 32000)  # noqa: E731
        rows = [
            ("decode 128", "this", lambda: decode(streams[128])),
            ("decode 320", "this", lambda: decode(streams[320])),
            ("resample 44.1 to 32", "this", lambda: resample(pcm44, 44100, 32000)),
            ("resample 48 to 32", "this", lambda: resample(pcm48, 48000, 32000)),
            ("encode 32 kHz", "this", lambda: encode(pcm32, 32000)),
            ("whole way", "this", whole),
        ] + peers(folder, files[128], options.node_modules)
        print("%-22s %-8s %10s %12s" % ("stereo, 128 kbit/s", "", "ms/s", "x realtime"))
        for what, who, call in rows:
            spent = max(best(call, rounds), 0.005)  # a process is counted in hundredths
            print("%-22s %-8s %10.1f %12.1f" % (what, who, 1000 * spent / seconds, seconds / spent))
        print("\nstages of decode 128 (ms/s; render holds those from gather on)")
        for stage, spent in stages(streams[128]).items():
            print("%-22s %10.2f" % (stage, 1000 * spent / seconds))


if __name__ == "__main__":
    main()
