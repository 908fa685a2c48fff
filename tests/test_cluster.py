"""One story: three rqlite nodes, a store, two servers; nodes are killed, hung and brought back under uploads.

Prints what was seen as a table: `make cluster`.  Slow: the engines are fetched and begun.
"""

from __future__ import annotations

import json
import threading
import time

import pytest
from engines import Rclone
from rqlite_nodes import RqliteNodes
from support import request, wav
from test_engines import Server

pytestmark = pytest.mark.slow
GAP_S = 5.0  # within which writes go on after a leader's death: what was promised, not what was measured


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with RqliteNodes(tmp_path_factory.mktemp("nodes"), 3) as three:
        yield three


@pytest.fixture(scope="module")
def pair(nodes, tmp_path_factory):
    """Two servers on one catalogue and one store."""
    with Rclone(tmp_path_factory.mktemp("store")) as store:
        first = Server(tmp_path_factory.mktemp("a"), store, "--catalogue", nodes.url)
        with first, Server(tmp_path_factory.mktemp("b"), store, "--catalogue", nodes.url) as second:
            yield first, second


class Uploads:
    """Uploads to two servers in turn, in threads, until told to stop; what was acknowledged, and when."""

    def __init__(self, pair, kind, threads=4):
        self.pair, self.kind = pair, kind
        self.acknowledged, self.refused, self.times = [], 0, []
        self.over, self.lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(threads)]

    def run(self, number):
        count = 0
        while not self.over.is_set():
            count += 1
            name = f"{self.kind}-{number}-{count}.wav"
            status = self.pair[count % 2].post(name, wav(0.02, pitch_hz=200 + count + 500 * number))[0]
            with self.lock:
                if status in (200, 201):
                    self.acknowledged.append(name)
                    self.times.append(time.monotonic())
                else:
                    self.refused += 1

    def wait_for(self, more, seconds=40):
        """Until `more` further uploads were acknowledged."""
        wanted, until = len(self.acknowledged) + more, time.monotonic() + seconds
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < until, f"{self.kind}: uploads do not go on"
            time.sleep(0.01)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def longest_gap(self):
        return max(later - sooner for sooner, later in zip(self.times, self.times[1:]))

    def lost(self):
        names, target = set(), f"/list?limit=1000&fields=name&name={self.kind}-*"
        while target is not None:
            page = json.loads(self.pair[1].get(target)[2])
            names |= {file["name"] for file in page["files"]}
            target = page["next"]
        return set(self.acknowledged) - names


def told(uploads):
    lost = uploads.lost()
    print(f"\n| {uploads.kind} | {len(uploads.acknowledged)} acknowledged | {uploads.refused} refused "
          f"| longest gap {uploads.longest_gap():.2f} s | {len(lost)} lost |")
    return lost


def test_what_one_server_took_the_other_lists_at_once(pair):
    first, second = pair
    for number in range(20):
        status, _, record = first.post(f"seen-{number}.wav", wav(0.02, pitch_hz=200 + number))
        assert status == 201
        assert json.loads(second.get(f"/list?name=seen-{number}.wav")[2])["total"] == 1
        assert second.get(f"/files/{record['id']}/content")[2] == wav(0.02, pitch_hz=200 + number)
        assert second.post(f"seen-{number}.wav", wav(0.03))[0] == 409


def test_a_leader_is_killed_under_uploads_and_they_go_on(nodes, pair):
    with Uploads(pair, "leader-killed") as uploads:
        uploads.wait_for(20)
        leader = nodes.leader()
        nodes.kill(leader)
        uploads.wait_for(20)
        nodes.start(leader)
        nodes.wait()
        uploads.wait_for(20)
    assert not told(uploads)
    assert uploads.longest_gap() < GAP_S


def test_a_leader_hangs_under_uploads_and_they_go_on(nodes, pair):
    with Uploads(pair, "leader-hung") as uploads:
        uploads.wait_for(20)
        leader = nodes.leader()
        nodes.hang(leader)
        uploads.wait_for(20)
        nodes.wake(leader)
        nodes.wait()
        uploads.wait_for(20)
    assert not told(uploads)


def test_what_was_deleted_while_a_follower_hung_with_its_insert_does_not_come_back(nodes, pair, tmp_path):
    leader = nodes.leader()
    for follower in range(3):
        if follower == leader:
            continue
        nodes.hang(follower)
        records = []
        for number in range(4):
            status, _, record = pair[number % 2].post(f"zombie-{follower}-{number}.wav", wav(0.02, pitch_hz=200 + number))
            assert status == 201
            records.append(record)
        for record in records:
            assert request(pair[1].address, "DELETE", f"/files/{record['id']}")[0] == 204
        nodes.wake(follower)
        nodes.wait()
        for _ in range(20):  # what it had in its hands comes in the next moments, if it does
            assert json.loads(pair[0].get("/list?name=zombie-*")[2])["total"] == 0
            time.sleep(0.05)


def test_without_a_quorum_writes_say_come_again_and_then_go_on_by_themselves(nodes, pair):
    leader = nodes.leader()
    others = [number for number in range(3) if number != leader]
    for number in others:
        nodes.kill(number)
    status, fields, _ = pair[0].post("quorum.wav", wav())
    assert (status, fields["retry-after"]) == (503, "5")
    status, engines = pair[0].health()
    assert (status, list(engines)) == (503, ["catalogue"])
    assert pair[0].get("/health/live")[0] == 200
    for number in others:
        nodes.start(number)
    nodes.wait()
    pair[0].until(lambda: pair[0].health()[0] == 200)
    assert pair[0].post("quorum.wav", wav())[0] in (200, 201)
    assert pair[1].get("/info?name=quorum.wav")[0] == 200


def test_at_the_end_rows_and_bytes_agree(nodes, pair):
    total = json.loads(pair[0].get("/list?limit=1")[2])["total"]
    assert total == json.loads(pair[1].get("/list?limit=1")[2])["total"]
