"""Waveforms of audio that is in a store on another machine, and of files whose rows are: the same, and nobody waits behind another."""

from __future__ import annotations

import json
import os
import threading

import pytest
from processes import until
from support import long_wav, request, wav
from test_far import get, post
from test_far_catalogue import catalogue_of
from tiny_s3 import says

pytestmark = pytest.mark.slow


def peaks(server, record, query="width=50", **headers):
    return get(server, f"/files/{record['id']}/peaks?{query}", **headers)


def left(server):
    folder = server.data / "peaks"
    return sorted(os.listdir(str(folder))) if folder.is_dir() else []


def test_they_are_those_of_a_folder(running, tiny, tmp_path):
    server, home = running(tmp_path / "far", blobs=tiny.url("p")), running(tmp_path / "home")
    data = wav(1.0)
    for query in ("width=50", "width=50&from=0.2&to=0.4&bits=16", "format=dat&width=7"):
        found = []
        for one in (server, home):
            status, fields, body = peaks(one, post(one, "a.wav", data)[2], query)
            found.append((status, fields["etag"], body))
        assert found[0] == found[1] and found[0][0] == 200
    assert all("-" in name for name in left(server)), "nothing that they were made of is left"


def test_a_region_brings_only_what_it_shows_until_the_whole_is_kept(running, tiny, tmp_path):
    server, home = running(tmp_path / "far", blobs=tiny.url("p")), running(tmp_path / "home")
    data = long_wav(600)  # 19 MB
    far, near = post(server, "a.wav", data)[2], post(home, "a.wav", data)[2]
    regions = ("width=100&from=300&to=301", "width=100&from=60&to=70", "width=7&from=1&to=250", "width=1&from=599")

    def fetched():
        asked = [wanted for method, path, wanted in tiny.requests if method == "GET" and "/files/" in path]
        tiny.requests.clear()
        return asked

    for query in regions:
        fetched()
        _, fields, body = peaks(server, far, query + "&bits=16")
        asked = fetched()
        assert asked and None not in asked, "never all of it"
        _, at_home, wanted = peaks(home, near, query + "&bits=16")
        assert (fields["etag"], body) == (at_home["etag"], wanted)
        until(lambda query=query: peaks(server, far, query + "&bits=8")[0] == 200 and fetched() == [])  # kept, as others are
    assert peaks(server, far, "width=100")[2] == peaks(home, near, "width=100")[2] and fetched() == [None]
    is_over = threading.Event()
    server.server.peaks._crew.submit(is_over.set)  # behind what is done once it is answered
    assert is_over.wait(60)
    assert peaks(server, far, "width=9&from=100&to=390")[2] == peaks(home, near, "width=9&from=100&to=390")[2]
    assert fetched() == [], "what the whole shows of it"
    assert len([name for name in left(server)]) == len(regions) + 1


def test_what_is_kept_is_given_while_the_store_is_away_and_the_rest_says_come_again(running, tiny):
    server = running(blobs=tiny.url("p"))
    kept, other = post(server, "a.wav", wav(0.2))[2], post(server, "b.wav", wav(0.3))[2]
    assert peaks(server, kept)[0] == 200
    tiny.faults += [says(503, "SlowDown")] * 8
    status, fields, body = peaks(server, other)
    assert (status, fields["retry-after"]) == (503, "5") and "store" in json.loads(body)["detail"]
    assert peaks(server, kept)[0] == 200
    tiny.faults.clear()
    until(lambda: peaks(server, other)[0] == 200)
    assert len(left(server)) == 2


def test_one_that_waits_for_a_silent_store_holds_up_no_other(running, tiny):
    server = running(blobs=tiny.url("p"))
    slow, quick = post(server, "a.wav", wav(0.2))[2], post(server, "b.wav", wav(0.3))[2]
    asked, let_go, said = threading.Event(), threading.Event(), []

    def hangs(handler):
        asked.set()
        let_go.wait(60)
        return False

    tiny.faults.append(hangs)
    waiting = threading.Thread(target=lambda: said.append(peaks(server, slow)[0]))
    waiting.start()
    try:
        assert asked.wait(60)
        assert peaks(server, quick)[0] == 200
        assert said == []
    finally:
        let_go.set()
        waiting.join()
    assert said == [200]


def test_what_was_removed_while_it_was_fetched_is_told(running, tiny):
    server = running(blobs=tiny.url("p"))
    _, _, record = post(server, "a.wav", wav(0.2))
    tiny.faults += [says(404, "NoSuchKey")] * 2  # HEAD, whose answer has no words, then GET
    status, _, body = peaks(server, record)
    assert status == 404 and json.loads(body)["code"] == "not-found"
    assert left(server) == []


def test_rows_elsewhere_cost_one_trip_for_an_answer_and_one_for_a_start(far, running, monkeypatch):
    records = [json.loads(request(far.address, "POST", f"/post?name={n}.wav", wav(0.1 + n / 10))[2]) for n in range(4)]
    tags = [peaks(far, record)[1]["etag"] for record in records]
    far.server.authenticator.look_again = float("inf")
    is_over = threading.Event()
    far.server.peaks._crew.submit(is_over.set)  # behind what is done once the last of them is answered
    assert is_over.wait(60)
    catalogue = catalogue_of(far)
    catalogue.trips = 0
    assert peaks(far, records[0])[0] == 200
    assert catalogue.trips == 1
    assert peaks(far, records[0], **{"If-None-Match": tags[0]})[0] == 304
    assert catalogue.trips == 2
    assert request(far.address, "DELETE", f"/files/{records[0]['id']}")[0] == 204
    assert len(left(far)) == 3
    far.__exit__()
    storage = []
    look = type(far.server.storage).with_bytes
    monkeypatch.setattr(type(far.server.storage), "with_bytes", lambda self, keys: storage.append(keys) or look(self, keys))
    again = running(far.data, catalogue="rqlite://127.0.0.1:4001")
    assert len(storage) == 1 and len(left(again)) == 3
