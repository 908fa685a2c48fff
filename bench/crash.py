"""Kills a real server at random moments under uploads, and looks whether anything acknowledged is lost.

    python3 bench/crash.py --cycles 1000

Each cycle starts the server on one and the same data folder, compares all that the last cycle touched byte for
byte, lets writers post, overwrite and remove, and kills the process with SIGKILL in the middle of it.  What was
acknowledged must be there; what was not may be there whole or not at all.  Every file on the disk must have a
row and every row its bytes.  A kill is no power failure: what the disk itself keeps is not tried here, but the
order of the syncs is, in tests/test_faults.py.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Dict, List, Optional, Set, Tuple
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from storage import Storage  # noqa: E402

NAMES = 6  # that each writer uses in turn: so most uploads replace
LONGEST = 400_000  # bytes of an upload: enough to be killed inside a body


class Lost(AssertionError):
    """A promise was broken."""


def sound(rng: random.Random) -> bytes:
    """A WAV that nobody has seen before, of any length up to LONGEST."""
    size = 2 * rng.randrange(1, rng.choice((200, 20_000, LONGEST // 2)))
    data = rng.getrandbits(8 * size).to_bytes(size, "little")
    fmt = struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + fmt + b"data" + struct.pack("<I", size) + data


class Server:
    """A server process on the folder `data`."""

    def __init__(self, data: Path) -> None:
        words = ["serve", "--port", "0", "--data", str(data), "--log", "none"]
        self.process = subprocess.Popen(
            [sys.executable, "-S", str(ROOT / "audioserver.py"), *words], stdout=subprocess.PIPE
        )
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on http://"):
            self.kill()
            raise Lost(f"the server does not start: {line!r}")
        where = urlsplit(line.split()[-1])
        self.address = (where.hostname, where.port)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self) -> int:
        """End it in good order; its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(120)
        finally:
            self.process.stdout.close()


class Tally:
    """How many acknowledgements there were, and a way to wait for some."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        """One more."""
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait_for(self, more: int) -> None:
        """Wait for so many more; Lost when they do not come."""
        with self._changed:
            wanted = self.count + more
            if not self._changed.wait_for(lambda: self.count >= wanted, 300):
                raise Lost("nothing is acknowledged any more")


class Writer:
    """One client: what it was promised of each of its names, as digests (None: not there)."""

    def __init__(self, number: int, seed: int, tally: Tally) -> None:
        self._tally = tally
        self._rng = random.Random(seed * 1000 + number)
        self._names = [f"w{number}-{n}.wav" for n in range(NAMES)]
        self._ids: Dict[str, str] = {}
        self.possible: Dict[str, Set[Optional[str]]] = {name: {None} for name in self._names}
        self.touched: Set[str] = set()
        self.unexpected: List[str] = []

    def write_on(self, address: Tuple[str, int]) -> None:
        """Post, overwrite and remove until the server is gone."""
        connection = http.client.HTTPConnection(*address, timeout=120)
        try:
            while True:
                self._act(connection)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def _act(self, connection: http.client.HTTPConnection) -> None:
        name = self._rng.choice(self._names)
        self.touched.add(name)
        if name in self._ids and self._rng.random() < 0.2:
            self._ask(connection, "DELETE", "/files/" + self._ids[name], None, name, None, (204, 404))
            del self._ids[name]
            return
        data = sound(self._rng)
        digest = hashlib.sha256(data).hexdigest()
        answer = self._ask(connection, "POST", f"/post?overwrite=true&name={name}", data, name, digest, (200, 201))
        self._ids[name] = json.loads(answer)["id"]

    def _ask(self, connection, method, target, body, name, digest, expected) -> bytes:
        before = set(self.possible[name])
        self.possible[name] = before | {digest}
        connection.request(method, target, body)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status not in expected:
            self.unexpected.append(f"{method} {target}: {answer.status} {content[:200]!r}")
            raise http.client.HTTPException("unexpected")
        self.possible[name] = {digest}
        self._tally.add()
        return content

    def compare(self, address: Tuple[str, int]) -> None:
        """Look at all that was touched since the last time; Lost when something is not as promised."""
        connection = http.client.HTTPConnection(*address, timeout=120)
        for name in sorted(self.touched):
            connection.request("GET", "/download?name=" + name)
            answer = connection.getresponse()
            content = answer.read()
            found = hashlib.sha256(content).hexdigest() if answer.status == 200 else None
            if answer.status not in (200, 404) or found not in self.possible[name]:
                raise Lost(f"{name}: {answer.status} {found}, promised was one of {self.possible[name]}")
            self.possible[name] = {found}
            if found is None:
                self._ids.pop(name, None)
        connection.close()
        self.touched.clear()


def look_at_the_disk(data: Path) -> int:
    """Compare every row with its bytes and every file with a row, beside the server; how many files there are."""
    with Storage(data, create=False, exclusive=False) as storage:
        report = storage.check(deep=True)
    if not report.is_sound:
        raise Lost("; ".join(report.problems))
    left = list((data / "uploads").iterdir())
    if left:
        raise Lost(f"left over: {left}")
    return report.files


def cycles(data: Path, count: int, seed: int, writers: int = 4, most: int = 60) -> Dict[str, int]:
    """Kill `count` servers, each at some moment behind its first to `most`-th acknowledgement; figures, or Lost."""
    rng = random.Random(seed)
    tally = Tally()
    clients = [Writer(n, seed, tally) for n in range(writers)]
    for _ in range(count):
        server = Server(data)
        try:
            for client in clients:
                client.compare(server.address)
            look_at_the_disk(data)
            threads = [threading.Thread(target=client.write_on, args=(server.address,)) for client in clients]
            for thread in threads:
                thread.start()
            tally.wait_for(rng.randrange(1, most + 1))
            time.sleep(rng.uniform(0, 0.02))  # not a wait for anything: any moment of the next uploads
        finally:
            server.kill()
        for thread in threads:
            thread.join()
        for client in clients:
            if client.unexpected:
                raise Lost(client.unexpected[0])
    server = Server(data)
    try:
        for client in clients:
            client.compare(server.address)
        files = look_at_the_disk(data)
        status = server.stop()
    finally:
        server.kill()
    if status != 0:
        raise Lost(f"a drained server exits with {status}")
    return {"kills": count, "acknowledged": tally.count, "files": files}


def main() -> int:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--writers", type=int, default=4)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    began = time.monotonic()
    done: Dict[str, int] = {"kills": 0, "acknowledged": 0}
    try:
        while done["kills"] < given.cycles:
            part = min(25, given.cycles - done["kills"])
            figures = cycles(folder / "var", part, given.seed + done["kills"], given.writers)
            for key in done:
                done[key] += figures[key]
            print(f"{done['kills']} kills, {done['acknowledged']} acknowledged, 0 lost", flush=True)
            shutil.rmtree(folder / "var")
    except Lost as lost:
        print(f"lost: {lost}\nthe folder is kept: {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    print(f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
