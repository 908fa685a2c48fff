"""A server on real S3 engines, which are killed, hung and brought back.  Slow: the engines are fetched and begun."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from functools import partial

import pytest
import told
from engines import Rclone, Swift
from processes import free_port, start, until
from servers import Server
from support import ROOT, long_wav, request, wav

from audioserver import main
from storage import Storage

pytestmark = pytest.mark.slow
WAV = wav(0.1)


def check(server):
    """What is kept is whole."""
    assert main(["db", "check", "--deep", "--data", str(server.data), "--blobs", server.url]) == 0


@pytest.fixture(scope="module")
def swift(tmp_path_factory):
    with Swift(tmp_path_factory.mktemp("swift")) as engine:
        yield engine


@pytest.fixture
def rclone(tmp_path):
    with Rclone(tmp_path) as engine:
        yield engine


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Begins servers on an engine; they end with the test."""
    begun = []

    def begin(engine, *more, **settings):
        for name, value in engine.environment.items():
            monkeypatch.setenv(name, value)
        begun.append(Server(tmp_path / "var", engine, *more, prefix=os.urandom(3).hex(), **settings))
        return begun[-1]

    yield begin
    for one in begun:
        one.__exit__()


@pytest.fixture(params=["rclone", "swift"])
def engine(request):
    return request.getfixturevalue(request.param)


def test_a_life_on_a_real_engine(engine, serve, tmp_path, capsys):
    server = serve(engine)
    data = long_wav(400)
    assert server.post("a.wav", WAV)[0] == 201 and server.post("long.wav", data)[0] == 201
    assert server.get("/download?name=long.wav")[2] == data
    for first, stop in ((0, 1), (1000, 70_000), (len(data) - 5, len(data))):
        status, _, body = server.get("/download?name=long.wav", Range=f"bytes={first}-{stop - 1}")
        assert (status, body) == (206, data[first:stop])
    status, _, body = server.get("/download?name=long.wav", Range="bytes=0-9,100-109")
    assert status == 206 and data[:10] in body and data[100:110] in body
    check(server)
    assert server.health() == (200, {})
    record = json.loads(server.get("/info?name=a.wav")[2])
    assert request(server.address, "DELETE", "/files/" + record["id"])[0] == 204
    check(server)
    assert main(["db", "backup", str(tmp_path / "copy"), "--data", str(server.data), "--blobs", server.url]) == 0


def test_a_download_is_sent_to_a_real_engine(engine, serve):
    server = serve(engine, "--redirect-downloads")
    server.post("a b.wav", WAV)
    status, fields, _ = server.get("/download?name=a%20b.wav")
    assert status == 307
    parts = urllib.parse.urlsplit(fields["location"])
    status, there, body = request((parts.hostname, parts.port), "GET", f"{parts.path}?{parts.query}")
    assert (status, body, there["content-type"]) == (200, WAV, "audio/wav")
    assert 'filename="a b.wav"' in there["content-disposition"]


def test_a_store_killed_while_a_file_goes_there_leaves_nothing_and_is_used_again(rclone, serve, capsys):
    server = serve(rclone)
    server.post("first.wav", WAV)
    data = long_wav(3000)  # 96 MB: the store takes a while
    answers = []
    uploading = threading.Thread(target=lambda: answers.append(server.post("long.wav", data)))
    uploading.start()

    def is_under_way():
        return any(path.stat().st_size > 1 << 20 for path in rclone.root.rglob("*") if path.is_file())

    until(is_under_way)
    rclone.kill()
    uploading.join()
    status, fields, problem = answers[0]
    if status != 201:  # it had all of it already, before it was killed
        assert (status, problem["code"], fields["retry-after"]) == (503, "busy", "5")
        assert server.get("/info?name=long.wav")[0] == 404
    assert os.listdir(str(server.data / "uploads")) == []
    status, engines = server.health()
    assert status == 503 and list(engines) == ["blobs"]
    assert server.get("/health/live")[0] == 200 and server.get("/list")[0] == 200
    rclone.start()
    until(server.is_well)
    assert server.post("again.wav", data)[0] in (201, 200)
    assert hashlib.sha256(server.get("/download?name=again.wav")[2]).digest() == hashlib.sha256(data).digest()


def test_a_store_killed_under_a_download_ends_it_short_and_a_range_takes_it_up(rclone, serve):
    server = serve(rclone)
    data = long_wav(3000)
    assert server.post("long.wav", data)[0] == 201
    connection = http.client.HTTPConnection(*server.address, timeout=60)
    connection.request("GET", "/download?name=long.wav")
    answer = connection.getresponse()
    got = answer.read(1 << 20)
    rclone.kill()
    with pytest.raises(http.client.IncompleteRead) as told:
        answer.read()
    connection.close()
    got += told.value.partial
    assert len(got) < len(data) and data.startswith(got)
    rclone.start()
    until(server.is_well)
    status, _, rest = server.get("/download?name=long.wav", Range=f"bytes={len(got)}-")
    assert status == 206 and got + rest == data


def test_a_store_that_was_killed_and_came_back_in_time_is_gone_on_with(rclone, serve):
    server = serve(rclone)
    data = long_wav(3000)
    assert server.post("long.wav", data)[0] == 201
    for _ in range(10):  # the pauses between tries are random: at times it comes back too late
        connection = http.client.HTTPConnection(*server.address, timeout=60)
        connection.request("GET", "/download?name=long.wav")
        answer = connection.getresponse()
        got = answer.read(1 << 20)
        rclone.kill()
        rclone.start()
        try:
            got += answer.read()
        except http.client.IncompleteRead:
            until(server.is_well)
            continue
        finally:
            connection.close()
        assert got == data
        return
    pytest.fail("never gone on with")


class Uploaders:
    """Threads that upload one file after the other, whatever fails, and note what was acknowledged."""

    def __init__(self, server, threads=4):
        self.server, self.acknowledged, self.times = server, {}, []
        self._ended = threading.Event()
        self._crew = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]
        for thread in self._crew:
            thread.start()

    def _run(self, number):
        for count in itertools.count():
            name, data = f"{number}-{count}.wav", wav(0.2 + number + count / 1000)
            while not self._ended.is_set():
                try:
                    status = self.server.post(name, data)[0]
                except (OSError, http.client.HTTPException, ValueError):  # killed under us
                    status = 0
                if status in (200, 201):
                    self.acknowledged[name] = hashlib.sha256(data).hexdigest()
                    self.times.append(time.monotonic())
                    break
                time.sleep(0.02)
            if self._ended.is_set():
                return

    def have(self, count):
        """Whether more than so many were acknowledged."""
        return len(self.acknowledged) > count

    def end(self):
        """All threads are over; the longest time without an acknowledgement, in seconds."""
        self._ended.set()
        for thread in self._crew:
            thread.join()
        return max(b - a for a, b in zip(self.times, self.times[1:]))


def test_nothing_acknowledged_is_lost_whoever_is_killed_and_what_is_left_over_goes(rclone, serve, capsys):
    server = serve(rclone, port=free_port())
    uploaders = Uploaders(server)
    try:
        for victim in (rclone, server, rclone, server, server, rclone):
            until(partial(uploaders.have, len(uploaders.acknowledged) + 20))
            victim.kill()
            victim.start()
    finally:
        gap = uploaders.end()
    until(server.is_well)
    until(lambda: server.get("/download?name=0-0.wav")[0] == 200)
    for name, sha256 in uploaders.acknowledged.items():
        status, _, body = server.get("/download?name=" + name)
        assert status == 200 and hashlib.sha256(body).hexdigest() == sha256, name
    server.__exit__()
    left_over = []
    with Storage(server.data, blobs=server.url) as storage:

        def is_left_with_what_is_named():
            """What came half may get its name at the store only when it is noticed that its sender is gone."""
            left_over.extend(storage.collect(0))
            there = [path for path in rclone.root.rglob("*") if path.is_file() and path.name != "store-id"]
            report = storage.check(deep=True)
            return report.is_sound and report.files == len(there)

        until(is_left_with_what_is_named)
    server.start()
    told.tell("rclone and its server killed in turn, six times", len(uploaders.acknowledged), gap_s=gap,
              more=f"; {len(left_over)} left over, collected")


def test_what_is_sent_in_parts_is_whole_or_goes_whoever_is_killed(swift, serve, capsys):
    server = serve(swift, words="&single=5MiB")
    data = long_wav(1000)  # 32 MB: seven parts

    def bytes_there():
        """What Swift's disk has of audio, an object of parts and parts of none alike."""
        found = 0
        for path in (swift.folder / "srv").rglob("*.data"):
            with contextlib.suppress(FileNotFoundError):
                size = path.stat().st_size
                found += size if size > 1 << 19 else 0
        return found

    before = bytes_there()
    assert server.post("long.wav", data)[0] == 201 and bytes_there() == before + len(data)
    assert server.get("/download?name=long.wav")[2] == data
    edge = 5 << 20
    assert server.get("/download?name=long.wav", Range=f"bytes={edge - 5}-{edge + 4}")[2] == data[edge - 5:edge + 5]
    check(server)

    def upload_until_killed(kill):
        begun = bytes_there()
        answers = []

        def upload():
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                answers.append(server.post("second.wav", data + bytes(32)))

        uploading = threading.Thread(target=upload)
        uploading.start()
        until(lambda: bytes_there() >= begun + edge)
        kill()
        uploading.join()
        return answers

    with contextlib.ExitStack() as stack:
        answers = upload_until_killed(lambda: stack.enter_context(swift.without("proxy")))
        assert answers[0][0] in (201, 503)
    until(server.is_well)
    if answers[0][0] == 201:  # it had all of it already, before it was killed
        assert server.ask("DELETE", "/files/" + answers[0][2]["id"])[0] == 204
    upload_until_killed(server.kill)
    assert bytes_there() > before + len(data)
    with Storage(server.data, blobs=server.url) as storage:
        storage.collect(3600)
        assert bytes_there() > before + len(data), "what is young may be another server's"
        storage.collect(0)
        if storage.record(name="second.wav") is None:  # else it was killed too late
            assert bytes_there() == before + len(data)
    server.start()
    assert server.get("/download?name=long.wav")[2] == data


def test_a_hung_store_is_named_and_holds_up_nothing_else(rclone, serve):
    server = serve(rclone, "--far-threads", "4")
    server.post("a.wav", WAV)
    rclone.process.send_signal(signal.SIGSTOP)
    try:
        waiting = []
        for _ in range(3):
            sock = socket.create_connection(server.address)
            sock.sendall(b"GET /download?name=a.wav HTTP/1.1\r\nHost: localhost\r\n\r\n")
            waiting.append(sock)
        assert server.get("/info?name=a.wav")[0] == 200 and server.get("/list?q=a")[0] == 200
        assert server.get("/health/live")[0] == 200
        status, engines = server.health()
        assert status == 503 and "no progress" in engines["blobs"]
        assert select.select(waiting, [], [], 0)[0] == [], "what does not wait for the store was held up by what does"
    finally:
        rclone.process.send_signal(signal.SIGCONT)
    for sock in waiting:
        with sock, sock.makefile("rb") as file:
            assert file.read(12) == b"HTTP/1.1 200", "it came back before their patience ended"
    until(server.is_well)


@pytest.mark.parametrize("part", ["object", "container", "account"])
def test_a_part_of_swift_that_dies_is_an_outage_and_never_a_missing_file(swift, serve, part):
    server = serve(swift)
    assert server.post("a.wav", WAV)[0] == 201
    with swift.without(part):
        status = server.get("/download?name=a.wav")[0]
        assert status in (200, 503), "never 404, never 500"
        status, _, problem = server.post("b.wav", wav(0.2))
        assert status in (201, 503)
        before = json.loads(server.get("/list")[2])["total"]
        assert before == (2 if status == 201 else 1)
        assert server.get("/health/live")[0] == 200
    until(server.is_well)
    until(lambda: server.get("/download?name=a.wav")[:1] == (200,))
    assert server.post("c.wav", wav(0.3))[0] == 201


def test_audio_moves_from_one_engine_to_another_and_home(rclone, swift, serve, tmp_path, monkeypatch, capsys):
    home = tmp_path / "var"
    server = serve(rclone)
    for n in range(3):
        assert server.post(f"{n}.wav", wav(0.1 + n / 10))[0] == 201
    assert server.post("long.wav", long_wav(200))[0] == 201
    before = server.get("/list?sort=name")[2]
    assert main(["db", "move", "--home", "--from-blobs", server.url, "--data", str(home)]) == 0
    assert server.get("/download?name=0.wav")[2] == WAV, "the old server goes on reading"
    assert server.post("x.wav", wav(0.7))[0] == 503
    server.process.terminate()
    server.process.wait(60)
    for name, value in swift.environment.items():
        monkeypatch.setenv(name, value)
    in_parts = swift.url("moved") + "&single=5MiB"
    assert main(["db", "move", "--blobs", in_parts, "--data", str(home)]) == 0
    assert "moved 4 files" in capsys.readouterr().out
    assert main(["db", "check", "--deep", "--data", str(home), "--blobs", swift.url("moved")]) == 0
    assert main(["db", "move", "--home", "--from-blobs", swift.url("moved"), "--data", str(home)]) == 0
    plain = start([sys.executable, str(ROOT / "audioserver.py"), "--port", "0", "--data", str(home),
                              "--log", "none"], stdout=subprocess.PIPE, text=True)
    address = ("127.0.0.1", int(plain.stdout.readline().rsplit(":", 1)[1]))
    assert request(address, "GET", "/list?sort=name")[2] == before
    plain.terminate()
    plain.wait(60)
    plain.stdout.close()
