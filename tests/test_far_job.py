"""A job as the board of a cluster has it: what clients hear of that, whichever version of the server wrote it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audiokit.catalogue.jobs import GONE, Posted
from audiokit.far_job import FarJob, ended, left_by, written
from audiokit.job import DONE, FAILED, QUEUED, RUNNING, Conversion, Job, Order, Result, Share, told
from audiokit.wire.problems import Refusal

ORDER = Order(Conversion("mp3", 32000, 2, 128), "a.mp3", "audio/mpeg", "rate", ("one frame is silent",), 5.0, None, "f" * 32)


def job(state=QUEUED):
    one = Job("id", Path("nowhere"), ORDER, True, 1_700_000_000.0, 7, "ann", Share("5" * 32, "e" * 32, 2))
    one.state, one.progress, one.expires = state, 0.25, 1_700_000_600.0
    if state == DONE:
        one.result = Result(5, "a" * 64, 1_700_000_500.0)
    if state == FAILED:
        one.failure = Refusal("damaged-audio", "no frame in it", offset=44)
    return one


def row(status, state=QUEUED):
    result = (5, "a" * 64, 1_700_000_500_000) if state == DONE else (None, None, None)
    expires = None if state in (QUEUED, RUNNING) else 1_700_000_600_000
    return Posted("id", 7, state, status, "audio/mpeg", "e" * 32, *result, "[]", 1_700_000_000_000, expires)


def as_written(state):
    one = job(state)
    return written(told(one, 1), one) if not one.is_over else json.dumps(told(one, None))


STATES = [QUEUED, RUNNING, DONE, FAILED]
MEMBERS = list(told(job(), 1))


@pytest.mark.parametrize("state", STATES)
def test_clients_hear_the_same_of_it_as_at_its_own_server(state):
    assert FarJob(row(as_written(state), state)).said == told(job(state), 1)


@pytest.mark.parametrize("state", [*STATES, GONE])
def test_what_a_newer_server_tells_others_is_told_to_no_client(state):
    status = as_written(QUEUED if state == GONE else state)
    newer = json.dumps({**json.loads(status), "theirs": {"key": "f" * 32}, "since": 5})
    assert FarJob(row(newer, state)).said == FarJob(row(status, state)).said
    assert list(FarJob(row(newer, state)).said) == MEMBERS


@pytest.mark.parametrize("missing", [*[[name] for name in MEMBERS], MEMBERS], ids=lambda names: "+".join(names))
@pytest.mark.parametrize("state", [*STATES, GONE])
def test_what_an_older_server_does_not_tell_is_not_known(state, missing):
    said = json.loads(as_written(QUEUED if state == GONE else state))
    far = FarJob(row(json.dumps({name: value for name, value in said.items() if name not in missing}), state))
    whole = FarJob(row(json.dumps(said), state))
    assert list(far.said) == MEMBERS and far.said["id"] == "id"
    assert (far.state, far.is_over, far.result) == (whole.state, whole.is_over, whole.result)
    assert all(far.said[name] == whole.said[name] for name in MEMBERS if name not in missing)
    assert far.failure is None or far.failure.code in ("damaged-audio", "gone")


def test_whoever_takes_it_over_reads_what_its_server_wrote():
    left = left_by(row(as_written(QUEUED)))
    assert left == (ORDER, 1_700_000_000.0, "ann", 2)


@pytest.mark.parametrize("ours, why", [
    (None, "nothing of what it would take"),
    ({}, "no order"),
    ({"order": {"source": "k"}, "created": 5, "by": None, "times": 0}, "an order without a name"),
    ({"order": {**ORDER._asdict(), "conversion": None, "loudness": -23}, "created": 5, "by": None, "times": 0}, "a newer one"),
])
def test_an_order_that_is_not_understood_whole_is_nobodys(ours, why):
    said = {**told(job(), 1), **({} if ours is None else {"ours": ours})}
    with pytest.raises((KeyError, TypeError)):
        left_by(row(json.dumps(said)))


def test_what_has_failed_says_nothing_of_how_to_go_on():
    said = ended(json.loads(as_written(RUNNING)), Refusal("busy", "silent"), 1_700_000_600.0)
    assert list(said) == MEMBERS and (said["status"], said["problem"]["detail"]) == (FAILED, "silent")


def test_a_problem_of_a_newer_server_has_its_words():
    problem = {**json.loads(Refusal("busy", "why").body()), "code": "too-loud"}
    failure = FarJob(row(json.dumps({**json.loads(as_written(FAILED)), "problem": problem}), FAILED)).failure
    assert (failure.code, failure.detail) == ("internal", "why")
