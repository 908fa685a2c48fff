"""How fast audiometa is, beside tinytag and mutagen, in one run and one interpreter.

    python3 bench/bench_audiometa.py [--rounds 20] [--megabytes 40] [--only small,long,refuse]

1. small   the median CPU time of a small file: the corpus where it is at hand,
           else files built here; the readers
           take turns on each file, so that none has a quieter machine
2. long    counting every frame of a long VBR MP3, ADTS and fragmented MP4, built here, in ms a MB
3. refuse  20 MB that are no audio: CPU time, and bytes read

The peers are installed in a virtual environment of the bench; where the index cannot be reached
only audiometa is measured, and it says so.  Runs itself again inside that environment."""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import audiometa  # noqa: E402
from audiokit.formats.source import Source  # noqa: E402
from bench import audio_readers  # noqa: E402
from tests import audio_files  # noqa: E402

CORPUS = ROOT.parent / "shared" / "corpus"
REFUSED_BYTES = 20 << 20
Reader = Callable[[str], Any]


def readers() -> Dict[str, Reader]:
    """audiometa, and the peers that are there."""
    return {"audiometa": audiometa.identify_path, **audio_readers.readers()}


def cpu_ms(call: Callable[[], Any]) -> float:
    """CPU time of one call in milliseconds, whether it answers or refuses."""
    begun = time.process_time_ns()
    try:
        call()
    except Exception:
        pass  # a refusal, in the reader's own way
    return (time.process_time_ns() - begun) / 1e6


# Small files
# ---------------------------------------------------------------------------------------


def small_files(folder: Path) -> List[Path]:
    """Good files of the corpus, else one built here of every kind."""
    if CORPUS.is_dir():
        skipped = ("imposters", "trunc", "other", "flv", "mpegts")
        paths = (path for path in sorted(CORPUS.rglob("*")) if path.is_file())
        return [p for p in paths if p.parent.name not in skipped and p.parent != CORPUS]
    paths = []
    extensions = {
        "opus": ".opus",
        "flac": ".flac",
        "mp3": ".mp3",
        "wav": ".wav",
        "mp4": ".m4a",
        "aiff": ".aiff",
    }
    for name, data in audio_files.every_kind().items():
        path = folder / (name + extensions.get(name, "." + name))
        path.write_bytes(data)
        paths.append(path)
    return paths


def answers(reader: Reader, path: Path) -> bool:
    """Whether the reader says anything of the file."""
    try:
        return reader(str(path)) is not None
    except Exception:
        return False


def small(folder: Path, rounds: int) -> None:
    """Print the median of the files' medians, over files that every reader reads."""
    found = readers()
    files = [path for path in small_files(folder) if all(answers(one, path) for one in found.values())]
    medians: Dict[str, List[float]] = {name: [] for name in found}
    slowest: Dict[str, Tuple[float, str]] = {name: (0.0, "") for name in found}
    for path in files:
        times: Dict[str, List[float]] = {name: [] for name in found}
        for _ in range(rounds):
            for name, reader in found.items():
                times[name].append(cpu_ms(partial(reader, str(path))))
        for name, taken in times.items():
            median = statistics.median(taken)
            medians[name].append(median)
            slowest[name] = max(slowest[name], (median, path.name))
    print(f"\nsmall files: {len(files)} that all read, {rounds} rounds, CPU time of one in ms")
    base = statistics.median(medians["tinytag"]) if "tinytag" in medians else None
    for name, values in medians.items():
        values.sort()
        p50, p90 = statistics.median(values), values[int(0.9 * (len(values) - 1))]
        ratio = f"  {p50 / base:4.1f} x tinytag" if base else ""
        worst = f"{slowest[name][0]:.3f} ({slowest[name][1]})"
        print(f"  {name:<10} p50 {p50:.4f}  p90 {p90:.4f}  most {worst}{ratio}")


# Long files
# ----------------------------------------------------------------------------------------


def vbr_mp3(size: int) -> Iterator[bytes]:
    """MPEG-1 layer III of 44.1 kHz without a note of how long it is, in frames of every bitrate."""
    kbps = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    frames = []
    for index, rate in enumerate(kbps):
        word = 0xFFFB0064 | index + 1 << 12
        frames.append(struct.pack(">I", word) + bytes(144 * rate * 1000 // 44100 - 4))
    chosen = b"".join(random.Random(1).choices(frames, k=2000))
    for _ in range(size // len(chosen) + 1):
        yield chosen


def long_adts(size: int) -> Iterator[bytes]:
    """AAC in ADTS at about 64 kbit/s."""
    chosen = b"".join(audio_files.adts(1, 100 + n * 7 % 171) for n in range(2000))
    for _ in range(size // len(chosen) + 1):
        yield chosen


def _box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), name) + body


def fragmented_mp4(size: int) -> Iterator[bytes]:
    """AAC in MP4 with a fragment a second and all sizes told (ISO/IEC 14496-12, section 8.8)."""
    whole = audio_files.mp4(frames=0)
    moov_at = whole.index(b"moov") - 4
    ftyp_end = struct.unpack(">I", whole[:4])[0]
    moov = whole[moov_at:]
    extends = _box(b"mvex", _box(b"trex", bytes(4), struct.pack(">5I", 1, 1, 1024, 0, 0)))
    yield whole[:ftyp_end] + struct.pack(">I", len(moov) + len(extends)) + moov[4:] + extends
    sizes = [350 + n * 11 % 71 for n in range(43)]
    media = _box(b"mdat", bytes(sum(sizes)))
    written, number = 0, 0
    while written < size:
        number += 1
        run = (
            struct.pack(">II", 0x000201, len(sizes))
            + bytes(4)
            + struct.pack(f">{len(sizes)}I", *sizes)
        )
        time_box = _box(b"tfdt", b"\1\0\0\0", struct.pack(">Q", (number - 1) * 43 * 1024))
        track = _box(b"traf", _box(b"tfhd", b"\0\2\0\0", struct.pack(">I", 1)), time_box, _box(b"trun", run))
        moof = _box(b"moof", _box(b"mfhd", bytes(4), struct.pack(">I", number)), track)
        yield moof + media
        written += len(moof) + len(media)


def long(folder: Path, megabytes: int) -> None:
    """Print what counting costs, and what each reader says of the duration."""
    print(f"\nlong files of {megabytes} MB: CPU time in ms a MB, and the duration that is said")
    kinds = {"mp3": vbr_mp3, "aac": long_adts, "m4a": fragmented_mp4}
    for suffix, build in kinds.items():
        path = folder / f"long.{suffix}"
        with path.open("wb") as file:
            file.writelines(build(megabytes << 20))
        size = path.stat().st_size / 1e6
        for name, reader in readers().items():
            taken = min(cpu_ms(partial(reader, str(path))) for _ in range(3))
            print(f"  {suffix:<4}{name:<10}{taken / size:8.3f} ms/MB  {_said(reader, path)}")
        path.unlink()


def _said(reader: Reader, path: Path) -> str:
    try:
        answer = reader(str(path))
    except Exception as error:
        return f"refused: {error}"[:70]
    seconds = getattr(answer, "duration", None) or getattr(getattr(answer, "info", None), "length", None)
    return "no duration" if seconds is None else f"{seconds:.3f} s"


# What is no audio
# ----------------------------------------------------------------------------------


def no_audio() -> Dict[str, bytes]:
    """20 MB of each kind that is sent by mistake."""
    rng = random.Random(1)
    line = "The quick brown fox jumps over the lazy dog. 0123456789\n"
    return {
        "zeros": bytes(REFUSED_BYTES),
        "FF": b"\xff" * REFUSED_BYTES,
        "text": (line * (REFUSED_BYTES // len(line) + 1)).encode()[:REFUSED_BYTES],
        "UTF-16": (line * (REFUSED_BYTES // len(line) // 2 + 1)).encode("utf-16")[:REFUSED_BYTES],
        "random": rng.getrandbits(8 * (1 << 20)).to_bytes(1 << 20, "big") * (REFUSED_BYTES >> 20),
    }


def refuse(folder: Path) -> None:
    """Print what refusing costs."""
    print(f"\nrefusing {REFUSED_BYTES >> 20} MB that are no audio: CPU time in ms")
    for kind, data in no_audio().items():
        path = folder / "no_audio.mp3"
        path.write_bytes(data)
        with path.open("rb") as file:
            source = Source.of_file(file, len(data))
            reason = ""
            try:
                audiometa.identify_source(source)
            except audiometa.NotAudio as refusal:
                reason = refusal.reason
        texts = []
        for name, reader in readers().items():
            texts.append(f"{name} {cpu_ms(partial(reader, str(path))):.1f}")
        print(f"  {kind:<8}{', '.join(texts)}; {source.bytes_read} bytes read: {reason or 'ACCEPTED'}")
        path.unlink()


# The run
# -------------------------------------------------------------------------------------------


def main(arguments: Optional[List[str]] = None) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="of each small file (default: %(default)s)")
    parser.add_argument("--megabytes", type=int, default=40, help="of long files (default: %(default)s)")
    parser.add_argument("--only", default="small,long,refuse", help="parts (default: %(default)s)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not options.inside:
        program = audio_readers.python()
        if program is not None:
            again = [
                program,
                __file__,
                "--inside",
                *(sys.argv[1:] if arguments is None else arguments),
            ]
            return subprocess.run(again).returncode
    versions = ", ".join(f"{p.name} {p.version}" for p in audio_readers.PACKAGES)
    peers_text = versions if len(readers()) > 1 else "without peers"
    print(
        f"CPython {platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores; "
        f"{peers_text}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        parts = options.only.split(",")
        if "small" in parts:
            small(Path(folder), options.rounds)
        if "long" in parts:
            long(Path(folder), options.megabytes)
        if "refuse" in parts:
            refuse(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
