"""Quotas and the limits of drops, where they are held: in the catalogue's own transactions."""

from __future__ import annotations

import sqlite3

import pytest

from audiokit import migrations
from support import ROOT

SCHEMA = (ROOT / "schema.sql").read_text("utf-8")


@pytest.fixture
def catalogue(tmp_path):
    connection = sqlite3.connect(str(tmp_path / "catalogue.db"), isolation_level=None)
    migrations.bring_up(connection, SCHEMA)
    yield connection
    connection.close()


def add_account(connection, **quota):
    names = "".join(f", {name}" for name in quota)
    connection.execute(
        f"INSERT INTO accounts (id, name, password, created_ms{names}) VALUES (1, 'ann', '', 0{', ?' * len(quota)})",
        tuple(quota.values()),
    )


def add_file(connection, name, size=5, duration=1.0, owner=1):
    connection.execute(
        "INSERT INTO files (id, owner, name, key, size, sha256, uploaded_ms, family, codec, mime, duration, "
        "sample_rate, channels, search, record) VALUES (?, ?, ?, ?, ?, ?, 0, 'wav', 'pcm', 'audio/wav', ?, 8000, 1, '', "
        "'{}') ON CONFLICT DO NOTHING", ("id-" + name, owner, name, "key-" + name, size, "0" * 64, duration),
    )


def counters(connection, owner=1):
    row = connection.execute("SELECT files, bytes, duration_ms FROM counters WHERE owner = ?", (owner,)).fetchone()
    return row or (0, 0, 0)


OVER = [
    ({"most_files": 2}, [(5, 1.0), (5, 1.0)], (1, 1.0), "over quota: files", "a file too many"),
    ({"most_files": 0}, [], (1, 1.0), "over quota: files", "none at all"),
    ({"most_bytes": 10}, [(5, 1.0)], (6, 1.0), "over quota: bytes", "a byte too many"),
    ({"most_ms": 2000}, [(5, 1.0)], (5, 1.001), "over quota: seconds", "a millisecond too much"),
    ({"most_bytes": 10}, [(5, 1.0)], (5, 1.0), None, "just as much as there may be"),
    ({"most_ms": 2000}, [(5, 1.0)], (5, 1.0), None, "just as long"),
    ({"most_ms": 1000}, [(5, 1.0)], (5, 0.0004), None, "less than half a millisecond is none"),
    ({}, [(1 << 50, 1e9)], (1 << 50, 1e9), None, "without a quota nothing holds"),
]


@pytest.mark.parametrize("quota, before, size_and_duration, error, why", OVER)
def test_what_would_pass_a_quota_is_undone_whole(catalogue, quota, before, size_and_duration, error, why):
    add_account(catalogue, **quota)
    for number, (size, duration) in enumerate(before):
        add_file(catalogue, f"before-{number}", size, duration)
    was = counters(catalogue)
    if error is None:
        add_file(catalogue, "new", *size_and_duration)
        assert counters(catalogue)[0] == was[0] + 1, why
        return
    with pytest.raises(sqlite3.IntegrityError, match=error):
        add_file(catalogue, "new", *size_and_duration)
    assert counters(catalogue) == was, why
    assert not catalogue.execute("SELECT 1 FROM files WHERE name = 'new'").fetchall(), why


def test_a_quota_below_what_is_there_lets_through_what_shrinks(catalogue):
    add_account(catalogue)
    add_file(catalogue, "a", 50, 10.0)
    add_file(catalogue, "b", 50, 10.0)
    catalogue.execute("UPDATE accounts SET most_files = 1, most_bytes = 10, most_ms = 1000")
    catalogue.execute("UPDATE files SET size = 40, duration = 9.0 WHERE name = 'a'")
    with pytest.raises(sqlite3.IntegrityError, match="over quota: bytes"):
        catalogue.execute("UPDATE files SET size = 41 WHERE name = 'a'")
    catalogue.execute("UPDATE files SET size = 40, duration = 9.0, name = 'c' WHERE name = 'a'")
    assert counters(catalogue) == (2, 90, 19_000)
    catalogue.execute("DELETE FROM files WHERE name = 'b'")
    assert counters(catalogue) == (1, 40, 9_000)


def test_an_account_s_quota_is_nobody_else_s(catalogue):
    add_account(catalogue, most_files=0, most_bytes=0, most_ms=0)
    add_file(catalogue, "theirs", owner=2)
    add_file(catalogue, "nobody's", owner=0)
    assert counters(catalogue, 2) == counters(catalogue, 0) == (1, 5, 1_000)


def add_drop(connection, **limits):
    names = "".join(f", {name}" for name in limits)
    connection.execute(
        f"INSERT INTO drops (id, digest, account, note, created_ms, expires_ms{names}) VALUES ('d', 'x', 1, '', 0, 1"
        f"{', ?' * len(limits)})", tuple(limits.values()),
    )


def through_drop(connection, name, *size_and_duration):
    connection.execute("BEGIN")
    try:
        add_file(connection, name, *size_and_duration)
        connection.execute("INSERT INTO drop_files (file, drop_id) SELECT id, 'd' FROM files WHERE name = ?", (name,))
    except sqlite3.Error:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@pytest.mark.parametrize("limits, fits, over, error", [
    ({"most_files": 1}, (5, 1.0), (5, 1.0), "over drop: files"),
    ({"most_bytes": 10}, (10, 1.0), (1, 1.0), "over drop: bytes"),
    ({"most_ms": 60_000}, (5, 60.0), (5, 0.001), "over drop: minutes"),
])
def test_what_would_pass_a_drop_s_limit_is_undone_whole(catalogue, limits, fits, over, error):
    add_account(catalogue)
    add_drop(catalogue, **limits)
    through_drop(catalogue, "a", *fits)
    with pytest.raises(sqlite3.IntegrityError, match=error):
        through_drop(catalogue, "b", *over)
    assert [name for (name,) in catalogue.execute("SELECT name FROM files")] == ["a"]
    assert catalogue.execute("SELECT files, bytes, duration_ms FROM drops").fetchone() == counters(catalogue)


def test_nothing_comes_through_a_drop_that_is_gone(catalogue):
    add_account(catalogue)
    with pytest.raises(sqlite3.IntegrityError, match="over drop: gone"):
        through_drop(catalogue, "a", 5, 1.0)
    assert counters(catalogue) == (0, 0, 0)


def test_what_came_through_a_drop_stays_counted_when_it_is_removed(catalogue):
    """Else whoever has the link could fill the disk of an owner who tidies up."""
    add_account(catalogue)
    add_drop(catalogue, most_files=1)
    through_drop(catalogue, "a", 5, 1.0)
    catalogue.execute("DELETE FROM files")
    assert catalogue.execute("SELECT files FROM drops").fetchone() == (1,)
    assert catalogue.execute("SELECT count(*) FROM drop_files").fetchone() == (0,)


def test_files_outlive_the_drop_they_came_through(catalogue):
    add_account(catalogue)
    add_drop(catalogue)
    through_drop(catalogue, "a", 5, 1.0)
    catalogue.execute("DELETE FROM drops")
    assert counters(catalogue)[0] == 1
    assert catalogue.execute("SELECT count(*) FROM drop_files").fetchone() == (0,)
