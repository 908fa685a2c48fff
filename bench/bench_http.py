#!/usr/bin/env python3
"""The engine against its peers, in one interleaved run: CPU time a request of the server, which has one core.

    python3 bench/bench_http.py info          GET /info?id=…, 64 keep-alive clients, ids varied
    python3 bench/bench_http.py list          GET /list?limit=100 out of --rows records
    python3 bench/bench_http.py p99           latency of /info at 200 clients
    python3 bench/bench_http.py mixed         latency of /info beside 3 uploads and 3 downloads of 100 MB
    python3 bench/bench_http.py upload        100 MB received, synced and hashed, against hashlib.sha256 alone
    python3 bench/bench_http.py download      100 MB and 1 MB files against nginx
    python3 bench/bench_http.py tls           100 MB and GET /info under TLS against nginx with the same certificate
    python3 bench/bench_http.py small         durable small uploads, 16 clients, against one commit an upload
    python3 bench/bench_http.py memory        a 4 GiB upload and download: the largest RSS (--size-gib)
    python3 bench/bench_http.py trickle       a polite client beside 9,000 connections of a byte a second, and others

`--record` appends what is printed to bench/results/.  Peers live in .venv-bench, made on first use (uvicorn,
httptools, uvloop, fastapi); nginx and wrk are Debian's.  What is not there is said and left out.  Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import io
import json
import os
import platform
import random
import selectors
import shutil
import socket
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
VENV = ROOT / ".venv-bench"
PACKAGES = ("uvicorn==0.30.6", "httptools==0.6.4", "uvloop==0.21.0", "fastapi==0.115.6")
MB = 1_000_000


# -- servers ------------------------------------------------------------------------------------------------


class Server:
    """A server process on core 0, and what it has used."""

    scheme = "http"

    def __init__(self, name, command, port=None, core="0", env=None, **options):
        self.name = name
        out = subprocess.PIPE if port is None else subprocess.DEVNULL
        pin = ["taskset", "-c", core] if core is not None else []
        self.process = subprocess.Popen(
            [*pin, *map(str, command)], stdout=out, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **(env or {})}, **options)
        if port is None:
            port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        self.address = ("127.0.0.1", port)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(self.address, 1):
                return
            time.sleep(0.05)
        raise SystemExit(f"{name} does not answer on {port}")

    def pids(self):
        found, fresh = [], [self.process.pid]
        while fresh:
            pid = fresh.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*"):
                with contextlib.suppress(OSError):
                    fresh += map(int, (task / "children").read_text().split())
        return found

    def cpu(self):
        """CPU seconds of the whole process tree, to the nanosecond where the scheduler tells."""
        total = 0.0
        for pid in self.pids():
            for task in Path(f"/proc/{pid}/task").glob("*"):
                with contextlib.suppress(OSError):
                    total += int((task / "schedstat").read_text().split()[0]) / 1e9
        return total

    def rss_mb(self, peak=False):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        key = "VmHWM" if peak else "VmRSS"
        return int(text.split(key + ":")[1].split()[0]) / 1024

    def threads(self):
        return len(list(Path(f"/proc/{self.process.pid}/task").glob("*")))

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def ours(data, core="0", *flags):
    return Server("audioserver", [sys.executable, ROOT / "audioserver.py", "serve", "--port", "0", "--data", data,
                                  "--log", "none", *flags], core=core)


def peer_python():
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    if subprocess.run([python, "-c", "import uvicorn, httptools, uvloop, fastapi"], capture_output=True).returncode:
        made = subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES])
        if made.returncode:
            say("uvicorn and fastapi cannot be had: left out")
            return None
    return python


def uvicorn(module, db):
    python = peer_python()
    if python is None:
        return None
    port = free_port()
    return Server(module, [python, "-m", "uvicorn", f"{module}:app", "--app-dir", ROOT / "bench" / "peers", "--port", port,
                           "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"],
                  port, env={"PEER_DB": str(db)})


def nginx(folder, root, tls=None):
    if not shutil.which("nginx"):
        say("nginx is not installed: left out")
        return None
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(
        f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log /dev/null; user root;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; sendfile on; tcp_nopush on; client_body_temp_path {folder}; "
        f"proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};\n"
        f"server {{ listen 127.0.0.1:{port}{' ssl' if tls else ''}; root {root}; default_type application/json;\n"
        + (f"ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]};\n" if tls else "") + "} }\n")
    return Server("nginx", ["nginx", "-c", conf], port)


# -- catalogues ---------------------------------------------------------------------------------------------


def wav(seconds=0.05, pitch=440):
    frames = int(8000 * seconds)
    data = b"".join(struct.pack("<h", int(8000 * ((n * pitch) % 8000 / 4000 - 1))) for n in range(frames))
    fmt = struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + fmt + b"data" + struct.pack("<I", len(data)) + data


def large_wav(size):
    """The head of a 16-bit stereo WAV of `size` bytes in all, and how many bytes of samples follow."""
    left = size - 44
    fmt = struct.pack("<IHHIIHH", 16, 1, 2, 48000, 192000, 4, 16)
    return b"RIFF" + struct.pack("<I", min(size - 8, 0xFFFFFFFF)) + b"WAVEfmt " + fmt + b"data" + struct.pack(
        "<I", min(left, 0xFFFFFFFF)), left


def seeded(data, rows):
    """A data folder of `rows` records; their ids."""
    from bench_catalogue import seed  # the catalogue's own bench knows how

    seed(data, rows)
    db = sqlite3.connect(data / "catalogue.db")
    try:
        return [id for id, in db.execute("SELECT id FROM files")]
    finally:
        db.close()


def peer_catalogue(db, server, ids):
    """Give the peers the rows that `server` has, a column a field."""
    sample = json.loads(ask(server.address, "/info?id=" + ids[0]))
    made = sqlite3.connect(db)
    made.execute("CREATE TABLE records (%s, PRIMARY KEY (id))" % ", ".join(sample))
    cursor = "/list?limit=1000"
    while cursor:
        page = json.loads(ask(server.address, cursor))
        made.executemany(
            "INSERT INTO records VALUES (%s)" % ", ".join("?" * len(sample)),
            [tuple(json.dumps(v) if isinstance(v, (dict, list)) else v for v in r.values()) for r in page["files"]])
        cursor = page["next"]
    made.execute("CREATE INDEX by_uploaded ON records (uploaded DESC, id)")
    made.commit()
    made.close()


def ask(address, target, method="GET"):
    """The body of an answer that must be a good one."""
    connection = http.client.HTTPConnection(*address, timeout=60)
    try:
        connection.request(method, target)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status in (200, 204), (method, target, answer.status, body[:200])
        return body
    finally:
        connection.close()


# -- load ---------------------------------------------------------------------------------------------------


def wrk(server, targets, clients, seconds, folder):
    """Requests answered, and latency percentiles in ms; wrk runs on core 1."""
    script = folder / "targets.lua"
    rows = ",".join('"%s"' % t for t in targets)
    script.write_text(
        "local t = {%s}\nlocal n = 0\nrequest = function() n = n %% #t + 1; return wrk.format('GET', t[n]) end\n"
        "done = function(s, l, r) io.write(string.format('%%d %%d %%d %%d %%d', s.requests, s.errors.status + s.errors.read"
        " + s.errors.connect + s.errors.timeout, l:percentile(50), l:percentile(90), l:percentile(99))) end\n" % rows)
    before = server.cpu()
    out = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "-s", script,
                          "%s://%s:%d" % (server.scheme, *server.address)], capture_output=True, text=True, check=True).stdout
    used = server.cpu() - before
    requests, errors, p50, p90, p99 = map(int, out.rsplit("\n", 1)[-1].split())
    if errors:
        raise SystemExit(f"{server.name}: {errors} errors")
    return {"us": used / requests * 1e6, "rps": requests / seconds, "p50": p50 / 1e3, "p90": p90 / 1e3, "p99": p99 / 1e3}


def interleaved(servers, run, rounds):
    found = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            found[server.name].append(run(server))
    return {name: {key: statistics.median(r[key] for r in runs) for key in runs[0]} for name, runs in found.items()}


def report(title, results, baseline):
    say(title)
    say(f"  {'server':14} {'us a request':>13} {'rps':>9} {'p50 ms':>8} {'p90 ms':>8} {'p99 ms':>8}   ours is better by")
    for name, r in results.items():
        say(f"  {name:14} {r['us']:13.1f} {r['rps']:9.0f} {r['p50']:8.2f} {r['p90']:8.2f} {r['p99']:8.2f}   "
            f"{r['us'] / results[baseline]['us']:.2f} x")


def small_answers(given, folder, targets_of, title):
    data, db = folder / "var", folder / "peer.sqlite3"
    ids = seeded(data, given.rows)
    random.Random(1).shuffle(ids)
    with contextlib.ExitStack() as stack:
        us = ours(data)
        stack.callback(us.stop)
        peer_catalogue(db, us, ids)
        servers = [us]
        for module in ("bare_asgi", "with_fastapi"):
            peer = uvicorn(module, db)
            if peer:
                stack.callback(peer.stop)
                servers.append(peer)
        targets = targets_of(ids)
        results = interleaved(servers, lambda s: wrk(s, targets, given.clients, given.seconds, folder), given.rounds)
        report(title, results, us.name)


def bench_info(given, folder):
    small_answers(given, folder, lambda ids: ["/info?id=" + i for i in ids[:2000]],
                  f"GET /info, {given.clients} clients, {given.rows} rows")


def bench_list(given, folder):
    small_answers(given, folder, lambda ids: ["/list?limit=100"], f"GET /list?limit=100 of {given.rows} rows")


def bench_p99(given, folder):
    ids = seeded(folder / "var", given.rows)
    us = ours(folder / "var")
    try:
        results = interleaved([us], lambda s: wrk(s, ["/info?id=" + i for i in ids[:2000]], 200, given.seconds, folder),
                              given.rounds)
        report("GET /info, 200 clients", results, us.name)
    finally:
        us.stop()


# -- bulk ---------------------------------------------------------------------------------------------------


def upload(address, size, name, file=None):
    """Post a WAV of `size` bytes, another one each time, or there would be nothing to store; seconds until the answer."""
    head, left = large_wav(size)
    head, left = head + os.urandom(16), left - 16
    block = memoryview(bytes(range(256)) * 4096)
    started = time.perf_counter()
    with socket.create_connection(address) as sock:
        sock.sendall(b"POST /post?name=%s&overwrite=true HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
                     % (name.encode(), size) + head)
        while left > 0:
            sock.sendall(block[:left])
            left -= len(block)
        answer = sock.recv(65536)
    assert answer.split()[1] in (b"201", b"200"), answer[:300]
    return time.perf_counter() - started


def fetch(address, target, buffer=bytearray(1 << 20), wrap=None):
    """Get `target`, throwing it away; (bytes, seconds)."""
    started = time.perf_counter()
    with socket.create_connection(address) as plain, contextlib.ExitStack() as stack:
        sock = plain if wrap is None else stack.enter_context(wrap(plain))
        sock.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % target.encode())
        total = 0
        while True:
            count = sock.recv_into(buffer, len(buffer), getattr(socket, "MSG_TRUNC", 0) if total and wrap is None else 0)
            if not count:
                return total, time.perf_counter() - started
            total += count


def fetch_again(address, target, count, size, buffer=bytearray(1 << 20)):
    """Get a file of `size` bytes `count` times on one connection, throwing it away; seconds."""
    request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % target.encode()
    with socket.create_connection(address) as sock:
        started = time.perf_counter()
        for _ in range(count):
            sock.sendall(request)
            got = sock.recv_into(buffer, 65536)
            left = size - (got - buffer.index(b"\r\n\r\n", 0, got) - 4)
            while left > 0:
                left -= sock.recv_into(buffer, len(buffer), getattr(socket, "MSG_TRUNC", 0))
        return time.perf_counter() - started


def get(address, target):
    """The body of one answer."""
    connection = http.client.HTTPConnection(*address)
    try:
        connection.request("GET", target)
        return connection.getresponse().read()
    finally:
        connection.close()


def bench_upload(given, folder):
    size, rates, cpus, alone, disk = 100 * MB, [], [], [], []
    data = bytes(1 << 20)
    us = ours(folder / "var", core=None)

    def once(name):
        """(seconds, CPU seconds) of a new file; the one before goes, so that the disk stays as full as it is."""
        before = us.cpu()
        seconds = upload(us.address, size, name)
        used = us.cpu() - before
        for other in json.loads(ask(us.address, "/list?fields=id,name"))["files"]:
            if other["name"] != name:
                ask(us.address, "/files/" + other["id"], "DELETE")
        return seconds, used

    try:
        for turn in range(6):  # memory that the machine never used before costs its kernel more than the upload
            once(f"warm-{turn}.wav")
        for turn in range(3 * given.rounds):
            started, digest = time.perf_counter(), hashlib.sha256()
            for _ in range(size >> 20):
                digest.update(data)
            alone.append((size >> 20) * (1 << 20) / MB / (time.perf_counter() - started))
            started = time.perf_counter()
            with open(folder / "alone", "wb", buffering=0) as file:
                for _ in range(size >> 20):
                    file.write(data)
                os.fsync(file.fileno())
            disk.append((size >> 20) * (1 << 20) / MB / (time.perf_counter() - started))
            os.remove(folder / "alone")
            seconds, used = once(f"up-{turn}.wav")
            rates.append(size / MB / seconds)
            cpus.append(used / (size / 1e9))
    finally:
        us.stop()
    rate, hash_rate = statistics.median(rates), statistics.median(alone)
    ratios = sorted(one / hashed for one, hashed in zip(rates, alone))
    bare = sorted(cpu - 1000 / hashed for cpu, hashed in zip(cpus, alone))
    quarter = len(ratios) // 4
    say("upload of 100 MB, received, synced, sha256 taken, on 2 cores: medians of the rounds (their middle half)")
    say(f"  {rate:.0f} MB/s; hashlib.sha256 alone, between the uploads, {hash_rate:.0f} MB/s: ratio "
        f"{statistics.median(ratios):.2f} ({ratios[quarter]:.2f} to {ratios[-1 - quarter]:.2f}, best {ratios[-1]:.2f})")
    say(f"  written and synced alone, with nobody sending or hashing, {statistics.median(disk):.0f} MB/s")
    say(f"  CPU {statistics.median(cpus):.2f} s/GB; without the hash {statistics.median(bare):.2f} s/GB "
        f"({bare[quarter]:.2f} to {bare[-1 - quarter]:.2f}, best {bare[0]:.2f})")


def bench_download(given, folder):
    root = folder / "www"
    root.mkdir()
    us = ours(folder / "var")
    them = nginx(folder, root)
    try:
        for size, name, count in ((100 * MB, "large.wav", 3), (1 * MB, "small.wav", 100)):
            upload(us.address, size, name)
            head, left = large_wav(size)
            (root / name).write_bytes(head + (bytes(range(256)) * (left // 256 + 1))[:left])
            rows = [(us, f"/download?name={name}")] + ([(them, "/" + name)] if them else [])
            speeds = {server.name: [] for server, _ in rows}
            for _ in range(3 * given.rounds):  # wake-ups of cores make single ones vary by half
                for server, target in rows:
                    seconds = fetch_again(server.address, target, count, size)
                    speeds[server.name].append(count * size / MB / seconds)
            say(f"download of {size // MB} MB files, server on one core, one connection: median (best) MB/s")
            for server_name, found in speeds.items():
                ratio = statistics.median(speeds["audioserver"]) / statistics.median(found)
                say(f"  {server_name:12} {statistics.median(found):6.0f} ({max(found):.0f})   ours / this {ratio:.2f}")
    finally:
        us.stop()
        if them:
            them.stop()


def bench_tls(given, folder):
    import ssl

    tls = [ROOT / "tests" / "tls" / name for name in ("one.pem", "one.key")]
    context = ssl.create_default_context(cafile=str(tls[0]))
    root = folder / "www"
    root.mkdir()
    head, left = large_wav(100 * MB)
    plain = ours(folder / "var")
    try:
        upload(plain.address, 100 * MB, "large.wav")
        record = get(plain.address, "/info?name=large.wav")
    finally:
        plain.stop()
    (root / "large.wav").write_bytes(head + (bytes(range(256)) * (left // 256 + 1))[:left])
    (root / "info").write_bytes(record)
    us = ours(folder / "var", "0", "--tls-cert", tls[0], "--tls-key", tls[1])
    them = nginx(folder, root, tls)
    servers = [us] + ([them] if them else [])
    targets = {us.name: ("/download?name=large.wav", "/info?name=large.wav"), "nginx": ("/large.wav", "/info")}
    try:
        for server in servers:
            server.scheme = "https"
        found = {server.name: [] for server in servers}
        for _ in range(given.rounds):
            for server in servers:
                before = server.cpu()
                got, took = fetch(server.address, targets[server.name][0],
                                  wrap=lambda sock: context.wrap_socket(sock, server_hostname="localhost"))
                found[server.name].append((got / MB / took, (server.cpu() - before) / (got / 1e9)))
        say("download of 100 MB under TLS 1.3, server on one core, one client: median MB/s, CPU of the server")
        for name, rows in found.items():
            rate, cpu = (statistics.median(column) for column in zip(*rows))
            say(f"  {name:12} {rate:6.0f}   {cpu:.2f} s/GB")
        results = interleaved(servers, lambda s: wrk(s, targets[s.name][1:], given.clients, given.seconds, folder), given.rounds)
        report(f"GET /info under TLS, {given.clients} keep-alive clients (nginx: the same bytes as a file)", results, us.name)
    finally:
        for server in servers:
            server.stop()


def bench_mixed(given, folder):
    us = ours(folder / "var")
    moved, halt = [0], threading.Event()

    def again(act):
        while not halt.is_set():
            act()
            moved[0] += 1

    try:
        upload(us.address, 100 * MB, "big.wav")
        crew = [threading.Thread(target=again, args=(lambda n=n: upload(us.address, 100 * MB, f"mix-{n}.wav"),)) for n in range(3)]
        crew += [threading.Thread(target=again, args=(lambda: fetch(us.address, "/download?name=big.wav", bytearray(1 << 20)),))
                 for _ in range(3)]
        os.sched_setaffinity(0, {1})
        record = json.loads(ask(us.address, "/info?name=big.wav"))
        for thread in crew:
            thread.start()
        polite = Path(__file__).with_name("polite.py")
        out = subprocess.run([sys.executable, polite, str(us.address[1]), "/info?id=" + record["id"], str(given.seconds * 4)],
                             capture_output=True, text=True, check=True).stdout
        halt.set()
        for thread in crew:
            thread.join()
        say(f"/info beside 3 uploads and 3 downloads of 100 MB (server on one core, load on the other): {out.strip()}; "
            f"{moved[0]} x 100 MB moved")
    finally:
        halt.set()
        us.stop()


_ALONE = """
import sys, threading
sys.path.insert(0, sys.argv.pop(1))
how, sync_ms = sys.argv.pop(1), float(sys.argv.pop(1))
import audioserver, storage, audiokit.blobs.directory as blobs, audiokit.blobs.fileops as fileops
import audiokit.catalogue.sqlite as door, audiokit.wire.reactor as reactor
if how != "group":  # every upload syncs its directory and commits its row for itself
    door.MOST_CALLS = reactor._CROWD = 1
    reactor._CROWDS = 8  # a thread each
    blobs.SyncedTogether = lambda sync, begun: type("Alone", (), {"sync": lambda self, path: (begun(), sync(path))})()
if how == "serial":  # and from its first sync to its commit no other upload is under way
    lock, keeping = threading.Lock(), storage.Storage.keeping
    def alone(self, *given, **named):
        with lock:
            return (yield from keeping(self, *given, **named))
    storage.Storage.keeping = alone
if sync_ms:  # a disk whose syncs take longer than this machine's
    import time
    def slow(act):
        return lambda *given: (time.sleep(sync_ms / 1000), act(*given))[1]
    fileops.FileOps.sync, fileops.FileOps.commit = slow(fileops.FileOps.sync), slow(fileops.FileOps.commit)
sys.exit(audioserver.main())
"""


def storm(us, clients, each, mark="a"):
    """Small uploads from `clients` connections at once; acknowledgements a second.

    One loop for all of them: threads and a library would take a third of the two cores for themselves.
    """
    body, address = wav(), us.address
    with contextlib.ExitStack() as stack:
        ready = stack.enter_context(selectors.DefaultSelector())
        turns = {}
        for number in range(clients):
            sock = stack.enter_context(socket.create_connection(address))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready.register(sock, selectors.EVENT_READ)
            turns[sock] = iter([
                b"POST /post?name=%s%d-%d.wav HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
                % (mark.encode(), number, turn, len(body)) + body for turn in range(each)
            ])
        started = time.perf_counter()
        for sock, requests in turns.items():
            sock.sendall(next(requests))
        while turns:
            for key, _ in ready.select():
                answer = key.fileobj.recv(65536)
                assert answer.split()[1] == b"201", answer[:300]
                request = next(turns[key.fileobj], None)
                if request is None:
                    ready.unregister(key.fileobj)
                    del turns[key.fileobj]
                else:
                    key.fileobj.sendall(request)
        return clients * each / (time.perf_counter() - started)


def commits(folder, most_calls, clients=16, each=300):
    """Durable rows a second from `clients` threads, at most `most_calls` of them in one transaction."""
    import audiokit.catalogue.sqlite as door
    from audiokit.blobs.fileops import FileOps

    door.MOST_CALLS = most_calls
    catalogue = door.Catalogue(folder / f"rows-{most_calls}-{time.time_ns()}.db", (ROOT / "schema.sql").read_text(), FileOps())

    def client(number):
        for turn in range(each):
            catalogue.write([("INSERT INTO removals (key, since_ms) VALUES (?, ?)", (f"{number}-{turn}", turn))])

    crew = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
    started = time.perf_counter()
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    seconds = time.perf_counter() - started
    catalogue.close()
    return clients * each / seconds


def bench_small(given, folder):
    together, alone = (statistics.median(commits(folder, most) for _ in range(given.rounds)) for most in (256, 1))
    say(f"durable rows a second, 16 threads: grouped {together:.0f}, one commit a row {alone:.0f}: {together / alone:.2f}")
    ways = {"group": "grouped", "each": "one commit an upload", "serial": "and one upload at a time"}
    rates = {how: [] for how in ways}
    for turn in range(given.rounds):
        for how, found in rates.items():
            command = [sys.executable, "-c", _ALONE, ROOT, how, given.sync_ms,
                       "serve", "--port", "0", "--data", folder / f"{how}-{turn}", "--log", "none"]
            server = Server(how, command, core=None)
            try:
                storm(server, 16, 10)
                before, each = server.cpu(), 100 if not given.sync_ms else 20
                rate = storm(server, 16, each, "b")
                found.append((rate, (server.cpu() - before) / 16 / each * 1e6))
            finally:
                server.stop()
    syncs = f", {given.sync_ms:g} ms added to every sync and commit" if given.sync_ms else ""
    say(f"acknowledged durable small uploads a second, 16 clients{syncs}")
    medians = {how: statistics.median(rate for rate, _ in found) for how, found in rates.items()}
    for how, words in ways.items():
        cpu = statistics.median(cpu for _, cpu in rates[how])
        say(f"  {words:24} {medians[how]:6.0f}   {cpu:5.0f} us of CPU each   grouped / this {medians['group'] / medians[how]:.2f}")


def bench_memory(given, folder):
    size = int(given.size_gib * (1 << 30))
    us = ours(folder / "var", None)
    try:
        rest = us.rss_mb()
        took = upload(us.address, size, "giant.wav")
        up = us.rss_mb(peak=True)
        got, took_down = fetch(us.address, "/download?name=giant.wav")
        say(f"{given.size_gib:g} GiB up in {took:.1f} s and down in {took_down:.1f} s: RSS at rest {rest:.0f} MB, largest "
            f"after upload {up:.0f} MB, after download {us.rss_mb(peak=True):.0f} MB ({got} bytes came back)")
    finally:
        us.stop()


# what they do, how many, how, and whether under TLS
TRICKLES = (("idle", 2000, "burst", False), ("heads", 9000, "burst", False), ("heads", 9000, "spread", False),
            ("bodies", 9000, "burst", False), ("bodies", 9000, "spread", False), ("readers", 2000, "spread", False),
            ("tls", 9000, "burst", True))
HEAD_S = 10  # the head's deadline, as it is by default


def bench_trickle(given, folder):
    """A polite client of 200 requests a second: alone, then beside each crowd, from its connecting until it is given up."""
    tools, data = Path(__file__).parent, folder / "var"

    def begun(tool, *words):
        command = ["taskset", "-c", "1", sys.executable, tools / tool, us.address[1], *words]
        return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)

    for kind, count, way, is_tls in TRICKLES:
        if given.crowd not in ("", kind):
            continue
        flags = ["--tls-cert", ROOT / "tests/tls/one.pem", "--tls-key", ROOT / "tests/tls/one.key"] if is_tls else []
        us = ours(data, "0", *flags, *given.flags.split())
        try:
            if not is_tls and not list(data.glob("files/*/*")):
                upload(us.address, 2 * MB, "one.wav")
            scheme = "https" if is_tls else "http"
            alone = begun("polite.py", "/health/live", 4, 5, scheme).communicate()[0].strip()
            rest, used, since = us.rss_mb(), us.cpu(), time.monotonic()
            running = [begun("polite.py", "/health/live", HEAD_S + 4, 5, scheme),
                       begun("trickle.py", count, kind, way, HEAD_S + 2)]
            threads = memory = 0
            while any(one.poll() is None for one in running):
                threads, memory = max(threads, us.threads()), max(memory, us.rss_mb())
                time.sleep(0.5)
            waited, told = (one.communicate()[0].strip() for one in running)
            told, cpu = json.loads(told), (us.cpu() - used) / (time.monotonic() - since)
            say(f"{told['connected']} {kind} in {told['connecting_s']:.1f} s, {way}: {threads} threads, RSS {memory:.0f} MB "
                f"({memory - rest:+.0f}), {cpu:.0%} of a core, alive after {HEAD_S + 2} s: {told['alive']}\n"
                f"  polite client {waited} (alone {alone})")
        finally:
            us.stop()


BENCHES = {"info": bench_info, "list": bench_list, "p99": bench_p99, "mixed": bench_mixed, "upload": bench_upload,
           "download": bench_download, "tls": bench_tls, "small": bench_small, "memory": bench_memory, "trickle": bench_trickle}
_said = io.StringIO()


def say(text):
    print(text, flush=True)
    _said.write(text + "\n")


def header():
    commit = ""
    with contextlib.suppress(OSError):  # no git here
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "?")
    return (f"{time.strftime('%Y-%m-%d')} commit {commit} CPython {platform.python_version()} SQLite {sqlite3.sqlite_version} "
            f"on {os.cpu_count()} x {cpu}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=[*BENCHES, "all"])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size-gib", type=float, default=4.0)
    parser.add_argument("--sync-ms", type=float, default=0.0, help="of `small`: as if every sync took so much longer")
    parser.add_argument("--crowd", default="", help="of `trickle`: this kind alone")
    parser.add_argument("--flags", default="", help="of `trickle`: further flags of the server, such as --portable")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    say(header())
    for what in BENCHES if "all" in given.what else given.what:
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            BENCHES[what](given, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if given.record:
        results = ROOT / "bench" / "results"
        results.mkdir(exist_ok=True)
        with open(results / f"{time.strftime('%Y-%m-%d')}-http.txt", "a", encoding="utf-8") as file:
            file.write(_said.getvalue() + "\n")


if __name__ == "__main__":
    main()
