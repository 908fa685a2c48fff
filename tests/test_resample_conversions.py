"""Conversions through the whole server, workers included: what comes out, at once, after kills and departures."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import audio_files
import pytest
from processes import until
from support import PROGRAM, Running, eventually, request, wav
from test_resample_service import begun, clean, ended, problem, resample, temporary_files

import audiometa

HERE = wav(0.3, 44100, 2)


def repeated(second, times):
    """A WAV of a second, `times` over."""
    size = times * (len(second) - 44)
    head = (second[:4] + (36 + size).to_bytes(4, "little") + second[8:40] + size.to_bytes(4, "little"))
    return head + times * second[44:]


MIDDLE = repeated(wav(1.0, 44100, 2), 3)  # a third of a second's work
LONG = repeated(wav(1.0), 600)  # half a minute's of a core: whoever does something meanwhile may be held up for seconds
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")


@pytest.fixture(scope="module")
def same_server(tmp_path_factory):
    """A server whose workers are begun once."""
    with Running(tmp_path_factory.mktemp("data"), jobs=2) as one:
        yield one


@pytest.fixture
def server(same_server):
    """It, and afterwards without what the test left."""
    yield same_server
    clean(same_server)


def identified(data):
    return audiometa.identify(io.BytesIO(data))


def children(pid):
    """The processes that a process has begun."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:
            pass
    return found


def workers_of(server):
    """The processes that convert for a server in this process."""
    begun = [worker._child for worker in server.server.jobs._converter._workers]
    return [child.pid for child in begun if child is not None]


def state_of(server, where):
    return json.loads(request(server.address, "GET", where)[2])["status"]


def caught(server, workers):
    """Where a conversion is whose workers stand still in the middle of it; over already where that is missed again and again."""
    for _ in range(50):
        where = begun(server, "", MIDDLE)
        eventually(lambda: state_of(server, where) != "queued")
        signal_all(workers, "SIGSTOP")
        if state_of(server, where) == "running":
            return where
        signal_all(workers, "SIGCONT")
        assert request(server.address, "DELETE", where)[0] == 204
    return begun(server, "", MIDDLE)


def signal_all(pids, name):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, AttributeError):  # Windows has no such signals
            os.kill(pid, getattr(signal, name))


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# -- what comes out -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters, source, done, seconds",
    [
        ("", HERE, "converted 44100->32000 mp3 128k stereo", 0.3),
        ("", wav(0.3, 8000, 1), "converted 8000->32000 mp3 64k mono", 0.3),
        ("rate=16000&bitrate=32&channels=1", HERE, "converted 44100->16000 mp3 32k mono", 0.3),
        ("rate=48000&quality=4", HERE, "converted 44100->48000 mp3 q4 stereo", 0.3),
        ("rate=44100", HERE, "converted 44100->44100 mp3 128k stereo", 0.3),
        ("channels=2", wav(0.3, 32000, 1), "converted 32000->32000 mp3 128k stereo", 0.3),
        ("format=wav", HERE, "converted 44100->32000 wav stereo", 0.3),
        ("format=wav&rate=11000&channels=1", HERE, "converted 44100->11000 wav mono", 0.3),
        (
            "",
            audio_files.aiff(rate=22050, channels=2, frames=6615),
            "converted 22050->32000 mp3 128k stereo",
            0.3,
        ),
        (
            "",
            audio_files.mp3(frames=20),
            "converted 44100->32000 mp3 128k stereo",
            20 * 1152 / 44100,
        ),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_a_conversion_is_what_was_asked_for(server, parameters, source, done, seconds):
    status, fields, body = resample(server, parameters, source)
    assert status == 200, body
    assert fields["x-resample"] == done
    info = identified(body)
    rate, *words = done.split("->")[1].split()
    assert (info.container, info.sample_rate) == (words[0], int(rate))
    assert info.channels == (1 if words[-1] == "mono" else 2)
    assert info.duration == pytest.approx(seconds, abs=0.002) and not info.warnings
    assert len(body) == int(fields["content-length"])
    eventually(lambda: not temporary_files(server))


def test_a_result_is_passed_through_when_it_comes_again(server):
    once = resample(server, "", HERE)[2]
    status, fields, again = resample(server, "", once)
    assert (status, fields["x-resample"], again) == (200, "passthrough", once)
    for parameters, is_as_it_is in (
        ("channels=2", True),
        ("bitrate=128", True),
        ("bitrate=64", False),
        ("channels=1", False),
        ("quality=3", False),
        ("rate=44100", False),
        ("format=wav", False),
    ):
        fields = resample(server, parameters, once)[1]
        assert (fields["x-resample"] == "passthrough") == is_as_it_is, parameters


def test_clients_at_once_each_get_their_own(server):
    sources = [wav(0.05, 44100, 1 + n % 2, 200.0 + 50 * n) for n in range(16)]
    alone = [resample(server, "", source)[2] for source in sources]
    found = [b""] * 16

    def client(n):
        found[n] = resample(server, "", sources[n])[2]

    threads = [threading.Thread(target=client, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == alone and len(set(found)) == 16
    eventually(lambda: not temporary_files(server))


def test_damaged_audio_is_converted_as_far_as_it_goes_and_says_so(server):
    whole = resample(server, "rate=44100", repeated(wav(1.0, 44100, 2), 1))[2]
    damaged = whole[: len(whole) // 2] + bytes(3000) + whole[len(whole) // 2 + 3000 :]
    status, fields, body = resample(server, "", damaged)
    assert status == 200 and fields["x-resample-warnings"]
    assert identified(body).duration == pytest.approx(1.0, abs=0.3)


def test_a_short_wav_says_that_it_is_short(server):
    status, fields, body = resample(server, "", HERE[:-1000])
    assert status == 200 and fields["x-resample-warnings"] and identified(body).duration < 0.3


def test_nothing_but_damage_is_refused(server):
    frames = bytearray(audio_files.mp3(frames=12, tag=False))
    answer = resample(server, "", bytes(frames))
    assert answer[0] in (200, 422)


def test_a_long_conversion_tells_how_far_it_is(server):
    where, seen = begun(server, "", LONG), []
    with closing(http.client.HTTPConnection(*server.address, timeout=60)) as connection:
        connection.request("GET", where + "/events")
        answer = connection.getresponse()
        while len({event["progress"] for event in seen}) < 5:
            line = answer.readline()
            assert line, "it is over"
            if line.startswith(b"data: "):
                seen.append(json.loads(line[6:]))
        shares = [event["progress"] for event in seen]
        assert shares == sorted(shares) and shares[-1] < 1
        assert any(event["status"] == "running" and event["seconds_left"] is not None for event in seen)
        assert request(server.address, "DELETE", where)[0] == 204
        assert json.loads(answer.read().split(b"data: ")[-1])["status"] == "failed", "and then that it was removed"


def test_a_result_that_is_not_ready_says_so(server):
    where = begun(server, "", LONG)
    assert problem(request(server.address, "GET", where + "/result")) == (409, "not-ready")
    assert request(server.address, "DELETE", where)[0] == 204
    eventually(lambda: not temporary_files(server))


def test_short_ones_do_not_wait_for_long_ones(server):
    long = json.loads(request(server.address, "POST", "/post?name=long.wav", LONG)[2])["id"]
    longs = [begun(server, "id=" + long, None) for _ in range(3)]
    assert resample(server, "", wav(0.05, 44100))[0] == 200
    states = [json.loads(request(server.address, "GET", where)[2])["status"] for where in longs]
    assert "done" not in states


# -- who leaves ---------------------------------------------------------------------------------------------


@on_linux
def test_a_client_that_leaves_ends_its_conversion(server):
    resample(server, "", HERE)
    workers = eventually(lambda: len(workers_of(server)) >= 2 and set(workers_of(server)))  # and one for short ones, perhaps
    with socket.create_connection(server.address) as sock:
        sock.sendall(
            f"POST /resample HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(LONG)}\r\n\r\n".encode()
            + LONG
        )
        until(lambda: any(name.endswith(".0") for name in temporary_files(server)))  # a part of the result
    until(lambda: not temporary_files(server))
    until(lambda: workers - set(workers_of(server)))  # who was at it did not go on to its end
    assert resample(server, "", HERE)[0] == 200


def test_more_than_the_queue_takes_is_refused_with_words(running):
    server = running(jobs=1, queue=1)
    for _ in range(2):
        begun(server, "", LONG)
    status, fields, body = resample(server, "", HERE)
    assert (status, json.loads(body)["code"]) == (503, "busy") and int(fields["retry-after"]) > 0


def test_closing_the_server_ends_its_workers(running):
    server = running(jobs=2)
    resample(server, "", HERE)
    workers = eventually(lambda: len(workers_of(server)) == 2 and workers_of(server))
    where = caught(server, workers)
    server.__exit__()
    eventually(lambda: not any(is_alive(pid) for pid in workers))
    again = running(jobs=2)
    assert ended(again, where)["status"] == "done"
    assert identified(request(again.address, "GET", where + "/result")[2]).duration == pytest.approx(3, abs=0.01)


# -- kills --------------------------------------------------------------------------------------------------


@on_linux
def test_a_worker_that_is_killed_has_its_work_done_again(running):
    server = running(jobs=1)
    resample(server, "", HERE)
    workers = workers_of(server)
    where = caught(server, workers)
    signal_all(workers, "SIGKILL")
    assert ended(server, where)["status"] == "done"
    assert resample(server, "", HERE)[0] == 200


class Process:
    """A server in a process of its own."""

    def __init__(self, data):
        self.process = subprocess.Popen(
            [*PROGRAM, "--port", "0", "--data", str(data), "--jobs", "2", "--log", "none"],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = ("127.0.0.1", int(self.process.stdout.readline().rsplit(":", 1)[1]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.process.stdout.close()


@on_linux
def test_a_killed_server_leaves_no_worker_and_goes_on_after_a_start(tmp_path):
    data = tmp_path / "var"
    with Process(data) as server:
        resample(server, "", HERE)
        workers = eventually(lambda: len(children(server.process.pid)) == 2 and children(server.process.pid))
        where = caught(server, workers)
        waiting = http.client.HTTPConnection(*server.address)
        waiting.request("POST", "/resample", MIDDLE)
        eventually(lambda: len(list((data / "conversions").iterdir())) == 2)
        server.process.kill()
        server.process.wait()
        waiting.close()
        signal_all(workers, "SIGCONT")
        eventually(lambda: not any(is_alive(pid) for pid in workers))
    with Process(data) as server:
        assert len(list((data / "conversions").iterdir())) == 1
        assert ended(server, where)["status"] == "done"
        assert identified(request(server.address, "GET", where + "/result")[2]).duration == pytest.approx(3, abs=0.01)
        eventually(lambda: not list((data / "conversions").iterdir()))


@pytest.mark.slow
@on_linux
def test_a_thousand_mixed_conversions_leave_nothing(running):
    server = running(jobs=2)
    sources = [wav(0.05, rate, channels) for rate in (8000, 32000, 44100) for channels in (1, 2)]

    def one(n):
        source = sources[n % len(sources)]
        if n % 5 == 0:
            with socket.create_connection(server.address) as sock:
                sock.sendall(
                    f"POST /resample HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(source)}\r\n\r\n".encode()
                )
                sock.sendall(source[: -1 if n % 10 else None])
        elif n % 5 == 1:
            where = begun(server, "", source)
            if n % 2:
                assert request(server.address, "DELETE", where)[0] == 204
            else:
                ended(server, where)
                assert request(server.address, "GET", where + "/result")[0] == 200
        elif n % 5 == 2:
            assert resample(server, "", b"not audio at all")[0] == 415
        else:
            assert resample(server, "", source)[0] == 200

    failures = []

    def client(first):
        try:
            for n in range(first, 1000, 8):
                one(n)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    eventually(lambda: not temporary_files(server))
    assert not list((server.server.storage.data / "uploads").iterdir())
    workers = eventually(lambda: len(workers_of(server)) == 2 and workers_of(server))  # who was killed has an heir soon
    server.__exit__()
    assert not any(is_alive(pid) for pid in workers)


def test_a_worker_that_cannot_be_begun_is_told_in_words(running, monkeypatch):
    server = running(jobs=1)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    status, _, body = resample(server, "", HERE)
    assert (status, json.loads(body)["code"]) == (500, "internal")
    monkeypatch.undo()
    assert resample(server, "", HERE)[0] == 200
    eventually(lambda: not temporary_files(server))
