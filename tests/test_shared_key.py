"""The key that signs links: of the folder by default, of all servers where they share a catalogue; in no copy."""

from __future__ import annotations

import json
import threading

import pytest
from support import request, wav
from tiny_rqlite import TinyRqlite

from audiokit.keyfile import BadKey
from storage import LINK_KEY, Storage

KEY = "ab" * 32


@pytest.fixture
def tiny():
    with TinyRqlite(1) as one:
        yield one


def test_of_many_servers_that_begin_at_once_one_makes_the_key_that_all_use(tiny, tmp_path):
    found = []

    def begin(n):
        with Storage(tmp_path / str(n), catalogue=tiny.url) as storage:
            found.append(storage.link_key())

    threads = [threading.Thread(target=begin, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1 and len(found[0]) == 32
    assert not list(tmp_path.rglob(LINK_KEY)), "no server has one of its own"


def test_what_a_folders_key_signed_goes_on_with_the_cluster(tiny, tmp_path):
    with Storage(tmp_path / "old") as storage:
        known = storage.link_key()
    for name in ("old", "new"):
        with Storage(tmp_path / name, catalogue=tiny.url) as storage:
            assert storage.link_key() == known


def test_a_server_that_comes_later_with_a_key_of_its_own_uses_the_clusters(tiny, tmp_path):
    with Storage(tmp_path / "first", catalogue=tiny.url) as storage:
        known = storage.link_key()
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / LINK_KEY).write_text(KEY + "\n")
    with Storage(tmp_path / "late", catalogue=tiny.url) as storage:
        assert storage.link_key() == known != bytes.fromhex(KEY)


def test_what_the_cluster_keeps_and_is_no_key_signs_nothing(tiny, tmp_path):
    with Storage(tmp_path, catalogue=tiny.url) as storage:
        tiny.execute([["INSERT INTO secrets (what, word) VALUES ('link', 'short')"]])
        with pytest.raises(BadKey):
            storage.link_key()


def test_no_copy_of_a_shared_catalogue_has_the_key(tiny, tmp_path):
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / LINK_KEY).write_text(KEY + "\n")
    with Storage(tmp_path / "var", catalogue=tiny.url) as storage:
        assert storage.link_key().hex() == KEY
        storage.backup(tmp_path / "backup")
        assert KEY not in "\n".join(storage.dump())
    for path in (tmp_path / "backup").rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


@pytest.mark.slow
def test_a_link_made_at_one_server_is_served_by_another(tiny, running, tmp_path):
    one, other = (running(tmp_path / name, catalogue=tiny.url) for name in "ab")
    file = json.loads(request(one.address, "POST", "/post?name=a.wav", wav())[2])
    link = json.loads(request(one.address, "POST", f"/files/{file['id']}/links", b"{}")[2])
    assert request(other.address, "HEAD", link["url"])[0] == 200
    assert request(other.address, "HEAD", link["url"].replace("expires=1", "expires=2"))[0] == 403
