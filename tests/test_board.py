"""The rows of conversions that any server may be asked for: the same rules on every engine, and when writes repeat."""

from __future__ import annotations

import sqlite3

import pytest
from rqlite_nodes import RqliteNodes
from support import ROOT
from tiny_rqlite import TinyRqlite, Watched

from audiokit.blobs import FileOps
from audiokit.catalogue import Catalogue
from audiokit.catalogue.address import parse
from audiokit.catalogue.checks import is_named, strays
from audiokit.catalogue.jobs import DONE, FAILED, GONE, QUEUED, REMEMBERED_MS, RUNNING, Board, Made, disowned
from audiokit.catalogue.rqlite import RqliteCatalogue

SCHEMA = (ROOT / "schema.sql").read_text("utf-8")
KEY, OTHER = "a" * 32, "b" * 32
MADE = Made(KEY, 5, "c" * 64, 900)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with RqliteNodes(tmp_path_factory.mktemp("rqlite"), 1) as one:
        yield one


@pytest.fixture
def twice():
    """A cluster that carries every write out twice."""
    with TinyRqlite(1) as nodes:
        nodes.is_twice = True
        yield nodes


@pytest.fixture(params=["sqlite", "repeating", pytest.param("rqlite", marks=pytest.mark.slow)])
def catalogue(request, tmp_path):
    if request.param == "rqlite":
        found = RqliteCatalogue(parse(request.getfixturevalue("node").url), SCHEMA)
        found.write([(f"DELETE FROM {table}", ()) for table in ("jobs", "removals", "places")])
    elif request.param == "repeating":
        found = Watched(request.getfixturevalue("twice"))
    else:
        found = Catalogue(tmp_path / "catalogue.db", SCHEMA, FileOps())
    yield found
    found.close()


@pytest.fixture
def board(catalogue):
    """A board with one conversion on it, `j`, posted at 10 ms."""
    board = Board(catalogue)
    board.post("j", 7, "{}", "audio/mpeg", 10)
    return board


def removals(catalogue):
    return [key for (key,) in catalogue.read("SELECT key FROM removals ORDER BY key")]


def test_what_was_posted_is_found_by_everybody(board):
    row = board.named("j")
    assert (row.owner, row.state, row.status, row.mime, row.key, row.is_over) == (7, QUEUED, "{}", "audio/mpeg", None, False)
    assert board.named("k") is None and list(board.all_named(["k", "j"])) == ["j"]
    assert board.all_named([]) == {}


def test_more_ids_than_a_query_takes_are_found(board):
    assert list(board.all_named([str(n) for n in range(1200)] + ["j"])) == ["j"]


def test_how_far_it_is_never_goes_back(board):
    board.advance([("j", RUNNING, "0.5", "")], 30)
    board.advance([("j", RUNNING, "0.2", "")], 20)  # late
    row = board.named("j")
    assert (row.state, row.status, row.renewed_ms) == (RUNNING, "0.5", 30)


def test_what_is_over_names_its_result_and_stays_over(board):
    assert board.finish("j", DONE, "done", MADE, 1000)
    row = board.named("j")
    assert row.is_over and (row.state, row.key, row.size, row.sha256, row.since_ms) == (DONE, *MADE)
    board.advance([("j", RUNNING, "0.9", "")], 99)
    assert not board.finish("j", FAILED, "failed", None, 1000)
    board.give_up(row._replace(expires_ms=None), "silent", 1000)
    assert board.named("j") == row
    assert board.finish("j", DONE, "done", MADE, 1000), "the same again is no news"


def test_what_failed_has_no_result(board):
    assert board.finish("j", FAILED, "why", None, 1000)
    assert board.named("j").key is None and board.named("j").is_over


def test_what_was_removed_says_so_for_a_day_and_its_bytes_are_noted(board, catalogue):
    board.finish("j", DONE, "done", MADE, 1000)
    assert board.remove("j", 500) == KEY
    assert board.named("j").state == GONE and board.named("j").key is None and removals(catalogue) == [KEY]
    assert board.remove("j", 600) is None and board.remove("k", 600) is None
    assert not board.due(500 + REMEMBERED_MS - 1).is_forgettable
    board.forget(500 + REMEMBERED_MS - 1)
    assert board.named("j") is not None
    assert board.due(500 + REMEMBERED_MS).is_forgettable
    board.forget(500 + REMEMBERED_MS)
    assert board.named("j") is None


def test_what_was_removed_does_not_come_back_with_a_late_write(board):
    board.remove("j", 500)
    board.post("j", 7, "{}", "audio/mpeg", 10)
    board.advance([("j", RUNNING, "0.9", "")], 99)
    assert not board.finish("j", DONE, "done", MADE, 1000)
    assert board.named("j").state == GONE


def test_a_result_whose_bytes_are_to_go_is_never_named(board, catalogue):
    catalogue.write([("INSERT OR IGNORE INTO removals (key, since_ms) VALUES (?, 5)", (KEY,))])
    assert not board.finish("j", DONE, "done", MADE, 1000)
    assert not board.named("j").is_over


def test_bytes_that_go_take_the_row_along_that_names_them(board, catalogue):
    board.finish("j", DONE, "done", MADE, 1000)
    catalogue.write([disowned(KEY, 500)])
    assert (board.named("j").state, board.named("j").key) == (GONE, None)


def test_whoever_is_silent_is_given_up_and_whoever_is_not_is_not(board):
    row = board.named("j")
    board.advance([("j", RUNNING, "0.1", "")], 11)
    board.give_up(row, "silent", 1000)
    assert not board.named("j").is_over
    board.give_up(board.named("j"), "silent", 1000)
    assert (board.named("j").state, board.named("j").status) == (FAILED, "silent")


def test_whoever_takes_a_silent_one_over_is_its_holder_and_nobody_else_changes_it(board):
    board.advance([("j", RUNNING, "at one", "")], 11)
    row = board.named("j")
    board.advance([("j", RUNNING, "at one, further", "one")], 12)
    assert not board.take_over(row, "at two", 20), "it was not silent"
    row = board.named("j")
    assert board.take_over(row, "at two", 20) and not board.take_over(row, "at three", 21), "one of many"
    board.advance([("j", RUNNING, "at one again", "one")], 30)
    assert not board.finish("j", DONE, "done", MADE, 1000, "one")
    assert board.named("j").status == "at two" and not board.named("j").is_over
    board.advance([("j", RUNNING, "at two, further", "two")], 31)
    assert board.finish("j", DONE, "done", MADE, 1000, "two") and board.named("j").key == KEY
    assert not board.take_over(board.named("j")._replace(renewed_ms=31), "at four", 40), "it is over"


@pytest.mark.parametrize("end", ["finish", "fail", "give up", "remove"])
def test_an_input_of_its_own_goes_with_the_end_whatever_that_is(board, catalogue, end):
    board.post("k", 7, "at one", "audio/mpeg", 10, OTHER)
    assert board.named("k").key == OTHER and is_named(catalogue, OTHER) and not board.named("k").is_over
    assert not board.finish("k", DONE, "done", MADE, 1000, "two") and removals(catalogue) == []
    if end == "remove":
        assert board.remove("k", 500) == OTHER
    elif end == "give up":
        board.give_up(board.named("k"), "silent", 1000)
    else:
        assert board.finish("k", DONE if end == "finish" else FAILED, end, MADE if end == "finish" else None, 1000, "one", 500)
    assert removals(catalogue) == [OTHER] and board.named("k").key == (KEY if end == "finish" else None)


def test_what_is_due_is_found(board):
    for id, expires in (("x", 100), ("y", 200)):
        board.post(id, 0, "{}", "audio/mpeg", 20)
        board.finish(id, FAILED, "{}", None, expires)
    assert board.due(99) == ({"j": 10}, [], False)
    assert board.due(100).expired == ["x"] and board.due(200).expired == ["x", "y"]


def test_spans_that_were_delivered_are_noted_by_whoever_knew_the_last_ones(board):
    board.finish("j", DONE, "done", MADE, 1000)
    board.note_delivered("j", "[]", "[[0, 2]]")
    board.note_delivered("j", "[]", "[[3, 4]]")
    assert board.named("j").delivered == "[[0, 2]]"


class Listed:
    """A store with these keys."""

    settles_s = 0.0

    def scan(self, after="", older_than_s=0.0):
        return iter([KEY, OTHER])


def test_bytes_of_a_result_are_somebodys_as_long_as_the_row_is_there(board, catalogue):
    assert list(strays(catalogue, Listed())) == [KEY, OTHER] and not is_named(catalogue, KEY)
    board.finish("j", DONE, "done", MADE, 1000)
    assert list(strays(catalogue, Listed())) == [OTHER] and is_named(catalogue, KEY)
    board.remove("j", 500)
    assert list(strays(catalogue, Listed())) == [OTHER], "noted for removal"
    catalogue.write([("DELETE FROM removals", ())])
    assert list(strays(catalogue, Listed())) == [KEY, OTHER]


def test_a_move_takes_no_conversion_along_and_lets_none_begin(board, catalogue):
    board.finish("j", DONE, "done", MADE, 1000)
    catalogue.write([("INSERT OR IGNORE INTO places (what, word, address) VALUES ('moving', 'w', 'there')", ())])
    assert (board.named("j").state, board.named("j").key) == (GONE, None)
    with pytest.raises(sqlite3.IntegrityError, match="being moved"):
        board.post("k", 0, "{}", "audio/mpeg", 20)
