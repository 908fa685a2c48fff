"""A catalogue and its audio moved from the folder to three rqlite nodes and a store, and back: the same.

Slow: the engines are fetched and begun.
"""

from __future__ import annotations

import os

import pytest
import told
from engines import Swift
from rqlite_nodes import RqliteNodes
from support import wav
from test_catalogue_moving import add
from test_moving_both import back, furnish, out, rows_of

from storage import LINK_KEY, Storage

pytestmark = pytest.mark.slow


def test_out_to_real_engines_and_back_it_is_the_same(tmp_path, monkeypatch, capsys):
    with Swift(tmp_path / "store") as store, RqliteNodes(tmp_path / "nodes", 3) as nodes:
        for name, value in {**store.environment, "AWS_CONFIG_FILE": os.devnull}.items():
            monkeypatch.setenv(name, value)
        data = tmp_path / "var"
        with Storage(data) as storage:
            furnish(storage)
            storage.link_key()
            before = rows_of(storage, tmp_path, "before.db")
        key = (data / LINK_KEY).read_text()
        assert out(data, nodes, store) == 0
        with Storage(tmp_path / "other", catalogue=nodes.url, blobs=store.url("p")) as far:
            assert rows_of(far, tmp_path, "far.db") == before
            assert far.check(deep=True).is_sound
        for path in (data / "files").glob("*/*"):
            path.unlink()  # so that they surely come from the store
        assert back(data, nodes, store) == 0
        with Storage(data) as storage:
            assert rows_of(storage, tmp_path, "after.db") == before
            assert storage.check(deep=True).is_sound
            add(storage, "new.wav", wav(0.4))
        assert (data / LINK_KEY).read_text() == key
    capsys.readouterr()
    told.tell("moved to three nodes and Swift, and back", len(before), more="; identical")
