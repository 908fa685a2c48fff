"""What the rqlite door makes of a cluster's answers: nodes that say what real ones said, one question at a time."""

from __future__ import annotations

import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from processes import free_port

from audiokit.catalogue import nodes
from audiokit.catalogue.address import BadAddress, Node, parse
from audiokit.catalogue.errors import CatalogueDown, CatalogueRefused
from audiokit.catalogue.nodes import Patience
from audiokit.catalogue.rqlite import RqliteCatalogue

pytestmark = pytest.mark.slow  # servers and stores come and go: a quarter of the quick suite's minute

PATIENT = Patience(connect=60.0, answer=60.0, deadline=60.0)
SCHEMA = "PRAGMA user_version = 1;\n"
NOTE = [("INSERT INTO removals (key, since_ms) VALUES (?, ?)", ("a", 1))]
DONE = "done"


class Scripted:
    """A node that answers writes from a list, in turn; its last answer again and again.  A context manager.

    An answer is (status, JSON), or "done" for every statement, "drop" for a connection that ends without one, "hang".
    """

    def __init__(self, *answers):
        self.answers, self.asked, self.headers = list(answers), [], []
        self.leader = None  # whom it names to those who want to know
        node, self.over = self, threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                node.headers.append(dict(self.headers))
                if node.leader and self.path.endswith("&redirect"):
                    self.send_response(301)
                    self.send_header("Location", f"http://{node.leader}{self.path}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                if self.path.startswith("/db/query"):
                    # A catalogue that is there, in version 1.
                    return self.say((200, {"results": [{"values": [[1]]} for _ in question]}))
                node.asked.append(question)
                self.say(node.answers.pop(0) if len(node.answers) > 1 else node.answers[0])

            def say(self, answer):
                if answer == DONE:
                    answer = 200, {"results": [{"rows_affected": 1} for _ in node.asked[-1]]}
                if answer == "hang":
                    node.over.wait(60)
                if answer in ("drop", "hang"):
                    self.close_connection = True
                    return
                status, said = answer
                body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.name = "127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def door_to(*there, who="", patience=PATIENT):
    names = [node if isinstance(node, str) else node.name for node in there]
    return RqliteCatalogue(parse("rqlite://" + who + ",".join(names)), SCHEMA, patience=patience)


@pytest.mark.parametrize("first, why", [
    ((200, {"results": [], "error": "leadership lost while committing log"}), "the cluster failed inside a 200"),
    ((200, {"results": [{"error": "database is locked"}]}), "a statement met another's transaction"),
    ((200, {"results": []}), "fewer results than statements, and no error said"),
    ((200, "not JSON"), "something else answers there"),
    ((503, "leader not found"), "an election is under way"),
    ((500, "panic"), "a node is ill"),
    ("drop", "it may have been done: so it is said again"),
    ("hang", "a node that hangs is left for another try"),
])
def test_a_write_is_said_again_until_somebody_confirms_it(first, why):
    with Scripted(first, DONE) as node:
        door = door_to(node, patience=PATIENT._replace(answer=0.3) if first == "hang" else PATIENT)
        assert door.write(NOTE) == [1], why
        assert node.asked[0] == node.asked[1], "the same, word for word"
        door.close()


def test_a_node_that_is_not_there_costs_no_wait():
    with Scripted(DONE) as node:
        door = door_to(f"127.0.0.1:{free_port()}", node)
        assert door.write(NOTE) == [1]
        door.close()


def test_whoever_answered_last_is_asked_first():
    with Scripted((503, "leader not found")) as idle, Scripted(DONE) as leader:
        door = door_to(idle, leader)
        for _ in range(3):
            door.write(NOTE)
        assert (len(idle.asked), len(leader.asked)) == (1, 3)
        door.close()


def test_the_leader_is_asked_first_once_it_is_known():
    with Scripted(DONE) as follower, Scripted(DONE) as leader:
        follower.leader = leader.name
        door = door_to(follower, leader)
        for _ in range(3):
            door.write(NOTE)
        assert (len(follower.asked), len(leader.asked)) == (0, 3)
        assert len(follower.headers) == 1, "asked once who leads"
        door.close()


@pytest.mark.parametrize("named", ["db7.example.net:4001", "[::1", "", "127.0.0.1:99999"])
def test_a_leader_by_a_name_that_is_not_ours_is_reached_through_the_others(named):
    with Scripted(DONE) as follower, Scripted(DONE) as other:
        follower.leader = named or "?"
        door = door_to(follower, other)
        assert [door.write(NOTE) for _ in range(3)] == [[1]] * 3
        assert len(follower.asked) == 3
        door.close()


def test_a_leader_that_has_died_is_left_for_the_others():
    with Scripted(DONE) as follower, Scripted(DONE) as leader:
        follower.leader = leader.name
        door = door_to(follower, leader)
        door.write(NOTE)
        leader.answers[:] = ["drop"]
        assert door.write(NOTE) == [1]
        assert len(follower.asked) == 1
        door.close()


@pytest.mark.parametrize("said, error", [
    ("UNIQUE constraint failed: files.name", sqlite3.IntegrityError),
    ("no such table: x", sqlite3.OperationalError),
    ("database disk image is malformed", sqlite3.DatabaseError),
])
def test_what_is_wrong_with_a_statement_is_not_tried_again(said, error):
    with Scripted((200, {"results": [{"rows_affected": 1}, {"error": said}]})) as node:
        door = door_to(node)
        with pytest.raises(error, match=said.split(":")[0]):
            door.write(NOTE * 2)
        assert len(node.asked) == 1
        door.close()


@pytest.mark.parametrize("status", [401, 403, 400, 404])
def test_a_refusal_is_final_and_says_no_secret(status):
    with Scripted((status, "no")) as node:
        door = door_to(node, who="me:open-sesame@")
        with pytest.raises(CatalogueRefused) as caught:
            door.write(NOTE)
        assert "sesame" not in str(caught.value)
        assert len(node.asked) == 1
        assert node.headers[-1]["Authorization"] == "Basic bWU6b3Blbi1zZXNhbWU="
        door.close()


def test_when_nobody_answers_the_deadline_ends_it_and_then_nobody_waits_until_one_does(monkeypatch):
    with Scripted((503, "leader not found")) as node:
        door = door_to(node)
        # A clock that each question takes 20 s of: how long the machine needs for one is nobody's business.
        monkeypatch.setattr(nodes, "time", SimpleNamespace(monotonic=lambda: 20.0 * len(node.asked)))
        with pytest.raises(CatalogueDown, match="leader not found"):
            door.write(NOTE)
        assert door.failure is not None
        before = len(node.asked)
        assert before == 3, "the fourth one would end too late"
        with pytest.raises(CatalogueDown):
            door.write(NOTE)
        assert len(node.asked) == before + 1
        node.answers[:] = [DONE]
        assert door.write(NOTE) == [1]
        assert door.failure is None
        door.close()


def test_several_queries_are_one_round_trip():
    with Scripted(DONE) as node:
        door = door_to(node)
        before = len(node.headers)
        assert door.read_all([("SELECT 1", ()), ("SELECT 1", ())]) == [[(1,)], [(1,)]]
        assert len(node.headers) == before + 1
        door.close()


def test_an_address_says_all():
    address = parse("rqlite://me:p%40ss@one:4001,[::1]:5000,three?ca=ca.pem&level=strong")
    assert address.nodes == (Node("one", 4001), Node("::1", 5000), Node("three", 4001))
    assert (address.user, address.password, address.is_tls, address.level) == ("me", "p@ss", True, "strong")
    assert address.text == "rqlite://one:4001,[::1]:5000,three:4001"


@pytest.mark.parametrize("text", [
    "http://one:4001", "rqlite://", "rqlite://one:0", "rqlite://one:65536", "rqlite://one,one:4001", "rqlite://a b",
    "rqlite://me@one", "rqlite://one?level=none", "rqlite://one?tls=no&ca=x", "rqlite://one?speed=1",
    "rqlite://one?key=x", "rqlite://one?tls=yes&tls=yes", "rqlite://one,,two",
])
def test_an_address_that_cannot_be_one_is_refused(text):
    with pytest.raises(BadAddress):
        parse(text)
