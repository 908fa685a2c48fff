"""GET /files/{id}/peaks over real sockets, and the cache behind it: one computation, nothing left over."""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import threading

import pytest
from audio_files import flac
from support import ROOT, eventually, long_wav, request, wav
from test_faults import FailingOps
from test_storage import upload

from audiokit.job import Converter, Outcome
from audiokit.peaks import PeakCache, Wanted
from audiokit.wire.problems import Refusal
from storage import Storage

SOUND = wav(2.0)  # 8 kHz, mono


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    from support import Running

    with Running(tmp_path_factory.mktemp("data"), jobs=1) as one:
        yield one


def post(server, name, data=SOUND):
    status, _, text = request(server.address, "POST", "/post?overwrite=true&name=" + name, data)
    assert status in (200, 201), text
    return json.loads(text)


def get(server, id, parameters="", method="GET", **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return request(server.address, method, f"/files/{id}/peaks?{parameters}".rstrip("?"), None, names)


def folder(server):
    path = server.server.storage.data / "peaks"
    return sorted(os.listdir(str(path))) if path.is_dir() else []


class TestAnswers:
    def test_json_has_the_lowest_and_highest_of_each_pixel(self, shared):
        status, fields, body = get(shared, post(shared, "a.wav")["id"], "width=4&bits=16")
        wave = json.loads(body)
        assert (status, fields["content-type"], body[-1:]) == (200, "application/json", b"\n")
        assert wave.pop("data") == [-16000, 16000] * 4
        assert wave == {"version": 2, "channels": 1, "sample_rate": 8000, "samples_per_pixel": 4096, "bits": 16,
                        "length": 4}

    @pytest.mark.parametrize("parameters, headers", [
        ("format=dat&width=2", {}), ("width=2", {"Accept": "application/octet-stream"}),
        ("format=dat&width=2", {"Accept": "application/json"}),
        ("width=2", {"Accept": "application/json;q=0.5, application/octet-stream"}),
        ("width=2", {"Accept": "application/json;q=0, APPLICATION/octet-stream;q=0.1"}),
    ])
    def test_the_binary_form_comes_by_parameter_or_accept(self, shared, parameters, headers):
        status, fields, body = get(shared, post(shared, "a.wav")["id"], parameters, **headers)
        assert (status, fields["content-type"], fields["vary"]) == (200, "application/octet-stream", "Accept")
        assert body == struct.pack("<iIiiIi", 2, 1, 8000, 8192, 2, 1) + bytes([0xC2, 62] * 2)

    @pytest.mark.parametrize("accept", ["*/*", "application/octet-stream;q=0, */*", "application/octet-stream, application/json",
                                        "application/octet-stream;\tq=0.9, application/json", ""])
    def test_json_comes_where_the_binary_form_is_not_wanted_more(self, shared, accept):
        fields = get(shared, post(shared, "a.wav")["id"], "width=2", Accept=accept)[1]
        assert fields["content-type"] == "application/json"

    def test_a_region_is_shown_from_a_whole_pixel_on(self, shared):
        id = post(shared, "a.wav")["id"]
        wave = json.loads(get(shared, id, "from=0.5&to=0.6&width=100&bits=16")[2])
        assert (wave["samples_per_pixel"], wave["length"]) == (8, 100)
        samples = struct.unpack("<16000h", SOUND[44:])
        wanted = [pick(samples[at : at + 8]) for at in range(4000, 4800, 8) for pick in (min, max)]
        assert wave["data"] == wanted

    def test_mp3_is_decoded_and_no_finer_than_256(self, shared):
        data = (ROOT / "tests/vectors/layer3_44100_joint_all_tools.mp3").read_bytes()
        record = post(shared, "a.mp3", data)
        wave = json.loads(get(shared, record["id"], "width=8192")[2])
        assert (wave["samples_per_pixel"], wave["channels"]) == (256, 2)
        assert wave["length"] == -(-round(record["duration"] * 44100) // 256)

    def test_what_lies_behind_the_end_is_empty(self, shared):
        wave = json.loads(get(shared, post(shared, "a.wav")["id"], "from=5&to=6")[2])
        assert (wave["length"], wave["data"]) == (0, [])

    def test_what_is_cut_shows_what_is_there(self, shared):
        record = post(shared, "cut.wav", SOUND[:20044])
        assert record["truncated"]
        wave = json.loads(get(shared, record["id"], "width=1")[2])
        assert wave["samples_per_pixel"] == 10240 and wave["length"] == 1

    def test_audio_that_is_not_decoded_is_named(self, shared):
        status, _, body = get(shared, post(shared, "a.flac", flac())["id"])
        problem = json.loads(body)
        assert (status, problem["code"], problem["codec"]) == (415, "unsupported-conversion", "flac")

    def test_what_holds_nothing_that_can_be_decoded_says_so(self, shared):
        # Side information that promises more bits than there are: every frame is there, none decodes.
        frame = b"\xff\xfb\x90\x64" + b"\xff" * 413
        record = post(shared, "broken.mp3", frame * 40)
        status, _, body = get(shared, record["id"])
        assert (status, json.loads(body)["code"]) == (422, "damaged-audio")

    def test_no_file_no_peaks(self, shared):
        status, _, body = get(shared, "nothing")
        assert (status, json.loads(body)["code"]) == (404, "not-found")

    @pytest.mark.parametrize("parameters, parameter", [
        ("width=0", "width"), ("width=8193", "width"), ("width=1e3", "width"), ("width=%C2%B2", "width"),
        ("width=", "width"), ("width=1&width=1", "width"), ("from=x", "from"), ("from=-1", "from"),
        ("from=nan", "from"), ("from=1&to=1", "to"), ("to=0", "to"), ("bits=12", "bits"), ("format=png", "format"),
        ("zoom=1", "zoom"),
    ])
    def test_a_parameter_that_is_wrong_is_named(self, shared, parameters, parameter):
        status, _, body = get(shared, post(shared, "a.wav")["id"], parameters)
        assert (status, json.loads(body)["parameter"]) == (400, parameter)


class TestConditions:
    def test_the_tag_is_of_the_content_the_zoom_and_the_form(self, shared):
        id = post(shared, "a.wav")["id"]
        asked = ("", "width=5", "from=1", "bits=16", "format=dat")
        tags = [get(shared, id, parameters)[1]["etag"] for parameters in asked]
        assert len(set(tags)) == len(tags) and get(shared, id)[1]["etag"] == tags[0]
        assert get(shared, post(shared, "b.wav")["id"])[1]["etag"] == tags[0], "the same sound"
        other = post(shared, "c.wav", wav(2.0, pitch_hz=300.0))["id"]
        assert get(shared, other)[1]["etag"] not in tags

    def test_what_the_client_has_is_not_made_for_it(self, shared):
        id = post(shared, "new.wav", wav(2.0, pitch_hz=311.0))["id"]
        before = folder(shared)
        status, fields, body = get(shared, id, If_None_Match="*")
        assert (status, body, folder(shared)) == (304, b"", before)
        status, _, body = get(shared, id, If_Match=fields["etag"])
        assert status == 200
        status, _, body = get(shared, id, If_Match='"other"')
        assert (status, json.loads(body)["code"]) == (412, "precondition-failed")

    def test_head_is_get_without_its_body(self, shared):
        id = post(shared, "a.wav")["id"]
        whole, head = get(shared, id, "width=9"), get(shared, id, "width=9", "HEAD")
        assert head[0] == 200 and head[2] == b""
        assert head[1]["content-length"] == str(len(whole[2]))


def test_the_life_of_peaks(running):
    server = running(jobs=1)
    record = post(server, "a.wav")
    assert folder(server) == []
    assert get(server, record["id"], "width=1")[0] == 200
    first = folder(server)
    assert len(first) == 1 and first[0].endswith("-all")
    assert get(server, record["id"], "width=2")[0] == 200
    assert get(server, record["id"], "width=1000")[0] == 200
    assert len(folder(server)) == 2, "one for all that is coarse, one for what is finer"
    post(server, "a.wav", wav(1.0))
    eventually(lambda: folder(server) == [])  # replaced; the answer is out before all is noted
    get(server, record["id"])
    assert len(folder(server)) == 1
    request(server.address, "DELETE", "/files/" + record["id"])
    eventually(lambda: folder(server) == [])
    assert get(server, record["id"])[0] == 404


def test_many_who_ask_are_answered_by_one_computation(running):
    server = running(jobs=1)
    id = post(server, "long.wav", long_wav(300.0))["id"]
    asked = f"GET /files/{id}/peaks?width=50 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    clients = [socket.create_connection(server.address, timeout=60) for _ in range(20)]
    for client in clients:
        client.sendall(asked)
    bodies = set()
    for client in clients:
        with client:
            answer = b"".join(iter(lambda: client.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.1 200 ")
            bodies.add(answer.split(b"\r\n\r\n", 1)[1])
    assert len(bodies) == 1 and len(folder(server)) == 1


def test_peaks_outlive_an_orderly_restart_and_no_more(running, tmp_path):
    server = running(jobs=1)
    id = post(server, "a.wav")["id"]
    get(server, id, "width=1")
    kept = folder(server)
    server.__exit__()
    left = tmp_path / "var" / "peaks"
    (left / "0123.part").write_bytes(b"half")
    (left / ("ab" * 16 + "-all")).write_bytes(b"of what has gone")
    server = running(jobs=1)
    assert folder(server) == kept
    (left / kept[0]).write_bytes(b"torn")
    assert get(server, id, "width=1")[0] == 200, "what is torn is made again"
    server.__exit__()
    (tmp_path / "var" / "lock").write_text("crashed")
    server = running(jobs=1)
    assert folder(server) == [], "after a crash nothing is trusted"


def test_backups_and_checks_do_not_look_at_peaks(running, tmp_path):
    server = running(jobs=1)
    get(server, post(server, "a.wav")["id"])
    assert server.server.storage.check(deep=True).is_sound
    server.server.storage.backup(tmp_path / "copy")
    assert not (tmp_path / "copy" / "peaks").exists()


# -- the cache by itself ------------------------------------------------------------------------------------


class ByHand(Converter):
    """Peaks that are made when the test says so: 10,000 bytes."""

    def __init__(self) -> None:
        self.begun = []
        self.cancelled = 0
        self.news = threading.Condition()

    def summarise(self, source, target, region, seconds, on_done, pcm=None):
        with self.news:
            self.begun.append((source, target, on_done))
            self.news.notify_all()
        return lambda: self._cancel(on_done)

    def _cancel(self, on_done):
        self.cancelled += 1
        on_done(Outcome(failure=Refusal("gone", "cancelled")))

    def finish(self, number=0, failure=None):
        with self.news:
            assert self.news.wait_for(lambda: len(self.begun) > number, 60)
        source, target, on_done = self.begun[number]
        assert os.path.getsize(source)
        if failure is None:
            with open(target, "wb") as file:
                file.write(b"x" * 10_000)
        on_done(Outcome(failure=failure))


class Room:
    """A cache over a storage, with a converter by hand."""

    def __init__(self, data, most_bytes=1 << 20, most_waiting=10, ops=None):
        self.storage = Storage(data, free_space_kept=0, ops=ops)
        self.folder = self.storage.data / "peaks"
        self.converter, self.bugs = ByHand(), []
        self.cache = PeakCache(
            self.folder, self.converter, self.storage, most_bytes=most_bytes, most_waiting=most_waiting,
            on_bug=self.bugs.append,
        )
        self.said = []
        self.news = threading.Condition()

    def add(self, name, region=None):
        """What is wanted of a new file."""
        upload(self.storage, wav(0.02), name)
        return Wanted(self.storage.content(name=name), region, 1.0, 1000)

    def ask(self, wanted):
        return self.cache.follow(wanted, self._waiter)

    def _waiter(self, file, failure):
        with self.news:
            self.said.append(len(file.read()) if file is not None else failure.code)
            self.news.notify_all()

    def heard(self, *said):
        with self.news:
            assert self.news.wait_for(lambda: len(self.said) >= len(said), 60), self.said
        assert self.said == list(said)

    def close(self):
        self.cache.close()
        self.storage.close()
        assert self.bugs == []

    def names(self):
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []


@pytest.fixture
def room(tmp_path):
    made = []

    def make(**settings):
        made.append(Room(tmp_path / f"var{len(made)}", **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


class TestCache:
    def test_all_who_ask_meanwhile_wait_for_the_same(self, room):
        one = room()
        wanted = one.add("a.wav")
        for _ in range(3):
            one.ask(wanted)
        one.converter.finish()
        one.heard(10_000, 10_000, 10_000)
        one.cache.close()
        assert len(one.converter.begun) == 1 and one.names() == [wanted.name]
        with one.cache.open(wanted) as file:
            assert file.read() == b"x" * 10_000

    def test_the_longest_unused_goes_first(self, room):
        one = room(most_bytes=30_000)
        wanted = [one.add(f"{number}.wav") for number in range(4)]
        for number, each in enumerate(wanted[:3]):
            one.ask(each)
            one.converter.finish(number)
            one.heard(*[10_000] * (number + 1))
        one.ask(one.add("wait.wav"))  # the crew is behind the third by then
        one.converter.finish(3)
        one.heard(*[10_000] * 4)
        one.cache.close()
        assert len(one.names()) == 3 and wanted[0].name not in one.names()
        assert one.cache.open(wanted[0]) is None

    def test_what_is_larger_than_the_cache_is_answered_and_not_kept(self, room):
        one = room(most_bytes=5000)
        one.ask(one.add("a.wav"))
        one.converter.finish()
        one.heard(10_000)
        one.cache.close()
        assert one.names() == []

    def test_the_last_who_goes_ends_the_work(self, room):
        one = room()
        wanted = one.add("a.wav")
        leave = [one.ask(wanted), one.ask(wanted)]
        with one.converter.news:
            assert one.converter.news.wait_for(lambda: one.converter.begun, 60)
        leave[0]()
        assert one.converter.cancelled == 0
        leave[1]()
        one.cache.close()
        assert one.said == [] and one.names() == []

    def test_what_is_removed_meanwhile_is_answered_and_not_kept(self, room):
        one = room()
        wanted = one.add("a.wav")
        one.ask(wanted)
        with one.converter.news:
            assert one.converter.news.wait_for(lambda: one.converter.begun, 60)
        assert one.storage.remove(wanted.content.id)
        one.converter.finish()
        one.heard(10_000)
        one.cache.close()
        assert one.names() == []

    def test_too_many_are_refused(self, room):
        one = room(most_waiting=1)
        leave = one.ask(one.add("a.wav"))
        one.ask(one.add("b.wav"))
        one.heard("busy")
        leave()

    def test_a_failure_is_told_and_leaves_nothing(self, room):
        one = room()
        wanted = one.add("a.wav")
        one.ask(wanted)
        one.converter.finish(failure=Refusal("damaged-audio", "nothing in it"))
        one.heard("damaged-audio")
        one.ask(wanted)
        one.converter.finish(1)
        one.heard("damaged-audio", 10_000)


class Faults(FailingOps):
    """Those of uploads, and opening and linking."""

    def open(self, path):
        self._step("open")
        return super().open(path)

    def link_or_copy(self, source, target):
        self._step("link_or_copy")
        super().link_or_copy(source, target)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("kind", ["make_directory", "link_or_copy", "open", "rename", "remove"])
def test_whichever_operation_fails_who_asks_is_told_and_the_next_start_is_clean(tmp_path, kind, number):
    for at in range(1, 20):
        ops = Faults()
        one = Room(tmp_path / str(at), ops=ops)
        wanted = one.add("a.wav")
        ops.fail(kind, at, 0, OSError(number, os.strerror(number)))
        one.ask(wanted)
        if kind not in ("make_directory", "link_or_copy") or at > 1:
            one.converter.finish()
        with one.news:
            assert one.news.wait_for(lambda: one.said, 60)
        one.close()
        has_failed = ops.has_failed
        told = 10_000 if kind in ("rename", "remove") else "no-space" if number == errno.ENOSPC else "internal"
        assert one.said in ([told], [10_000])
        again = Room(tmp_path / str(at))
        assert set(again.names()) <= {wanted.name}
        again.close()
        if not has_failed:
            assert again.names() == [wanted.name]
            return
    raise AssertionError("it never came to an end")
