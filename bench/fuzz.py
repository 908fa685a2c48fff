"""Seeded mutations of small true files: audiometa answers with AudioInfo or NotAudio, quickly, in
little memory.

    python3 bench/fuzz.py [--count 40000] [--seed 1] [--corpus DIR] [--one N]

A mutation is a failure when anything but NotAudio is raised, when it takes more than 0.2 s of CPU
time (on a slow machine longer, by a loop that is timed beside it), or more than 20 MB of memory.  Every failure is
printed with its number, and `--one N` writes that very file to fuzz.bin and runs it
again with its traceback.  The seeds are built here, and taken from the corpus where there is one."""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
import tracemalloc
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import audiometa  # noqa: E402
from audiokit.formats.flac_frame import crc8  # noqa: E402
from audiokit.formats.source import Source  # noqa: E402
from tests import audio_files  # noqa: E402

CORPUS = ROOT.parent / "shared" / "corpus"
MAX_SECONDS = 0.2  # CPU time of one file, on a machine that takes PACE_SECONDS for PACE_READS
PACE_READS, PACE_SECONDS = 60_000, 0.042  # small reads, as a reader walks; a slower machine has as much longer
TRIES = 3  # of a file that takes too long: the machine may have been busy
MAX_BYTES = 20 << 20  # memory at the worst moment of one file
_AAC = f"{2:05b}{4:04b}{2:04b}000"  # an AudioSpecificConfig: LC of 44.1 kHz in stereo
CROWD_BYTES = 1 << 20  # of a crowd: a megabyte of the smallest part that a container has
SEED_BYTES = 1 << 16  # of a file of the corpus: its head and its tail
# Values that length and count fields are given: the edges of every width
_EDGES = tuple(
    value.to_bytes(width, order)
    for width in (1, 2, 4, 8)
    for value in {0, 1, (1 << 8 * width) - 1, 1 << 8 * width - 1, (1 << 8 * width - 1) - 1}
    for order in ("little", "big")
)


class Failure(NamedTuple):
    """A mutation that did not end as it should."""

    number: int
    seed_file: str
    what: str


def seeds(corpus: Optional[Path] = None) -> Dict[str, bytes]:
    """Small files of every kind, by name."""
    found = dict(audio_files.every_kind())
    if corpus and corpus.is_dir():
        for path in sorted(corpus.rglob("*")):
            if path.is_file() and path.suffix != ".json" and path.suffix != ".md":
                data = path.read_bytes()
                if len(data) > SEED_BYTES:
                    data = data[: SEED_BYTES - 4096] + data[-4096:]
                found[str(path.relative_to(corpus))] = data
    return found


def mutated(data: bytes, rng: random.Random) -> bytes:
    """`data` with a few of the faults that files have: bits, fields, holes, repetitions, cuts."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 5, 8, 20))):
        if not out:
            break
        # most structure is at the beginning, some at the very end
        reach = rng.choice((32, 128, 512, len(out), len(out)))
        at = rng.randrange(min(reach, len(out)))
        at = len(out) - 1 - at if rng.random() < 0.15 else at
        kind = rng.randrange(9)
        if kind < 2:
            out[at] ^= 1 << rng.randrange(8)
        elif kind < 4:
            out[at] = rng.randrange(256)
        elif kind < 6:
            edge = rng.choice(_EDGES)
            out[at : at + len(edge)] = edge
        elif kind == 6:
            del out[at : at + rng.choice((1, 4, 16, 300))]
        elif kind == 7:
            out[at:at] = out[at : at + rng.choice((1, 4, 16, 300, 5000))]
        else:
            del out[rng.choice((at, rng.randrange(len(out)))) :]
    return bytes(out)


def numbered(number: int, seed: int, files: Dict[str, bytes]) -> Tuple[str, bytes]:
    """The name of the seed file and the bytes of one mutation: the same for the same arguments."""
    rng = random.Random(seed << 32 | number)
    name = rng.choice(sorted(files))
    return name, mutated(files[name], rng)


def attempt(data: bytes) -> Optional[str]:
    """What went wrong with these bytes, or None."""
    begun = time.process_time()
    try:
        info = audiometa.identify_source(Source.of_bytes(data))
        wrong = _senseless(info)
    except audiometa.NotAudio:
        wrong = None
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{error!r} in {Path(last.filename).name}:{last.lineno}"
    seconds = time.process_time() - begun
    if seconds > MAX_SECONDS and seconds > MAX_SECONDS * slowness():
        return f"{seconds:.2f} s"
    return wrong


def tried(data: bytes) -> Optional[str]:
    """What went wrong with these bytes, be it at the last of TRIES; or None."""
    what = attempt(data)
    for _ in range(TRIES - 1):
        if not what or not what.endswith(" s"):
            break
        what = attempt(data)
    return what


def slowness() -> float:
    """How much longer than where the limit was set a plain walk takes here and now; 1 at least."""
    source = Source.of_bytes(bytes(CROWD_BYTES))
    begun = time.process_time()
    places = []
    for offset in range(0, PACE_READS * 16, 16):
        data = source.read(offset, 16)
        places.append((int.from_bytes(data[:4], "big"), data[4:8]))
    return max(1.0, (time.process_time() - begun) / PACE_SECONDS)


def _senseless(info: audiometa.AudioInfo) -> Optional[str]:
    """A success must tell what it is, and be able to leave as JSON."""
    if not (info.sample_rate > 0 and info.channels > 0 and 0 <= info.duration < float("inf")):
        return f"{info.sample_rate} Hz, {info.channels} channels, {info.duration} s"
    if not (info.container and info.codec and info.mime):
        return "no container, codec or mime"
    return None


def memory(data: bytes) -> int:
    """Bytes of memory that identifying takes at its worst moment."""
    tracemalloc.start()
    try:
        attempt(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def run(count: int, seed: int, files: Dict[str, bytes], memory_every: int = 10) -> List[Failure]:
    """The failures among `count` mutations.

    Memory, which is slow to measure, of every `memory_every`th.
    """
    failures: List[Failure] = []
    for number in range(count):
        name, data = numbered(number, seed, files)
        what = tried(data)
        if not what and number % memory_every == 0:
            used = memory(data)
            what = f"{used >> 20} MB of memory" if used > MAX_BYTES else None
        if what:
            failures.append(Failure(number, name, what))
    return failures


def crowds() -> Dict[str, bytes]:
    """A megabyte of the smallest part of each container: what has no end must end."""
    webm, mp4, flac = audio_files.matroska(), audio_files.mp4(), audio_files.flac()
    mp3 = audio_files.mp3(tag=False)
    parts = {
        "id3 tags": (b"", b"ID3\3\0\0\0\0\0\0"),
        "id3 frames": (b"ID3\3\0\0\0\x3f\x7f\x7f", b"TXXX\0\0\0\5\0\0\0a\0bc"),
        "riff chunks": (b"RIFF\xff\xff\xff\x7fWAVE", b"junk\0\0\0\0"),
        "riff lists": (b"RIFF\xff\xff\xff\x7fWAVE", b"LIST\4\0\0\0INFO"),
        "aiff chunks": (b"FORM\x7f\xff\xff\xffAIFF", b"NAME\0\0\0\0"),
        "ogg pages": (audio_files.opus()[:300], audio_files.ogg_page(0, 960, 7, 2, [b"\xfc"])),
        "ogg streams": (b"", audio_files.ogg_page(2, 0, 7, 0, [b"OpusHead\1\2" + bytes(9)])),
        "mp4 boxes": (mp4[:28], b"\0\0\0\x08free"),
        "mp4 fragments": (mp4, b"\0\0\0\x08moof"),
        "mp4 tracks": (mp4[:28] + b"\0\x10\0\0moov", b"\0\0\0\x08trak"),
        "flac metadata": (flac[:42].replace(b"\x80\0\0\x22", b"\0\0\0\x22"), b"\1\0\0\0"),
        "flac syncwords": (flac, b"\xff\xf8\x39\x18"),
        "flac frames": (flac, _endless_frame()),
        "webm elements": (webm[:40], b"\xec\x80"),
        "webm blocks": (webm, b"\xa3\x85\x81\0\0\x80\xfc"),
        "webm clusters": (webm, b"\x1f\x43\xb6\x75\x80"),
        "webm depth": (webm[:40], b"\x1f\x43\xb6\x75\x01" + b"\xff" * 7),
        "asf objects": (audio_files.asf()[:30], bytes(16) + b"\x18" + bytes(7)),
        "adts frames": (b"", audio_files.adts(1, 9)),
        "adts syncwords": (b"", b"\xff\xf1"),
        "mpeg frames": (b"", b"\xff\xe3\x18\xc4" + bytes(68)),
        "mpeg syncwords": (mp3, b"\xff\xfb\x90\x64\0"),
        "dts frames": (b"", audio_files.dts_frame(size=96, blocks=6)),
        "dts syncwords": (audio_files.dts_frame() * 4, b"\x7f\xfe\x80\x01"),
        "latm elements": (audio_files.latm_element(_AAC), b"\x56\xe0\x01\0"),
        "latm syncwords": (audio_files.latm_element(_AAC) * 4, b"\x56\xff\xff"),
        "ac3 frames": (b"", audio_files.eac3_frame(size=20)),
        "ac3 syncwords": (audio_files.ac3(4), b"\x0b\x77\0\0\x14\x40\0"),
        "amr frames": (b"#!AMR\n", b"\x44\0\0\0\0\0"),
        "musepack 7 frames": (
            audio_files.mpc7()[:28].replace(b"\x14\0\0\0", b"\xff" * 3 + b"\0"),
            b"\0",
        ),
        "musepack 8 packets": (audio_files.mpc8()[:-3], b"AP\3"),
        "wavpack blocks": (audio_files.wv(), audio_files.wv(1, 1)[:32]),
        "dsdiff chunks": (audio_files.dff()[:16], b"FVER" + bytes(8)),
        "caf chunks": (b"caff\0\1\0\0", b"free" + bytes(8)),
        "id3v1 tags": (mp3, b"TAG" + bytes(125)),
    }
    return {
        name: head + part * ((CROWD_BYTES - len(head)) // len(part))
        for name, (head, part) in parts.items()
    }


def _endless_frame() -> bytes:
    """A FLAC frame of 65535 samples, whose codes all are one bit, as far as they are there."""
    head = b"\xff\xf8\x79\x18\0\xff\xfe"
    return head + bytes([crc8(head)]) + b"\x10\0" + b"\xff" * 960


def crowd_failures() -> List[Failure]:
    """The crowds that do not end as they should."""
    failures = []
    for number, (name, data) in enumerate(crowds().items()):
        what = tried(data)
        used = memory(data)
        if what or used > MAX_BYTES:
            failures.append(Failure(number, name, what or f"{used >> 20} MB of memory"))
    return failures


def main(arguments: Optional[List[str]] = None) -> int:
    """Run, print the failures; 1 when there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40_000, help="mutations (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations (default: %(default)s)")
    parser.add_argument("--corpus", type=Path, default=CORPUS, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--one", type=int, metavar="N", help="write mutation N to fuzz.bin and run it alone")
    options = parser.parse_args(arguments)
    files = seeds(options.corpus)
    if options.one is not None:
        name, data = numbered(options.one, options.seed, files)
        Path("fuzz.bin").write_bytes(data)
        print(f"mutation {options.one} of {name}: {len(data)} bytes, in fuzz.bin")
        print(audiometa.identify_source(Source.of_bytes(data)))
        return 0
    begun = time.process_time()
    failures = run(options.count, options.seed, files)
    crowded = crowd_failures()
    for failure in failures:
        print(f"{failure.number}: {failure.seed_file}: {failure.what}")
    for failure in crowded:
        print(f"a crowd of {failure.seed_file}: {failure.what}")
    seconds = time.process_time() - begun
    print(
        f"{options.count} mutations of {len(files)} files, seed {options.seed}: "
        f"{len(failures)} failures; {len(crowds())} crowds: {len(crowded)}; "
        f"{seconds:.0f} s of CPU time"
    )
    return 1 if failures or crowded else 0


if __name__ == "__main__":
    sys.exit(main())
