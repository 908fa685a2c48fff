"""Rows of many calls as few statements: what is in the catalogue, and what each caller hears, is as if they came one by one."""

from __future__ import annotations

import hashlib
import json

import pytest
from support import wav
from test_storage import INFO

from audiokit.blobs import FileOps
from audiokit.catalogue import Catalogue
from audiokit.catalogue.crowds import adds_rows, joined
from audiokit.catalogue.rows import added, row_of
from audiokit.engines import SCHEMA
from audiokit.held import Held
from audiokit.wire.company import together
from audiokit.wire.problems import Refusal
from storage import Storage

PAIR = "INSERT INTO removals (key, since_ms) SELECT column1, column2 FROM (VALUES (?, ?))"


@pytest.mark.parametrize("sql, does", [
    (PAIR, True),
    ("INSERT OR IGNORE INTO t (a) SELECT column1 FROM (VALUES (?)) CROSS JOIN u ON b = column1", True),
    ("INSERT INTO removals (key, since_ms) VALUES (?, ?)", False),
    ("INSERT INTO t (a) SELECT column1 FROM (VALUES (1))", False),
    ("INSERT INTO t (a) SELECT 1 FROM (VALUES (?)), (VALUES (?))", False),
    ("DELETE FROM files WHERE id = ?", False),
])
def test_a_statement_that_takes_the_values_of_one_row_can_take_those_of_many(sql, does):
    assert adds_rows(sql) is does


def test_rows_of_many_calls_are_statements_of_a_power_of_two_of_them():
    calls = [[(PAIR, (f"k{number}", number))] for number in range(13)]
    found = list(joined(calls))
    assert [(some.rows, some.sql.count("(?, ?)")) for some in found] == [(8, 8), (4, 4), (1, 1)]
    assert [value for some in found for value in some.params] == [value for number in range(13) for value in (f"k{number}", number)]


def test_no_statement_has_more_parameters_than_every_sqlite_takes():
    wide = "INSERT INTO t SELECT * FROM (VALUES (" + ", ".join("?" * 100) + "))"
    assert [some.rows for some in joined([[(wide, range(100))]] * 20)] == [8, 8, 4]


def test_what_each_call_begins_with_comes_before_what_follows():
    label = PAIR.replace("removals", "labels")
    calls = [[(PAIR, (1, 1)), (label, (1, 2)), (label, (1, 3))], [(PAIR, (2, 1))], [(PAIR, (3, 1)), (label, (3, 2))]]
    assert [("labels" in some.sql, some.params) for some in joined(calls)] == [
        (False, [1, 1, 2, 1]), (False, [3, 1]), (True, [1, 2, 3, 2]), (True, [1, 3]),
    ]


# -- through the door ---------------------------------------------------------------------------------------


def record_of(number, **more):
    return {
        "id": f"id{number:022}", "name": f"{number}.wav", "size": 100 + number, "sha256": f"{number:064x}", "shared": False,
        "codec": "pcm", "mime": "audio/wav", "duration": number / 10, "sample_rate": 8000, "channels": 1,
        "bits_per_sample": 16, "bitrate": None, "truncated": False, "tags": {"artist": [f"singer {number % 3}"]},
        "metadata": {"take": str(number)}, **more,
    }


def call(number, **more):
    record = record_of(number, **more)
    row = row_of(record, owner=0, key=f"{number:032x}", uploaded_ms=1000 + number, family="wav", version=1)
    return added(record, row)


TABLES = ("files", "labels", "counters", "removals")


def all_of(door):
    return {table: sorted(door.read(f"SELECT * FROM {table}"), key=repr) for table in TABLES}


STORIES = [
    (lambda: [call(n) for n in range(21)], [[1, 1, 1]] * 21, "nothing in the way"),
    (lambda: [call(1), call(2, name="1.wav"), call(3)], [[1, 1, 1], [0, 0, 0], [1, 1, 1]], "a name that is taken"),
    (lambda: [call(1), call(7777), call(3)], [[1, 1, 1], [0, 0, 0], [1, 1, 1]], "a key that is noted for removal"),
    (lambda: [call(1), call(2, sha256="short"), call(3)], [[1, 1, 1], None, [1, 1, 1]], "one that no row can be made of"),
    (lambda: [call(1), call(2, tags={}, metadata={}), call(3)], [[1, 1, 1], [1], [1, 1, 1]], "one without labels"),
    (lambda: [call(1), [("DELETE FROM files WHERE id = ?", ("nobody",))], call(2)], [[1, 1, 1], [0], [1, 1, 1]], "another kind"),
]


@pytest.mark.parametrize("story, counts, why", STORIES)
def test_calls_at_once_do_what_they_do_one_by_one(tmp_path, story, counts, why):
    found = []
    for way in ("alone", "together"):
        door = Catalogue(tmp_path / f"{way}.db", SCHEMA.read_text("utf-8"), FileOps())
        door.write([("INSERT INTO removals (key, since_ms) VALUES (?, 1)", (f"{7777:032x}",))])
        calls = story()
        outcomes = door.write_all(calls) if way == "together" else [door.write_all([one])[0] for one in calls]
        assert [None if isinstance(outcome, BaseException) else outcome for outcome in outcomes] == counts, why
        assert door.integrity() == []
        found.append(all_of(door))
        door.close()
    assert found[0] == found[1]


def keeping(storage, number, **wishes):
    data = wav(0.01 + number / 1000)
    upload = Held()
    upload.write(data)
    return storage.keeping(
        upload, name=f"{number}.wav", info=INFO, sha256=hashlib.sha256(data).hexdigest(), size=len(data),
        metadata={"take": str(number)}, **wishes,
    )


def test_a_quota_that_ends_in_the_middle_of_a_crowd_refuses_those_alone_who_would_pass_it(tmp_path):
    with Storage(tmp_path) as storage:
        ann = _ann(storage, 3)
        outcomes = together([keeping(storage, number, owner=ann) for number in range(8)])
        kept = [outcome for outcome in outcomes if not isinstance(outcome, Refusal)]
        assert len(kept) == 3 and {outcome.code for outcome in outcomes if outcome not in kept} == {"over-quota"}
        assert len(list(storage.data.glob("files/*/*"))) == 3
        for outcome in kept:
            assert json.loads(storage.record(id=outcome.id, owner=ann)) == json.loads(outcome.record)
        assert storage._catalogue.read("SELECT files FROM counters WHERE owner = ?", (ann,)) == [(3,)]


def _ann(storage, most_files):
    storage._catalogue.write([(
        "INSERT INTO accounts (id, name, password, created_ms, most_files) VALUES (1, 'ann', '', 0, ?)", (most_files,)
    )])
    return 1
