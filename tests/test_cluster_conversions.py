"""Conversions in a real cluster: three rqlite nodes, a store, two servers; begun at one, fetched from the other.

Slow: the engines are fetched and begun.
"""

from __future__ import annotations

import json
import os
import urllib.parse

import pytest
from engines import Rclone
from processes import until
from servers import Server
from support import long_wav, wav

from audiokit.formats.mpeg_header import parse_header
from storage import Storage

pytestmark = pytest.mark.slow
LONG = 3000  # seconds of sound: minutes of work for a core
MEDIUM = 60  # seconds of work


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Rclone(tmp_path_factory.mktemp("store")) as one:
        yield one


def begin(server, body, **more):
    query = urllib.parse.urlencode({"async": "true", **more})
    status, fields, text = server.ask("POST", "/resample?" + query, body)
    assert status == 202, text
    return fields["location"]


def status(server, where):
    code, _, body = server.get(where)
    return json.loads(body) if code == 200 else {"status": str(code)}


def events(server, where):
    code, _, body = server.get(where + "/events")
    assert code == 200
    return [json.loads(line[6:]) for line in body.decode().strip().split("\n\n")]


def conversions(server):
    folder = server.data / "conversions"
    return os.listdir(str(folder)) if folder.is_dir() else []


def kept(store):
    """The names in the store that are audio."""
    root = store.root / "bucket" / "p" / "files"
    return [path.name for path in root.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def left(pair, nodes, store, tmp_path_factory):
    """What a third server was asked for before it was killed, for good: of a body, of a file, to be saved."""
    with Server(tmp_path_factory.mktemp("c"), store, "--catalogue", nodes.url, "--jobs", "1") as third:
        assert third.post("left.wav", long_wav(MEDIUM))[0] == 201
        asked = {
            "body": begin(third, long_wav(MEDIUM), name="body.wav"), "file": begin(third, None, source="left.wav"),
            "saved": begin(third, None, source="left.wav", save_as="left.mp3"),
        }
        until(lambda: any(status(pair[0], where)["status"] == "running" for where in asked.values()))
        third.kill()
    return asked


def test_an_mp3_is_made_by_one_server_followed_at_the_other_and_fetched_there_in_pieces(pair, store, left):
    a, b = pair
    before = len(kept(store))
    where = begin(a, long_wav(MEDIUM), name="in.wav")
    seen = events(b, where)
    assert seen[-1]["status"] == "done" and seen[-1] == status(a, where) == status(b, where)
    assert [one["progress"] for one in seen] == sorted(one["progress"] for one in seen)
    size, result = seen[-1]["size"], where + "/result"
    code, fields, _ = b.ask("HEAD", result)
    assert (code, fields["content-length"], fields["content-type"]) == (200, str(size), "audio/mpeg")
    first, second = (one.get(result, Range=f"bytes={span}") for one, span in ((b, "0-9999"), (a, "10000-")))
    assert (first[0], second[0]) == (206, 206) and len(first[2] + second[2]) == size
    assert parse_header(first[2]).sample_rate == 32000
    for server in pair:
        until(lambda: server.get(where)[0] == 410)
    until(lambda: len(kept(store)) <= before)


def test_a_file_of_one_server_is_converted_by_the_other_and_saved_for_both(pair):
    a, b = pair
    assert a.post("source.wav", wav(0.5))[0] == 201
    where = begin(b, None, source="source.wav", save_as="made.mp3")
    assert events(a, where)[-1]["status"] == "done"
    assert json.loads(a.get("/info?name=made.mp3")[2])["container"] == "mp3"
    for name in ("source.wav", "made.mp3"):
        file = json.loads(b.get("/info?name=" + name)[2])
        assert b.ask("DELETE", "/files/" + file["id"])[0] == 204


def test_a_conversion_removed_at_one_server_ends_at_the_other(pair):
    a, b = pair
    where = begin(a, long_wav(LONG))
    until(lambda: status(b, where)["status"] == "running")
    assert b.ask("DELETE", where)[0] == 204
    assert a.get(where)[0] == b.get(where)[0] == 410
    until(lambda: not conversions(a))


def test_a_leader_that_dies_ends_no_conversion(nodes, pair):
    a, b = pair
    where = begin(a, long_wav(MEDIUM))
    with nodes.without(nodes.leader()):
        until(lambda: status(b, where)["status"] == "done", 60)
    assert b.ask("DELETE", where)[0] == 204


def test_a_result_is_there_after_the_death_of_the_server_that_made_it(pair):
    a, b = pair
    where = begin(a, long_wav(MEDIUM))
    events(a, where)
    a.kill()
    code, fields, body = b.get(where + "/result")
    assert (code, len(body)) == (200, int(fields["content-length"]))
    a.start()
    until(lambda: a.get(where)[0] == 410)


def test_what_a_server_was_at_when_it_died_it_goes_on_with_when_it_is_back(pair):
    a, b = pair
    where, gone = begin(a, long_wav(180)), begin(a, long_wav(LONG))
    until(lambda: status(b, where)["status"] == "running")
    a.kill()
    assert status(b, where)["status"] == "running"
    assert b.ask("DELETE", gone)[0] == 204
    a.start()
    assert events(b, where)[-1]["status"] == "done"
    assert b.get(where + "/result")[0] == 200
    for server in pair:
        until(lambda: not conversions(server))


def test_what_a_dead_server_was_at_the_others_have_done_within_minutes(pair, left):
    a, b = pair
    for what, where in left.items():
        until(lambda where=where: status(a, where)["status"] == "done", 150)
        assert status(a, where) == status(b, where), what
        if what != "saved":
            code, fields, body = b.get(where + "/result")
            assert (code, len(body)) == (200, int(fields["content-length"])) and parse_header(body).sample_rate == 32000
    made = json.loads(b.get("/info?name=left.mp3")[2])
    assert made["container"] == "mp3" and status(a, left["saved"])["file"] == "/files/" + made["id"]
    assert a.ask("DELETE", left["saved"])[0] == 204
    for id in (made["id"], json.loads(b.get("/info?name=left.wav")[2])["id"]):
        assert b.ask("DELETE", "/files/" + id)[0] == 204


def test_at_the_end_nothing_is_left(pair, nodes, store, tmp_path, monkeypatch):
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    until(lambda: not kept(store))
    with Storage(tmp_path, create=False, exclusive=False, blobs=store.url("p"), catalogue=nodes.url) as storage:
        report = storage.check()
        named = storage._catalogue.read("SELECT key FROM jobs WHERE key IS NOT NULL")
    assert report.is_sound and not named
