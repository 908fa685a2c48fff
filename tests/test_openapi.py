"""The description for programs, held against the program: routes, parameters, codes, fields, and what is answered."""

from __future__ import annotations

import json
import re

import pytest
from support import ROOT, request, wav

from audiokit import listing, orders, peak_routes, routes
from audiokit.listing import RECORD_FIELDS, SORTS
from audiokit.wire.problems import PROBLEMS

UI = ROOT / "audiokit" / "ui"
DESCRIPTION = json.loads((UI / "openapi.json").read_text("utf-8"))
OPERATIONS = [(path, method) for path, item in DESCRIPTION["paths"].items() for method in item]
METHODS = {(path, method.lower()) for path, methods in routes.ROUTES.items() for method in methods}


def resolved(part):
    """What a $ref points at."""
    while "$ref" in part:
        found = DESCRIPTION
        for name in part["$ref"][2:].split("/"):
            found = found[name]
        part = found
    return part


def parameters(path, method, place="query"):
    own = map(resolved, DESCRIPTION["paths"][path][method].get("parameters", []))
    return {one["name"]: one["schema"] for one in own if one["in"] == place}


def every(node, key):
    """Every value of `key`, however deep."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from every(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from every(value, key)


def test_the_routes_are_those_of_the_program():
    assert set(OPERATIONS) == METHODS


@pytest.mark.parametrize("path, method", OPERATIONS)
def test_each_operation_is_named_summed_up_and_answered(path, method):
    operation = DESCRIPTION["paths"][path][method]
    assert operation["summary"] and operation["tags"][0] in [tag["name"] for tag in DESCRIPTION["tags"]]
    assert re.findall(r"\{(\w+)\}", path) == list(parameters(path, method, "path"))
    assert "default" in operation["responses"], "every refusal has the same form"


def test_names_of_operations_are_their_own():
    names = [DESCRIPTION["paths"][path][method]["operationId"] for path, method in OPERATIONS]
    assert len(set(names)) == len(names)


def test_every_reference_leads_somewhere():
    for target in every(DESCRIPTION, "$ref"):
        assert resolved({"$ref": target})


def test_the_codes_are_those_of_the_program():
    assert DESCRIPTION["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == list(PROBLEMS)


def test_every_code_that_an_answer_names_has_its_status():
    for path, method in OPERATIONS:
        for status, part in DESCRIPTION["paths"][path][method]["responses"].items():
            if part.get("$ref", "").endswith("/Problem") and status != "default":
                codes = re.findall(r"`([a-z-]+)`", part["description"])
                assert codes, (path, method, status)
                assert {PROBLEMS[code][0] for code in codes} == {int(status)}, (path, method, status)


@pytest.mark.parametrize("path, method", [
    ("/post", "post"), ("/files", "post"), ("/files/{id}", "get"), ("/files/{id}", "patch"), ("/files/{id}", "delete"),
    ("/files/{id}/content", "get"), ("/download", "get"), ("/links/{id}", "get"), ("/resample/{id}/result", "get"),
])
def test_what_has_entity_tags_says_which_conditions_it_takes(path, method):
    operation = DESCRIPTION["paths"][path][method]
    named = {resolved(one)["name"] for one in operation["parameters"]}
    assert {"If-Match", "If-None-Match"} <= named and "412" in operation["responses"]
    assert ("304" in operation["responses"]) == (method == "get")


def test_the_record_has_the_fields_of_the_program():
    record = DESCRIPTION["components"]["schemas"]["Record"]
    assert set(record["properties"]) == set(record["required"]) == set(RECORD_FIELDS)


@pytest.mark.parametrize("path", ["/list", "/files"])
def test_the_filters_are_those_of_the_program(path):
    found = parameters(path, "get")
    assert set(found) - {"tag", "meta"} == set(listing._KNOWN)
    assert sorted(found["sort"]["enum"]) == sorted([*SORTS, *("-" + name for name in SORTS)])
    assert found["limit"]["maximum"] == listing.MOST_RECORDS
    assert found["fields"]["items"]["enum"] == list(RECORD_FIELDS)
    repeated = {name for name, schema in found.items() if schema.get("type") == "array"} - {"fields"}
    assert repeated == set(listing._KNOWN) - set(listing._SINGLE)


def test_the_parameters_of_conversions_and_peaks_are_those_of_the_program():
    assert set(parameters("/resample", "post")) == set(orders.PARAMETERS)
    found = parameters("/files/{id}/peaks", "get")
    assert set(found) == {"width", "from", "to", "bits", "format"}
    assert (found["width"]["minimum"], found["width"]["maximum"]) == (peak_routes.WIDTHS[0], peak_routes.WIDTHS[-1])
    assert found["bits"]["enum"] == list(map(int, peak_routes.BITS))
    assert found["format"]["enum"] == list(peak_routes.FORMATS)


def fits(value, schema):
    """Whether a value is of a schema, as far as this description goes."""
    schema = resolved(schema)
    if "anyOf" in schema:
        return any(fits(value, one) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    if "const" in schema:
        return value == schema["const"]
    kinds = {"string": str, "integer": int, "number": (int, float), "object": dict, "array": list, "boolean": bool,
             "null": type(None)}
    named = schema.get("type", list(kinds))
    named = [named] if isinstance(named, str) else named
    if isinstance(value, bool) and "boolean" not in named or not isinstance(value, tuple(kinds[kind] for kind in named)):
        return False
    if isinstance(value, dict):
        known = schema.get("properties", {})
        rest = schema.get("additionalProperties", True)
        return set(schema.get("required", ())) <= set(value) and all(
            fits(one, known[name]) if name in known else rest is True or rest is not False and fits(one, rest)
            for name, one in value.items())
    return not isinstance(value, list) or all(fits(one, schema.get("items", {})) for one in value)


def test_what_is_answered_is_as_described(server):
    address = server.address
    status, _, text = request(address, "POST", "/post?name=a.wav", wav(1.0))
    id = json.loads(text)["id"]
    _, fields, _ = request(address, "POST", f"/resample?id={id}&async=true")
    asked = [
        ("/post", "post", "/post?name=a.wav", wav(1.0)), ("/list", "get", "/list", None),
        ("/info", "get", "/info?name=a.wav", None), ("/files/{id}", "get", f"/files/{id}", None),
        ("/files/{id}", "patch", f"/files/{id}", '{"metadata": {"a": "b"}}'),
        ("/files/{id}/peaks", "get", f"/files/{id}/peaks", None), ("/files/{id}", "get", "/files/none", None),
        ("/list", "get", "/list?limit=x", None), ("/resample/{id}", "get", fields["location"], None),
        ("/files/{id}/links", "post", f"/files/{id}/links", "{}"), ("/files/{id}/links", "get", f"/files/{id}/links", None),
        ("/drops", "post", "/drops", "{}"), ("/drops", "get", "/drops", None), ("/me", "get", "/me", None),
        ("/tokens", "get", "/tokens", None), ("/users", "get", "/users", None), ("/health", "get", "/health", None),
    ]
    for path, method, target, body in asked:
        status, fields, text = request(address, method.upper(), target, body)
        responses = DESCRIPTION["paths"][path][method]["responses"]
        answer = resolved(responses.get(str(status), responses["default"]))
        schema = answer["content"][fields["content-type"]]["schema"]
        assert fits(json.loads(text), schema), (path, method, text)


def test_it_is_served_packed_and_under_a_tag(server):
    status, fields, body = request(server.address, "GET", "/openapi.json")
    assert (status, fields["content-type"], json.loads(body)) == (200, "application/json", DESCRIPTION)
    status, packed, body = request(server.address, "GET", "/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert packed["content-encoding"] == "gzip" and len(body) < 12_000
    again = request(server.address, "GET", "/openapi.json", headers={"If-None-Match": fields["etag"]})
    assert (again[0], again[2]) == (304, b"")


def test_the_page_to_read_has_nothing_inline_and_comes_whole(server):
    status, fields, body = request(server.address, "GET", "/docs")
    assert status == 200 and fields["content-type"].startswith("text/html")
    assert "script-src 'self'" in fields["content-security-policy"]
    text = body.decode()
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", text)
    for part in re.findall(r'(?:href|src)="(/ui/[^"]+)"', text):
        assert request(server.address, "GET", part)[0] == 200, part
    assert "innerHTML" not in (UI / "docs.js").read_text("utf-8")
