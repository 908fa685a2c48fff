"""The contract of the catalogue's door: the same tests for every engine that can stand behind it."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from rqlite_nodes import RqliteNodes
from support import ROOT

from audiokit.blobs import FileOps
from audiokit.catalogue import Catalogue, TooSlow
from audiokit.catalogue.address import parse
from audiokit.catalogue.rqlite import RqliteCatalogue

SCHEMA = (ROOT / "schema.sql").read_text("utf-8")
NOTE = "INSERT INTO removals (key, since_ms) VALUES (?, ?)"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with RqliteNodes(tmp_path_factory.mktemp("rqlite"), 1) as one:
        yield one


@pytest.fixture(params=["sqlite", pytest.param("rqlite", marks=pytest.mark.slow)])
def door(request, tmp_path):
    """Every engine that keeps the door's contract, with an empty table `removals`."""
    if request.param == "sqlite":
        catalogue = Catalogue(tmp_path / "catalogue.db", SCHEMA, FileOps())
    else:
        catalogue = RqliteCatalogue(parse(request.getfixturevalue("node").url), SCHEMA)
        catalogue.write([("DELETE FROM removals", ())])
    yield catalogue
    catalogue.close()


def keys(door):
    return [key for (key,) in door.read("SELECT key FROM removals ORDER BY key")]


def test_what_was_written_is_read(door):
    assert door.write([(NOTE, ("a", 1)), (NOTE, ("b", 2))]) == [1, 1]
    assert door.read("SELECT since_ms FROM removals WHERE key = ?", ("b",)) == [(2,)]
    assert door.read("SELECT since_ms FROM removals WHERE key = ?", ("c",)) == []


@pytest.mark.parametrize("value, why", [
    ("", "no text is a text"),
    ("\u00e4\u4e2d\U0001f3b5 \"'\\\n\t", "whatever a name or a tag may have in it"),
    (0, "nothing is not NULL"),
    ((1 << 63) - 1, "the greatest whole number; a double has 53 bits"),
    (-(1 << 63), "the least"),
    (0.1, "a fraction that binary has not"),
    (1e300, "far out"),
    (None, "nothing"),
])
def test_a_value_comes_back_as_it_was(door, value, why):
    assert door.read("SELECT ?", (value,)) == [(value,)], why


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1 << 63, b"bytes", object()])
def test_a_value_that_one_engine_could_not_take_is_refused_by_all(door, value):
    with pytest.raises(ValueError):
        door.write([(NOTE, ("a", value))])
    assert keys(door) == []


def test_half_a_surrogate_pair_is_refused_and_not_replaced(door):
    with pytest.raises(UnicodeEncodeError):
        door.write([(NOTE, ("\ud800", 1))])


def test_several_queries_are_answered_in_their_order(door):
    door.write([(NOTE, (key, 1)) for key in "abc"])
    assert door.read_all([
        ("SELECT count(*) FROM removals", ()), ("SELECT key FROM removals WHERE key > ? ORDER BY key", ("a",)),
        ("SELECT key FROM removals WHERE key = ?", ("z",)),
    ]) == [[(3,)], [("b",), ("c",)], []]


def test_counts_say_how_many_rows_each_statement_touched(door):
    door.write([(NOTE, (key, 1)) for key in "abc"])
    assert door.write([
        ("UPDATE removals SET since_ms = 5 WHERE key > ?", ("a",)),
        ("DELETE FROM removals WHERE key = ?", ("nothing",)),
        ("INSERT OR IGNORE INTO removals (key, since_ms) VALUES (?, ?)", ("a", 9)),
        ("INSERT INTO removals (key, since_ms) VALUES (?, ?) ON CONFLICT DO NOTHING", ("b", 9)),
        ("DELETE FROM removals WHERE since_ms = ?", (5,)),
    ]) == [2, 0, 0, 0, 2]


def test_a_call_is_all_or_nothing(door):
    door.write([(NOTE, ("a", 1))])
    with pytest.raises(sqlite3.IntegrityError):
        door.write([(NOTE, ("b", 1)), (NOTE, ("a", 1)), (NOTE, ("c", 1))])
    assert keys(door) == ["a"]


def test_a_fault_in_the_sql_is_an_error_and_leaves_nothing(door):
    with pytest.raises(sqlite3.OperationalError):
        door.write([(NOTE, ("b", 1)), ("DELETE FROM nowhere", ())])
    with pytest.raises(sqlite3.OperationalError):
        door.read("SELECT nothing FROM removals")
    assert keys(door) == []


def test_a_call_that_fails_takes_no_other_along(door):
    outcomes = {}

    def call(n):
        try:
            outcomes[n] = door.write([(NOTE, ("same" if n % 2 else f"own{n}", n))])
        except sqlite3.IntegrityError:
            outcomes[n] = None

    threads = [threading.Thread(target=call, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(outcomes[n] == [1] for n in range(0, 40, 2))
    assert [outcomes[n] for n in range(1, 40, 2)].count([1]) == 1
    assert len(keys(door)) == 21


def test_of_many_that_compare_and_set_one_wins(door):
    door.write([(NOTE, ("a", 1))])
    outcomes = []

    def call():
        outcomes.append(door.write([("UPDATE removals SET since_ms = 2 WHERE key = 'a' AND since_ms = ?", (1,))]))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [[0]] * 7 + [[1]]


def test_what_a_thread_wrote_every_thread_reads(door):
    door.write([(NOTE, ("a", 1))])
    found = []
    thread = threading.Thread(target=lambda: found.append(keys(door)))
    thread.start()
    thread.join()
    assert found == [["a"]]


@pytest.mark.parametrize("sql", [
    "INSERT INTO removals VALUES ('a', 1) RETURNING key", "PRAGMA user_version = 7", "BEGIN", "COMMIT", "ROLLBACK",
    "SELECT last_insert_rowid()", "INSERT INTO removals VALUES ('a', random())", "SAVEPOINT one",
    "INSERT INTO removals VALUES (CURRENT_TIMESTAMP, 1)", "VACUUM", "ATTACH 'x' AS y", "EXPLAIN SELECT 1",
    "INSERT INTO removals VALUES (datetime('now'), 1)", "INSERT INTO removals VALUES (date ('now'), 1)",
    "INSERT INTO removals VALUES ('a', unixepoch('subsec'))", "SELECT sqrt(2)", "ANALYZE", "",
    "DELETE FROM removals; DELETE FROM files",
])
def test_what_another_engine_could_not_do_is_refused_by_all(door, sql):
    with pytest.raises(ValueError):
        door.write([(sql, ())])
    with pytest.raises(ValueError):
        door.read(sql)
    assert keys(door) == []


def test_words_inside_a_text_are_no_statement(door):
    assert door.read("SELECT 'a; PRAGMA b; BEGIN'") == [("a; PRAGMA b; BEGIN",)]


def test_a_query_past_its_deadline_stops_and_the_door_goes_on(door):
    with pytest.raises(TooSlow):
        door.read(ENDLESS, (), 0.05)
    assert door.read("SELECT 1", (), 60.0) == [(1,)]


def test_the_generation_rises_with_a_commit(door):
    before = door.generation
    door.write([(NOTE, ("a", 1))])
    assert door.generation > before


def test_a_copy_is_a_catalogue_that_the_default_opens(door, tmp_path):
    door.write([(NOTE, ("a", 1))])
    copy = tmp_path / "copy.db"
    door.backup(copy)
    with_default = Catalogue(copy, SCHEMA, FileOps(), create=False, migrate=False)
    assert keys(with_default) == ["a"]
    assert with_default.integrity() == door.integrity() == []
    assert sorted(with_default.dump()) == sorted(door.dump())
    with_default.close()


def test_after_closing_nothing_is_written(door):
    door.close()
    with pytest.raises(ValueError):
        door.write([(NOTE, ("a", 1))])


@pytest.mark.slow
def test_of_many_that_begin_at_once_one_makes_the_schema(tmp_path):
    with RqliteNodes(tmp_path, 1) as node:
        doors, faults = [], []

        def begin():
            try:
                doors.append(RqliteCatalogue(parse(node.url), SCHEMA))
            except Exception as error:
                faults.append(error)

        threads = [threading.Thread(target=begin) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults
        assert len(doors) == 8
        assert all(door.has_trigrams for door in doors)
        # One row for the schema, one for the index: nobody's steps were done twice.
        assert doors[0].read("SELECT count(*) FROM versions") == [(2,)]
        for door in doors:
            door.close()
