"""Jobs of servers that are silent: another one goes on with them, once, or they have failed."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from members import TTL, dead, heard, kept, once_it_is_asked, stored_order
from support import eventually
from test_jobs import ORDER, SOUND
from tiny_s3 import says

from audiokit.catalogue.jobs import QUEUED
from audiokit.job import DONE, FAILED

SAVED = ORDER._replace(save_as="made.wav")


def hung(member, name):
    """A server that has looked at the board once, and does not for minutes."""
    one = member(name, pulse_s=1000.0)
    eventually(lambda: one.jobs._next_round)
    return one


def test_a_job_whose_server_is_silent_has_failed_and_one_that_only_takes_long_has_not(member, clock):
    a, b = member("a", silent_s=1.0), member("b", silent_s=1.0)  # a pulse each sixth of it: five may be late
    slow = a.begin()
    b.board.post("silent", 0, json.dumps(a.status(slow)), "audio/mpeg", 5)
    status = b.wait("silent", FAILED)
    assert status["problem"]["code"] == "busy" and "has not been heard of" in status["problem"]["detail"]
    assert dict(b.jobs.find("silent").failure.headers) == {"Retry-After": "5"}
    assert b.status(slow)["status"] == QUEUED
    clock.now += TTL + 1
    eventually(lambda: b.is_gone("silent"))


def test_who_was_given_up_while_it_was_away_stops(member):
    a, b = member("a"), member("b")
    id = a.begin()
    said = json.dumps(dict(b.status(id), status=FAILED))

    def is_given_up():  # it may be renewed between the look and the write
        b.board.give_up(b.board.named(id), said, 10**15)
        return b.board.named(id).is_over

    eventually(is_given_up)
    eventually(lambda: a.converter.cancelled and os.listdir(str(a.folder)) == [])


def test_what_a_dead_server_was_at_another_one_does(member, tiny):
    a = member("a")
    id = a.begin(owner=7)
    dead(a)
    b = member("b", silent_s=0.2)
    b.converter.wait(1)
    assert b.status(id, 7)["status"] == QUEUED and b.code(id, 8) == "not-found"
    b.converter.finish()
    assert b.wait(id, DONE, 7)["problem"] is None
    job = b.jobs.find(id, 7)
    assert job.result.size == len(SOUND)
    eventually(lambda: len(kept(tiny)) == 1)  # the input goes when the result has come
    b.jobs.remove(job)
    eventually(lambda: not kept(tiny))


def test_a_stored_file_is_its_own_copy(member, tiny):
    a = member("a")
    order = stored_order(a)
    id = a.begin(order)
    assert len(kept(tiny)) == 1
    dead(a)
    b = member("b", silent_s=0.2)
    b.converter.wait(1)
    b.converter.finish()
    b.wait(id, DONE)
    assert b.deliver(id) == SOUND[::-1]
    eventually(lambda: len(kept(tiny)) == 1)


def test_a_stored_file_that_was_removed_since_cannot_be_converted_and_that_is_told(member):
    a = member("a")
    id = a.begin(stored_order(a))
    assert a.storage.remove(a.storage.content(name="in.wav").id)
    dead(a)
    b = member("b", silent_s=0.2)
    status = b.wait(id, FAILED)
    assert (status["problem"]["code"], status["done"]) == ("not-found", None)
    assert os.listdir(str(b.folder)) == []


def test_of_many_who_see_it_one_takes_it(member):
    a = member("a")
    ids = [a.begin() for _ in range(3)]
    dead(a)
    others = [member(name) for name in "bc"]
    with ThreadPoolExecutor(2) as crew:
        for row in [a.board.named(id) for id in ids]:
            list(crew.map(lambda one, row=row: one.heirs.take_over(row), others))
    assert sum(len(one.converter.begun) for one in others) == 3
    for one in others:
        for number in range(len(one.converter.begun)):
            one.converter.finish(number)
    for id in ids:
        others[0].wait(id, DONE)
    assert sum(len(one.converter.begun) for one in others) == 3


def test_who_hung_for_longer_than_a_job_waits_takes_over_what_it_finds(member):
    a = member("a")
    id = a.begin()
    dead(a)
    b = member("b")
    eventually(lambda: b.jobs._next_round)  # its first look at all is over
    b.heirs._seen[id] = (b.board.named(id).renewed_ms, time.monotonic() - 100_000)
    b.jobs._go_round()
    b.converter.wait(1)
    assert b.status(id)["status"] == QUEUED


def test_who_hung_and_wakes_makes_nothing_of_what_is_anothers_by_then(member, tiny):
    a = hung(member, "a")
    id = a.begin(SAVED, data=SOUND[::-1])
    told, over, _ = heard(a, id)
    b = member("b", silent_s=0.2)
    b.converter.wait(1)
    b.converter.finish()
    status = b.wait(id, DONE)
    file = b.storage.content(name="made.wav")
    assert file is not None and status["file"] == f"/files/{file.id}"
    assert b.storage.remove(file.id)
    a.converter.finish()
    eventually(lambda: os.listdir(str(a.folder)) == [])
    assert b.storage.content(name="made.wav") is None, "it is not made twice"
    assert a.status(id) == b.status(id) == status
    assert a.board.named(id).status == json.dumps(status)


def test_who_hangs_while_its_file_goes_to_the_store_makes_none_either(member, tiny):
    a = hung(member, "a")
    id, b = a.begin(SAVED, data=SOUND[::-1]), member("b")
    key = a.board.named(id).key

    def meanwhile(handler):
        b.heirs.take_over(b.board.named(id))
        b.converter.finish()
        b.wait(id, DONE)
        assert b.storage.remove(b.storage.content(name="made.wav").id)
        return False

    once_it_is_asked(tiny, "PUT", meanwhile)
    a.converter.finish()
    eventually(lambda: os.listdir(str(a.folder)) == [])
    assert b.storage.content(name="made.wav") is None and a.catalogue.read("SELECT files FROM counters") == [(0,)]
    assert a.catalogue.read("SELECT count(*) FROM removals WHERE key <> ?", (key,)) == [(2,)], "each has made one"
    eventually(lambda: not kept(tiny))


def test_who_hung_names_no_result_of_what_another_is_at_still_and_tells_of_that(member, tiny):
    a = hung(member, "a")
    id = a.begin()
    told, over, stop = heard(a, id)
    b = member("b", silent_s=0.2)
    b.converter.wait(1)
    a.converter.finish()
    eventually(lambda: os.listdir(str(a.folder)) == [])
    assert b.status(id)["status"] == QUEUED and not over.is_set()
    stop()
    assert not a.jobs._followers
    b.converter.finish()
    b.wait(id, DONE)
    assert b.deliver(id) == SOUND[::-1]
    eventually(lambda: not kept(tiny))


def test_who_follows_at_a_server_that_lost_a_job_hears_of_its_end(member):
    a, b = member("a"), member("b")
    id = a.begin()
    told, over, _ = heard(a, id)
    eventually(lambda: b.heirs.take_over(b.board.named(id)) and b.jobs._jobs.unfinished())
    eventually(lambda: os.listdir(str(a.folder)) == [])
    b.converter.finish()
    assert over.wait(60) and told[-1]["status"] == DONE and told[-1]["size"] == len(SOUND)


def test_who_is_back_too_late_has_lost_what_it_was_at(member):
    a = member("a")
    id = a.begin(SAVED, data=SOUND[::-1])
    dead(a)
    b = member("b", silent_s=0.2)
    b.converter.wait(1)
    a = member("a")
    eventually(lambda: os.listdir(str(a.folder)) == [])
    assert a.status(id)["status"] == QUEUED
    b.converter.finish()
    assert a.wait(id, DONE)["file"]


@pytest.mark.parametrize("faults", [
    pytest.param([says(503, "SlowDown")] * 4, marks=pytest.mark.slow, id="away"),
    pytest.param([says(403, "AccessDenied")] * 5, id="refuses"),
])
def test_a_store_that_is_away_when_it_is_taken_over_is_asked_again(member, tiny, faults):
    a = member("a")
    id = a.begin()
    dead(a)
    b = member("b", silent_s=0.2)
    tiny.faults += faults
    b.converter.wait(1)
    assert json.loads(b.board.named(id).status)["ours"]["times"] == 1, "it is no fault of the conversion's"
    b.converter.finish()
    b.wait(id, DONE)


def test_what_nobody_has_room_for_has_failed_in_the_end(member):
    a = member("a")
    id = a.begin()
    dead(a)
    b = member("b", silent_s=0.05, most=0)
    status = b.wait(id, FAILED)
    assert status["problem"]["code"] == "busy" and os.listdir(str(b.storage.data)).count("conversions") == 0
    eventually(lambda: b.board.named(id).key is None)


@pytest.mark.slow  # it waits
def test_what_its_servers_die_of_is_not_taken_over_for_ever(member, tiny):
    last = member("a")
    id = last.begin()
    for name in "bcd":
        dead(last)
        last = member(name, silent_s=0.2)
        last.converter.wait(1)
    dead(last)
    e = member("e", silent_s=0.2)
    assert e.wait(id, FAILED)["problem"]["code"] == "busy"
    assert e.converter.begun == []
    eventually(lambda: not kept(tiny))


def test_where_the_clock_of_the_dead_was_ahead_the_heir_is_heard_all_the_same(member, clock):
    a = member("a")
    clock.now += 5000
    id = a.begin()
    dead(a)
    clock.now -= 5000
    b = member("b", silent_s=0.2)
    b.converter.wait(1)
    _, _, _, on_progress, _ = b.converter.begun[0]
    on_progress(0.5)
    eventually(lambda: json.loads(b.board.named(id).status)["progress"] == 0.5)
    b.converter.finish()
    b.wait(id, DONE)


def test_a_clock_that_is_set_back_while_a_server_is_away_silences_nobody(member, clock):
    a, b = member("a", silent_s=0.2), member("b")
    id = a.begin()
    clock.now -= 5000
    a = member("a", silent_s=0.2)
    a.converter.wait(1)
    a.converter.begun[0][3](0.5)
    eventually(lambda: json.loads(b.board.named(id).status)["progress"] == 0.5)
    a.converter.finish()
    assert b.wait(id, DONE) and len(a.converter.begun) == 1


def test_what_a_disk_fails_for_is_held_by_nobody(member, tmp_path):
    a = member("a")
    id = a.begin()
    dead(a)
    b = member("b", silent_s=60.0)
    (tmp_path / "b" / "conversions").write_bytes(b"no folder can be made")
    with pytest.raises(FileExistsError):
        b.heirs.take_over(b.board.named(id))
    assert not b.jobs._mine()
    c = member("c", silent_s=0.2)
    c.converter.wait(1)
    c.converter.finish()
    b.wait(id, DONE)


def test_a_catalogue_that_is_away_when_an_input_is_not_there_hears_of_it_later(member, tiny):
    a = member("a")
    id = a.begin()
    dead(a)
    b = member("b")
    row = b.board.named(id)

    def lost(handler):
        b.catalogue.is_away = True
        tiny.objects.clear()
        return False

    once_it_is_asked(tiny, "GET", lost)
    b.heirs.take_over(row)
    assert b.catalogue.is_away and list(b.jobs._mine()) == [id]
    b.catalogue.is_away = False
    assert b.wait(id, FAILED)["problem"]["code"] == "not-found"
    eventually(lambda: not b.jobs._mine())


def test_who_is_heard_again_just_before_it_is_given_up_keeps_what_it_converts(member, tiny):
    a, b = member("a"), member("b")
    id = a.begin()
    b.heirs.give_up(b.board.named(id)._replace(renewed_ms=5))
    assert not b.board.named(id).is_over and len(kept(tiny)) == 1


def test_nobody_takes_more_than_there_is_room_for(member, tiny):
    a = member("a")
    ids = [a.begin() for _ in range(3)]
    dead(a)
    b = member("b", most=2)
    rows = [b.board.named(id) for id in ids]
    tiny.faults += [says(403, "AccessDenied")] * 1000  # no input can be had
    for row in rows:
        b.heirs.take_over(row)
    assert set(b.jobs._mine()) == set(ids[:2])
    tiny.faults.clear()
    b.converter.wait(2)


def test_what_there_is_no_room_for_on_the_disk_is_another_servers(member, tiny):
    a = member("a")
    id = a.begin()
    dead(a)
    b = member("b", kept_free=1 << 60)
    tiny.requests.clear()
    b.heirs.take_over(b.board.named(id))
    assert not b.jobs._mine() and not [path for method, path, _ in tiny.requests if method == "GET" and "/files/" in path]
    c = member("c", silent_s=0.2)
    c.converter.wait(1)


def test_inputs_that_are_waited_for_keep_no_end_from_being_told(member, tiny):
    a = member("a")
    for _ in range(4):
        a.begin()
    dead(a)
    let_go, hung = threading.Event(), threading.Semaphore(0)

    def hangs(handler):
        if handler.command == "GET" and "/files/" in handler.path:
            hung.release()
            let_go.wait(60)
        return False

    tiny.faults += [hangs] * 1000
    try:
        b = member("b", silent_s=0.2)
        assert hung.acquire(timeout=60) and hung.acquire(timeout=60)
        id = b.begin()
        b.converter.wait(1)
        b.converter.finish()
        b.wait(id, DONE)
    finally:
        let_go.set()
        tiny.faults.clear()
    b.converter.wait(5)


def test_who_follows_what_another_server_took_just_now_hears_of_its_end(member):
    a, b = member("a"), member("b")
    job = a.jobs.find(a.begin())
    eventually(lambda: b.heirs.take_over(b.board.named(job.id)) and b.jobs._mine())  # it may be renewed in between
    eventually(lambda: not a.jobs._mine())
    told, over = [], threading.Event()

    def watcher(one):
        told.append(a.jobs.status(one)["status"])
        if one.is_over:
            over.set()

    a.jobs.follow(job, watcher)
    b.converter.finish()
    assert over.wait(60) and told[-1] == DONE and told.count(DONE) == 1


def test_what_an_older_server_gave_up_has_failed_and_its_input_goes_with_it(member, clock, tiny):
    a, b = hung(member, "a"), member("b")
    id = a.begin()
    status = dict(b.status(id), status=FAILED, problem={"code": "busy", "detail": "it was silent"})
    sql = "UPDATE jobs SET state = 'failed', status = ?, expires_ms = ? WHERE id = ?"
    b.catalogue.write([(sql, (json.dumps(status), int(1000 * (clock() + TTL)), id))])
    assert b.status(id) == status and b.jobs.find(id).result is None
    b.jobs.remove(b.jobs.find(id))
    assert not kept(tiny)


@pytest.mark.parametrize("status", ["{}", '{"ours": {}}', '{"ours": {"times": 0, "order": {"source": "k", "other": 1}}}'])
def test_what_another_version_began_keeps_nobody_from_the_rest(member, clock, status):
    a = member("a")
    said = {**a.status(a.begin()), **json.loads(status)}
    a.board.post("other", 0, json.dumps(said), "audio/mpeg", 5, "0" * 32)
    a.board.post("expired", 0, json.dumps(said), "audio/mpeg", 5)
    b = member("b", silent_s=0.1)
    assert b.wait("other", FAILED)["problem"]["code"] == "busy"
    clock.now += TTL + 1
    eventually(lambda: b.is_gone("other"))
