"""The page as it goes over the wire: its parts, how they are kept by browsers, and what its policy
allows.
"""

from __future__ import annotations

import gzip
import re
from types import SimpleNamespace

import pytest
from support import ROOT, request

from audiokit.pages import FOLDER, Pages, takes_gzip

UI = ROOT / "audiokit" / "ui"
PACKED = {"Accept-Encoding": "gzip, deflate, br"}
FIRST_VIEW = 60_000  # bytes over the wire that the first view may weigh, compressed


def get(address, target, method="GET", **headers):
    return request(
        address,
        method,
        target,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def parts_of(page: bytes):
    """The addresses that a page names as its parts."""
    return sorted(set(re.findall(r'"(/ui/[^"]+)"', page.decode())))


@pytest.mark.parametrize("target", ["/", "/?q=x&sort=name", "/file/abc", "/account", "/drop/abc"])
def test_each_view_is_the_one_page(server, target):
    status, fields, body = get(server.address, target)
    assert (status, fields["content-type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!doctype html>") and fields["cache-control"] == "no-cache"


def test_the_policy_lets_in_nothing_inline_and_nothing_from_elsewhere(server):
    policy = get(server.address, "/")[1]["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert (rules["default-src"] == "'none'" and rules["script-src"] == rules["style-src"] == "'self'")
    assert (
        "unsafe" not in policy
        and "http" not in policy
        and "*" not in policy
        and "data:" not in policy
    )
    assert rules["require-trusted-types-for"] == "'script'" and rules["frame-ancestors"] == "'none'"


def test_parts_are_named_by_their_content_and_kept_for_ever(server):
    page = get(server.address, "/")[2]
    parts = parts_of(page)
    assert len(parts) >= 4
    for part in parts:
        assert re.fullmatch(r"/ui/[a-z]+\.[0-9a-f]{10}\.(js|css|svg)", part), part
        status, fields, body = get(server.address, part)
        assert status == 200 and "immutable" in fields["cache-control"]
        assert body == (UI / re.sub(r"\.[0-9a-f]{10}", "", part[len("/ui/") :])).read_bytes()


def test_a_part_under_its_plain_name_is_asked_for_again(server):
    status, fields, _ = get(server.address, "/ui/page.css")
    assert status == 200 and fields["cache-control"] == "no-cache"


def test_what_is_packed_is_the_same_under_another_tag(server):
    for target in ["/", *parts_of(get(server.address, "/")[2])]:
        _, plainly, whole = get(server.address, target)
        _, fields, body = get(server.address, target, **PACKED)
        assert fields["content-encoding"] == "gzip" and gzip.decompress(body) == whole
        assert (
            fields["etag"] != plainly["etag"]
            and fields["vary"] == plainly["vary"] == "Accept-Encoding"
        )


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"If-None-Match": "{etag}"}, 304),
        ({"If-None-Match": "W/{etag}"}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": "{etag}"}, 200),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 200),
    ],
)
def test_conditions_go_by_the_entity_tag_alone(server, headers, status):
    etag = get(server.address, "/", **PACKED)[1]["etag"]
    given = {name: value.replace("{etag}", etag) for name, value in headers.items()}
    answer = get(server.address, "/", **PACKED, **given)
    assert answer[0] == status and answer[1].get("etag") == etag
    assert status == 200 or b"<!doctype" not in answer[2]


def test_head_tells_what_get_would_send(server):
    _, asked, body = get(server.address, "/", **PACKED)
    status, told, nothing = get(server.address, "/", method="HEAD", **PACKED)
    assert status == 200 and nothing == b""
    assert {**told, "date": ""} == {**asked, "date": ""} and int(told["content-length"]) == len(body)


@pytest.mark.parametrize(
    "target",
    [
        "/ui/",
        "/ui/none.js",
        "/ui/..%2Fpages.py",
        "/ui/page.0000000000.js",
        "/ui/a/b",
        "/file/",
        "/file/a/b",
    ],
)
def test_what_is_not_there_is_a_problem_and_no_page(server, target):
    status, fields, _ = get(server.address, target)
    assert status in (400, 404) and fields["content-type"] == "application/problem+json"


def test_the_first_view_is_light(server):
    targets = ["/", *parts_of(get(server.address, "/")[2])]
    assert sum(len(get(server.address, target, **PACKED)[2]) for target in targets) <= FIRST_VIEW


@pytest.mark.parametrize(
    "accepted, is_taken",
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("x-gzip", True),
        ("GZIP ; q=1", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("gzip;\tq=0", False),
        ("gzip ; Q=0 ", False),
        ("gzip;q=0.001", True),
        ("identity, gzip;q=0.5", False),
        ("gzip;q=0.5, identity;q=0.5", True),
        ("identity;q=0, *", True),
        ("gzip;q=2", True),
    ],
)
def test_gzip_is_sent_to_those_who_take_it(accepted, is_taken):
    assert takes_gzip(accepted) is is_taken


def test_the_files_are_read_once(tmp_path):
    (tmp_path / "index.html").write_text("one /ui/page.css")
    (tmp_path / "page.css").write_text("a{}")
    pages = Pages(str(tmp_path))
    (tmp_path / "index.html").write_text("two")
    asked = SimpleNamespace(fields={}, head=SimpleNamespace(method="GET", path="/"))
    assert pages.answer(asked, "index.html").body.startswith(b"one /ui/page.")


def test_a_developer_sees_every_change(tmp_path, running):
    folder = tmp_path / "ui"
    folder.mkdir()
    (folder / "index.html").write_text("one")
    server = running(ui=str(folder))
    assert get(server.address, "/")[2] == b"one"
    (folder / "index.html").write_text("two /ui/page.css")
    (folder / "page.css").write_text("a{}")
    body = get(server.address, "/")[2]
    assert body.startswith(b"two /ui/page.")
    assert get(server.address, body.split()[1].decode())[1]["cache-control"] == "no-cache"


def test_a_folder_that_is_not_there_is_told_at_start(tmp_path, running):
    with pytest.raises(FileNotFoundError):
        running(ui=str(tmp_path / "none"))


class TestTheSource:
    def test_nothing_is_fetched_from_elsewhere(self):
        for path in UI.iterdir():
            found = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"'`]*", path.read_text("utf-8")))
            assert found <= {"http://www.w3.org/2000/svg"}, f"{path.name} names {found}"

    def test_text_never_becomes_markup(self):
        script = (UI / "page.js").read_text("utf-8")
        for sink in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "eval(",
            "new Function",
            "srcdoc",
        ):
            assert sink not in script

    def test_the_page_has_no_inline_script_or_style(self):
        page = (UI / "index.html").read_text("utf-8")
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
        assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == [""]

    def test_the_folder_is_inside_the_package(self):
        assert UI.samefile(FOLDER)
