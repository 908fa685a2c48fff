"""One story: three rqlite nodes, OpenStack Swift, two servers; each is killed or hung under uploads and comes back.

The tests are its chapters, in order.  What was seen is printed as a table at the end: `make cluster`.  Slow: the engines
are fetched and begun.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
import told
from engines import Swift
from processes import slowness, until
from relay import Cut, Relay
from servers import Server
from support import ROOT, wav

from audiokit.catalogue import CatalogueDown
from audiokit.catalogue.address import parse
from audiokit.catalogue.people import People
from audiokit.catalogue.rqlite import RqliteCatalogue
from audiokit.credentials import TOKEN_CHANCE_BYTES, new_token
from audiokit.engines import SCHEMA
from storage import Storage

pytestmark = pytest.mark.slow
GAP_S = 5.0  # within which writes go on after a leader's death: what is promised, not what was measured
STALL_S = 10.0  # that a busy machine may add to what is promised: all of it may stand still, and each of seven processes
SOME = 12  # uploads, three for each of those who upload
SOON_S = 1.0  # within which a server knows what another one changed: promised as well


@pytest.fixture(scope="module")
def swift(tmp_path_factory):
    with Swift(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture(scope="module")
def store(swift):
    return swift


@pytest.fixture
def keys(swift, monkeypatch):
    """What a storage of our own shows to the store."""
    for name, value in swift.environment.items():
        monkeypatch.setenv(name, value)


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
            if status not in (200, 201):
                self.over.wait(0.05)  # who is told to come again does not hammer

    def wait_for(self, more):
        """Until `more` further uploads were acknowledged."""
        wanted = len(self.acknowledged) + more
        until(lambda: len(self.acknowledged) >= wanted, 60, f"{self.kind}: the next {more} uploads")

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
        """What was acknowledged and is not listed by both, or is not there with its bytes."""
        pages = [self.listed(server) for server in self.pair]
        lost = {name for name in self.acknowledged if any(name not in page for page in pages)}
        for name in set(self.acknowledged) - lost:
            file = pages[1][name]
            if hashlib.sha256(self.pair[0].get(f"/files/{file['id']}/content")[2]).hexdigest() != file["sha256"]:
                lost.add(name)
        return lost

    def listed(self, server):
        found, target = {}, f"/list?limit=1000&fields=name,id,sha256&name={self.kind}-*"
        while target is not None:
            page = json.loads(server.get(target)[2])
            found.update({file["name"]: file for file in page["files"]})
            target = page["next"]
        return found

    def told(self, event):
        """A row of the table; what was lost."""
        lost = self.lost()
        told.tell(event, len(self.acknowledged), self.refused, self.longest_gap(), len(lost))
        return lost


def total(server, query=""):
    return json.loads(server.get("/list?limit=1" + query)[2])["total"]


# -- while all are well --------------------------------------------------------------------------------------------


def test_what_one_server_took_the_other_lists_at_once(pair):
    first, second = pair
    for number in range(20):
        data = wav(0.02, pitch_hz=200 + number)
        status, _, record = first.post(f"seen-{number}.wav", data)
        assert status == 201
        assert total(second, f"&name=seen-{number}.wav") == 1
        assert second.get(f"/files/{record['id']}/content")[2] == data
        assert second.post(f"seen-{number}.wav", wav(0.03))[0] == 409


def test_a_name_that_both_take_at_once_is_one_files(pair):
    for number in range(5):
        outcomes = []

        def post(server, pitch, name=f"same-{number}.wav", outcomes=outcomes):
            outcomes.append(server.post(name, wav(0.02, pitch_hz=pitch))[0])

        threads = [threading.Thread(target=post, args=(pair[n % 2], 300 + n)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == [201, 409, 409, 409]
    assert total(pair[0], "&name=same-*") == 5


# -- the catalogue's nodes -----------------------------------------------------------------------------------------


def test_a_leader_is_killed_under_uploads_and_they_go_on(nodes, pair):
    with Uploads(pair, "leader-killed") as uploads:
        uploads.wait_for(SOME)
        with nodes.without(nodes.leader()):
            uploads.wait_for(SOME)
        uploads.wait_for(SOME)
    assert not uploads.told("`kill -9` of rqlite's leader")
    assert uploads.longest_gap() < STALL_S + GAP_S * slowness(is_asked_anew=True)


def test_a_leader_hangs_under_uploads_and_they_go_on(nodes, pair):
    with Uploads(pair, "leader-hung") as uploads:
        uploads.wait_for(SOME)
        with nodes.hung(nodes.leader()):
            uploads.wait_for(SOME)
        uploads.wait_for(SOME)
    assert not uploads.told("rqlite's leader hung (SIGSTOP), and woke")


def test_a_follower_hangs_under_uploads_and_they_go_on(nodes, pair):
    with Uploads(pair, "follower-hung") as uploads:
        uploads.wait_for(SOME)
        with nodes.hung(nodes.followers()[0]):
            uploads.wait_for(2 * SOME)
        uploads.wait_for(SOME)
    assert not uploads.told("a follower hung, and woke")


def test_what_was_deleted_while_a_follower_hung_with_its_insert_does_not_come_back(nodes, pair):
    count = 0
    for follower in nodes.followers():
        with nodes.hung(follower):
            records = []
            for n in range(4):
                status, _, record = pair[n % 2].post(f"zombie-{follower}-{n}.wav", wav(0.02, pitch_hz=200 + n))
                assert status == 201
                records.append(record)
            for record in records:
                assert pair[1].ask("DELETE", f"/files/{record['id']}")[0] == 204
        count += len(records)
    # What a node had in its hands when it woke is in the log before what it is told now.
    for server in pair:
        for number in range(6):
            assert server.post(f"after-zombies-{number}.wav", wav(0.02, pitch_hz=200 + number))[0] in (200, 201)
        assert total(server, "&name=zombie-*") == 0
    told.tell("a follower hung with inserts, files deleted meanwhile, woken, twice", count, more="; none came back")


def test_without_a_quorum_writes_say_come_again_and_then_go_on_by_themselves(nodes, pair):
    with nodes.without(*nodes.followers()):
        status, fields, _ = pair[0].post("quorum.wav", wav())
        assert (status, fields["retry-after"]) == (503, "5")
        status, engines = pair[0].health()
        assert (status, list(engines)) == (503, ["catalogue"])
        assert [server.get("/health/live")[0] for server in pair] == [200, 200]
    for server in pair:
        until(server.is_well)
    assert pair[0].post("quorum.wav", wav())[0] in (200, 201)
    assert pair[1].get("/info?name=quorum.wav")[0] == 200
    told.tell("2 of 3 nodes killed, started again", 0, "503", more="; goes on by itself")


# -- the store -----------------------------------------------------------------------------------------------------


def test_the_store_is_killed_under_uploads_and_is_used_again(swift, pair):
    with Uploads(pair, "store-killed") as uploads:
        uploads.wait_for(SOME)
        with swift.without("proxy"):
            until(lambda: list(pair[0].health()[1]) == ["blobs"])
            assert [server.get("/health/live")[0] for server in pair] == [200, 200]
            assert pair[0].get("/list")[0] == 200, "rows are there"
        uploads.wait_for(SOME)
    for server in pair:
        until(server.is_well)
    assert not uploads.told("Swift's proxy killed, started again")


# -- a server ------------------------------------------------------------------------------------------------------


def orphan_of_a_killed_server(folder, nodes, swift):
    """The key that a server left which was killed when an upload's bytes were at the store and its row on its way."""
    before = set(_kept(swift))
    with Relay(nodes.ports[nodes.leader()][0]) as relay:
        server = Server(folder, swift, "--catalogue", f"rqlite://127.0.0.1:{relay.port}")

        def kill(path, body):
            if "INSERT INTO files" in body:
                server.process.kill()
                server.process.wait()
                raise Cut

        relay.before = kill
        with pytest.raises((OSError, http.client.HTTPException)):
            server.post("orphan.wav", wav())
        server.kill()
    (key,) = set(_kept(swift)) - before
    return key


def _kept(swift):
    from audiokit.blobs import FileOps
    from audiokit.blobs.s3 import S3Blobs

    blobs = S3Blobs(swift.url("p"), FileOps(), swift.environment)
    try:
        return list(blobs.scan())
    finally:
        blobs.close()


def test_a_server_killed_between_bytes_and_row_leaves_what_the_collector_takes_after_its_grace(
    nodes, swift, pair, keys, tmp_path,
):
    orphan = orphan_of_a_killed_server(tmp_path / "killed", nodes, swift)
    assert pair[0].get("/info?name=orphan.wav")[0] == 404
    files = total(pair[0])

    def opened():
        return Storage(tmp_path / "own", blobs=swift.url("p"), catalogue=nodes.url)

    with opened() as storage:
        assert storage.collect(3600) == []
        assert orphan in _kept(swift), "younger than its grace"
    with opened() as storage, swift.without("container"), pytest.raises(OSError):
        storage.collect(0)
    assert orphan in _kept(swift), "what cannot be read ends a round"
    with opened() as storage, nodes.without(*nodes.followers()):
        until(lambda: list(pair[0].health()[1]) == ["catalogue"])
        with pytest.raises(CatalogueDown):
            storage.collect(0)
    assert orphan in _kept(swift), "without rows nobody knows what is an orphan"
    for server in pair:
        until(server.is_well)
    with opened() as storage:
        assert orphan in storage.collect(0)  # perhaps with what the deaths above left
    assert orphan not in _kept(swift)
    assert total(pair[0]) == files
    assert pair[0].get("/download?name=seen-0.wav")[2] == wav(0.02, pitch_hz=200)
    told.tell("a server killed between PUT and row", 0, more="; 1 left over, collected after its grace")


def test_the_bucket_of_another_catalogue_is_neither_used_nor_collected(nodes, swift, pair, keys, tmp_path):
    swift.make_bucket("other")
    with Storage(tmp_path / "other", blobs=swift.url("p", bucket="other")):
        pass
    with pytest.raises(OSError, match="belongs to another catalogue"):
        Storage(tmp_path / "own", blobs=swift.url("p", bucket="other"), catalogue=nodes.url)
    command = [sys.executable, str(ROOT / "audioserver.py"), "--port", "0", "--data", str(tmp_path / "c"), "--blobs",
               swift.url("p", bucket="other"), "--catalogue", nodes.url]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 1 and "belongs to another catalogue" in done.stderr and done.stderr.count("\n") == 1


def test_at_the_end_of_the_deaths_rows_and_bytes_agree(nodes, swift, pair, keys, tmp_path):
    with Storage(tmp_path, create=False, exclusive=False, blobs=swift.url("p"), catalogue=nodes.url) as storage:
        report = storage.check()
    assert report.is_sound, report.problems
    assert report.files == total(pair[0]) == total(pair[1])


# -- people: what one server is told, the other knows ---------------------------------------------------------------


@pytest.fixture(scope="module")
def root(nodes, pair):
    """An admin made by the commands, in whose name both servers are asked from now on; the doors close."""
    def command(*words, said=""):
        done = subprocess.run(
            [sys.executable, str(ROOT / "audioserver.py"), *words, "--data", str(pair[0].data), "--catalogue", nodes.url],
            input=said, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    command("user", "add", "root", "--admin", said="correct horse\n")
    token = command("token", "new", "root", "--scope", "read,write,delete,admin")
    for server in pair:
        until(lambda: server.get("/list")[0] == 401, what="a closed door")
        server.headers = {"Authorization": "Bearer " + token}


class Person:
    """An account, made at one server, and its token."""

    def __init__(self, server, name):
        status, _, body = server.ask("POST", "/users", json.dumps({"name": name, "password": "correct horse"}))
        assert status == 201, body
        self.name = name
        _, _, body = server.ask("POST", f"/users/{name}/tokens", json.dumps({"scopes": ["read", "write", "delete"]}))
        made = json.loads(body)
        self.token_id, self.proof = made["id"], {"Authorization": "Bearer " + made["token"]}


def holds_soon(true):
    """That it is so within a second; how long it took."""
    began = time.monotonic()
    until(true)
    took = time.monotonic() - began
    assert took < STALL_S + SOON_S * slowness(is_asked_anew=True)
    return took


def test_who_is_disabled_at_one_is_refused_by_the_other_within_a_second(root, pair):
    ann = Person(pair[0], "ann")
    assert pair[1].get("/list", **ann.proof)[0] == 200, "known there, and remembered"
    assert pair[0].ask("PATCH", "/users/ann", b'{"disabled": true}')[0] == 200
    holds_soon(lambda: pair[1].get("/list", **ann.proof)[0] == 401)
    assert pair[1].ask("PATCH", "/users/ann", b'{"disabled": false}')[0] == 200
    holds_soon(lambda: pair[0].get("/list", **ann.proof)[0] == 200)


def test_a_token_revoked_at_one_opens_nothing_at_the_other_within_a_second(root, pair):
    bob = Person(pair[0], "bob")
    assert [server.get("/list", **bob.proof)[0] for server in pair] == [200, 200]
    assert pair[1].ask("DELETE", f"/tokens/{bob.token_id}")[0] == 204
    holds_soon(lambda: pair[0].get("/list", **bob.proof)[0] == 401)


def test_a_token_revoked_while_a_follower_hung_with_it_opens_nothing_when_it_wakes(root, nodes, pair):
    made = 0
    for follower in nodes.followers():
        # Asked first, so that it surely has the writes in its hands.
        names = [nodes.hosts.split(",")[n] for n in (follower, nodes.leader())]
        with closing(RqliteCatalogue(parse("rqlite://" + ",".join(names)), SCHEMA.read_text("utf-8"))) as door:
            people, proofs = People(door), []
            with nodes.hung(follower):
                for server in pair:
                    token = new_token(os.urandom(TOKEN_CHANCE_BYTES))
                    assert people.add_token(token.id, people.named("root").id, token.digest, ("read",), "", 5, None)
                    proofs.append({"Authorization": "Bearer " + token.text})
                    until(lambda: server.get("/list", **proofs[-1])[0] == 200)
                    assert server.ask("DELETE", f"/tokens/{token.id}")[0] == 204
            made += len(proofs)
            # What a node had in its hands when it woke is in the log before what it is told now.
            assert not people.revoke("nothing")
        for server in pair:
            for proof in proofs:
                holds_soon(lambda: server.get("/list", **proof)[0] == 401)
        until(lambda: all(server.get("/list")[0] == 200 for server in pair))
    told.tell("a follower hung with tokens, revoked meanwhile, woken, twice", made, more="; none came back")


def test_who_is_removed_at_one_is_nobody_at_the_other_within_a_second(root, pair):
    eve = Person(pair[1], "eve")
    assert pair[0].get("/list", **eve.proof)[0] == 200
    assert pair[1].ask("DELETE", "/users/eve")[0] == 204
    holds_soon(lambda: pair[0].get("/list", **eve.proof)[0] == 401)


@pytest.mark.parametrize("quota", [{"files": 3}, {"bytes": 3 * len(wav(0.02))}, {"seconds": 0.06}])
def test_a_quota_holds_over_both_together(root, pair, quota):
    name = "c" + next(iter(quota))
    one = Person(pair[0], name)
    assert pair[0].ask("PATCH", f"/users/{name}", json.dumps({"quota": quota}))[0] == 200
    outcomes = []

    def post(n):
        outcomes.append(pair[n % 2].post(f"{n}.wav", wav(0.02, pitch_hz=300 + n), **one.proof)[0])

    threads = [threading.Thread(target=post, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [201] * 3 + [413] * 5
    assert [json.loads(server.get("/me", **one.proof)[2])["usage"]["files"] for server in pair] == [3, 3]


def test_a_log_in_at_one_is_one_at_the_other_and_so_is_its_end(root, pair):
    said = json.dumps({"name": "root", "password": "correct horse"})
    status, fields, _ = pair[0].ask("POST", "/session", said, Authorization="")
    assert status == 201
    cookie = {"Cookie": fields["set-cookie"].partition(";")[0]}
    for server in pair:
        server.headers, kept = {}, server.headers
        try:
            assert server.get("/list", **cookie)[0] == 200
        finally:
            server.headers = kept
    kept, pair[1].headers = pair[1].headers, {}
    assert pair[1].ask("DELETE", "/session", **cookie)[0] == 204
    pair[1].headers = kept
    kept, pair[0].headers = pair[0].headers, {}
    try:
        assert pair[0].get("/list", **cookie)[0] == 401
    finally:
        pair[0].headers = kept


def test_a_link_made_at_one_is_served_by_the_other_until_it_is_ended_at_either(root, pair):
    data = wav(0.05)
    _, _, record = pair[0].post("linked.wav", data)
    _, _, body = pair[0].ask("POST", f"/files/{record['id']}/links", b"{}")
    link = json.loads(body)
    assert [server.get(link["url"])[2] for server in pair] == [data, data], "both sign with one key"
    assert pair[1].ask("DELETE", f"/links/{link['id']}")[0] == 204
    assert [server.get(link["url"])[0] for server in pair] == [404, 404]


def test_a_drop_made_at_one_takes_what_comes_to_the_other_and_counts_both(root, pair):
    _, _, body = pair[0].ask("POST", "/drops", b'{"files": 2}')
    drop = json.loads(body)
    for n, wanted in enumerate((201, 201, 413)):
        assert pair[n % 2].ask("POST", f"{drop['url']}?name=d{n}.wav", wav(0.02, pitch_hz=700 + n))[0] == wanted
    assert pair[1].ask("DELETE", f"/drops/{drop['id']}")[0] == 204
    assert pair[0].ask("POST", f"{drop['url']}?name=d9.wav", wav(0.04))[0] == 404
