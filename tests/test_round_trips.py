"""How often a server asks a real rqlite node to answer once: counted by a relay between the two."""

from __future__ import annotations

import json

import pytest
from people import basic
from relay import Relay
from rqlite_nodes import RqliteNodes
from support import Running, request, wav

pytestmark = pytest.mark.slow
LOOK = "FROM generations"  # whether an account has changed: asked five times a second at most, for all answers together
BOARD = "FROM jobs"  # what became of conversions: asked now and then, for nobody's answer


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(server, relay) with some files."""
    with RqliteNodes(tmp_path_factory.mktemp("node"), 1) as nodes, Relay(nodes.ports[0][0]) as relay:
        with Running(tmp_path_factory.mktemp("data"), catalogue=f"rqlite://127.0.0.1:{relay.port}") as server:
            for n in range(5):
                data = wav(0.02, pitch_hz=200 + n)
                assert request(server.address, "POST", f"/post?name={n}.wav&meta.take={n}", data)[0] == 201
            yield server, relay


def trips(served, target, headers=()):
    """What is asked of the node for one answer."""
    server, relay = served
    relay.asked.clear()
    status, _, body = request(server.address, "GET", target, headers=dict(headers))
    assert status == 200, body
    return [body for _, body in relay.asked if LOOK not in body and BOARD not in body]


@pytest.mark.parametrize("target", [
    "/info?name=1.wav", "/list", "/list?limit=1", "/list?limit=2&sort=name", "/list?name=1.wav", "/list?format=wav",
    "/list?minsize=1&sort=size", "/list?fields=name", "/list?meta.take=1",
])
def test_info_and_list_ask_once(served, target):
    assert len(trips(served, target)) == 1


def test_a_record_by_its_id_and_the_page_behind_a_cursor_ask_once(served):
    server, _ = served
    id = json.loads(request(server.address, "GET", "/info?name=1.wav")[2])["id"]
    behind = json.loads(request(server.address, "GET", "/list?limit=2")[2])["next"]
    for target in (f"/files/{id}", behind):
        assert len(trips(served, target)) == 1


def test_filters_that_have_to_be_weighed_ask_twice_and_then_once(served):
    for query in ("format=wav&samplerate=8000&sort=name", "format=wav&meta.take=1", "q=wav&minsize=1&sort=-bitrate"):
        assert [len(trips(served, f"/list?{query}&limit=1")) for _ in range(2)] == [2, 1]


def test_looks_at_the_accounts_are_few_however_many_ask(served):
    server, relay = served
    relay.asked.clear()
    for _ in range(100):
        request(server.address, "GET", "/info?name=1.wav")
    asked = [LOOK in body for _, body in relay.asked if BOARD not in body]
    assert asked.count(False) == 100
    assert asked.count(True) < 100


def test_who_is_known_costs_nothing_more(served):
    """Last: from the first account on the door is closed."""
    server, _ = served
    from people import Person

    ann = Person(server, "ann", admin=True)
    server.server.authenticator.changed()
    status, fields, _ = request(server.address, "POST", "/session", json.dumps({"name": "ann", "password": ann.password}))
    assert status == 201
    ways = {
        "token": {"Authorization": "Bearer " + ann.every},
        "password": {"Authorization": basic("ann", ann.password)},
        "cookie": {"Cookie": fields["set-cookie"].partition(";")[0]},
    }
    found = {}
    assert ann.ask("POST", "/post?name=mine.wav", wav(0.05))[0] == 201
    for way, headers in ways.items():
        trips(served, "/info?name=mine.wav", headers)
        found[way] = len(trips(served, "/info?name=mine.wav", headers))
    trips(served, "/list", ways["token"])  # the first of all asks who has files
    for target, most in (("/list?limit=2", 1), ("/list?limit=2&format=wav", 1), ("/list?minsize=1&channels=1", 2)):
        assert len(trips(served, target, ways["token"])) <= most
    assert found == {"token": 1, "password": 1, "cookie": 2}, "a session is looked up each time: what has ended has ended"
