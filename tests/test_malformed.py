"""Every malformed request of the table, over a real socket, whole and in pieces; and nothing is left behind."""

from __future__ import annotations

import pytest
from malformed import CASES, INCOMPLETE, answers, converse, run_case
from support import Running


@pytest.fixture(scope="module")
def one_server(tmp_path_factory):
    with Running(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_has_its_answer(one_server, case):
    run_case(one_server.address, case)


@pytest.mark.parametrize("case", [c for c in CASES if len(c.data) < 500], ids=[c.name for c in CASES if len(c.data) < 500])
def test_each_has_the_same_answer_byte_by_byte(one_server, case):
    run_case(one_server.address, case, step=1)


@pytest.mark.parametrize("data, why", INCOMPLETE, ids=[why for _, why in INCOMPLETE])
def test_what_breaks_off_is_refused_or_dropped(one_server, data, why):
    for step in (0, 1):
        assert [status for status, _, _ in answers(converse(one_server.address, data, step=step))] in ([], [400]), why


def test_nothing_of_all_that_was_kept(one_server):
    (listed,) = answers(converse(one_server.address, b"GET /list HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    assert b'"files": []' in listed[2]
