"""In a cluster a write may be carried out twice, or late, or its answer be lost: each counts once, and what ended stays ended."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time

import pytest
from support import ROOT, eventually, request, wav
from tiny_rqlite import TinyRqlite

from audiokit.catalogue import CatalogueDown
from audiokit.catalogue.address import parse
from audiokit.catalogue.links import Drops, Links
from audiokit.catalogue.nodes import Patience
from audiokit.catalogue.once import KEPT_MS, Once
from audiokit.catalogue.people import People
from audiokit.catalogue.rqlite import RqliteCatalogue
from audiokit.catalogue.sessions import Sessions
from audiokit.credentials import hash_password
from audiokit.links import Drop, Link

SCHEMA = (ROOT / "schema.sql").read_text("utf-8")
PATIENT = Patience(connect=60.0, answer=0.3, deadline=60.0)
HASTY = PATIENT._replace(deadline=0.4)  # asks each node once

pytestmark = pytest.mark.slow  # nodes that hang are waited for
COUNT = "UPDATE counters SET files = files + 1 WHERE owner = ?"
NOTE = "INSERT INTO removals (key, since_ms) VALUES (?, ?)"


@pytest.fixture(scope="module")
def shared_nodes():
    with TinyRqlite() as tiny:
        RqliteCatalogue(parse(tiny.url), SCHEMA).close()
        yield tiny


@pytest.fixture
def tiny(shared_nodes):
    """Two nodes with an empty catalogue that does as it is told."""
    emptied = [[f"DELETE FROM {table}"] for table in ("accounts", "removals", "files", "writes", "counters")]
    shared_nodes.execute([*emptied, ["INSERT INTO counters (owner, files, bytes) VALUES (0, 0, 0)"]])
    shared_nodes.is_twice, shared_nodes.loses = False, lambda number: False
    yield shared_nodes


@contextlib.contextmanager
def door_to(tiny):
    door = RqliteCatalogue(parse(tiny.url), SCHEMA, patience=PATIENT)
    try:
        yield door
    finally:
        door.close()


@pytest.fixture
def door(tiny):
    with door_to(tiny) as one:
        yield one


def twice(tiny):
    tiny.is_twice = True
    return contextlib.nullcontext()


@contextlib.contextmanager
def answers_lost(tiny):
    """Of two tries the first one's answer is lost."""
    first = tiny.writes + 1
    tiny.loses = lambda number: (number - first) % 2 == 0
    yield


def one_hangs(tiny):
    """The node that is asked first takes all writes into its hands; it wakes when all is over."""
    return tiny.hung(0, answering_reads=True)


FAULTS = pytest.mark.parametrize("fault", [twice, answers_lost, one_hangs], ids=lambda fault: fault.__name__)


@FAULTS
def test_a_write_counts_once_and_its_counts_are_those_of_that_once(tiny, door, fault):
    door.write([(NOTE, (key, 1)) for key in "abc"])
    with fault(tiny):
        assert door.write([
            ("DELETE FROM removals WHERE key > ?", ("a",)), (COUNT, (0,)), ("DELETE FROM removals WHERE key = 'z'", ()),
            ("INSERT OR IGNORE INTO removals (key, since_ms) VALUES (?, ?)", ("a", 9)), (NOTE, ("d", 1)),
        ]) == [2, 1, 0, 0, 1]
    assert door.read("SELECT files FROM counters WHERE owner = 0") == [(1,)]


# What makes something, and what ends it: the same names below.
def _account(people, name="ann", is_admin=False):
    assert people.add(name, "hash of " + name, is_admin, 5)
    return people.named(name).id


def _token(door):
    people = People(door)
    id = _account(people)
    return (lambda: people.add_token("abc", id, "digest", ("read",), "", 5, None), lambda: people.revoke("abc"),
            lambda: people.token("digest"))


def _session(door):
    sessions, people = Sessions(door), People(door)
    id = _account(people)
    return (lambda: sessions.begin("digest", id, 5, 1000), lambda: sessions.end("digest"),
            lambda: people.logged_in("digest", 6))


def _drop(door):
    drops = Drops(door)
    drop = Drop("abc", 0, "", 5, 1000, 1, None, None)
    return (lambda: drops.add(drop, "digest"), lambda: drops.remove("abc", None), lambda: drops.shown("digest"))


def _link(door):
    door.write([(
        "INSERT INTO files (id, name, key, size, sha256, uploaded_ms, family, codec, mime, duration, sample_rate, "
        "channels, search, record) VALUES ('f', 'n', 'k', 5, ?, 0, 'wav', 'pcm', 'audio/wav', 1, 8000, 1, '', '{}')",
        ("0" * 64,),
    )])
    links, link = Links(door), Link("abc", "f", 0, True, 5, 1000)
    return (lambda: links.add(link), lambda: links.remove("abc", None), lambda: links.named("abc"))


def _an_account(door):
    people = People(door)
    _account(people, "root", True)
    return (lambda: people.add("ann", "hash", False, 5), lambda: people.remove(people.named("ann").id),
            lambda: people.named("ann"))


THINGS = pytest.mark.parametrize("thing", [_token, _session, _drop, _link, _an_account], ids=lambda t: t.__name__[1:])


@THINGS
@FAULTS
def test_what_is_made_and_ended_is_answered_truly_and_stays_ended(tiny, door, thing, fault):
    make, end, there = thing(door)
    with fault(tiny):
        assert make()
        assert there()
        assert end()
        assert not there()
    assert not there(), "what a node had in its hands came late"


@THINGS
def test_what_was_given_up_does_not_come_later_than_what_the_server_wrote_since(tiny, door, thing):
    make, _, there = thing(door)
    generation = door.read("SELECT n FROM generations")
    with _writes_hang(tiny, door) as late, pytest.raises(CatalogueDown):
        make()
    assert late
    door.write([(NOTE, ("z", 1))])
    for question in late:
        tiny.execute(question)
    assert not there()
    assert door.read("SELECT n FROM generations") == generation


@contextlib.contextmanager
def _writes_hang(tiny, door):
    """Both nodes take writes and say nothing, and the door soon gives up; they are read from as ever.  What they took is in the list."""
    late = []
    with tiny.hung(0, 1, answering_reads=True):
        door._nodes._patience = HASTY
        yield late
        door._nodes._patience = PATIENT
        eventually(lambda: len(tiny._in_hands) == 2)  # one may get it when it was given up long ago
        late += tiny.taken()


@pytest.mark.parametrize("change, change_back, there, why", [
    (lambda p, id: p.disable(id, False), lambda p, id: p.disable(id, True), lambda a: a.is_disabled,
     "who was disabled is let in no longer"),
    (lambda p, id: p.set_password(id, "old"), lambda p, id: p.set_password(id, "new"), lambda a: a.password == "new",
     "a password that was changed is not the old one again"),
    (lambda p, id: p.limit(id, None, None, None), lambda p, id: p.limit(id, 1, 1, 1), lambda a: a.most_files == 1,
     "a quota is the last one that was set"),
    (lambda p, id: p.remove(id), lambda p, id: p.disable(id, False), lambda a: not a.is_disabled,
     "who was let in again is not removed"),
])
def test_what_one_server_gave_up_changes_nothing_after_another_changed_it(tiny, door, change, change_back, there, why):
    people = People(door)
    id = _account(people)
    with _writes_hang(tiny, door) as late, pytest.raises(CatalogueDown):
        change(people, id)
    with door_to(tiny) as other:
        assert change_back(People(other), id)
    assert "error" not in str(tiny.execute(late[0])), "it is carried out, and finds nothing to change"
    assert there(people.of_id(id)), why


def test_an_account_that_was_removed_does_not_come_back_with_a_write_that_was_given_up(tiny, door):
    people = People(door)
    with _writes_hang(tiny, door) as late, pytest.raises(CatalogueDown):
        people.add("ann", "hash", False, 5)
    with door_to(tiny) as other:
        assert People(other).add("ann", "hash", False, 5)  # the client tried again, at another server
        assert People(other).remove(people.named("ann").id)
    for question in late:
        tiny.execute(question)
    assert people.named("ann") is None


def test_accounts_that_many_servers_change_at_once_are_all_changed(tiny, door):
    people = People(door)
    ids = [_account(people, f"a{n}") for n in range(6)]
    threads = [threading.Thread(target=people.disable, args=(id,)) for id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(account.is_disabled for account in people.all())


def test_what_broke_a_constraint_cannot_fit_later(tiny, door):
    door.write([(NOTE, ("a", 1))])
    with pytest.raises(sqlite3.IntegrityError):
        door.write([(NOTE, ("a", 2))])
    refused = tiny.told[-1]
    door.write([("DELETE FROM removals WHERE key = ?", ("a",))])
    tiny.execute(refused)
    assert door.read("SELECT 1 FROM removals") == []


def test_words_are_kept_for_a_day(tiny):
    now_ms = time.time_ns() // 1_000_000
    keep = "INSERT INTO writes (since_ms, chance, counts) VALUES (?, 5, '')"
    tiny.execute([[keep, now_ms - KEPT_MS - 1], [keep, now_ms - KEPT_MS + 3_600_000]])
    with door_to(tiny) as door:
        for key in "ab":
            door.write([(NOTE, (key, 1))])
        assert door.read("SELECT count(*) FROM writes") == [(3,)]


def test_a_copy_has_nothing_of_the_clusters_own(tiny, door, tmp_path):
    door.write([(NOTE, ("a", 1))])
    said = "\n".join(door.dump())
    assert "removals" in said and "writes" not in said and "versions" not in said


# -- over the wire ---------------------------------------------------------------------------------------------------


def _story(server):
    """What a client is answered in a life of everything that accounts have: (what was asked, status)."""
    proof = {"Authorization": "Basic cm9vdDpvcGVuIHNlc2FtZQ=="}  # root:open sesame
    found = []

    def ask(method, target, body=None, headers=proof):
        status, fields, answer = request(server.address, method, target, body, dict(headers))
        found.append((method, target.partition("?")[0].split("/")[1], status))
        return fields, json.loads(answer) if answer[:1] == b"{" else answer

    for _ in range(2):
        ask("POST", "/users", b'{"name": "ann", "password": "correct horse"}')
    ask("PATCH", "/users/ann", b'{"quota": {"files": 3}}')
    _, token = ask("POST", "/users/ann/tokens", b"{}")
    own = {"Authorization": "Bearer " + token["token"]}
    _, file = ask("POST", "/post?name=a.wav", wav(), own)
    _, drop = ask("POST", "/drops", b'{"files": 1}', own)
    ask("POST", drop["url"], wav(0.2), {})
    ask("POST", drop["url"], wav(0.3), {})
    _, me = ask("GET", "/me", None, own)
    assert me["usage"]["files"] == 2
    _, link = ask("POST", f"/files/{file['id']}/links", b"{}", own)
    ask("GET", link["url"], None, {})
    fields, _ = ask("POST", "/session", b'{"name": "ann", "password": "correct horse"}', {})
    cookie = {"Cookie": fields["set-cookie"].partition(";")[0]}
    ask("GET", "/me", None, cookie)
    ask("DELETE", "/session", None, cookie)
    ask("GET", "/me", None, cookie)
    for target in (f"/links/{link['id']}", f"/drops/{drop['id']}", f"/tokens/{token['id']}"):
        ask("DELETE", target)
        ask("DELETE", target)
    ask("GET", "/me", None, own)
    ask("PATCH", "/users/ann", b'{"disabled": true}')
    ask("DELETE", "/users/ann?files=remove")
    ask("GET", "/users/ann")
    return found


@pytest.mark.parametrize("fault", [twice, answers_lost, one_hangs], ids=lambda fault: fault.__name__)
def test_a_client_is_answered_as_if_nothing_were_done_twice_or_late(running, tmp_path, fault):
    password = hash_password("open sesame", b"0123456789abcdef", "pbkdf2-sha256$1")
    told = []
    for how in (None, fault):
        with TinyRqlite() as tiny:
            server = running(tmp_path / str(len(told)), catalogue=tiny.url)
            server.server.storage.people.add("root", password, True, 5)
            server.server.authenticator.changed()
            with how(tiny) if how else contextlib.ExitStack():
                told.append(_story(server))
            server.__exit__()
    assert told[0] == told[1]
    assert {status for _, _, status in told[0]} <= {200, 201, 204, 401, 404, 409, 413}


def test_a_node_that_does_not_know_yet_what_came_of_a_write_is_no_answer():
    """Of a write that is carried out again the first one's counts are asked for, and who is asked may lag behind."""
    def tell(statements):
        raise sqlite3.IntegrityError("UNIQUE constraint failed: writes.since_ms, writes.chance")

    with pytest.raises(CatalogueDown, match="does not know"):
        Once().write([(COUNT, (0,))], tell, lambda sql, word: [])
