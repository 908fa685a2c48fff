"""Catalogue and audio moved to other engines by one command, and back: what arrives is what left, wherever it is interrupted."""

from __future__ import annotations

import sqlite3

import pytest
from support import request, wav
from test_catalogue_moving import add, contents, fill
from tiny_rqlite import TinyRqlite

from audiokit.failures import refusal_of
from audiokit.links import Drop, Link
from audiokit.wire.problems import Refusal
from audioserver import main
from storage import LINK_KEY, Storage

pytestmark = pytest.mark.slow  # engines come and go

FILES = 3


@pytest.fixture
def store(tiny):
    return tiny


@pytest.fixture
def nodes():
    with TinyRqlite(1) as one:
        yield one


def furnish(storage):
    """Something in every table."""
    fill(storage, FILES + 1)
    ann = storage.people.named("ann").id
    storage.people.add_token("abc", ann, "digest", ("read",), "mine", 5, None)
    storage.sessions.begin("digest", ann, 5, 1 << 50)
    (file,) = storage._catalogue.read("SELECT id FROM files ORDER BY id LIMIT 1")[0]
    assert storage.links.add(Link("link", file, ann, True, 5, 1 << 50))
    assert storage.drops.add(Drop("drop", ann, "", 5, 1 << 50, 7, None, None), "digest")


@pytest.fixture
def home(tmp_path):
    """A folder, and what its catalogue holds."""
    with Storage(tmp_path / "var") as storage:
        furnish(storage)
        storage.link_key()
        return tmp_path / "var", rows_of(storage, tmp_path, "before.db")


def rows_of(storage, folder, name):
    """All rows but those that say where things are, and notes of bytes to remove, which go with the bytes."""
    path = folder / name
    if path.exists():
        path.unlink()
    return [row for row in contents(storage._catalogue, folder, name) if '"places"' not in row and '"removals"' not in row]


def move(*words):
    return main(["db", "move", *map(str, words)])


def out(data, nodes, store):
    return move("--data", data, "--to", nodes.url, "--blobs", store.url("p"))


def back(data, nodes, store):
    return move("--data", data, "--catalogue", nodes.url, "--from-blobs", store.url("p"), "--to", "folder", "--blobs", "folder")


def test_out_and_back_it_is_the_same(home, nodes, store, tmp_path, capsys):
    data, before = home
    key = (data / LINK_KEY).read_text()
    assert out(data, nodes, store) == 0
    assert f"serve them with --catalogue '{nodes.url}' and with --blobs '{store.url('p')}'" in capsys.readouterr().out
    with Storage(tmp_path / "other", catalogue=nodes.url, blobs=store.url("p")) as far:
        assert rows_of(far, tmp_path, "far.db") == before
        assert far.check(deep=True).is_sound
        assert far.link_key().hex() == key.strip(), "links that were made go on"
        assert far._catalogue.read("SELECT 1 FROM sessions") == [], "who was logged in logs in again"
    for path in (data / "files").glob("*/*"):
        path.unlink()  # so that they surely come from the store
    assert back(data, nodes, store) == 0
    assert "serve them without --catalogue and without --blobs" in capsys.readouterr().out
    with Storage(data) as storage:
        assert rows_of(storage, tmp_path, "after.db") == before
        assert storage.check(deep=True).is_sound
        assert storage.link_key().hex() == key.strip()
        add(storage, "new.wav", wav(0.4))


def test_out_and_back_and_out_again_it_is_what_it_became(home, nodes, store, tmp_path):
    data, _ = home
    for n in range(2):
        assert out(data, nodes, store) == 0
        with Storage(tmp_path / "other", catalogue=nodes.url, blobs=store.url("p")) as far:
            add(far, f"far{n}.wav", wav(0.3 + n / 10))
            far.remove(far._catalogue.read("SELECT id FROM files ORDER BY uploaded_ms LIMIT 1")[0][0])
            now = rows_of(far, tmp_path, "far.db")
        assert back(data, nodes, store) == 0
        with Storage(data) as storage:
            assert rows_of(storage, tmp_path, "after.db") == now
            assert storage.people.revoke("abc") is (n == 0)


class Refusing:
    """The n-th thing that is asked of either engine is refused, and those after it."""

    def __init__(self, nodes, store):
        self.left = None
        nodes.refuses = lambda path: self.is_over()
        self.store = store

    def is_over(self):
        if self.left is None:
            return False
        self.left -= 1
        return self.left < 0

    def arm(self, count):
        self.left = count
        self.store.faults[:] = [self._fault]

    def disarm(self):
        self.left = None
        self.store.faults.clear()

    def _fault(self, handler):
        self.store.faults.append(self._fault)
        if self.is_over():
            return handler.error(403, "AccessDenied")
        return False


@pytest.mark.parametrize("begun_anew", [False, True], ids=["resumed", "cancelled and changed"])
def test_interrupted_at_anything_that_is_asked_of_an_engine_it_goes_on(home, nodes, store, tmp_path, begun_anew, capsys):
    data, before = home
    refusing, stops = Refusing(nodes, store), 0
    for way in (out, back):
        where = [] if way is out else ["--catalogue", nodes.url, "--from-blobs", store.url("p")]
        settings = {} if way is out else {"catalogue": nodes.url, "blobs": store.url("p")}
        count = 0
        while True:
            refusing.arm(count)
            status = way(data, nodes, store)
            refusing.disarm()
            if status == 0:
                break
            count, stops = count + 1, stops + 1
            assert count < 500, "it never arrives"
            if begun_anew:
                assert move("--data", data, *where, "--cancel") == 0
                with Storage(data, create=False, exclusive=False, **settings) as storage:
                    storage.people.add(f"{way.__name__}{count}", "hash", False, 5)
                    before = rows_of(storage, tmp_path, "now.db")
        if way is out:
            with Storage(tmp_path / "other", catalogue=nodes.url, blobs=store.url("p")) as far:
                assert rows_of(far, tmp_path, "far.db") == before
    assert stops > 15
    with Storage(data) as storage:
        assert rows_of(storage, tmp_path, "after.db") == before
        assert storage.check(deep=True).is_sound
    capsys.readouterr()


def test_what_has_not_arrived_whole_is_served_by_nobody_and_the_old_place_is_whole(home, nodes, store, tmp_path, capsys):
    data, before = home
    nodes.refuses = lambda path: path.startswith("/db/backup")
    assert out(data, nodes, store) == 1
    nodes.refuses = lambda path: False
    with pytest.raises(FileExistsError, match="not all of the catalogue has arrived"):
        Storage(tmp_path / "other", catalogue=nodes.url, blobs=store.url("p"))
    assert move("--data", data, "--cancel") == 0
    with Storage(data) as storage:
        assert rows_of(storage, tmp_path, "after.db") == before
        assert storage.check(deep=True).is_sound
        add(storage, "new.wav", wav(0.4))
    capsys.readouterr()


CHANGES = {
    "account": lambda s: s.people.add("eve", "hash", False, 5),
    "password": lambda s: s.people.set_password(1, "hash"),
    "disabling": lambda s: s.people.disable(1),
    "removal of an account": lambda s: s.people.remove(1),
    "token": lambda s: s.people.add_token("new", 1, "other", ("read",), "", 5, None),
    "revocation": lambda s: s.people.revoke("abc"),
    "link": lambda s: s.links.add(Link("new", s._catalogue.read("SELECT id FROM files")[0][0], 1, True, 5, 1 << 50)),
    "end of a link": lambda s: s.links.remove("link", None),
    "drop": lambda s: s.drops.add(Drop("new", 1, "", 5, 1 << 50, 7, None, None), "other"),
    "end of a drop": lambda s: s.drops.remove("drop", None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_once_the_rows_leave_nothing_of_them_changes_but_log_ins(home, nodes, store, tmp_path, change, capsys):
    data, before = home
    nodes.refuses = lambda path: path.startswith("/db/backup")
    assert out(data, nodes, store) == 1
    with Storage(data) as storage:
        with pytest.raises(sqlite3.IntegrityError) as caught:
            change(storage)
        refusal = refusal_of(caught.value)
        assert isinstance(refusal, Refusal) and refusal.status == 503 and ("Retry-After", "60") in refusal.headers
        assert storage.sessions.begin("another", 1, 5, 1 << 50) and storage.sessions.end("another")
        assert not storage.people.hash_anew(storage.people.named("ann"), "dearer"), "and who logs in gets in all the same"
        storage.people.token_was_used("abc", 99)
        assert rows_of(storage, tmp_path, "now.db") != before, "when it was shown last is written down"
    capsys.readouterr()


def test_while_bytes_go_a_token_can_be_revoked(home, store, capsys):
    data, _ = home
    refusing = Refusing(type("", (), {})(), store)
    refusing.arm(4)
    assert move("--data", data, "--blobs", store.url("p")) == 1
    refusing.disarm()
    with Storage(data) as storage:
        assert storage._catalogue.read("SELECT 1 FROM places WHERE what = 'moving'")
        assert storage.people.revoke("abc")
    capsys.readouterr()


def test_a_server_whose_rows_left_says_so_in_words_and_so_do_the_commands(home, nodes, running, tmp_path, capsys):
    data, _ = home
    assert move("--data", data, "--to", nodes.url) == 0
    server = running(data)
    proof = {"Authorization": "Basic YW5uOm9wZW4gc2VzYW1l"}  # ann:open sesame
    status, fields, body = request(server.address, "POST", "/tokens", b"{}", proof)
    assert (status, fields["retry-after"]) == (503, "60") and b"being moved" in body
    assert request(server.address, "GET", "/list", None, proof)[0] == 200
    assert main(["user", "disable", "ann", "--data", str(data)]) == 1
    assert "what is kept here is being moved" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--cancel", "--to", "folder"], ["--home", "--blobs", "s3://x"]])
def test_a_move_to_nowhere_or_to_two_places_is_wrong_usage(home, words, capsys):
    with pytest.raises(SystemExit) as caught:
        move("--data", home[0], *words)
    assert caught.value.code == 2
    capsys.readouterr()
