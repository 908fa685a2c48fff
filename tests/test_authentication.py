"""Finding out who asks: what is remembered and forgotten, what waits, what is refused; over real sockets."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
import threading
import time

import pytest
from people import QUICK, Person, ask, basic, now_ms
from support import ROOT, eventually, raw, wav

from audiokit import credentials
from audiokit.authentication import Authenticator
from audiokit.blobs import FileOps
from audiokit.catalogue import Catalogue
from audiokit.catalogue.people import People
from audiokit.settings import Settings
from audiokit.wire.answers import Login
from audiokit.wire.problems import Refusal
from storage import Storage

SOUND = wav()
SCHEMA = (ROOT / "schema.sql").read_text("utf-8")


@pytest.fixture
def locked(running):
    """A server with one account, ann, whose log-ins are cheap."""
    server = running()
    server.server.authenticator._parameters = QUICK
    person = Person(server, "ann")
    server.server.authenticator.changed()
    return person


@contextlib.contextmanager
def beside(server):
    """The accounts of a running server's folder as a command in another process has them."""
    with Storage(server.data, create=False, exclusive=False) as storage:
        yield storage.people


def listed(server, password="sesame of ann", name="ann"):
    return ask(server, "GET", "/list", Authorization=basic(name, password))[0]


# -- over the wire ------------------------------------------------------------------------------------------


def test_name_and_password_open_the_door_and_nothing_less_does(locked):
    server = locked.server
    assert listed(server) == 200 and listed(server, name="ANN") == 200
    for name, password in (("ann", ""), ("ann", "sesame"), ("bob", "sesame of ann"), ("", "sesame of ann")):
        status, fields, problem = ask(server, "GET", "/list", Authorization=basic(name, password))
        assert (status, problem["code"]) == (401, "unauthorized")
        assert problem["detail"] == "name and password do not fit", "which of them is nobody's business"


def test_an_upload_waits_for_the_log_in_and_then_arrives(locked):
    status, _, record = ask(
        locked.server, "POST", "/post?name=a.wav", iter([SOUND[:100], SOUND[100:]]),
        Authorization=basic("ann", locked.password),
    )
    assert status == 201 and record["uploaded_by"] == "ann"
    big = wav(4.0, 16000)
    status, _, record = ask(
        locked.server, "POST", "/post?name=b.wav", big, Authorization=basic("ann", locked.password + " "),
    )
    assert status == 401
    assert ask(locked.server, "POST", "/post", big, Authorization=basic("ann", locked.password))[0] == 201


def test_requests_behind_one_that_logs_in_are_answered_in_their_order(locked):
    head = "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: " + basic("ann", locked.password) + "\r\n%s\r\n"
    sent = head % ("/list?limit=1", "") + head % ("/info?name=none", "") + head % ("/list", "Connection: close\r\n")
    answers = raw(locked.server.address, sent.encode(), end=False)
    assert re.findall(rb"HTTP/1.1 (\d+) ", answers) == [b"200", b"404", b"200"]


def test_continue_is_said_only_once_the_log_in_was_right(locked):
    head = (
        "POST /post?name=c.wav HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        f"Content-Length: {len(SOUND)}\r\nConnection: close\r\nAuthorization: %s\r\n\r\n"
    )
    with socket.create_connection(locked.server.address, timeout=60) as sock:
        sock.sendall((head % basic("ann", locked.password)).encode())
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(SOUND)
        assert sock.recv(1000).startswith(b"HTTP/1.1 201 ")
    assert raw(locked.server.address, (head % basic("ann", "x")).encode(), end=False).startswith(b"HTTP/1.1 401 ")


def test_a_client_that_leaves_while_it_logs_in_harms_nobody(locked):
    for _ in range(5):
        with socket.create_connection(locked.server.address, timeout=60) as sock:
            head = f"GET /list HTTP/1.1\r\nHost: localhost\r\nAuthorization: {basic('ann', locked.password)}\r\n\r\n"
            sock.sendall(head.encode())
    assert listed(locked.server) == 200


def test_a_password_that_changes_elsewhere_is_forgotten_here_within_a_second(locked):
    server = locked.server
    assert listed(server) == 200
    with beside(server) as people:
        people.set_password(locked.id, credentials.hash_password("another", os.urandom(16), QUICK))
    eventually(lambda: listed(server) == 401)
    assert listed(server, "another") == 200


def test_an_account_that_is_disabled_elsewhere_is_out_within_a_second_with_its_tokens(locked):
    server = locked.server
    assert listed(server) == 200 and locked.ask("GET", "/list")[0] == 200
    with beside(server) as people:
        people.disable(locked.id)
        eventually(lambda: listed(server) == 401)
        assert locked.ask("GET", "/list")[0] == 401
        people.disable(locked.id, False)
        eventually(lambda: listed(server) == 200)
        assert locked.ask("GET", "/list")[0] == 200


def test_an_account_that_is_removed_is_out_and_the_door_stays_locked_while_there_is_another(locked):
    server = locked.server
    bob = Person(server, "bob")
    assert listed(server) == 200
    with beside(server) as people:
        people.remove(locked.id)
    eventually(lambda: listed(server) == 401)
    assert ask(server, "GET", "/list")[0] == 401 and bob.ask("GET", "/list")[0] == 200


def test_a_token_that_is_revoked_elsewhere_is_out_within_a_second(locked):
    server = locked.server
    text = locked.token("read")
    assert locked.ask("GET", "/list", token=text)[0] == 200
    with beside(server) as people:
        assert people.revoke(text.split("_")[1])
    eventually(lambda: locked.ask("GET", "/list", token=text)[0] == 401)


def test_a_token_that_has_expired_is_none_any_more(locked):
    assert locked.ask("GET", "/list", token=locked.token("read", expires_ms=1))[0] == 401
    soon = locked.token("read", expires_ms=time.time_ns() // 1_000_000 + 60_000)
    assert locked.ask("GET", "/list", token=soon)[0] == 200


def test_the_last_use_of_a_token_is_noted(locked):
    text = locked.token("read")
    assert locked.ask("GET", "/list", token=text)[0] == 200
    id = text.split("_")[1]
    eventually(lambda: {token.id: token.used_ms for token, _ in locked.people.tokens(locked.id)}[id] is not None)


def test_ten_wrong_passwords_close_the_door_for_that_account_from_there(running):
    server = running(guess_limit=3, guess_limit_address=6)
    server.server.authenticator._parameters = QUICK
    ann, bob = Person(server, "ann"), Person(server, "bob")
    server.server.authenticator.changed()
    assert [listed(server, f"guess {n}") for n in range(3)] == [401] * 3
    status, fields, problem = ask(server, "GET", "/list", Authorization=basic("ann", ann.password))
    assert (status, problem["code"]) == (429, "too-many-requests")
    assert 0 < int(fields["retry-after"]) <= 600
    assert listed(server, bob.password, "bob") == 200, "others still get in from there"
    assert ann.ask("GET", "/list")[0] == 200, "nobody guesses tokens"
    assert [ask(server, "GET", "/list", Authorization="Bearer " + credentials.new_token(os.urandom(37)).text)[0]
            for _ in range(4)] == [401] * 3 + [429], "and then the address"
    assert listed(server, bob.password, "bob") == 429 and bob.ask("GET", "/list")[0] == 200


def test_what_is_remembered_does_not_let_a_guesser_past_the_limit(running):
    server = running(guess_limit=3)
    server.server.authenticator._parameters = QUICK
    Person(server, "ann")
    server.server.authenticator.changed()
    assert listed(server) == 200
    assert [listed(server, f"guess {n}") for n in range(3)] == [401] * 3
    assert listed(server) == 429


def test_a_hash_with_cheaper_parameters_is_made_anew_at_the_next_log_in(running):
    server = running()
    dearer = server.server.authenticator._parameters = "scrypt$32$8$1"
    ann = Person(server, "ann")
    server.server.authenticator.changed()
    assert ann.people.named("ann").password.startswith(QUICK + "$")
    assert listed(server) == 200
    assert ann.people.named("ann").password.startswith(dearer + "$")
    assert listed(server) == 200 and listed(server, "sesame") == 401


def test_nothing_that_was_written_down_is_a_secret(tmp_path, running, capsys):
    server = running(log="text")
    server.server.authenticator._parameters = QUICK
    ann = Person(server, "ann")
    server.server.authenticator.changed()
    token = ann.token("read")
    for field in (basic("ann", "hunter2"), basic("hunter2", "x"), "Bearer hunter2", "Bearer " + token, "hunter2"):
        ask(server, "GET", "/list", Authorization=field)
        ask(server, "POST", "/post", SOUND, Authorization=field)
    server.__exit__()
    written = capsys.readouterr().err
    assert written.count("audit: refused") >= 8 and "audit: log-in failed: ann from 127.0.0.1" in written
    assert f" ann/{token.split('_')[1]} GET /list 200 " in written
    assert "hunter2" not in written and token not in written and "aHVudGVy" not in written


def test_the_log_as_json_says_who(running, capsys):
    server = running(log="json")
    ann = Person(server, "ann")
    server.server.authenticator.changed()
    ann.ask("GET", "/list")
    ask(server, "GET", "/list")
    server.__exit__()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["who"] for line in lines if "who" in line] == ["ann/" + ann.every.split("_")[1], "-"]
    assert [line["audit"].split(":")[0] for line in lines if "audit" in line] == ["refused"]


# -- the queue ----------------------------------------------------------------------------------------------


class SlowPeople(People):
    """Accounts on a disk that does not answer before it is told to."""

    def __init__(self, catalogue):
        super().__init__(catalogue)
        self.answers, self.asked = threading.Event(), threading.Semaphore(0)

    def named(self, name):
        self.asked.release()
        assert self.answers.wait(60)
        return super().named(name)


class Desk:
    """An authenticator with its own clock, a queue of 2, and what it said."""

    def __init__(self, folder, people_class=People, parameters=QUICK, **settings):
        self.catalogue = Catalogue(folder / "catalogue.db", SCHEMA, FileOps())
        self.people = people_class(self.catalogue)
        self.now, self.said, self.bugs = 1000.0, [], []
        settings = {"login_queue": 2, **settings}
        self.people.add("ann", credentials.hash_password("sesame", bytes(16), parameters), False, now_ms())
        self.desk = Authenticator(
            self.people, Settings(**settings), os.urandom, may_be_open=True, on_bug=self.bugs.append,
            audit=self.said.append, parameters=parameters, clock=lambda: self.now,
        )

    def who(self, field, address="10.0.0.1"):
        return self.desk.who({"authorization": field}, "read", address)

    def begun(self, field, address="10.0.0.1"):
        """A list that will have the outcome in it, and what is set then."""
        outcome, done = [], threading.Event()
        login = self.who(field, address)
        assert type(login) is Login
        login.begin(lambda who: (outcome.append(who), done.set()))
        return outcome, done

    def outcome(self, field, address="10.0.0.1"):
        outcome, done = self.begun(field, address)
        assert done.wait(60)
        return outcome[0]

    def close(self):
        self.desk.close()
        self.catalogue.close()
        assert not self.bugs


@pytest.fixture
def desk(tmp_path):
    opened = []

    def make(**settings):
        opened.append(Desk(tmp_path, **settings))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def test_garbage_in_the_field_is_a_wrong_credential_and_nothing_else(desk):
    one, rng = desk(), random.Random(7)
    good = [basic("ann", "sesame"), "Bearer " + credentials.new_token(bytes(37)).text, "Token x", ""]
    for _ in range(3000):
        field = list(rng.choice(good))
        for _ in range(rng.randrange(1, 6)):
            place = rng.randrange(len(field) + 1)
            field[place:place + rng.randrange(2)] = chr(rng.choice([9, *range(32, 127), *range(128, 256)]))
        try:
            assert type(one.who("".join(field))) is Login
        except Refusal as refusal:
            assert refusal.code in ("unauthorized", "too-many-requests")


def test_two_are_looked_at_a_queue_waits_and_the_next_is_told_to_come_again(desk):
    one = desk(people_class=SlowPeople)
    begun = [one.begun(basic(f"name{n}", "x")) for n in range(4)]
    for _ in range(2):
        assert one.people.asked.acquire(timeout=60)
    assert not one.people.asked.acquire(timeout=0), "only two at once"
    with pytest.raises(Refusal) as caught:
        one.who(basic("name4", "x"))
    assert caught.value.code == "busy" and ("Retry-After", "5") in caught.value.headers
    one.people.answers.set()
    assert all(done.wait(60) for _, done in begun)
    assert {outcome[0].code for outcome, _ in begun} == {"unauthorized"}
    assert type(one.who(basic("name4", "x"))) is Login


def test_who_shows_the_same_waits_for_the_same_answer_and_counts_once(desk):
    one = desk(people_class=SlowPeople, guess_limit=2)
    begun = [one.begun(basic("ann", "sesame")) for _ in range(50)]
    one.people.answers.set()
    assert all(done.wait(60) for _, done in begun)
    assert {outcome[0].name for outcome, _ in begun} == {"ann"}
    assert one.people.asked.acquire(timeout=60) and not one.people.asked.acquire(timeout=0)
    assert one.who(basic("ann", "sesame")).name == "ann"


def test_attempts_that_are_still_looked_at_count_as_failures(desk):
    one = desk(people_class=SlowPeople, guess_limit=2)
    begun = [one.begun(basic("ann", f"guess {n}")) for n in range(2)]
    with pytest.raises(Refusal) as caught:
        one.who(basic("ann", "guess 2"))
    assert caught.value.code == "too-many-requests"
    assert type(one.who(basic("ann", "guess 2"), "10.0.0.2")) is Login
    one.people.answers.set()
    assert all(done.wait(60) for _, done in begun)


def test_a_verified_password_is_remembered_for_five_minutes(desk):
    one = desk()
    assert one.outcome(basic("ann", "sesame")).name == "ann"
    one.now += 299
    assert one.who(basic("ann", "sesame")).name == "ann"
    one.now += 2
    assert type(one.who(basic("ann", "sesame"))) is Login


def test_what_is_remembered_is_no_credential(desk):
    one = desk()
    one.outcome(basic("ann", "sesame"))
    assert "sesame" not in repr(vars(one.desk)) and basic("ann", "sesame")[6:] not in repr(vars(one.desk))


def test_what_did_not_change_is_remembered_through_the_change_of_others(desk):
    one = desk()
    assert one.outcome(basic("ann", "sesame")).name == "ann"
    one.people.add("bob", "", False, now_ms())
    one.now += 1
    assert one.who(basic("ann", "sesame")).name == "ann"
    one.people.disable(one.people.named("ann").id)
    one.now += 1
    assert type(one.who(basic("ann", "sesame"))) is Login
    assert one.outcome(basic("ann", "sesame")).code == "unauthorized"


def test_a_change_in_this_process_holds_at_once_and_one_elsewhere_within_a_fifth_of_a_second(desk):
    one = desk()
    assert one.outcome(basic("ann", "sesame")).name == "ann"
    assert one.who(basic("ann", "sesame")).name == "ann"
    one.people.disable(one.people.named("ann").id)
    assert one.who(basic("ann", "sesame")).name == "ann", "nobody looked yet"
    one.now += 0.25
    assert type(one.who(basic("ann", "sesame"))) is Login
    one.people.disable(one.people.named("ann").id, False)
    one.desk.changed()
    assert one.outcome(basic("ann", "sesame")).name == "ann"


def test_where_there_is_no_scrypt_passwords_are_kept_by_pbkdf2(desk):
    one = desk(parameters="pbkdf2-sha256$10")
    assert one.outcome(basic("ann", "sesame")).name == "ann"
    assert one.outcome(basic("ann", "no")).code == one.outcome(basic("bob", "no")).code == "unauthorized"
    assert one.people.named("ann").password.startswith("pbkdf2-sha256$10$")


def test_a_window_that_is_over_lets_in_again(desk):
    one = desk(guess_limit=1)
    assert one.outcome(basic("ann", "no")).code == "unauthorized"
    with pytest.raises(Refusal):
        one.who(basic("ann", "sesame"))
    one.now += 601
    assert one.outcome(basic("ann", "sesame")).name == "ann"


def test_who_waits_when_the_server_ends_is_told_so(desk):
    one = desk(people_class=SlowPeople)
    begun = [one.begun(basic(f"name{n}", "x")) for n in range(4)]
    for _ in range(2):
        assert one.people.asked.acquire(timeout=60)
    closing = threading.Thread(target=one.desk.close)
    closing.start()
    while not one.desk._is_closed:
        pass
    one.people.answers.set()
    closing.join()
    codes = sorted(outcome[0].code for outcome, _ in begun)
    assert codes == ["draining", "draining", "unauthorized", "unauthorized"]


def test_while_others_log_in_the_server_answers(running):
    """A flood of log-ins costs the loop nothing: it waits for none of them."""
    server = running()
    people = SlowPeople(server.server.storage._catalogue)
    ann = Person(server, "ann")
    server.server.authenticator._people, server.server.authenticator._parameters = people, QUICK
    server.server.authenticator.changed()
    with contextlib.ExitStack() as stack:
        for n in range(80):
            sock = stack.enter_context(socket.create_connection(server.address, timeout=60))
            head = f"GET /list HTTP/1.1\r\nHost: localhost\r\nAuthorization: {basic(f'name{n}', 'x')}\r\n\r\n"
            sock.sendall(head.encode())
        assert ask(server, "GET", "/health")[0] == 200
        assert ann.ask("GET", "/list")[0] == 200
        assert ask(server, "GET", "/list", Authorization=basic("one", "more"))[0] == 503
        people.answers.set()
        server.server.authenticator._is_closed = True  # they need not all be hashed
