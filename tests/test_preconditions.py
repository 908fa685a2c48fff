"""Conditions on changes: nothing is done to a file that is no longer what the client takes it for (RFC 9110 section 13)."""

from __future__ import annotations

import base64
import json

import pytest
from people import QUICK, Person, ask
from support import Running, request, wav

from audiokit import routes
from audiokit.wire.conditions import etag_of
from audiokit.wire.fields import http_date
from audiokit.wire.problems import Refusal

SOUND, OTHER = wav(0.02), wav(0.03)
# Fields, and whether they hold for a file: BYTES and RECORD stand for its two entity tags, OLD and NEW for dates.
CONDITIONS = [
    ({}, True, "none"), ({"If-Match": "BYTES"}, True, "the bytes' tag"), ({"If-Match": "RECORD"}, True, "the record's tag"),
    ({"If-Match": '"x", RECORD'}, True, "one of a list"), ({"If-Match": "*"}, True, "any"),
    ({"If-Match": '"x"'}, False, "another (13.1.1)"), ({"If-Match": "W/BYTES"}, False, "a weak tag (8.8.3.2)"),
    ({"If-Match": "x"}, False, "no tag"), ({"If-None-Match": "*"}, False, "there is one (13.1.2)"),
    ({"If-None-Match": "BYTES"}, False, "it is that one"), ({"If-None-Match": "W/RECORD"}, False, "compared weakly"),
    ({"If-None-Match": '"x"'}, True, "it is another"), ({"If-Unmodified-Since": "OLD"}, False, "uploaded since (13.1.4)"),
    ({"If-Unmodified-Since": "NEW"}, True, "not since"), ({"If-Unmodified-Since": "x"}, True, "no date"),
    ({"If-Match": "BYTES", "If-Unmodified-Since": "OLD"}, True, "If-Match goes first (13.2.2)"),
    ({"If-Modified-Since": "NEW"}, True, "this is about reading (13.1.3)"),
]  # fmt: skip


@pytest.fixture
def at(both_ways):
    """The address, with two files of a name each."""
    for name, sound in (("a.wav", SOUND), ("b.wav", OTHER)):
        assert request(both_ways.address, "POST", f"/post?name={name}&overwrite=true", sound)[0] in (200, 201)
    return both_ways.address


def filled_in(address, fields, name="a.wav"):
    """The file's path, and the fields with its own values."""
    record = request(address, "GET", f"/info?name={name}")[2]
    own = {"BYTES": '"%s"' % json.loads(record)["sha256"], "RECORD": etag_of(record.decode().strip()),
           "OLD": http_date(1_000_000_000), "NEW": http_date(4_000_000_000)}
    for word, value in own.items():
        fields = {field: text.replace(word, value) for field, text in fields.items()}
    return "/files/" + json.loads(record)["id"], fields


@pytest.mark.parametrize("fields, holds, why", CONDITIONS, ids=[why for _, _, why in CONDITIONS])
def test_a_change_is_made_when_its_condition_holds(at, fields, holds, why):
    path, fields = filled_in(at, fields)
    status, said, body = request(at, "PATCH", path, b'{"metadata": {"a": "b"}}', fields)
    assert status == (200 if holds else 412), why
    assert said["etag"] == (etag_of(body.decode().strip()) if holds else filled_in(at, {"": "BYTES"})[1][""])
    assert (json.loads(request(at, "GET", path)[2])["metadata"] == {"a": "b"}) is holds
    request(at, "PATCH", path, b'{"metadata": {}}')


@pytest.mark.parametrize("fields, holds, why", CONDITIONS, ids=[why for _, _, why in CONDITIONS])
def test_a_file_is_removed_when_the_condition_holds(at, fields, holds, why):
    path, fields = filled_in(at, fields, "b.wav")
    assert request(at, "DELETE", path, headers=fields)[0] == (204 if holds else 412), why
    assert request(at, "GET", path)[0] == (404 if holds else 200)


@pytest.mark.parametrize("fields, holds, why", CONDITIONS, ids=[why for _, _, why in CONDITIONS])
def test_a_file_is_replaced_when_the_condition_holds_for_the_one_that_has_the_name(at, fields, holds, why):
    path, fields = filled_in(at, fields)
    status = request(at, "POST", "/post?name=a.wav&overwrite=true", OTHER, fields)[0]
    assert status == (200 if holds else 412), why
    assert request(at, "GET", path + "/content")[2] == (OTHER if holds else SOUND)


def test_where_no_file_has_the_name_only_the_absence_of_one_can_be_asked_for(at):
    for fields, status in (({"If-Match": "*"}, 412), ({"If-Match": '"x"'}, 412), ({"If-None-Match": "*"}, 201)):
        assert request(at, "POST", "/post?name=new.wav", SOUND, fields)[0] == status
    assert request(at, "POST", "/post?name=new.wav", SOUND, {"If-None-Match": "*"})[0] == 412
    path, _ = filled_in(at, {}, "new.wav")
    assert request(at, "DELETE", path)[0] == 204
    for method, body in (("DELETE", None), ("PATCH", b"{}")):
        assert request(at, method, path, body, {"If-Match": '"x"'})[0] == 404, "what is not there has no conditions (13.2.1)"


def test_a_record_has_an_entity_tag_that_changes_with_it(at):
    path, _ = filled_in(at, {})
    status, said, body = request(at, "GET", path)
    assert request(at, "GET", path, headers={"If-None-Match": said["etag"]})[0] == 304
    assert request(at, "HEAD", path, headers={"If-None-Match": said["etag"]})[0] == 304
    assert request(at, "GET", path, headers={"If-Match": '"x"'})[0] == 412
    assert request(at, "PATCH", path, b'{"metadata": {"c": "d"}}')[1]["etag"] != said["etag"]
    assert request(at, "GET", path, headers={"If-None-Match": said["etag"]})[0] == 200
    assert request(at, "PATCH", path, b'{"metadata": {}}', {"If-Match": said["etag"]})[0] == 412, "an update is not lost"


def test_what_changed_between_the_look_and_the_write_is_looked_at_again(both_ways):
    """Whoever comes second with the same tag is refused, however close they come."""
    storage = both_ways.server.storage
    kept = json.loads(request(both_ways.address, "POST", "/post?name=race.wav", wav(0.04))[2])
    looked = []

    def check(file):
        looked.append(file.version)
        if len(looked) == 1:
            storage.change(kept["id"], metadata={"first": "yes"})
        else:
            raise Refusal("precondition-failed", "it is another one now")

    with pytest.raises(Refusal, match="another one"):
        storage.change(kept["id"], metadata={"second": "yes"}, check=check)
    assert len(looked) == 2 and json.loads(storage.record(id=kept["id"]))["metadata"] == {"first": "yes"}
    assert request(both_ways.address, "DELETE", "/files/" + kept["id"])[0] == 204


# -- what has no entity tag ---------------------------------------------------------------------------------

# Routes whose own validators answer conditions, or that are about a file: the tests above, and those of ranges.
TAGGED = {"/files/{id}", "/files/{id}/content", "/files/{id}/peaks", "/download", "/post", "POST /files", "/links/{id}",
          "/resample/{id}/result", "/", "/file/{id}", "/account", "/ui/{id}", "/docs", "/openapi.json", "GET /drop/{token}"}
# The others: what GET and HEAD are asked …
READING = ["/list", "/files", "/info?id=FILE", "/files/FILE/links", "/drops", "/me", "/tokens", "/users", "/users/bob",
           "/users/bob/tokens", "/health", "/health/live", "/resample/JOB", "/resample/JOB/events"]
# … and what changes something: method, target, body, the status without a condition, whether `*` is something that is there.
CHANGING = [
    ("POST", "/files/FILE/links", {}, 201, True), ("DELETE", "/links/LINK", None, 204, True),
    ("POST", "/drops", {}, 201, True), ("DELETE", "/drops/DROP", None, 204, True),
    ("POST", "/drop/SECRET", SOUND, 201, False), ("POST", "/resample?id=FILE&async=true", None, 202, False),
    ("DELETE", "/resample/JOB", None, 204, True), ("POST", "/session", {"name": "bob", "password": "sesame of ann"}, 201, True),
    ("DELETE", "/session", None, 204, True), ("PATCH", "/me", {"old_password": "sesame of ann", "password": "b"}, 204, True),
    ("POST", "/tokens", {}, 201, True), ("DELETE", "/tokens/TOKEN", None, 204, True),
    ("POST", "/users", {"name": "new", "password": "a"}, 201, True), ("PATCH", "/users/bob", {"disabled": False}, 200, True),
    ("POST", "/users/bob/tokens", {}, 201, True), ("DELETE", "/users/bob", None, 204, True),
]  # fmt: skip
ABSENT = [("DELETE", "/links/none"), ("DELETE", "/drops/none"), ("DELETE", "/tokens/none"), ("DELETE", "/resample/none"),
          ("DELETE", "/users/none"), ("PATCH", "/users/none"), ("POST", "/users/none/tokens"), ("POST", "/files/none/links")]  # fmt: skip


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """A locked server, an admin, and for a target the same with what it names, made anew where it is gone."""
    with Running(tmp_path_factory.mktemp("things") / "var") as server:
        server.server.authenticator._parameters = QUICK
        root = Person(server, "root", admin=True)
        server.server.authenticator.changed()
        file = root.post("a.wav", SOUND)["id"]

        def made(target, body, key="id"):
            return root.ask("POST", target, body)[2][key]

        makers = {
            "FILE": lambda: file, "LINK": lambda: made(f"/files/{file}/links", b"{}"), "DROP": lambda: made("/drops", b"{}"),
            "TOKEN": lambda: made("/tokens", b"{}"), "JOB": lambda: made(f"/resample?id={file}&async=true", None),
            "SECRET": lambda: made("/drops", b"{}", "url").rpartition("/")[2],
        }

        def named(target):
            if "bob" in target:  # whatever the last test made of him
                if root.people.named("bob") is not None:
                    root.people.remove(root.people.named("bob").id)
                Person(server, "bob")
                server.server.authenticator.changed()
            for word, maker in makers.items():
                target = target.replace(word, maker()) if word in target else target
            return target

        yield root, named


def test_every_route_is_asked_with_conditions():
    asked = {f"{method} {target.partition('?')[0]}" for method, target, *_ in CHANGING} | {
        "GET " + target.partition("?")[0] for target in READING
    }
    found = [routes.find(entry.partition(" ")[2].replace("SECRET", "drop")) for entry in asked]
    reached = {(id(methods), entry.partition(" ")[0]) for entry, (methods, _) in zip(asked, found)}
    for path, methods in routes.ROUTES.items():
        for method in methods:
            is_tagged = path in TAGGED or f"{method} {path}" in TAGGED
            if path == "/links/{id}" and method == "DELETE":
                is_tagged = False
            assert is_tagged or (id(methods), method) in reached, (method, path)


@pytest.mark.parametrize("target", READING)
def test_what_is_read_and_has_no_tag_fits_none_and_is_there(things, target):
    root, named = things
    target = named(target)
    for fields, statuses in (
        ({"If-Match": '"x"'}, (412,)), ({"If-Match": "*"}, (200,)), ({"If-None-Match": '"x"'}, (200,)),
        ({"If-None-Match": "*"}, (304,)), ({"If-Unmodified-Since": http_date(1)}, (200,)),
    ):
        for method in ("GET", "HEAD"):
            status, said, body = ask(root.server, method, target, Authorization="Bearer " + root.every, **fields)
            assert status in statuses, (method, fields)
            assert "cache-control" in said and not (status == 304 and body), "who keeps it knows for how long"


@pytest.mark.parametrize("method, target, body, status, is_there", CHANGING, ids=[f"{row[0]} {row[1]}" for row in CHANGING])
def test_what_is_changed_and_has_no_tag_fits_none(things, method, target, body, status, is_there):
    root, named = things
    who = {} if target == "/session" else {"Authorization": "Bearer " + root.every}
    if target in ("/me", "/session"):
        named("bob")
    if target == "/me":  # one's own password: somebody else's, so that root keeps theirs
        who = {"Authorization": "Basic " + base64.b64encode(b"bob:sesame of ann").decode()}
    body = json.dumps(body) if isinstance(body, dict) else body
    target = named(target)
    for fields in ({"If-Match": '"x"'}, {"If-Match": 'W/"x", "y"'}, {"If-None-Match": "*"} if is_there else {"If-Match": "*"}):
        found, _, said = ask(root.server, method, target, body, **who, **fields)
        assert (found, said["code"]) == (412, "precondition-failed"), fields
    holds = {"If-Match": "*", "If-None-Match": '"x"'} if is_there else {"If-None-Match": '*, "x"'}
    assert ask(root.server, method, target, body, **who, **holds)[0] == status, "nothing was done before, and now it is"


@pytest.mark.parametrize("method, target", ABSENT)
def test_what_is_not_there_has_no_conditions(things, method, target):
    root, _ = things
    body = None if method == "DELETE" else "{}"
    for fields in ({}, {"If-Match": '"x"'}, {"If-Match": "*"}, {"If-None-Match": "*"}):
        assert root.ask(method, target, body, **fields)[0] == 404, "section 13.2.1"
