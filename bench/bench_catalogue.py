"""How long the catalogue takes for each filter of /list, at any number of files.

    python3 bench/bench_catalogue.py                        10,000 and 1,000,000 files, in a temporary folder
    python3 bench/bench_catalogue.py --rows 10000000 --data DIR      keeps the folder; a second run uses it again
    python3 bench/bench_catalogue.py --rows 100000 --data DIR --seed-only    a folder for other benches to serve

The rows are invented and have no bytes.  Each line: the page alone in SQL, without totals and choosing, as CPU time
of this process; then the whole of `Pages.page`, first time (everything counted anew) and repeated; milliseconds.
"""

from __future__ import annotations

import argparse
import platform
import random
import re
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audiokit import listing, migrations  # noqa: E402
from audiokit.blobs import FileOps  # noqa: E402
from audiokit.catalogue import Catalogue, pages  # noqa: E402
from audiokit.catalogue.rows import added, row_of, when  # noqa: E402
from audiometa import FAMILY  # noqa: E402

SCHEMA = (ROOT / "schema.sql").read_text("utf-8")
START_MS = 1_700_000_000_000
WORDS = (
    "piano violin moon night river drum bass voice field rain street choir organ guitar wind bell forest ocean "
    "morning take live demo mix master stem loop session interview lecture podcast kick snare hat pad lead"
).split()
FORMATS = (  # container, codec, mime, bits, lossless; in such shares
    [("mp3", "mp3", "audio/mpeg", None, False)] * 50 + [("flac", "flac", "audio/flac", 16, True)] * 25
    + [("wav", "pcm_s16le", "audio/wav", 16, True)] * 15 + [("wav", "pcm_s24le", "audio/wav", 24, True)] * 7
    + [("ogg", "opus", "audio/ogg; codecs=opus", None, False)] * 3
)


def records(count: int) -> Iterator[Dict[str, Any]]:
    """Invented records, the same ones every time."""
    rng = random.Random(1)
    for n in range(count):
        container, codec, mime, bits, lossless = rng.choice(FORMATS)
        duration = round(rng.lognormvariate(5, 1), 3)
        words = rng.choices(WORDS, k=3)
        artist = f"Artist {rng.randrange(max(1, count // 20))}"
        tags = {"title": " ".join(words), "artist": artist, "genre": rng.choice(WORDS)}
        yield {
            "id": "%024x" % rng.getrandbits(96), "name": f"{words[0]} {words[1]} {n:08}.{container}",
            "size": int(duration * 16000) + rng.randrange(1000), "sha256": "%064x" % rng.getrandbits(256),
            "uploaded": when(START_MS + n * 10), "uploaded_by": None, "shared": False,
            "container": container, "codec": codec,
            "codec_profile": None, "mime": mime, "duration": duration, "duration_exact": True,
            "duration_source": "samples", "duration_declared": None, "truncated": rng.random() < 0.001,
            "sample_rate": rng.choices((44100, 48000, 8000, 96000), (70, 25, 4, 1))[0],
            "channels": rng.choices((2, 1, 6), (80, 19, 1))[0], "bits_per_sample": bits,
            "sample_format": "int" if lossless else None,
            "bitrate": rng.choice((128000, 192000, 320000, 1411200, None)),
            "bitrate_mode": "CBR", "lossless": lossless, "tags": tags, "pictures": [], "metadata": {}, "warnings": [],
        }


def seed(folder: Path, count: int) -> None:
    """Make a data folder whose catalogue has `count` invented files; the indexes come last, being faster so."""
    folder.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(str(folder / "catalogue.db"), isolation_level=None)
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA cache_size=-500000")
    late = []
    for statement in migrations.statements(SCHEMA):
        if re.search(r"CREATE INDEX", statement):
            late.append(statement)
        else:
            db.execute(statement)
    db.execute("BEGIN")
    for n, record in enumerate(records(count)):
        family = FAMILY[record["container"]]
        row = row_of(
            record, owner=0, key="%032x" % (n * 0x9E3779B97F4A7C15 % 2 ** 128), uploaded_ms=START_MS + n * 10,
            family=family, version=1,
        )
        for sql, params in added(record, row):
            db.execute(sql, params)
    for statement in late:
        db.execute(statement)
    db.execute("COMMIT")
    db.close()
    Catalogue(folder / "catalogue.db", SCHEMA, FileOps()).close()  # makes the search index


QUERIES = [
    "", "sort=uploaded", "sort=name", "sort=-name", "sort=duration", "sort=-duration", "sort=size", "sort=-size",
    "sort=samplerate", "sort=-samplerate", "sort=bitrate", "sort=-bitrate",
    "format=wav", "format=ogg", "codec=mp3", "codec=opus", "samplerate=96000", "channels=6", "bits=24",
    "truncated=true", "truncated=false", "sha256=" + "0" * 64, "name=nothing", "name=piano*", "duration=100",
    "maxduration=300", "minduration=3000", "minduration=100&maxduration=101", "minduration=100&maxduration=100.05",
    "maxduration=300&sort=duration", "minduration=3000&sort=-duration", "minsize=50000000", "minbitrate=320000",
    "uploadedafter=2023-11-14T23:00:00Z", "uploadedbefore=2023-11-14T22:20:00Z",
    "tag.artist=Artist 7", "tag.genre=moon", "tag.genre=nothing",
    "format=wav&minduration=600", "samplerate=96000&channels=6&minduration=600", "format=ogg&sort=-duration",
    "format=wav&format=ogg", "codec=opus&sort=name",
    "q=piano", "q=piano moon", "q=nothing", "q=artist 77", "name=*00042424*", "name=*4242*", "name=*zzz*", "name=*oo*",
]


def measured(call: Callable[[], Any], times: int) -> List[float]:
    """CPU milliseconds of each of `times` calls, sorted."""
    took = []
    for _ in range(times):
        began = time.process_time()
        call()
        took.append((time.process_time() - began) * 1000)
    return sorted(took)


def run(folder: Path, count: int, only: str) -> None:
    """Print the table of one catalogue."""
    catalogue = Catalogue(folder / "catalogue.db", SCHEMA, FileOps())
    size = (folder / "catalogue.db").stat().st_size
    print(f"\n{count:,} files, {size / 2 ** 20:,.0f} MiB, {size // count} bytes a file")
    print(f"{'query':50}{'found':>8}{'sql p50':>9}{'p99':>8}{'page':>9}{'first':>9}")
    for query in [query for query in QUERIES if only in query]:
        asked = listing.parse([tuple(part.partition("=")[::2]) for part in query.split("&")] if query else [])
        reader = pages.Pages(catalogue, 60.0, FAMILY)
        first = measured(lambda: reader.page(asked, 0), 1)[0]
        sql, params = reader.statement(asked, 0)
        times = 100 if first < 20 else 5
        alone = measured(lambda: catalogue.read(sql, params), times)
        again = measured(lambda: reader.page(asked, 0), times)
        page = reader.page(asked, 0)
        total = f"{page.total:,}" + ("" if page.total_exact else "+")
        print(
            f"{query or '(everything)':50}{total:>8}{alone[len(alone) // 2]:9.3f}{alone[len(alone) * 99 // 100]:8.3f}"
            f"{again[len(again) // 2]:9.3f}{first:9.3f}", flush=True,
        )
    ids = [id for (id,) in catalogue.read("SELECT id FROM files ORDER BY id LIMIT 1000")]
    by_id = "SELECT record FROM files WHERE id = ?"
    info = measured(lambda: [catalogue.read(by_id, (id,)) for id in ids], 20)
    print(f"one record by id: {info[10]:.2f} us")
    catalogue.close()


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--data", type=Path, help="a folder to keep, with one folder for each number of files in it")
    parser.add_argument("--only", default="", help="queries with this in them")
    parser.add_argument("--seed-only", action="store_true")
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.platform()}")
    with tempfile.TemporaryDirectory() as scratch:
        for count in given.rows:
            folder = (given.data or Path(scratch)) / str(count)
            if not (folder / "catalogue.db").exists():
                began = time.monotonic()
                seed(folder, count)
                print(f"seeded {count:,} files in {time.monotonic() - began:.1f} s", flush=True)
            if not given.seed_only:
                run(folder, count, given.only)


if __name__ == "__main__":
    main()
