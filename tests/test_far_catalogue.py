"""A server whose catalogue is on other machines: every write may be carried out twice, and nobody waits in the loop."""

from __future__ import annotations

import json
import sqlite3
import threading
from base64 import b64encode

import pytest
from support import request, wav
from tiny_rqlite import Watched

from audiokit.credentials import hash_password
from audiokit.removals import NOTES_KEPT_MS
from storage import Storage

pytestmark = pytest.mark.slow  # every write is carried out twice


def catalogue_of(server):
    return server.server.storage._catalogue


def post(server, name, data, more=""):
    status, _, body = request(server.address, "POST", f"/post?name={name}{more}", data)
    return status, json.loads(body)


def bytes_there(server):
    return sum(1 for path in (server.data / "files").rglob("*") if path.is_file())


def test_an_upload_that_was_written_twice_is_one_file_with_its_bytes(far):
    status, record = post(far, "a.wav", wav())
    assert status == 201
    assert request(far.address, "GET", f"/files/{record['id']}/content")[2] == wav()
    assert json.loads(request(far.address, "GET", "/list")[2])["total"] == 1
    assert post(far, "a.wav", wav())[0] == 200
    assert bytes_there(far) == 1


def test_a_replacement_that_was_written_twice_keeps_the_new_bytes_and_no_old_ones(far):
    post(far, "a.wav", wav())
    status, record = post(far, "a.wav", wav(0.2), "&overwrite=true")
    assert status == 200
    assert request(far.address, "GET", f"/files/{record['id']}/content")[2] == wav(0.2)
    assert bytes_there(far) == 1


def test_another_file_under_a_name_is_still_refused(far):
    post(far, "a.wav", wav())
    assert post(far, "a.wav", wav(0.2))[0] == 409
    assert bytes_there(far) == 1


def test_a_removal_that_was_written_twice_is_done_and_one_of_nothing_is_not(far):
    _, record = post(far, "a.wav", wav())
    target = f"/files/{record['id']}"
    assert [request(far.address, "DELETE", target)[0] for _ in range(2)] == [204, 404]
    assert bytes_there(far) == 0


def test_a_change_that_was_written_twice_happened_once(far):
    _, record = post(far, "a.wav", wav())
    status, _, body = request(far.address, "PATCH", f"/files/{record['id']}", b'{"name": "b.wav"}')
    assert (status, json.loads(body)["name"]) == (200, "b.wav")
    assert catalogue_of(far).read("SELECT version FROM files") == [(2,)]


def test_a_row_that_was_removed_does_not_come_back_with_a_late_write(far):
    said = []
    write = Watched.write
    catalogue = catalogue_of(far)
    catalogue.write = lambda statements: said.append(statements) or write(catalogue, statements)
    _, record = post(far, "a.wav", wav())
    insert = said[0]
    assert request(far.address, "DELETE", f"/files/{record['id']}")[0] == 204
    write(catalogue, insert)  # as a node that hung with it would, when it wakes
    assert json.loads(request(far.address, "GET", "/list")[2])["total"] == 0
    assert catalogue.read("SELECT count(*) FROM labels") == [(0,)]


def test_what_keeps_late_writes_away_goes_after_a_day(repeating, tmp_path):
    now = [0]
    with Storage(tmp_path, catalogue="rqlite://x", clock_ms=lambda: now[0]) as one:
        one._catalogue.write([("INSERT OR IGNORE INTO removals (key, since_ms) VALUES ('ab' || ?, 5)", ("c" * 30,))])
    for now[0], left in ((NOTES_KEPT_MS, 1), (NOTES_KEPT_MS + 6, 0)):
        with Storage(tmp_path, catalogue="rqlite://x", clock_ms=lambda: now[0]) as one:
            assert one._catalogue.read("SELECT count(*) FROM removals") == [(left,)]


@pytest.mark.parametrize("target, trips", [
    ("/info?name=a.wav", 1), ("/list", 1), ("/list?limit=1", 1), ("/list?format=wav&limit=1", 1),
    ("/list?sort=size&limit=1", 1), ("/list?cursor=", 1),
])
def test_an_answer_costs_one_round_trip(far, target, trips):
    for name in "abc":
        post(far, name + ".wav", wav(pitch_hz=300 + ord(name)))
    if target.endswith("cursor="):
        target = json.loads(request(far.address, "GET", "/list?limit=1")[2])["next"]
    authenticator = far.server.authenticator
    authenticator._look = lambda now: setattr(authenticator, "look_again", now + 60)  # its own look is not the answer's
    request(far.address, "GET", "/health/live")
    authenticator.look_again = float("inf")
    catalogue = catalogue_of(far)
    catalogue.trips = 0
    assert request(far.address, "GET", target)[0] == 200
    assert catalogue.trips == trips


@pytest.mark.parametrize("query", [
    "format=wav&samplerate=8000&sort=name", "format=wav&tag.title=x&sort=size", "q=wav&minsize=1&channels=1&sort=-bitrate",
    "name=*a*&q=wav&minduration=0&sort=-name",
])
def test_filters_that_have_to_be_weighed_cost_a_second_round_trip_once(far, query):
    for name in "abc":
        post(far, name + ".wav", wav(pitch_hz=300 + ord(name)))
    far.server.authenticator.look_again = float("inf")
    catalogue = catalogue_of(far)
    found = []
    for _ in range(2):
        catalogue.trips = 0
        assert request(far.address, "GET", f"/list?{query}&limit=1")[0] == 200
        found.append(catalogue.trips)
    assert found == [2, 1]


@pytest.mark.parametrize("has_accounts", [False, True], ids=["open", "with a password"])
def test_nobody_waits_for_the_catalogue_in_the_loop(far, has_accounts):
    more = {}
    if has_accounts:
        password = hash_password("open sesame", b"0123456789abcdef", "pbkdf2-sha256$1")
        far.server.storage.people.add("ann", password, True, 5)
        far.server.authenticator.changed()
        more = {"Authorization": "Basic " + b64encode(b"ann:open sesame").decode()}
    catalogue = catalogue_of(far)
    status, _, body = request(far.address, "POST", "/post?name=a.wav", wav(), more)
    catalogue.threads.clear()
    id = json.loads(body)["id"]
    for method, target, body in (
        ("GET", "/info?name=a.wav", None), ("GET", "/list", None), ("GET", f"/files/{id}/content", None),
        ("PATCH", f"/files/{id}", b'{"metadata": {"a": "b"}}'), ("POST", f"/resample?id={id}", None),
        ("DELETE", f"/files/{id}", None), ("GET", "/health", None),
    ):
        assert request(far.address, method, target, body, more)[0] < 300, target
    assert catalogue.threads
    assert all(name.startswith(("far", "work", "catalogue", "job", "login")) for name in catalogue.threads), catalogue.threads


def test_while_the_catalogue_is_away_writes_and_reads_say_come_again_and_the_process_lives(far):
    _, record = post(far, "a.wav", wav())
    catalogue = catalogue_of(far)
    catalogue.is_away = True
    for method, target, body in (
        ("POST", "/post?name=b.wav", wav(0.2)), ("DELETE", f"/files/{record['id']}", None), ("GET", "/list", None),
        ("GET", "/info?name=a.wav", None), ("PATCH", f"/files/{record['id']}", b'{"name": "c.wav"}'),
    ):
        status, headers, body = request(far.address, method, target, body)
        assert (status, headers.get("retry-after")) == (503, "5"), (method, target, body)
    status, _, body = request(far.address, "GET", "/health")
    assert (status, list(json.loads(body)["engines"])) == (503, ["catalogue"])
    assert request(far.address, "GET", "/health/live")[0] == 200
    catalogue.is_away = False
    assert request(far.address, "GET", "/health")[0] == 200
    assert post(far, "b.wav", wav(0.2))[0] == 201


def test_the_names_of_a_catalogue_stay_unique(far):
    outcomes = []

    def upload(n):
        outcomes.append(post(far, "same.wav", wav(pitch_hz=300 + n))[0])

    threads = [threading.Thread(target=upload, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [201] + [409] * 5
    assert bytes_there(far) == 1
    with pytest.raises(sqlite3.IntegrityError):
        catalogue_of(far).write([("UPDATE files SET size = -1", ())])
