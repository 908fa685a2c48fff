"""The schema and its migrations: a migrated catalogue equals a fresh one, a failed step leaves no trace."""

from __future__ import annotations

import json
import re
import sqlite3

import pytest
from support import ROOT

from audiokit import migrations

SCHEMA = (ROOT / "schema.sql").read_text("utf-8")
V1 = (ROOT / "tests" / "schema_v1.sql").read_text("utf-8")  # as it was released; never changed
# A schema of version 2 that nobody has, and the step to it.
NEXT = V1.replace(
    "PRAGMA user_version = 1;",
    "ALTER TABLE files ADD COLUMN mood TEXT;\nCREATE INDEX files_by_mood ON files (owner, mood);\n"
    "PRAGMA user_version = 2;",
)
STEP = """ALTER TABLE files ADD COLUMN mood TEXT;
CREATE INDEX files_by_mood ON files (owner, mood);
PRAGMA user_version = 2;
"""


@pytest.fixture
def connect(tmp_path):
    opened = []

    def open_one(name="catalogue.db"):
        opened.append(sqlite3.connect(str(tmp_path / name), isolation_level=None))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "steps").mkdir()
    return tmp_path / "steps"


def shape(connection):
    """All that tells two catalogues apart, whatever their SQL was."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
    found = {"version": migrations.version_of(connection)}
    for table in tables:
        for pragma in ("table_info", "foreign_key_list"):
            found[table, pragma] = connection.execute(f"PRAGMA {pragma}({table})").fetchall()
        indexes = connection.execute(f"PRAGMA index_list({table})").fetchall()
        found[table, "indexes"] = sorted((row[1], row[2], row[3]) for row in indexes)
        for row in indexes:
            found[row[1]] = connection.execute(f"PRAGMA index_xinfo({row[1]})").fetchall()
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY 1")
    found["triggers"] = triggers.fetchall()
    return found


def add_file(connection, name, uploaded_ms=0):
    connection.execute(
        "INSERT INTO files (id, name, key, size, sha256, uploaded_ms, family, codec, mime, duration, sample_rate, "
        "channels, search, record) VALUES (?, ?, ?, 5, ?, ?, 'wav', 'pcm', 'audio/wav', 1, 8000, 1, '', '{}')",
        ("id-" + name, name, "key-" + name, "0" * 64, uploaded_ms),
    )


def test_a_fresh_catalogue_has_the_version_of_the_schema(connect):
    assert migrations.bring_up(connect(), SCHEMA) == 0
    assert migrations.version_of(connect()) == migrations.version_in(SCHEMA)


def test_bringing_up_twice_does_nothing(connect):
    connection = connect()
    migrations.bring_up(connection, SCHEMA)
    add_file(connection, "a")
    assert migrations.bring_up(connection, SCHEMA) is None
    assert connection.execute("SELECT count(*) FROM files").fetchone() == (1,)


def test_the_migrations_lead_to_the_version_of_the_schema():
    known = migrations.steps()
    assert list(known) == list(range(2, migrations.version_in(SCHEMA) + 1))


def test_a_migrated_catalogue_equals_a_fresh_one_and_keeps_its_rows(connect, folder):
    (folder / "0002_mood.sql").write_text(STEP)
    old, fresh = connect("old.db"), connect("fresh.db")
    migrations.bring_up(old, V1)
    add_file(old, "a")
    assert migrations.bring_up(old, NEXT, folder) == 1
    migrations.bring_up(fresh, NEXT, folder)
    assert shape(old) == shape(fresh)
    assert old.execute("SELECT name FROM files").fetchall() == [("a",)]


def test_the_comparison_sees_an_index_that_a_migration_forgot(connect, folder):
    (folder / "0002_mood.sql").write_text("ALTER TABLE files ADD COLUMN mood TEXT;\nPRAGMA user_version = 2;\n")
    old, fresh = connect("old.db"), connect("fresh.db")
    migrations.bring_up(old, V1)
    migrations.bring_up(old, NEXT, folder)
    migrations.bring_up(fresh, NEXT, folder)
    assert shape(old) != shape(fresh)


@pytest.mark.parametrize("step, why", [
    ("ALTER TABLE files ADD COLUMN mood TEXT;\nSELECT nonsense;\nPRAGMA user_version = 2;\n", "a statement fails"),
    ("ALTER TABLE files ADD COLUMN mood TEXT;\n", "the version is not set"),
    ("ALTER TABLE files ADD COLUMN mood TEXT;\nPRAGMA user_version = 3;\n", "the version is wrong"),
    ("ALTER TABLE files ADD COLUMN mood TEXT;\nPRAGMA user_version = 2", "the script ends inside a statement"),
])
def test_a_step_that_fails_leaves_neither_tables_nor_version(connect, folder, step, why):
    (folder / "0002_mood.sql").write_text(step)
    connection = connect()
    migrations.bring_up(connection, V1)
    before = shape(connection)
    with pytest.raises((migrations.MigrationError, sqlite3.Error)):
        migrations.bring_up(connection, NEXT, folder)
    assert not connection.in_transaction, why
    assert shape(connection) == before, why


@pytest.mark.parametrize("names, why", [
    (["0003_later.sql"], "a gap"),
    (["0002_a.sql", "0002_b.sql"], "the same number twice"),
    (["2_short.sql"], "not four digits"),
    (["0002_Upper.sql"], "not lower case"),
    (["notes.sql"], "no number"),
])
def test_wrongly_named_migrations_are_refused(folder, names, why):
    for name in names:
        (folder / name).write_text(STEP)
    with pytest.raises(migrations.MigrationError):
        migrations.steps(folder)


def test_a_newer_catalogue_is_refused_by_its_number(connect):
    connection = connect()
    connection.execute("PRAGMA user_version = 42")
    with pytest.raises(migrations.MigrationError, match="42"):
        migrations.bring_up(connection, SCHEMA)


def test_a_missing_step_is_refused_by_its_number(connect, folder):
    connection = connect()
    migrations.bring_up(connection, V1)
    with pytest.raises(migrations.MigrationError, match="2"):
        migrations.bring_up(connection, NEXT, folder)


def test_the_schema_needs_no_newer_sqlite_than_3_26():
    code = re.sub(r"--.*", "", SCHEMA + (ROOT / "audiokit/catalogue/search.sql").read_text("utf-8"))
    for word in ("STRICT", "RETURNING", "GENERATED", "DATETIME", "BOOLEAN", "VACUUM INTO", "->>"):
        assert word not in code.upper(), word


def test_every_table_and_every_odd_column_is_explained():
    for found in re.finditer(r"((?:--[^\n]*\n)*)CREATE TABLE", SCHEMA):
        assert found.group(1).startswith("-- One row per"), SCHEMA[found.start():found.end() + 40]


def test_counters_follow_every_change(connect):
    connection = connect()
    migrations.bring_up(connection, SCHEMA)
    for name in "abc":
        add_file(connection, name)
    connection.execute("DELETE FROM files WHERE name = 'a'")
    connection.execute("UPDATE files SET size = 8 WHERE name = 'b'")
    assert connection.execute("SELECT owner, files, bytes FROM counters").fetchall() == [(0, 2, 13)]


def test_labels_go_with_their_file(connect):
    connection = connect()
    migrations.bring_up(connection, SCHEMA)
    add_file(connection, "a")
    connection.execute("INSERT INTO labels SELECT 0, 'tag.artist', 'Bach', uploaded_ms, n FROM files")
    connection.execute("DELETE FROM files")
    assert connection.execute("SELECT count(*) FROM labels").fetchone() == (0,)


def test_a_name_is_there_once_for_each_owner_and_nobody_is_an_owner(connect):
    connection = connect()
    migrations.bring_up(connection, SCHEMA)
    add_file(connection, "a")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(
            "INSERT INTO files (id, name, key, size, sha256, uploaded_ms, family, codec, mime, duration, sample_rate, "
            "channels, search, record) SELECT 'x', name, 'k', size, sha256, 0, family, codec, mime, duration, "
            "sample_rate, channels, search, record FROM files"
        )


def test_a_catalogue_of_version_1_keeps_its_files_owned_by_nobody_and_not_shared(connect):
    old, fresh = connect("old.db"), connect("fresh.db")
    migrations.bring_up(old, V1)
    tricky = json.dumps({"id": "x", "name": ', "container": ', "container": "wav",
                         "metadata": {"a": "b", "container": "c"}})
    add_file(old, "a")
    old.execute("UPDATE files SET record = ?, duration = 1.2345", (tricky,))
    add_file(old, "b")
    assert migrations.bring_up(old, SCHEMA) == 1
    migrations.bring_up(fresh, SCHEMA)
    assert shape(old) == shape(fresh)
    assert old.execute("SELECT owner, name, shared FROM files ORDER BY name").fetchall() == [(0, "a", 0), (0, "b", 0)]
    record = json.loads(old.execute("SELECT record FROM files WHERE name = 'a'").fetchone()[0])
    assert list(record) == ["id", "name", "shared", "container", "metadata"]
    assert record["shared"] is False and record["metadata"] == {"a": "b", "container": "c"}
    assert old.execute("SELECT owner, files, bytes, duration_ms FROM counters").fetchall() == [(0, 2, 10, 2235)]


def test_an_old_catalogue_learns_how_far_its_uploads_came_out_of_order(connect):
    old = connect("old.db")
    migrations.bring_up(old, V1)
    for n, ms in enumerate((500, 900, 300, 950)):
        add_file(old, str(n))
        old.execute("UPDATE files SET uploaded_ms = ? WHERE name = ?", (ms, str(n)))
    migrations.bring_up(old, SCHEMA)
    assert old.execute("SELECT newest_ms, disorder_ms FROM counters").fetchall() == [(950, 600)]
    empty = connect("empty.db")
    migrations.bring_up(empty, V1)
    migrations.bring_up(empty, SCHEMA)
    assert empty.execute("SELECT * FROM counters").fetchall() == []


@pytest.mark.parametrize("change, newest, disorder, why", [
    ("", 900, 400, "uploads as they came"),
    ("DELETE FROM files WHERE n = 2", 900, 400, "what was there once may have been compared with"),
    ("UPDATE files SET uploaded_ms = 100 WHERE n = 3", 900, 800, "earlier still"),
    ("UPDATE files SET uploaded_ms = 1000 WHERE n = 3", 1000, 400, "the last one of all, later"),
    ("UPDATE files SET uploaded_ms = 1000, n = 9 WHERE n = 1", 1000, 400, "new bytes: to the end"),
    ("UPDATE files SET uploaded_ms = 950 WHERE n = 1", 950, 1 << 52, "put between others, how far is not known"),
    ("UPDATE files SET n = 9 WHERE n = 1", 900, 900 - 100, "an old one at the end"),
    ("UPDATE files SET size = 7, uploaded_ms = uploaded_ms", 900, 400, "nothing of this changed"),
    ("UPDATE files SET owner = 4, n = 5 WHERE n = 2", 900, 400, "somebody else's from now on"),
])
def test_the_counters_know_how_far_uploads_came_out_of_order(connect, change, newest, disorder, why):
    connection = connect()
    migrations.bring_up(connection, SCHEMA)
    for n, ms in enumerate((100, 900, 500)):
        add_file(connection, str(n), ms)
    connection.execute("INSERT INTO counters (owner, files, bytes) VALUES (4, 0, 0)")
    connection.execute(change or "SELECT 1")
    ordered = connection.execute("SELECT newest_ms, disorder_ms FROM counters WHERE owner = 0").fetchone()
    assert ordered == (newest, disorder), why


def test_counters_of_audio_come_back_to_nothing(connect):
    connection = connect()
    migrations.bring_up(connection, SCHEMA)
    for n in range(50):
        add_file(connection, str(n))
        connection.execute("UPDATE files SET duration = ? WHERE name = ?", (n * 0.1234567, str(n)))
    assert connection.execute("SELECT duration_ms FROM counters").fetchone()[0] > 0
    connection.execute("DELETE FROM files")
    assert connection.execute("SELECT owner, files, bytes, duration_ms FROM counters").fetchall() == [(0, 0, 0, 0)]


def test_what_belongs_to_an_account_goes_with_it_and_its_id_never_comes_back(connect):
    connection = connect()
    migrations.bring_up(connection, SCHEMA)
    add = "INSERT INTO accounts (name, password, created_ms) VALUES ('ann', '', 0)"
    for table, columns in (
        ("tokens", "(id, account, digest, scopes, note, created_ms) VALUES ('t', 1, 'd', 'read', '', 0)"),
        ("sessions", "(digest, account, created_ms, expires_ms) VALUES ('d', 1, 0, 0)"),
        ("links", "(id, file, account, download, created_ms, expires_ms) VALUES ('l', 'id-a', 1, 0, 0, 0)"),
        ("drops", "(id, digest, account, note, created_ms, expires_ms) VALUES ('d', 'd', 1, '', 0, 0)"),
    ):
        connection.execute(add)
        account = connection.execute("SELECT id FROM accounts").fetchone()[0]
        connection.execute(f"INSERT INTO {table} {columns}".replace(", 1,", f", {account},"))
        connection.execute("DELETE FROM accounts")
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    connection.execute(add)
    assert connection.execute("SELECT id FROM accounts").fetchone() == (5,)


def test_the_generation_of_accounts_rises_with_what_lets_somebody_in_or_no_longer(connect):
    connection = connect()
    migrations.bring_up(connection, SCHEMA)
    before = 0
    for change in (
        "INSERT INTO accounts (name, password, created_ms) VALUES ('ann', 'x', 0)",
        "UPDATE accounts SET password = 'y'", "UPDATE accounts SET is_disabled = 1",
        "INSERT INTO tokens (id, account, digest, scopes, note, created_ms) VALUES ('t', 1, 'd', 'read', '', 0)",
        "DELETE FROM tokens",
        "INSERT INTO sessions (digest, account, created_ms, expires_ms) VALUES ('d', 1, 0, 0)",
        "DELETE FROM sessions", "DELETE FROM accounts",
    ):
        connection.execute(change)
        now = connection.execute("SELECT n FROM generations WHERE what = 'accounts'").fetchone()[0]
        assert now > before or change.startswith(("INSERT INTO tokens", "INSERT INTO sessions")), change
        before = now
