"""Quotas and the limits of drops, where they are held: in the catalogue's own transactions."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from people import Person, ask
from support import ROOT, raw, wav

from audiokit import migrations, quotas
from audiokit.names import NAME_BYTES, other_names, valid_name
from audiokit.quotas import Limits, Usage
from audiokit.wire.problems import Refusal

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
        f"INSERT INTO accounts (id, name, password, created_ms{names}) "
        f"VALUES (1, 'ann', '', 0{', ?' * len(quota)})",
        tuple(quota.values()),
    )


def add_file(connection, name, size=5, duration=1.0, owner=1):
    connection.execute(
        "INSERT INTO files (id, owner, name, key, size, sha256, uploaded_ms, family, codec, mime, "
        "duration, sample_rate, channels, search, record) "
        "VALUES (?, ?, ?, ?, ?, ?, 0, 'wav', 'pcm', 'audio/wav', ?, 8000, 1, '', "
        "'{}') ON CONFLICT DO NOTHING",
        ("id-" + name, owner, name, "key-" + name, size, "0" * 64, duration),
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
        f"INSERT INTO drops (id, digest, account, note, created_ms, expires_ms{names}) "
        f"VALUES ('d', 'x', 1, '', 0, 1"
        f"{', ?' * len(limits)})",
        tuple(limits.values()),
    )


def through_drop(connection, name, *size_and_duration):
    connection.execute("BEGIN")
    try:
        add_file(connection, name, *size_and_duration)
        connection.execute(
            "INSERT INTO drop_files (file, drop_id) SELECT id, 'd' FROM files WHERE name = ?",
            (name,),
        )
    except sqlite3.Error:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@pytest.mark.parametrize(
    "limits, fits, over, error",
    [
        ({"most_files": 1}, (5, 1.0), (5, 1.0), "over drop: files"),
        ({"most_bytes": 10}, (10, 1.0), (1, 1.0), "over drop: bytes"),
        ({"most_ms": 60_000}, (5, 60.0), (5, 0.001), "over drop: minutes"),
    ],
)
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


# -- what can be told before the body --------------------------------------------------------------

NONE = Limits(None, None, None)
ROOM = [
    (NONE, (5, 5, 5), 1 << 60, None, None, "no quota, no limit"),
    (Limits(2, None, None), (1, 0, 0), 9, None, None, "the last file"),
    (Limits(2, None, None), (2, 0, 0), 9, None, "files", "a file too many"),
    (Limits(2, None, None), (2, 0, 0), 9, 5, None, "a replaced file is none more"),
    (Limits(None, 10, None), (1, 4, 0), 6, None, 6, "just as much as is left"),
    (Limits(None, 10, None), (1, 4, 0), 7, None, "bytes", "a byte more"),
    (Limits(None, 10, None), (1, 4, 0), None, None, 6, "of unknown length: up to what is left"),
    (
        Limits(None, 10, None),
        (1, 10, 0),
        None,
        None,
        "bytes",
        "of unknown length, and nothing is left",
    ),
    (Limits(None, 10, None), (1, 10, 0), 4, 4, 4, "what is replaced makes room"),
    (Limits(None, 10, None), (1, 10, 0), 5, 4, "bytes", "and no more than that"),
    (
        Limits(None, 10, None),
        (1, 50, 0),
        40,
        40,
        40,
        "over the quota already: the same size is let through",
    ),
    (Limits(None, 10, None), (1, 50, 0), 41, 40, "bytes", "more is not"),
    (Limits(None, 10, None), (1, 50, 0), 1, None, "bytes", "nor anything new"),
    (Limits(None, None, 1000), (1, 1, 999), 9, None, None, "a millisecond is left"),
    (Limits(None, None, 1000), (1, 1, 1000), 9, None, "seconds", "nothing is left"),
    (Limits(None, None, 1000), (1, 1, 1000), 9, 5, None, "what replaces may be shorter"),
    (Limits(0, 0, 0), (0, 0, 0), 1, None, "files", "an account that may have nothing"),
]


@pytest.mark.parametrize("limits, usage, size, replaced, expected, why", ROOM, ids=[why for *_, why in ROOM])
def test_what_a_quota_leaves_for_an_upload(limits, usage, size, replaced, expected, why):
    if isinstance(expected, str):
        with pytest.raises(Refusal) as refused:
            quotas.room(limits, Usage(*usage), size, replaced)
        assert refused.value.status == 413 and refused.value.members["quota"] == expected, why
        assert refused.value.members["limit"] == limits.as_json()[expected]
    else:
        assert quotas.room(limits, Usage(*usage), size, replaced) == expected, why


@pytest.mark.parametrize(
    "message, is_drop, code",
    [
        ("over quota: bytes", False, "over-quota"),
        ("over quota: bytes", True, "over-quota"),
        ("over drop: files", True, "over-quota"),
        ("over drop: gone", True, "not-found"),
        ("UNIQUE constraint failed: files.owner, files.name", False, None),
    ],
)
def test_what_the_catalogue_refuses_is_told_in_words(message, is_drop, code):
    refusal = quotas.refusal_of(message, Limits(1, 2, 3), is_drop)
    assert (refusal and refusal.code) == code
    if is_drop:
        assert not {"limit", "quota"} & set(refusal.members), "nothing of its owner is told"


def test_names_that_must_not_meet_another_begin_and_end_as_was_asked():
    names = other_names("a.b.wav", lambda count: b"\xab" * count)
    found = [next(names) for _ in range(10)]
    assert found[:3] == ["a.b.wav", "a.b-2.wav", "a.b-3.wav"] and found[-1] == "a.b-abababab.wav"
    for name in (
        "x" * NAME_BYTES,
        "\u00e9" * 127 + "x",
        "x" * 251 + ".wav",
        ".wav",
        "no extension",
        "x." + "y" * 250,
    ):
        names = other_names(name, bytes)
        for other in [next(names) for _ in range(12)]:
            assert valid_name(other) == other


# -- over a real socket ----------------------------------------------------------------------------

SOUND, LONGER = wav(), wav(0.2)
HEAD = "POST /post{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"


@pytest.fixture
def ann(server):
    person = Person(server, "ann")
    server.server.authenticator.changed()
    return person


def limit(person, files=None, size=None, ms=None):
    assert person.people.limit(person.id, files, size, ms)


def total(person):
    """What the files of somebody are, counted by the files themselves."""
    files = person.ask("GET", "/list?limit=1000")[2]["files"]
    return (
        len(files),
        sum(file["size"] for file in files),
        sum(round(file["duration"] * 1000) for file in files),
    )


def test_usage_is_what_the_files_are_through_their_whole_life(ann):
    story = [
        ("POST", "/post?name=a.wav", SOUND, 201),
        ("POST", "/post?name=b.wav", LONGER, 201),
        ("POST", "/post?name=a.wav", SOUND, 200),
        ("POST", "/post?name=a.wav", LONGER, 409),
        ("POST", "/post?name=a.wav&overwrite=true", LONGER, 200),
        ("POST", "/post?name=b.wav&overwrite=true", SOUND, 200),
        ("POST", "/post?name=c.txt", b"no audio", 415),
    ]
    for method, target, body, status in story:
        assert ann.ask(method, target, body)[0] == status
        assert ann.people.usage(ann.id) == total(ann)
    for file in ann.ask("GET", "/list")[2]["files"]:
        assert ann.ask("PATCH", "/files/" + file["id"], '{"name": "x-%s"}' % file["name"])[0] == 200
        assert ann.people.usage(ann.id) == total(ann)
        assert ann.ask("DELETE", "/files/" + file["id"])[0] == 204
        assert ann.people.usage(ann.id) == total(ann)
    assert ann.people.usage(ann.id) == (0, 0, 0)


@pytest.mark.parametrize(
    "quota, kind",
    [
        ({"files": 1}, "files"),
        ({"size": len(SOUND)}, "bytes"),
        ({"ms": 100}, "seconds"),
    ],
)
def test_an_upload_over_the_quota_is_refused_before_its_body(server, ann, quota, kind):
    limit(ann, **quota)
    assert ann.ask("POST", "/post?name=a.wav", SOUND)[0] == 201
    head = (
        HEAD.format(query="?name=b.wav", token=ann.every)
        + f"Expect: 100-continue\r\nContent-Length: {len(SOUND)}\r\n\r\n"
    )
    answer = raw(server.address, head.encode(), end=False)
    assert answer.startswith(b"HTTP/1.1 413 ") and b"100 Continue" not in answer
    assert b'"code": "over-quota"' in answer and b'"quota": "%s"' % kind.encode() in answer
    assert ann.people.usage(ann.id)[0] == 1
    assert ann.ask("POST", "/post?name=a.wav", SOUND)[0] == 200, "the same again takes nothing"


def chunked(query, token, data):
    head = HEAD.format(query=query, token=token) + "Transfer-Encoding: chunked\r\n\r\n"
    return head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)


def test_a_body_of_unknown_length_ends_where_the_quota_does(server, ann):
    limit(ann, size=len(SOUND))
    answer = raw(server.address, chunked("?name=a.wav", ann.every, LONGER))
    assert answer.startswith(b"HTTP/1.1 413 ") and b'"code": "over-quota"' in answer
    assert ann.people.usage(ann.id) == (0, 0, 0)
    assert raw(server.address, chunked("?name=a.wav", ann.every, SOUND)).startswith(b"HTTP/1.1 201 ")


def test_how_long_it_is_counts_once_it_is_known(ann):
    limit(ann, ms=150)
    status, _, problem = ann.ask("POST", "/post?name=a.wav", LONGER)
    assert (status, problem["code"], problem["limit"]) == (413, "over-quota", 0.15)
    assert ann.ask("POST", "/post?name=a.wav", SOUND)[0] == 201
    assert ann.ask("POST", "/post?name=a.wav&overwrite=true", LONGER)[0] == 413
    assert ann.ask("GET", "/download?name=a.wav")[2] == SOUND, "the old content stays"


def form(name, data):
    return (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\n%b\r\n--b--\r\n'
        % (name.encode(), data),
        {"Content-Type": "multipart/form-data; boundary=b"},
    )


def test_a_form_is_held_to_the_quota_as_well(ann):
    limit(ann, files=1)
    for name, status in (("a.wav", 201), ("b.wav", 413), ("a.wav", 200)):
        body, headers = form(name, SOUND)
        assert ann.ask("POST", "/post", body, **headers)[0] == status


def test_a_conversion_is_stored_within_the_quota_alone(ann):
    assert ann.ask("POST", "/post?name=a.wav", SOUND)[0] == 201
    limit(ann, files=1)
    status, _, problem = ann.ask("POST", "/resample?source=a.wav&rate=16000&format=wav&save_as=b.wav")
    assert (status, problem["code"]) == (413, "over-quota")
    assert ann.people.usage(ann.id)[0] == 1


def test_two_uploads_at_once_cannot_pass_a_quota_together(server, ann):
    limit(ann, files=3)
    found, start = [], threading.Barrier(8)

    def upload(number):
        start.wait()
        found.append(ann.ask("POST", f"/post?name={number}.wav", SOUND)[0])

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [201] * 3 + [413] * 5
    assert ann.people.usage(ann.id) == total(ann) and total(ann)[0] == 3
    report = server.server.storage.check()
    assert not report.problems


def test_a_refused_upload_leaves_nothing_on_the_disk(server, ann):
    limit(ann, ms=10)
    for _ in range(3):
        assert ann.ask("POST", "/post", SOUND)[0] == 413
    assert [path for path in (server.data / "files").rglob("*") if path.is_file()] == []
    assert list((server.data / "uploads").iterdir()) == []


def test_nobody_has_no_quota(server):
    assert ask(server, "POST", "/post?name=a.wav", SOUND)[0] == 201
