"""Conditions on changes: nothing is done to a file that is no longer what the client takes it for (RFC 9110 section 13)."""

from __future__ import annotations

import json

import pytest
from support import request, wav

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
