"""The contract of the catalogue's door, against every engine there is; and what SQLite adds to it."""

from __future__ import annotations

import errno
import sqlite3
import threading

import pytest
from support import ROOT

from audiokit.blobs import FileOps
from audiokit.catalogue import Catalogue, InDoubt, TooSlow

SCHEMA = (ROOT / "schema.sql").read_text("utf-8")
NOTE = "INSERT INTO removals (key, since_ms) VALUES (?, ?)"


def sqlite_door(folder, ops=None, **settings):
    return Catalogue(folder / "catalogue.db", SCHEMA, ops or FileOps(), **settings)


@pytest.fixture(params=[sqlite_door], ids=["sqlite"])
def door(request, tmp_path):
    """Every kind of engine that keeps the door's contract."""
    catalogue = request.param(tmp_path)
    yield catalogue
    catalogue.close()


def keys(door):
    return [key for (key,) in door.read("SELECT key FROM removals ORDER BY key")]


def test_what_was_written_is_read(door):
    assert door.write([(NOTE, ("a", 1)), (NOTE, ("b", 2))]) == [1, 1]
    assert door.read("SELECT since_ms FROM removals WHERE key = ?", ("b",)) == [(2,)]


def test_counts_say_how_many_rows_each_statement_touched(door):
    door.write([(NOTE, (key, 1)) for key in "abc"])
    assert door.write([
        ("UPDATE removals SET since_ms = 5 WHERE key > ?", ("a",)),
        ("DELETE FROM removals WHERE key = ?", ("nothing",)),
        ("DELETE FROM removals WHERE since_ms = ?", (5,)),
    ]) == [2, 0, 2]


def test_a_call_is_all_or_nothing(door):
    door.write([(NOTE, ("a", 1))])
    with pytest.raises(sqlite3.IntegrityError):
        door.write([(NOTE, ("b", 1)), (NOTE, ("a", 1)), (NOTE, ("c", 1))])
    assert keys(door) == ["a"]


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


def test_what_a_thread_wrote_every_thread_reads(door):
    door.write([(NOTE, ("a", 1))])
    found = []
    thread = threading.Thread(target=lambda: found.append(keys(door)))
    thread.start()
    thread.join()
    assert found == [["a"]]


@pytest.mark.parametrize("sql", [
    "INSERT INTO removals VALUES ('a', 1) RETURNING key", "PRAGMA user_version = 7", "BEGIN", "COMMIT",
    "SELECT last_insert_rowid()", "INSERT INTO removals VALUES ('a', random())",
    "INSERT INTO removals VALUES (CURRENT_TIMESTAMP, 1)", "VACUUM",
])
def test_what_another_engine_could_not_do_is_refused_here_too(door, sql):
    with pytest.raises(ValueError):
        door.write([(sql, ())])
    assert keys(door) == []


def test_the_generation_rises_with_every_commit_and_not_with_a_failure(door):
    before = door.generation
    door.write([(NOTE, ("a", 1))])
    assert door.generation == before + 1


def test_after_closing_nothing_is_written(door):
    door.close()
    with pytest.raises(ValueError):
        door.write([(NOTE, ("a", 1))])


# -- SQLite's own -------------------------------------------------------------------------------------------


class CommitFails(FileOps):
    """The disk as it is when a commit cannot be synced."""

    def __init__(self, error):
        self.error = error

    def commit(self, connection):
        if self.error is not None:
            raise self.error
        super().commit(connection)


def test_a_commit_that_fails_is_in_doubt_and_the_next_one_works(tmp_path):
    ops = CommitFails(None)
    door = sqlite_door(tmp_path, ops)
    ops.error = OSError(errno.EIO, "the disk is ill")
    with pytest.raises(InDoubt) as caught:
        door.write([(NOTE, ("a", 1))])
    assert caught.value.errno == errno.EIO
    assert door.failure is not None
    ops.error = None
    assert door.write([(NOTE, ("b", 1))]) == [1]
    assert door.failure is None
    assert keys(door) == ["b"]
    door.close()


def test_a_full_disk_has_its_own_number(tmp_path):
    ops = CommitFails(None)
    door = sqlite_door(tmp_path, ops)
    ops.error = sqlite3.OperationalError("database or disk is full")
    with pytest.raises(OSError) as caught:
        door.write([(NOTE, ("a", 1))])
    assert caught.value.errno == errno.ENOSPC
    ops.error = None
    door.close()


def test_a_catalogue_that_cannot_grow_refuses_and_goes_on(tmp_path):
    door = sqlite_door(tmp_path)
    pages = door._writer.execute("PRAGMA page_count").fetchone()[0]
    door._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(OSError) as caught:
        door.write([(NOTE, (f"{n:05}" * 50, n)) for n in range(1000)])
    assert caught.value.errno == errno.ENOSPC
    assert keys(door) == []
    assert door.write([(NOTE, ("a", 1))]) == [1]
    door.close()


def test_another_process_that_writes_is_waited_for(tmp_path):
    door = sqlite_door(tmp_path)
    other = sqlite3.connect(str(door.path), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(door.write([(NOTE, ("a", 1))])))
    thread.start()
    other.execute(NOTE, ("other", 1))
    other.execute("COMMIT")
    thread.join()
    other.close()
    assert outcome == [[1]]
    assert keys(door) == ["a", "other"]
    door.close()


def test_a_query_past_its_deadline_stops_and_the_connection_goes_on(tmp_path):
    door = sqlite_door(tmp_path)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(TooSlow):
        door.read(endless, (), 0.02)
    assert door.read("SELECT 1", (), 5.0) == [(1,)]
    door.close()


def test_readers_cannot_write(door):
    with pytest.raises(sqlite3.OperationalError):
        door.read(NOTE, ("a", 1))


def test_a_commit_waits_for_the_disk(door):
    assert door._writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert door._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_catalogue_of_a_newer_program_is_left_alone(tmp_path):
    sqlite_door(tmp_path).close()
    db = sqlite3.connect(str(tmp_path / "catalogue.db"), isolation_level=None)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Exception, match="99"):
        sqlite_door(tmp_path)


def test_without_trigrams_the_same_catalogue_serves_and_grows_its_index_again(tmp_path):
    triggers = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'words%'"
    sqlite_door(tmp_path).close()
    door = sqlite_door(tmp_path, trigrams=False)
    assert not door.has_trigrams
    assert door.read(triggers) == [(0,)]
    door.close()
    door = sqlite_door(tmp_path)
    assert door.read(triggers) == [(3 if door.has_trigrams else 0,)]
    door.close()
