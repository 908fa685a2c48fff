"""Conversions of servers that share a catalogue: begun at one, known to all, not lost with the one that made them."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import threading
from contextlib import closing
from functools import partial

import pytest
from support import eventually, request
from test_jobs import AS_IT_IS, ORDER, SOUND, ByHand, Clock
from test_storage import upload
from tiny_s3 import says

import audiometa
from audiokit.catalogue.jobs import QUEUED
from audiokit.job import DONE, FAILED, RUNNING
from audiokit.jobs import Jobs
from audiokit.shared_jobs import SharedJobs
from audiokit.wire.problems import Refusal
from storage import Storage

TTL = 3600.0


@pytest.fixture
def tiny(tiny, repeating):
    """A store; and storages that are opened meanwhile share a catalogue."""
    return tiny


class Node:
    """One server's share: its storage, its own jobs and what it knows of others'."""

    def __init__(self, data, tiny, clock, silent_s=60.0, most=10, pulse_s=0.005, kept_free=0):
        self.storage = Storage(
            data, catalogue="rqlite://never-asked", blobs=tiny.url("p"), clock_ms=lambda: int(1000 * clock()),
            free_space_kept=kept_free,
        )
        self.catalogue, self.folder = self.storage._catalogue, data / "conversions"
        self.converter, self.bugs = ByHand(), []
        common = {"result_ttl": TTL, "on_bug": self.bugs.append, "clock": clock}
        make = partial(Jobs, self.folder, self.converter, self.storage, audiometa.identify, most=most, **common)
        self.jobs = SharedJobs(make, self.storage.results, pulse_s=pulse_s, silent_s=silent_s, **common)
        self.board = self.storage.results.board

    def add(self, order=ORDER, owner=0, data=SOUND):
        def put(path):
            with open(path, "wb") as file:
                file.write(data)

        return self.jobs.add(order, put, True, owner)

    def begin(self, order=ORDER, owner=0, data=SOUND):
        job = self.add(order, owner, data)
        self.jobs.start(job)
        return job.id

    def done(self, order=ORDER, owner=0):
        """One that has a result, and no input any more."""
        job = self.add(order, owner)
        self.jobs.start(job)
        key = job.share.key  # not as the board has it: what needs no conversion may be over, and name its result there
        if order.conversion is not None:
            self.converter.finish(len(self.converter.begun) - 1)
        self.wait(job.id, DONE, owner)
        eventually(lambda: self.storage._blobs.size(key) is None)
        return job.id

    def status(self, id, owner=0):
        return self.jobs.status(self.jobs.find(id, owner))

    def wait(self, id, state, owner=0):
        return eventually(lambda: self.status(id, owner)["status"] == state and self.status(id, owner))

    def deliver(self, id, start=0, stop=len(SOUND)):
        """These bytes of a result, as a client gets them."""
        job = self.jobs.find(id)
        source, out = self.jobs.open_result(job, start, stop), bytearray()
        try:
            while len(out) < stop - start:
                try:
                    out += source.read(memoryview(bytearray(1 << 16)))
                except BlockingIOError:
                    threading.Event().wait(0.001)
        finally:
            source.close()
        self.jobs.answered(job, [(start, stop)], True)
        return bytes(out)

    def code(self, id, owner=0):
        """Why it cannot be found."""
        with pytest.raises(Refusal) as caught:
            self.jobs.find(id, owner)
        return caught.value.code

    def is_gone(self, id):
        row = self.board.named(id)
        return row is not None and row.state == "gone"

    def close(self):
        self.jobs.close()
        self.storage.close()
        assert not self.bugs


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def node(tiny, clock, tmp_path):
    """A function that begins the server whose data is in a folder of that name, ending it first where it runs."""
    running = {}

    def start(name, **settings):
        if name in running:
            running.pop(name).close()
        running[name] = Node(tmp_path / name, tiny, clock, **settings)
        return running[name]

    yield start
    for one in running.values():
        one.close()


@pytest.fixture
def pair(node):
    return node("a"), node("b")


def kept(tiny):
    """The store's objects that are audio."""
    return [name for name in tiny.names() if name.startswith("p/files/")]


def heard(node, id):
    """All that a follower is told, once the job is over."""
    told, over = [], threading.Event()

    def watcher(job):
        told.append(node.jobs.status(job))
        if job.is_over:
            over.set()

    stop = node.jobs.follow(node.jobs.find(id), watcher)
    return told, over, stop


# -- one is asked, another one knows -------------------------------------------------------------------------------


def test_what_one_server_began_every_server_knows_at_once(pair):
    a, b = pair
    id = a.begin()
    assert b.status(id)["status"] == QUEUED
    assert {**b.status(id), "position": 1} == a.status(id)


def test_how_far_it_is_comes_to_the_others(pair):
    a, b = pair
    id = a.begin()
    a.converter.begun[0][3](0.25)
    status = eventually(lambda: b.status(id)["progress"] == 0.25 and b.status(id))
    assert status["status"] == RUNNING and status["result"] is None and status["position"] is None


def test_its_result_is_in_the_store_and_nothing_is_left_where_it_was_made(pair, tiny):
    a, b = pair
    id = a.done()
    assert a.status(id) == b.status(id)
    assert b.status(id)["result"] == f"/resample/{id}/result" and b.status(id)["size"] == len(SOUND)
    assert b.status(id)["progress"] == 1 and b.status(id)["expires"].endswith("Z")
    assert [tiny.objects[name][0] for name in kept(tiny)] == [SOUND[::-1]]
    eventually(lambda: os.listdir(str(a.folder)) == [])


def test_a_result_that_was_delivered_whole_is_gone_for_all(pair, tiny):
    a, b = pair
    id = a.done()
    assert b.deliver(id) == SOUND[::-1]
    eventually(lambda: b.is_gone(id) and not kept(tiny))
    assert a.code(id) == b.code(id) == "gone"


def test_ranges_from_several_servers_that_cover_the_result_deliver_it(pair, tiny):
    a, b = pair
    id, middle = a.done(), len(SOUND) // 2
    assert b.deliver(id, 0, middle) == SOUND[::-1][:middle]
    eventually(lambda: b.board.named(id).delivered == f"[[0, {middle}]]")
    b.deliver(id, 5, middle)
    a.deliver(id, middle)
    eventually(lambda: b.is_gone(id) and not kept(tiny))


def test_an_answer_that_broke_off_delivers_nothing(pair):
    a, b = pair
    id = a.done()
    b.jobs.answered(b.jobs.find(id), [(0, len(SOUND))], False)
    assert b.deliver(id, 0, 5) == SOUND[::-1][:5]
    eventually(lambda: b.board.named(id).delivered == "[[0, 5]]")


def test_what_is_as_wanted_goes_the_same_way(pair):
    a, b = pair
    id = a.done(AS_IT_IS)
    assert b.deliver(id) == SOUND


def test_a_failure_is_told_by_all_in_the_same_words(pair):
    a, b = pair
    id = a.begin()
    a.converter.finish(failure=Refusal("damaged-audio", "no frame in it", offset=44))
    assert b.wait(id, FAILED) == a.status(id)
    failure = b.jobs.find(id).failure
    assert (failure.status, failure.detail, failure.members) == (422, "no frame in it", {"offset": 44})
    eventually(lambda: os.listdir(str(a.folder)) == [])


def test_what_is_saved_is_a_file_of_all(pair):
    a, b = pair
    id = a.done(AS_IT_IS._replace(save_as="kept.wav"))
    file = b.jobs.find(id).file_id
    assert b.storage.content(name="kept.wav").id == file
    assert b.status(id)["result"] == f"/files/{file}/content" and b.jobs.find(id).result is None


@pytest.mark.parametrize("state", [QUEUED, DONE])
def test_what_another_owner_began_is_not_there_for_anybody_else(pair, state):
    a, b = pair
    id = a.done(owner=5) if state == DONE else a.begin(owner=5)
    assert [one.code(id, 6) for one in pair] == ["not-found"] * 2
    assert b.status(id, 5) and b.status(id, None)
    b.jobs.remove(b.jobs.find(id, 5))
    assert [one.code(id, 6) for one in pair] == ["not-found"] * 2
    assert [one.code(id, 5) for one in pair] == ["gone"] * 2
    assert b.code("never-was") == "not-found"


def test_a_client_that_waits_needs_no_board(pair):
    a, _ = pair
    job = a.jobs.add(ORDER, lambda path: open(path, "wb").close(), False)
    assert a.catalogue.read("SELECT count(*) FROM jobs") == [(0,)] and a.code(job.id) == "not-found"
    a.jobs.follow(job, lambda job: None)
    assert not a.jobs._followers, "the board knows nothing of it"
    a.jobs.cancel(job)
    eventually(lambda: os.listdir(str(a.folder)) == [])


# -- following -----------------------------------------------------------------------------------------------------


def test_a_follower_at_another_server_hears_every_stage_and_the_end(pair):
    a, b = pair
    id = a.begin()
    told, over, _ = heard(b, id)
    a.converter.begun[0][3](0.5)
    eventually(lambda: told[-1]["progress"] == 0.5)
    a.converter.finish()
    assert over.wait(60)
    assert [status["status"] for status in told][0] == QUEUED and told[-1] == b.status(id)


def test_who_stops_following_hears_no_more(pair):
    a, b = pair
    id = a.begin()
    first, _, stop = heard(b, id)
    second, over, _ = heard(b, id)
    stop()
    a.converter.finish()
    assert over.wait(60) and all(status["status"] != DONE for status in first)
    assert not b.jobs._followers


def test_who_follows_what_is_over_is_told_once(pair):
    a, b = pair
    told, over, stop = heard(b, a.done())
    assert over.is_set() and told[0]["status"] == DONE
    stop()
    assert not b.jobs._followers


# -- removing ------------------------------------------------------------------------------------------------------


def test_what_is_removed_elsewhere_is_cancelled_where_it_runs(pair):
    a, b = pair
    id = a.begin()
    told, over, _ = heard(a, id)
    b.jobs.remove(b.jobs.find(id))
    assert a.code(id) == "gone"
    assert over.wait(60) and told[-1]["problem"]["code"] == "gone"
    eventually(lambda: a.converter.cancelled and os.listdir(str(a.folder)) == [])


def test_a_follower_elsewhere_is_told_of_a_removal(pair):
    a, b = pair
    id = a.begin()
    told, over, _ = heard(b, id)
    a.jobs.remove(a.jobs.find(id))
    assert over.wait(60) and (told[-1]["status"], told[-1]["problem"]["code"]) == (FAILED, "gone")
    assert a.converter.cancelled


def test_what_is_removed_while_its_result_goes_to_the_store_leaves_nothing_there(pair, tiny):
    a, b = pair
    id = a.begin()
    removed = threading.Event()

    def meanwhile(handler):
        b.jobs.remove(b.jobs.find(id))
        removed.set()
        return False

    tiny.faults.append(meanwhile)
    a.converter.finish()
    assert removed.wait(60)
    eventually(lambda: not a.jobs._ending and not kept(tiny))
    assert a.code(id) == "gone" and os.listdir(str(a.folder)) == []


def test_what_nobody_fetches_goes_with_its_time_whoever_is_there(pair, clock, tiny, node):
    a, b = pair
    id, failed = a.done(), a.begin()
    a.converter.finish(1, failure=Refusal("damaged-audio", "no frame in it"))
    b.wait(failed, FAILED)
    clock.now += TTL + 1
    assert b.code(id) == b.code(failed) == "gone"
    c = node("c")  # looks around when it begins
    eventually(lambda: c.is_gone(id) and c.is_gone(failed) and not kept(tiny))


def test_what_is_gone_is_forgotten_after_a_day(pair, clock, node):
    a, b = pair
    id = a.done()
    b.jobs.remove(b.jobs.find(id))
    clock.now += 86_401
    c = node("c")
    eventually(lambda: c.board.named(id) is None)
    assert b.code(id) == "not-found"


# -- servers end ---------------------------------------------------------------------------------------------------


def test_a_result_outlives_the_server_that_made_it(node):
    a, b = node("a"), node("b")
    id = a.done()
    a.close()
    a.close = lambda: None
    assert b.deliver(id) == SOUND[::-1]


def test_a_server_that_is_back_goes_on_with_what_it_had_begun(node):
    a, b = node("a"), node("b")
    id = a.begin()
    a = node("a")
    a.converter.wait(1)
    assert b.status(id)["status"] == QUEUED
    a.converter.finish()
    b.wait(id, DONE)
    assert b.deliver(id) == SOUND[::-1]


def test_a_server_that_is_back_drops_what_was_removed_meanwhile(node):
    a, b = node("a"), node("b")
    id = a.begin()
    a.jobs.close()
    b.jobs.remove(b.jobs.find(id))
    a.jobs.close = lambda: None
    a = node("a")
    eventually(lambda: os.listdir(str(a.folder)) == [])
    assert a.code(id) == "gone"


def test_a_job_whose_server_is_silent_has_failed_and_one_that_only_takes_long_has_not(node, clock):
    a, b = node("a", silent_s=1.0), node("b", silent_s=1.0)  # a pulse each sixth of it: five may be late
    slow = a.begin()
    b.board.post("silent", 0, json.dumps(a.status(slow)), "audio/mpeg", 5)
    status = b.wait("silent", FAILED)
    assert status["problem"]["code"] == "busy" and "has not been heard of" in status["problem"]["detail"]
    assert dict(b.jobs.find("silent").failure.headers) == {"Retry-After": "5"}
    assert b.status(slow)["status"] == QUEUED
    clock.now += TTL + 1
    eventually(lambda: b.is_gone("silent"))


def test_who_was_given_up_while_it_was_away_stops(node):
    a, b = node("a"), node("b")
    id = a.begin()
    said = json.dumps(dict(b.status(id), status=FAILED))

    def is_given_up():  # it may be renewed between the look and the write
        b.board.give_up(b.board.named(id), said, 10**15)
        return b.board.named(id).is_over

    eventually(is_given_up)
    eventually(lambda: a.converter.cancelled and os.listdir(str(a.folder)) == [])


# -- a server dies, or hangs, and another goes on -------------------------------------------------------------------

SAVED = ORDER._replace(save_as="made.wav")
HUNG = {"pulse_s": 1000.0}  # looks at the board once, and then not for minutes


def dead(node):
    """It does nothing any more, and leaves all as it is."""
    node.jobs.close()
    node.jobs.close = lambda: None


def once_it_is_asked(tiny, method, act):
    """Have the store do `act` at the next request of that kind for audio, and serve all before it."""

    def fault(handler):
        if handler.command == method and "/files/" in handler.path:
            return act(handler)
        tiny.faults.insert(0, fault)
        return False

    tiny.faults.insert(0, fault)


def stored_order(node, name="in.wav"):
    """A conversion of a stored file."""
    upload(node.storage, SOUND, name)
    return ORDER._replace(source=node.storage.content(name=name).key)


def test_what_a_dead_server_was_at_another_one_does(node, tiny):
    a = node("a")
    id = a.begin(owner=7)
    dead(a)
    b = node("b", silent_s=0.2)
    b.converter.wait(1)
    assert b.status(id, 7)["status"] == QUEUED and b.code(id, 8) == "not-found"
    b.converter.finish()
    assert b.wait(id, DONE, 7)["problem"] is None
    job = b.jobs.find(id, 7)
    assert job.result.size == len(SOUND)
    eventually(lambda: len(kept(tiny)) == 1)  # the input goes when the result has come
    b.jobs.remove(job)
    eventually(lambda: not kept(tiny))


def test_a_stored_file_is_its_own_copy(node, tiny):
    a = node("a")
    order = stored_order(a)
    id = a.begin(order)
    assert len(kept(tiny)) == 1
    dead(a)
    b = node("b", silent_s=0.2)
    b.converter.wait(1)
    b.converter.finish()
    b.wait(id, DONE)
    assert b.deliver(id) == SOUND[::-1]
    eventually(lambda: len(kept(tiny)) == 1)


def test_a_stored_file_that_was_removed_since_cannot_be_converted_and_that_is_told(node):
    a = node("a")
    id = a.begin(stored_order(a))
    dead(a)
    b = node("b", silent_s=0.2)
    file = b.storage.content(name="in.wav")
    assert b.storage.remove(file.id)
    status = b.wait(id, FAILED)
    assert (status["problem"]["code"], status["done"]) == ("not-found", None)
    assert os.listdir(str(b.folder)) == []


@pytest.mark.slow  # it waits
def test_of_many_who_see_it_one_takes_it(node):
    a = node("a")
    ids = [a.begin() for _ in range(3)]
    dead(a)
    others = [node(name, silent_s=1.0) for name in "bc"]  # long enough for neither to seem silent to the other
    eventually(lambda: sum(len(one.converter.begun) for one in others) == 3)
    for one in others:
        for number in range(len(one.converter.begun)):
            one.converter.finish(number)
    for id in ids:
        others[0].wait(id, DONE)
    assert sum(len(one.converter.begun) for one in others) == 3


def test_who_hung_and_wakes_makes_nothing_of_what_is_anothers_by_then(node, tiny):
    a = node("a", **HUNG)
    id = a.begin(SAVED, data=SOUND[::-1])
    told, over, _ = heard(a, id)
    b = node("b", silent_s=0.2)
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


def test_who_hangs_while_its_file_goes_to_the_store_makes_none_either(node, tiny):
    a = node("a", **HUNG)
    id, b = a.begin(SAVED, data=SOUND[::-1]), node("b")
    key = a.board.named(id).key

    def meanwhile(handler):
        b.jobs._take_over(b.board.named(id))
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


def test_who_hung_names_no_result_of_what_another_is_at_still_and_tells_of_that(node, tiny):
    a = node("a", **HUNG)
    id = a.begin()
    told, over, stop = heard(a, id)
    b = node("b", silent_s=0.2)
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


def test_who_follows_at_a_server_that_lost_a_job_hears_of_its_end(node):
    a, b = node("a"), node("b")
    id = a.begin()
    told, over, _ = heard(a, id)
    eventually(lambda: b.jobs._take_over(b.board.named(id)) or b.jobs._jobs.unfinished())
    eventually(lambda: os.listdir(str(a.folder)) == [])
    b.converter.finish()
    assert over.wait(20) and told[-1]["status"] == DONE and told[-1]["size"] == len(SOUND)


def test_who_is_back_too_late_has_lost_what_it_was_at(node):
    a = node("a")
    id = a.begin(SAVED, data=SOUND[::-1])
    dead(a)
    b = node("b", silent_s=0.2)
    b.converter.wait(1)
    a = node("a")
    eventually(lambda: os.listdir(str(a.folder)) == [])
    assert a.status(id)["status"] == QUEUED
    b.converter.finish()
    assert a.wait(id, DONE)["file"]


@pytest.mark.parametrize("faults", [
    pytest.param([says(503, "SlowDown")] * 4, marks=pytest.mark.slow, id="away"),
    pytest.param([says(403, "AccessDenied")] * 5, id="refuses"),
])
def test_a_store_that_is_away_when_it_is_taken_over_is_asked_again(node, tiny, faults):
    a = node("a")
    id = a.begin()
    dead(a)
    b = node("b", silent_s=0.2)
    tiny.faults += faults
    b.converter.wait(1)
    assert json.loads(b.board.named(id).status)["ours"]["times"] == 1, "it is no fault of the conversion's"
    b.converter.finish()
    b.wait(id, DONE)


def test_what_nobody_has_room_for_has_failed_in_the_end(node):
    a = node("a")
    id = a.begin()
    dead(a)
    b = node("b", silent_s=0.05, most=0)
    status = b.wait(id, FAILED)
    assert status["problem"]["code"] == "busy" and os.listdir(str(b.storage.data)).count("conversions") == 0
    eventually(lambda: b.board.named(id).key is None)


@pytest.mark.slow  # it waits
def test_what_its_servers_die_of_is_not_taken_over_for_ever(node, tiny):
    last = node("a")
    id = last.begin()
    for name in "bcd":
        dead(last)
        last = node(name, silent_s=0.2)
        last.converter.wait(1)
    dead(last)
    e = node("e", silent_s=0.2)
    assert e.wait(id, FAILED)["problem"]["code"] == "busy"
    assert e.converter.begun == []
    eventually(lambda: not kept(tiny))


def test_where_the_clock_of_the_dead_was_ahead_the_heir_is_heard_all_the_same(node, clock):
    a = node("a")
    clock.now += 5000
    id = a.begin()
    dead(a)
    clock.now -= 5000
    b = node("b", silent_s=0.2)
    b.converter.wait(1)
    _, _, _, on_progress, _ = b.converter.begun[0]
    on_progress(0.5)
    eventually(lambda: json.loads(b.board.named(id).status)["progress"] == 0.5)
    b.converter.finish()
    b.wait(id, DONE)


def test_a_clock_that_is_set_back_while_a_server_is_away_silences_nobody(node, clock):
    a, b = node("a", silent_s=0.2), node("b")
    id = a.begin()
    clock.now -= 5000
    a = node("a", silent_s=0.2)
    a.converter.wait(1)
    a.converter.begun[0][3](0.5)
    eventually(lambda: json.loads(b.board.named(id).status)["progress"] == 0.5)
    a.converter.finish()
    assert b.wait(id, DONE) and len(a.converter.begun) == 1


def test_what_a_disk_fails_for_is_held_by_nobody(node, tmp_path):
    a = node("a")
    id = a.begin()
    dead(a)
    b = node("b", silent_s=60.0)
    (tmp_path / "b" / "conversions").write_bytes(b"no folder can be made")
    with pytest.raises(FileExistsError):
        b.jobs._take_over(b.board.named(id))
    assert not b.jobs._mine()
    c = node("c", silent_s=0.2)
    c.converter.wait(1)
    c.converter.finish()
    b.wait(id, DONE)


def test_a_catalogue_that_is_away_when_an_input_is_not_there_hears_of_it_later(node, tiny):
    a = node("a")
    id = a.begin()
    dead(a)
    b = node("b")
    row = b.board.named(id)

    def lost(handler):
        b.catalogue.is_away = True
        tiny.objects.clear()
        return False

    once_it_is_asked(tiny, "GET", lost)
    b.jobs._take_over(row)
    assert b.catalogue.is_away and list(b.jobs._mine()) == [id]
    b.catalogue.is_away = False
    assert b.wait(id, FAILED)["problem"]["code"] == "not-found"
    eventually(lambda: not b.jobs._mine())


def test_who_is_heard_again_just_before_it_is_given_up_keeps_what_it_converts(node, tiny):
    a, b = node("a"), node("b")
    id = a.begin()
    b.jobs._give_up(b.board.named(id)._replace(renewed_ms=5))
    assert not b.board.named(id).is_over and len(kept(tiny)) == 1


def test_nobody_takes_more_than_there_is_room_for(node, tiny):
    a = node("a")
    ids = [a.begin() for _ in range(3)]
    dead(a)
    b = node("b", most=2)
    rows = [b.board.named(id) for id in ids]
    tiny.faults += [says(403, "AccessDenied")] * 1000  # no input can be had
    for row in rows:
        b.jobs._take_over(row)
    assert set(b.jobs._mine()) == set(ids[:2])
    tiny.faults.clear()
    b.converter.wait(2)


def test_what_there_is_no_room_for_on_the_disk_is_another_servers(node, tiny):
    a = node("a")
    id = a.begin()
    dead(a)
    b = node("b", kept_free=1 << 60)
    tiny.requests.clear()
    b.jobs._take_over(b.board.named(id))
    assert not b.jobs._mine() and not [path for method, path, _ in tiny.requests if method == "GET" and "/files/" in path]
    c = node("c", silent_s=0.2)
    c.converter.wait(1)


def test_inputs_that_are_waited_for_keep_no_end_from_being_told(node, tiny):
    a = node("a")
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
        b = node("b", silent_s=0.2)
        assert hung.acquire(timeout=60) and hung.acquire(timeout=60)
        id = b.begin()
        b.converter.wait(1)
        b.converter.finish()
        b.wait(id, DONE)
    finally:
        let_go.set()
        tiny.faults.clear()
    b.converter.wait(5)


def test_who_follows_what_another_server_took_just_now_hears_of_its_end(node):
    a, b = node("a"), node("b")
    job = a.jobs.find(a.begin())
    eventually(lambda: b.jobs._take_over(b.board.named(job.id)) or b.jobs._mine())  # it may be renewed in between
    eventually(lambda: not a.jobs._mine())
    told, over = [], threading.Event()

    def watcher(one):
        told.append(a.jobs.status(one)["status"])
        if one.is_over:
            over.set()

    a.jobs.follow(job, watcher)
    b.converter.finish()
    assert over.wait(60) and told[-1] == DONE and told.count(DONE) == 1


def test_what_an_older_server_gave_up_has_failed_and_its_input_goes_with_it(node, clock, tiny):
    a, b = node("a", **HUNG), node("b")
    id = a.begin()
    status = dict(b.status(id), status=FAILED, problem={"code": "busy", "detail": "it was silent"})
    sql = "UPDATE jobs SET state = 'failed', status = ?, expires_ms = ? WHERE id = ?"
    b.catalogue.write([(sql, (json.dumps(status), int(1000 * (clock() + TTL)), id))])
    assert b.status(id) == status and b.jobs.find(id).result is None
    b.jobs.remove(b.jobs.find(id))
    assert not kept(tiny)


@pytest.mark.parametrize("status", ["{}", '{"ours": {}}', '{"ours": {"times": 0, "order": {"source": "k", "other": 1}}}'])
def test_what_another_version_began_keeps_nobody_from_the_rest(node, clock, status):
    a = node("a")
    said = {**a.status(a.begin()), **json.loads(status)}
    a.board.post("other", 0, json.dumps(said), "audio/mpeg", 5, "0" * 32)
    a.board.post("expired", 0, json.dumps(said), "audio/mpeg", 5)
    b = node("b", silent_s=0.1)
    assert b.wait("other", FAILED)["problem"]["code"] == "busy"
    clock.now += TTL + 1
    eventually(lambda: b.is_gone("other"))


# -- engines fail --------------------------------------------------------------------------------------------------


def test_while_the_catalogue_is_away_nothing_begins_and_nothing_is_left(pair):
    a, _ = pair
    a.catalogue.is_away = True
    with pytest.raises(Refusal) as caught:
        a.begin()
    a.catalogue.is_away = False
    assert (caught.value.code, dict(caught.value.headers)) == ("busy", {"Retry-After": "5"})
    assert os.listdir(str(a.folder)) == []


def test_what_is_refused_is_done_by_nobody_although_the_catalogue_has_it(node, tiny):
    a = node("a")
    order = stored_order(a)._replace(save_as="made.wav")
    a.catalogue.is_mute = True
    with pytest.raises(Refusal) as caught:
        a.begin(order)
    assert caught.value.code == "busy"
    a.catalogue.is_mute = False
    eventually(lambda: not a.jobs._withdrawn)
    assert a.catalogue.read("SELECT state FROM jobs") == [("gone",)]
    assert len(kept(tiny)) == 1, "the stored file itself"


def test_an_input_that_the_store_took_and_refused_does_not_stay_there(node, tiny):
    a = node("a")

    def taken(handler):
        tiny.objects[handler.path[len("/tiny/"):]] = (SOUND, 5.0)
        return says(403, "AccessDenied")(handler)

    once_it_is_asked(tiny, "PUT", taken)
    with pytest.raises(Refusal):
        a.begin()
    assert not kept(tiny) and os.listdir(str(a.folder)) == []


def test_where_nothing_can_be_noted_no_input_stays_in_the_store(node, tiny):
    a = node("a")

    def put(path):
        os.mkdir(os.path.join(os.path.dirname(path), "job.new"))  # where the note would be written
        with open(path, "wb") as file:
            file.write(SOUND)

    with pytest.raises(OSError):
        a.jobs.add(ORDER, put, True)
    assert not kept(tiny) and os.listdir(str(a.folder)) == []


def test_what_ends_while_the_catalogue_is_away_is_published_when_it_is_back(pair):
    a, b = pair
    id = a.begin()
    a.catalogue.is_away = True
    a.converter.finish()
    eventually(lambda: a.jobs._put_off)
    assert b.status(id)["status"] in (QUEUED, RUNNING)
    a.catalogue.is_away = False
    b.wait(id, DONE)
    assert b.deliver(id) == SOUND[::-1]


def test_what_cannot_become_a_file_while_the_catalogue_is_away_may_be_asked_for_again(pair):
    a, b = pair
    job = a.add(AS_IT_IS._replace(save_as="b.wav"))
    a.catalogue.is_away = True
    a.jobs.start(job)
    eventually(lambda: a.jobs._put_off)
    a.catalogue.is_away = False
    assert b.wait(job.id, FAILED)["problem"]["code"] == "busy"


def test_what_ends_while_the_store_refuses_is_stored_when_it_does_not(pair, tiny):
    a, b = pair
    id = a.begin()
    tiny.faults += [says(403, "AccessDenied")] * 3
    a.converter.finish()
    b.wait(id, DONE)
    assert b.deliver(id) == SOUND[::-1]


def test_a_result_that_cannot_be_kept_is_a_failure_in_words(pair, tiny, monkeypatch):
    a, b = pair

    def full(key, path, size, sha256):
        raise Refusal("no-space", "the disk is full")

    monkeypatch.setattr(a.storage.results, "put", full)
    id = a.begin()
    a.converter.finish()
    assert b.wait(id, FAILED)["problem"]["code"] == "no-space"
    eventually(lambda: not kept(tiny))
    assert not a.bugs


def test_what_is_done_is_never_told_without_its_bytes(pair, tiny):
    a, b = pair
    id = a.begin()

    def collected(handler):
        key = handler.path.rpartition("/")[2]
        b.catalogue.write([("INSERT INTO removals (key, since_ms) VALUES (?, 5)", (key,))])
        once_it_is_asked(tiny, "DELETE", away)
        return False

    def away(handler):
        a.catalogue.is_away = True
        return False

    once_it_is_asked(tiny, "PUT", collected)
    a.converter.finish()
    eventually(lambda: a.catalogue.is_away and a.jobs._put_off)
    a.catalogue.is_away = False
    eventually(lambda: b.board.named(id).is_over)
    assert b.status(id)["problem"]["code"] == "internal" and b.jobs.find(id).result is None
    assert [type(bug) for bug in a.bugs] == [FileNotFoundError]
    a.bugs.clear()


def test_a_disk_that_fails_is_a_failure_and_a_line_in_the_log(pair, monkeypatch):
    a, b = pair

    def broken(key, path, size, sha256):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(a.storage.results, "put", broken)
    id = a.begin()
    a.converter.finish()
    assert b.wait(id, FAILED)["problem"]["code"] == "internal"
    assert [error.errno for error in a.bugs] == [errno.EIO]
    a.bugs.clear()


def test_bytes_that_vanished_are_gone_for_who_asks(pair, tiny):
    a, b = pair
    id = a.done()
    for name in kept(tiny):
        del tiny.objects[name]
    with pytest.raises(Refusal) as caught:
        b.deliver(id)
    assert caught.value.code == "gone"


def test_the_collector_takes_no_result_that_somebody_may_fetch(pair, tiny):
    a, b = pair
    id = a.done()
    assert b.storage.collect(0.0) == [] and len(kept(tiny)) == 1
    tiny.objects["p/files/ff/" + "f" * 32] = (b"left by a crash", 5.0)
    assert b.storage.collect(0.0) == ["f" * 32]
    assert b.deliver(id) == SOUND[::-1]


def test_no_backup_has_conversions(pair, tmp_path):
    a, b = pair
    a.done()
    assert b.storage.backup(tmp_path / "copy") == 0
    with closing(sqlite3.connect(str(tmp_path / "copy" / "catalogue.db"))) as copy:
        assert copy.execute("SELECT count(*) FROM jobs").fetchall() == [(0,)]


def test_a_move_ends_conversions_and_none_begins_until_it_is_over(pair):
    a, b = pair
    done, running = a.done(), a.begin()
    freeze = "INSERT OR IGNORE INTO places (what, word, address) VALUES ('moving', 'word', 'elsewhere')"
    b.catalogue.write([(freeze, ())])
    eventually(lambda: a.converter.cancelled and os.listdir(str(a.folder)) == [])
    assert b.code(done) == a.code(running) == "gone"
    with pytest.raises(Refusal) as caught:
        b.begin()
    assert (caught.value.code, dict(caught.value.headers)) == ("busy", {"Retry-After": "60"})
    assert os.listdir(str(b.folder)) == []
    b.storage.cancel_move()
    assert a.status(b.begin())["status"] == QUEUED


def test_a_folders_conversions_do_not_come_along_into_a_cluster_and_go_from_the_disk(node, clock, tmp_path):
    with Storage(tmp_path / "a", free_space_kept=0) as storage:
        converter, bugs = ByHand(), []
        folder = tmp_path / "a" / "conversions"
        before = Jobs(folder, converter, storage, audiometa.identify, most=9, result_ttl=TTL, on_bug=bugs.append, clock=clock)

        def put(path):
            with open(path, "wb") as file:
                file.write(SOUND)

        done, unfinished = (before.add(ORDER, put, True) for _ in range(2))
        before.start(done)
        before.start(unfinished)
        converter.finish(0)
        eventually(lambda: before.status(done)["status"] == DONE)
        before.close()
    a = node("a")
    assert a.code(done.id) == a.code(unfinished.id) == "not-found"
    eventually(lambda: os.listdir(str(folder)) == [done.id])
    clock.now += TTL + 1
    again = node("a")
    eventually(lambda: os.listdir(str(folder)) == [])
    assert again.converter.begun == [] and not bugs


# -- over sockets --------------------------------------------------------------------------------------------------


@pytest.fixture
def servers(tiny, running, tmp_path):
    """Two real ones."""
    where = {"catalogue": "rqlite://127.0.0.1:4001", "blobs": tiny.url("p"), "jobs": 1}
    return running(tmp_path / "a", **where), running(tmp_path / "b", **where)


def begun(server, parameters="rate=8000&format=wav", body=SOUND):
    status, fields, text = request(server.address, "POST", f"/resample?async=true&{parameters}", body)
    assert status == 202, text
    return fields["location"]


def last_event(server, where):
    status, _, body = request(server.address, "GET", where + "/events")
    assert status == 200
    return json.loads(body.decode().strip().split("\n\n")[-1][6:])


def test_a_conversion_begun_at_one_server_is_fetched_from_the_other(servers, tiny):
    a, b = servers
    where = begun(a, "rate=8000&format=wav&name=in.wav")
    status = last_event(b, where)
    assert (status["status"], status["size"], status["done"]) == ("done", len(SOUND), "passthrough")
    assert json.loads(request(a.address, "GET", where)[2]) == status
    result = where + "/result"
    for server in servers:
        code, fields, body = request(server.address, "HEAD", result)
        assert (code, fields["content-length"], body) == (200, str(len(SOUND)), b"")
        assert fields["content-type"] == "audio/wav"
        assert fields["x-resample"] == "passthrough" and 'filename="in.wav"' in fields["content-disposition"]
        ranged = request(server.address, "GET", result, headers={"Range": "bytes=5-9"})
        assert (ranged[0], ranged[2], ranged[1]["content-range"]) == (206, SOUND[5:10], f"bytes 5-9/{len(SOUND)}")
        assert request(server.address, "GET", result, headers={"If-None-Match": fields["etag"]})[0] == 304
        assert request(server.address, "GET", result, headers={"If-Match": '"x"'})[0] == 412
        assert request(server.address, "GET", result, headers={"Range": f"bytes={len(SOUND)}-"})[0] == 416
    assert request(b.address, "GET", result)[2] == SOUND
    for server in servers:
        eventually(lambda: request(server.address, "GET", where)[0] == 410)
    eventually(lambda: not kept(tiny))  # the row goes first


def test_a_file_stored_at_one_server_is_converted_at_the_other(servers):
    a, b = servers
    record = json.loads(request(a.address, "POST", "/post?name=in.wav", SOUND)[2])
    for source in ("source=in.wav", "id=" + record["id"]):
        assert request(b.address, "POST", f"/resample?{source}&rate=8000&format=wav")[2] == SOUND
        where = begun(b, f"{source}&rate=8000&format=wav", None)
        assert last_event(a, where)["status"] == "done"
        assert request(a.address, "GET", where + "/result")[2] == SOUND


def test_a_conversion_is_removed_at_the_other_server_and_saved_there(servers):
    a, b = servers
    where = begun(a)
    last_event(b, where)
    assert [request(server.address, "DELETE", where)[0] for server in (b, a)] == [204, 410]
    where = begun(a, "rate=8000&format=wav&save_as=kept.wav")
    status = last_event(b, where)
    code, fields, _ = request(b.address, "GET", where + "/result")
    assert (code, fields["location"]) == (303, status["file"] + "/content")
    assert request(b.address, "GET", fields["location"])[2] == SOUND
    assert request(b.address, "GET", "/resample/never-was")[0] == 404
