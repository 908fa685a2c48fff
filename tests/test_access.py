"""Who gets in where, and who sees what: every route of the program, asked by everybody."""

from __future__ import annotations

import itertools
import json
import os
import re
import sqlite3

import pytest
from people import QUICK, Person, ask
from support import ROOT, Running, raw, wav

from audiokit import migrations, routes

SOUND, OTHER = wav(), wav(pitch_hz=300.0)
fresh = (f"f{n}.wav" for n in itertools.count())

COLUMNS = "nobody owner other shared admin read write delete link drop".split()
# nobody: without a credential.  owner, admin: tokens of every scope.  other, shared: another account's, for a file
# that is the owner's alone, and for one that is shared.  read, write, delete: tokens of the owner with that scope.
# link: nobody, with the parameters of a signed link.  drop: the secret of a drop, shown as if it were a token.
TABLE = {
    ("POST", "/post"):                  (401, 201, 201, 201, 201, 403, 201, 403, 401, 401),
    ("POST", "/files"):                 (401, 201, 201, 201, 201, 403, 201, 403, 401, 401),
    ("GET", "/list"):                   (401, 200, 200, 200, 200, 200, 403, 403, 401, 401),
    ("GET", "/files"):                  (401, 200, 200, 200, 200, 200, 403, 403, 401, 401),
    ("GET", "/info"):                   (401, 200, 404, 200, 200, 200, 403, 403, 401, 401),
    ("GET", "/files/{id}"):             (401, 200, 404, 200, 200, 200, 403, 403, 401, 401),
    ("GET", "/download"):               (401, 200, 404, 200, 200, 200, 403, 403, 401, 401),
    ("GET", "/files/{id}/content"):     (401, 200, 404, 200, 200, 200, 403, 403, 401, 401),
    ("GET", "/files/{id}/peaks"):       (401, 200, 404, 200, 200, 200, 403, 403, 401, 401),
    ("PATCH", "/files/{id}"):           (401, 200, 404, 403, 200, 403, 200, 403, 401, 401),
    ("DELETE", "/files/{id}"):          (401, 204, 404, 403, 204, 403, 403, 204, 401, 401),
    # A conversion of a stored file shows what is in it: writing alone is not enough.
    ("POST", "/resample"):              (401, 202, 404, 202, 202, 403, 403, 403, 401, 401),
    # What hangs on a conversion is of whoever began it; the file it came of may be shared or not.
    ("GET", "/resample/{id}"):          (401, 200, 404, 404, 200, 200, 403, 403, 401, 401),
    ("GET", "/resample/{id}/events"):   (401, 200, 404, 404, 200, 200, 403, 403, 401, 401),
    ("GET", "/resample/{id}/result"):   (401, 200, 404, 404, 200, 200, 403, 403, 401, 401),
    ("DELETE", "/resample/{id}"):       (401, 204, 404, 404, 204, 403, 204, 403, 401, 401),
    # Who may change a file may open it to others; what hangs on it is as hidden as the file.
    ("GET", "/files/{id}/links"):       (401, 200, 404, 403, 200, 403, 200, 403, 401, 401),
    ("POST", "/files/{id}/links"):      (401, 201, 404, 403, 201, 403, 201, 403, 401, 401),
    ("DELETE", "/links/{id}"):          (401, 204, 404, 404, 204, 403, 204, 403, 401, 401),
    # The signature alone lets in, and no other credential does.
    ("GET", "/links/{id}"):             (403, 403, 403, 403, 403, 403, 403, 403, 200, 403),
    ("GET", "/drops"):                  (401, 200, 200, 200, 200, 403, 200, 403, 401, 401),
    ("POST", "/drops"):                 (401, 201, 201, 201, 201, 403, 201, 403, 401, 401),
    ("DELETE", "/drops/{id}"):          (401, 204, 404, 404, 204, 403, 204, 403, 401, 401),
    # The drop's secret is in the path: whoever has it may upload, and a credential means nothing.
    ("POST", "/drop/{token}"):          (201, 201, 201, 201, 201, 201, 201, 201, 400, 201),
    ("POST", "/session"):               (201, 201, 201, 201, 201, 201, 201, 201, 400, 201),
    ("DELETE", "/session"):             (204, 204, 204, 204, 204, 204, 204, 204, 400, 204),
    ("GET", "/me"):                     (401, 200, 200, 200, 200, 200, 200, 200, 401, 401),
    # Whoever knows the old password gives another one, whatever the credential.
    ("PATCH", "/me"):                   (401, 204, 204, 204, 204, 204, 204, 204, 401, 401),
    ("GET", "/tokens"):                 (401, 200, 200, 200, 200, 200, 200, 200, 401, 401),
    # Everybody here shows a token, and a token makes no tokens, nor ends another, unless it is an admin's.
    ("POST", "/tokens"):                (401, 403, 403, 403, 201, 403, 403, 403, 401, 401),
    ("DELETE", "/tokens/{id}"):         (401, 403, 403, 403, 204, 403, 403, 403, 401, 401),
    ("GET", "/users"):                  (401, 403, 403, 403, 200, 403, 403, 403, 401, 401),
    ("POST", "/users"):                 (401, 403, 403, 403, 201, 403, 403, 403, 401, 401),
    ("GET", "/users/{name}"):           (401, 403, 403, 403, 200, 403, 403, 403, 401, 401),
    ("PATCH", "/users/{name}"):         (401, 403, 403, 403, 200, 403, 403, 403, 401, 401),
    ("DELETE", "/users/{name}"):        (401, 403, 403, 403, 204, 403, 403, 403, 401, 401),
    ("GET", "/users/{name}/tokens"):    (401, 403, 403, 403, 200, 403, 403, 403, 401, 401),
    ("POST", "/users/{name}/tokens"):   (401, 403, 403, 403, 201, 403, 403, 403, 401, 401),
    ("GET", "/health"):                 (200, 200, 200, 200, 200, 200, 200, 200, 400, 200),
    ("GET", "/health/live"):            (200, 200, 200, 200, 200, 200, 200, 200, 400, 200),
    # The page holds no data of anybody: it asks for that as every other client does, and reads its own address.
    ("GET", "/"):                       (200, 200, 200, 200, 200, 200, 200, 200, 200, 200),
    ("GET", "/file/{id}"):              (200, 200, 200, 200, 200, 200, 200, 200, 200, 200),
    ("GET", "/account"):                (200, 200, 200, 200, 200, 200, 200, 200, 200, 200),
    ("GET", "/drop/{token}"):           (200, 200, 200, 200, 200, 200, 200, 200, 200, 200),
    ("GET", "/docs"):                   (200, 200, 200, 200, 200, 200, 200, 200, 400, 200),
    ("GET", "/openapi.json"):           (200, 200, 200, 200, 200, 200, 200, 200, 400, 200),
    ("GET", "/ui/{id}"):                (200, 200, 200, 200, 200, 200, 200, 200, 400, 200),
}  # fmt: skip


class House:
    """A locked server with an owner, another account and an admin."""

    def __init__(self, server):
        self.server = server
        server.server.authenticator._parameters = QUICK
        self.owner, self.other = Person(server, "ann"), Person(server, "bob")
        self.admin = Person(server, "root", admin=True)
        self.tokens = {
            "owner": self.owner.every, "other": self.other.every, "shared": self.other.every, "admin": self.admin.every,
            **{scope: self.owner.token(scope) for scope in ("read", "write", "delete")},
        }
        server.server.authenticator.changed()
        self.tokens["drop"] = self.drop()["url"].rpartition("/")[2]

    def as_column(self, column, method, target, body=None, **headers):
        """The request as that column asks it."""
        if column in self.tokens:
            headers["Authorization"] = "Bearer " + self.tokens[column]
        return ask(self.server, method, target, body, **headers)

    def link(self, file):
        """A fresh link that the owner made."""
        status, _, link = self.owner.ask("POST", f"/files/{file}/links", "{}")
        assert status == 201
        return link

    def drop(self):
        """A fresh drop of the owner."""
        status, _, drop = self.owner.ask("POST", "/drops", "{}")
        assert status == 201
        return drop

    def file(self, shared=False):
        """A fresh file of the owner."""
        record = self.owner.post(next(fresh), SOUND)
        if shared:
            assert self.owner.ask("PATCH", "/files/" + record["id"], json.dumps({"shared": True}))[0] == 200
        return record["id"]

    def job(self):
        """A fresh conversion that the owner began, done."""
        file = self.file()
        status, fields, _ = self.owner.ask("POST", f"/resample?id={file}&rate=8000&format=wav&async=true")
        assert status == 202
        assert self.owner.ask("GET", fields["location"] + "/events")[0] == 200  # ends when the job does
        return fields["location"].rpartition("/")[2]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with Running(tmp_path_factory.mktemp("house") / "var") as server:
        yield House(server)


def request_of(house, method, path, column):
    """Target and body that would do, if the door were open."""
    target, body = plain_request_of(house, method, path, column)
    if column == "link" and path != "/links/{id}":
        query = house.link(house.file())["url"].partition("?")[2]
        target += ("&" if "?" in target else "?") + query
    return target, body


def plain_request_of(house, method, path, column):
    if path in BODIES:
        return path, json.dumps(BODIES[path](house)) if method != "GET" else None
    for beginning, fresh_one in OTHERS.items():
        if path.startswith(beginning):
            body = "{}" if method in ("POST", "PATCH") else None
            return path.replace("{id}", "{}").replace("{name}", "{}").format(fresh_one(house)), body
    if path.startswith("/links/"):
        link = house.link(house.file())
        return link["url"] if column == "link" and method == "GET" else "/links/" + link["id"], None
    if path.startswith("/resample/"):
        return path.replace("{id}", house.job()), None
    if path in ("/", "/file/{id}", "/account", "/ui/{id}", "/docs", "/openapi.json"):
        return path.replace("{id}", "page.css"), None
    if path == "/drop/{token}":
        return house.drop()["url"], SOUND
    file = house.file(shared=column == "shared") if path not in ("/list", "/post", "/files", "/health", "/health/live") else None
    if (method, path) == ("POST", "/resample"):
        return f"/resample?id={file}&rate=8000&format=wav&async=true", None
    if path == "/files/{id}/links":
        return path.replace("{id}", file), "{}" if method == "POST" else None
    if method == "POST":
        return path + "?name=" + next(fresh), SOUND
    if path in ("/info", "/download"):
        return f"{path}?id={file}", None
    body = json.dumps({"metadata": {"mood": "calm"}}) if method == "PATCH" else None
    return path.replace("{id}", file or ""), body


def some_user(house):
    """The name of a fresh account."""
    return Person(house.server, "u" + next(fresh)[:-4]).name


# What is sent to these; and what the others with something in their path are about.
BODIES = {
    "/session": lambda house: {"name": "ann", "password": house.owner.password},
    "/users": lambda house: {"name": "n" + next(fresh)[:-4], "password": "a good one"},
    "/tokens": lambda house: {}, "/drops": lambda house: {},
    "/me": lambda house: {"old_password": "sesame of ann", "password": "sesame of ann"},
}
OTHERS = {
    "/users/": some_user, "/drops/": lambda house: house.drop()["id"],
    "/tokens/": lambda house: house.owner.token("read").split("_")[1],
}
RULES = [(method, path) for path, methods in routes.ROUTES.items() for method in methods]


@pytest.mark.parametrize("method, path", RULES)
def test_every_route_is_open_to_whom_the_table_says(house, method, path):
    assert (method, path) in TABLE, "a new route: say who gets in"
    for column, status in zip(COLUMNS, TABLE[method, path]):
        target, body = request_of(house, method, path, column)
        found, fields, answer = house.as_column(column, method, target, body)
        assert found == status, (column, answer)
        if status == 401:
            assert "www-authenticate" in fields
        if method == "GET" and not target.endswith("/result"):
            assert house.as_column(column, "HEAD", target)[0] == status, column


def test_the_table_names_no_route_that_is_not_there():
    assert set(TABLE) == set(RULES)


def test_what_can_be_done_is_told_to_everybody(house):
    status, fields, _ = ask(house.server, "OPTIONS", "/files/x")
    assert status == 204 and "DELETE" in fields["allow"]


def test_a_page_that_asks_in_the_background_makes_no_browser_ask_for_a_password(house):
    head = "GET /list HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Mode: %s\r\nConnection: close\r\n\r\n"
    for mode, asks in (("navigate", True), ("cors", False), ("same-origin", False)):
        answer = raw(house.server.address, (head % mode).encode())
        assert answer.startswith(b"HTTP/1.1 401 ") and b"WWW-Authenticate: Bearer " in answer, mode
        assert (b"WWW-Authenticate: Basic " in answer) == asks, mode


def test_whoever_is_refused_is_told_what_would_do(house):
    answer = raw(house.server.address, b"GET /list HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b'\r\nWWW-Authenticate: Basic realm="audioserver", charset="UTF-8"\r\n' in answer
    assert b'\r\nWWW-Authenticate: Bearer realm="audioserver"\r\n' in answer
    status, fields, problem = house.as_column("read", "POST", "/post", SOUND)
    assert status == 403 and problem["scope"] == "write"
    assert 'error="insufficient_scope", scope="write"' in fields["www-authenticate"]


@pytest.mark.parametrize("target", ["/info?id=%s", "/files/%s", "/files/%s/content", "/download?id=%s"])
def test_what_one_may_not_see_looks_as_what_does_not_exist(house, target):
    hidden, never = house.file(), "a" * 24
    answers = [
        (status, {k: v for k, v in fields.items() if k != "date"}, json.dumps(body).replace(id, "ID"))
        for id in (hidden, never) for status, fields, body in [house.other.ask("GET", target % id)]
    ]
    assert answers[0] == answers[1] and answers[0][0] == 404
    for method, body in (("PATCH", '{"name": "x.wav"}'), ("DELETE", None)):
        first, second = [house.other.ask(method, "/files/" + id, body) for id in (hidden, never)]
        assert first[0] == second[0] == 404
        assert json.dumps(first[2]).replace(hidden, never) == json.dumps(second[2])


def test_a_name_calls_ones_own_file_alone(house):
    mine, theirs = house.owner.post("same.wav", SOUND), house.other.post("same.wav", OTHER)
    for person, record in ((house.owner, mine), (house.other, theirs)):
        assert person.ask("GET", "/info?name=same.wav")[2] == record
        assert person.ask("GET", "/list?name=same.wav")[2]["files"] == [record]
        assert record["uploaded_by"] == person.name
    assert house.admin.ask("GET", "/info?name=same.wav")[0] == 404, "also of an admin"
    assert house.admin.ask("GET", "/list?name=same.wav")[2]["total"] == 2
    assert house.owner.ask("PATCH", "/files/" + mine["id"], '{"shared": true}')[0] == 200
    assert house.other.ask("GET", "/info?name=same.wav")[2] == theirs, "shared or not"
    assert house.other.ask("GET", "/list?name=same.wav")[2]["total"] == 1


def test_names_digests_and_totals_betray_nothing_of_others(house):
    house.owner.post("taken.wav", SOUND)
    before = house.other.ask("GET", "/list")[2]["total"]
    status, _, record = house.other.ask("POST", "/post?name=taken.wav", SOUND)
    assert status == 201, "neither the name nor the bytes are taken"
    status, _, listed = house.other.ask("GET", f"/list?sha256={record['sha256']}&limit=1")
    assert listed["total"] == len(house.other.ask("GET", f"/list?sha256={record['sha256']}")[2]["files"])
    assert house.other.ask("GET", "/list")[2]["total"] == before + 1
    assert house.other.ask("POST", "/post?name=taken.wav", OTHER)[2]["code"] == "name-taken", "one's own is"


def test_a_cursor_of_another_gives_no_file_of_theirs(house):
    for _ in range(3):
        house.owner.post(next(fresh), SOUND)
    _, _, page = house.owner.ask("GET", "/list?limit=1")
    status, _, mine = house.other.ask("GET", page["next"] + "&limit=1000")
    assert status == 400 or all(record["uploaded_by"] == "bob" for record in mine["files"])
    status, _, mine = house.other.ask("GET", page["next"])
    assert status == 200 and all(record["uploaded_by"] == "bob" for record in mine["files"])


def test_an_admin_lists_everybodys_files_in_order_page_by_page(house):
    for person in (house.owner, house.other, house.admin) * 3:
        person.post(next(fresh), SOUND)
    whole = house.admin.ask("GET", "/list?sort=name&limit=1000")[2]
    assert {record["uploaded_by"] for record in whole["files"]} >= {"ann", "bob", "root"}
    found, target = [], "/list?sort=name&limit=7"
    while target:
        _, _, page = house.admin.ask("GET", target)
        found += page["files"]
        target = page["next"]
        assert page["total"] == whole["total"] == len(whole["files"])
    assert found == whole["files"]


def test_sharing_lasts_through_a_replacement_and_ends_when_said(house):
    id, (_, _, record) = "", (None, None, house.owner.post("shared.wav", SOUND))
    id = record["id"]
    assert record["shared"] is False
    _, _, record = house.owner.ask("PATCH", "/files/" + id, '{"shared": true}')
    assert record["shared"] is True and house.owner.ask("GET", "/files/" + id)[2] == record
    status, _, record = house.owner.ask("POST", "/post?name=shared.wav&overwrite=true", OTHER)
    assert status == 200 and record["shared"] is True
    assert house.other.ask("GET", f"/files/{id}/content")[2] == OTHER
    assert house.owner.ask("PATCH", "/files/" + id, '{"shared": false}')[0] == 200
    assert house.other.ask("GET", "/files/" + id)[0] == 404
    for wrong in ('{"shared": 1}', '{"shared": "yes"}', '{"shared": null}'):
        assert house.owner.ask("PATCH", "/files/" + id, wrong)[2]["parameter"] == "shared"


def test_an_admin_changes_what_is_anothers_and_it_stays_theirs(house):
    record = house.owner.post("before.wav", SOUND)
    status, _, changed = house.admin.ask("PATCH", "/files/" + record["id"], '{"name": "after.wav"}')
    assert status == 200 and changed["uploaded_by"] == "ann"
    assert house.owner.ask("GET", "/info?name=after.wav")[2] == changed
    assert house.admin.ask("GET", "/info?name=after.wav")[0] == 404


def test_a_conversion_that_is_gone_is_gone_only_for_whoever_began_it(house):
    job = house.job()
    assert house.owner.ask("DELETE", "/resample/" + job)[0] == 204
    assert house.owner.ask("GET", "/resample/" + job)[0] == 410
    assert house.other.ask("GET", "/resample/" + job)[2] == house.other.ask("GET", "/resample/never")[2]


def test_a_conversion_belongs_to_whoever_began_it_also_after_a_restart(running, tmp_path):
    with running(tmp_path / "var") as server:
        ann = Person(server, "ann")
        server.server.authenticator.changed()
        ann.post("a.wav", SOUND)
        status, fields, _ = ann.ask("POST", "/resample?source=a.wav&rate=8000&format=wav&async=true")
        assert status == 202 and ann.ask("GET", fields["location"] + "/events")[0] == 200
    with running(tmp_path / "var") as server:
        bob = Person(server, "bob")
        ann.server = server
        assert bob.ask("GET", fields["location"])[0] == bob.ask("GET", fields["location"] + "/result")[0] == 404
        assert ann.ask("GET", fields["location"] + "/result")[2] == SOUND


def test_a_converted_file_belongs_to_whoever_asked(house):
    shared = house.file(shared=True)
    status, _, record = house.other.ask("POST", f"/resample?id={shared}&rate=8000&format=wav&save_as=mine.wav")
    assert status == 201 and record["uploaded_by"] == "bob"
    assert house.owner.ask("GET", "/info?name=mine.wav")[0] == 404


@pytest.mark.parametrize("query", [
    "token=x", "access_token=x", "name=a.wav&api_key=x", "apikey=x", "password=x", "Authorization=x", "secret=",
])
def test_a_credential_in_a_url_is_refused_in_words_and_not_repeated(house, query):
    status, _, problem = house.owner.ask("GET", "/list?" + query.replace("=x", "=hunter2"))
    assert (status, problem["code"]) == (400, "bad-request") and "credential" in problem["detail"]
    assert "hunter2" not in json.dumps(problem)


def test_who_has_none_but_that_in_the_url_is_told_the_same(house):
    for target in ("/list?token=hunter2", "/health?token=hunter2"):
        status, _, problem = ask(house.server, "GET", target)
        assert status == 400 and "credential" in problem["detail"], target
    body = json.dumps({"token": "x"})
    problem = house.owner.ask("PATCH", "/files/" + house.file(), body)[2]
    assert problem["parameter"] == "token", "in a body it is a parameter that there is not"


def test_a_credential_before_the_host_is_refused(house):
    host, port = house.server.address
    answer = raw((host, port), f"GET http://ann:sesame@{host}:{port}/list HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_refused_upload_is_refused_before_its_body(house):
    head = "POST /post?name=a.wav HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n"
    readonly = f"Authorization: Bearer {house.tokens['read']}\r\n"
    for fields, status in (("", b"401"), (readonly, b"403")):
        answer = raw(house.server.address, (head + fields + "\r\n").encode(), end=False)
        assert answer.startswith(b"HTTP/1.1 " + status), answer
        assert b"100 Continue" not in answer


# -- modes --------------------------------------------------------------------------------------------------


def test_without_accounts_everybody_may_come_in_and_credentials_mean_nothing(server):
    status, _, record = ask(server, "POST", "/post?name=a.wav", SOUND, Authorization="Basic nonsense")
    assert status == 201 and record["uploaded_by"] is None
    assert ask(server, "DELETE", "/files/" + record["id"])[0] == 204


def test_the_first_account_locks_the_door_and_what_was_there_is_an_admins(server):
    _, _, record = ask(server, "POST", "/post?name=a.wav", SOUND)
    root, ann = Person(server, "root", admin=True), Person(server, "ann")
    server.server.authenticator.changed()
    assert ask(server, "GET", "/list")[0] == 401
    assert ann.ask("GET", "/list")[2]["total"] == 0 and ann.ask("GET", "/files/" + record["id"])[0] == 404
    assert root.ask("GET", "/list")[2]["files"] == [record]
    assert root.ask("GET", "/files/%s/content" % record["id"])[2] == SOUND


def test_public_read_opens_reading_and_nothing_else(running):
    server = running(public_read=True)
    ann, bob = Person(server, "ann"), Person(server, "bob")
    server.server.authenticator.changed()
    older, record = ann.post("a.wav", SOUND), bob.post("a.wav", OTHER)
    assert ask(server, "GET", "/list")[2]["total"] == 2
    assert ask(server, "GET", "/info?name=a.wav")[2] == record, "the newest of that name"
    assert ask(server, "GET", "/files/" + older["id"])[2] == older
    assert ask(server, "GET", "/download?name=a.wav")[2] == OTHER
    for method, target, body in (
        ("POST", "/post?name=b.wav", SOUND), ("PATCH", "/files/" + record["id"], "{}"),
        ("DELETE", "/files/" + record["id"], None), ("POST", "/resample?source=a.wav", None),
    ):
        assert ask(server, method, target, body)[0] == 401, target
    assert ask(server, "GET", "/list", Authorization="Bearer nonsense")[0] == 401, "a wrong credential is wrong"
    assert ann.ask("GET", "/list")[2]["total"] == 1, "with a credential one sees one's own"


# -- a catalogue from before --------------------------------------------------------------------------------


def as_version_1(data):
    """Make the catalogue of a data folder what version 1 would have left there."""
    with sqlite3.connect(str(data / "catalogue.db"), isolation_level=None) as now:
        rows = now.execute("SELECT * FROM files").fetchall()
        columns = [row[1] for row in now.execute("PRAGMA table_info(files)")]
    now.close()
    for path in data.glob("catalogue.db*"):
        path.unlink()
    old = sqlite3.connect(str(data / "catalogue.db"), isolation_level=None)
    migrations.bring_up(old, (ROOT / "tests" / "schema_v1.sql").read_text("utf-8"))
    for row in rows:
        row = dict(zip(columns, row))
        del row["shared"]
        row["record"] = row["record"].replace(', "shared": false', "")
        old.execute(f"INSERT INTO files ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    old.close()


def test_a_catalogue_of_version_1_keeps_its_files_for_open_mode_and_admins(running, tmp_path):
    with running(tmp_path / "var") as server:
        _, _, record = ask(server, "POST", "/post?name=a.wav", SOUND)
    as_version_1(tmp_path / "var")
    with running(tmp_path / "var") as server:
        assert ask(server, "GET", "/info?name=a.wav")[2] == record
        assert ask(server, "GET", "/download?name=a.wav")[2] == SOUND
        root, ann = Person(server, "root", admin=True), Person(server, "ann")
        server.server.authenticator.changed()
        assert root.ask("GET", "/list")[2]["files"] == [record] and ann.ask("GET", "/list")[2]["files"] == []
        assert root.ask("PATCH", "/files/" + record["id"], '{"shared": true}')[0] == 200
        assert ann.ask("GET", "/files/" + record["id"])[2] == dict(record, shared=True)
        assert not server.server.storage.check().problems


def test_the_detail_of_no_refusal_repeats_a_credential(house):
    for field in ("Bearer hunter2", "Basic aHVudGVyMjpodW50ZXIy", "hunter2"):
        status, _, problem = ask(house.server, "GET", "/list", Authorization=field)
        assert status == 401 and not re.search("hunter2|aHVudGVyMj", json.dumps(problem))


def test_ids_of_accounts_are_owners_of_files(house):
    house.file()
    owner = house.server.server.storage.people.named("ann").id
    rows = house.server.server.storage._catalogue.read("SELECT DISTINCT owner FROM files")
    assert (owner,) in rows and (0,) not in rows
    assert os.path.isdir(str(house.server.data))
