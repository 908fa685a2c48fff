"""Refusals: every code of the contract, and words that no input can break (RFC 9457)."""

from __future__ import annotations

import json

import pytest

from audiokit.wire.problems import PROBLEMS, Refusal
from audiokit.wire.responses import REASONS

CODES = {
    400: "bad-request bad-parameter bad-name digest-mismatch incomplete-body", 401: "unauthorized", 403: "forbidden",
    404: "not-found", 405: "method-not-allowed", 408: "timeout", 409: "name-taken not-ready", 410: "gone",
    411: "length-required", 412: "precondition-failed", 413: "too-large over-quota", 414: "target-too-long",
    415: "not-audio unsupported-conversion", 416: "range-not-satisfiable", 417: "expectation-failed",
    421: "misdirected-host", 422: "damaged-audio", 429: "too-many-requests", 431: "head-too-large", 500: "internal",
    501: "not-implemented", 503: "busy draining", 505: "http-version", 507: "no-space",
}  # fmt: skip


def test_every_code_has_its_status_a_title_and_a_reason_phrase():
    assert {code: status for code, (status, _) in PROBLEMS.items()} == {
        code: status for status, codes in CODES.items() for code in codes.split()
    }
    assert all(title and title[0].isupper() for _, title in PROBLEMS.values())
    assert {status for status, _ in PROBLEMS.values()} <= set(REASONS)


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_refusal_speaks_problem_json(code):
    refusal = Refusal(code, "detail", headers=[("A", "b")], close=True, parameter="p", offset=3)
    assert (refusal.status, refusal.title) == PROBLEMS[code]
    assert (refusal.headers, refusal.close, str(refusal)) == ((("A", "b"),), True, "detail")
    body = refusal.body()
    assert body.endswith(b"}\n") and json.loads(body) == {
        "type": "/problems/" + code, "title": refusal.title, "status": refusal.status, "detail": "detail", "code": code,
        "parameter": "p", "offset": 3,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["\ud800", "\udcff\udc80", "\x00\r\n", '"\\', "\u2028", "\U0001f600", "x" * 100000])
def test_no_text_breaks_the_answer(text):
    body = Refusal("bad-name", text, parameter=text[:10]).body()
    assert body.count(b"\n") == 1 and len(body) < 5000
    assert json.loads(body.decode("utf-8"))["code"] == "bad-name"


def test_members_of_any_kind_can_be_said():
    assert json.loads(Refusal("bad-request", "x", value=b"\xff", many={1: 2}).body())["value"] == "b'\\xff'"


def test_an_unknown_code_is_a_fault_of_ours():
    with pytest.raises(KeyError):
        Refusal("no-such-code", "x")
