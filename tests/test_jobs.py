"""Conversions as jobs: their states, their files, their end, and what a restart finds."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import stat
import threading

import pytest
from support import wav

import audiometa
from audiokit.job import (
    DONE,
    FAILED,
    QUEUED,
    RUNNING,
    Conversion,
    Converter,
    Delivered,
    Order,
    Outcome,
)
from audiokit.jobs import Jobs
from audiokit.wire.problems import Refusal
from storage import Storage

SOUND = wav()
TO_MP3 = Conversion("mp3", 32000, 1, 64)
ORDER = Order(TO_MP3, "a.mp3", "audio/mpeg", "converted 8000->32000 mp3 64k mono")
AS_IT_IS = Order(None, "a.wav", "audio/wav", "passthrough")


class ByHand(Converter):
    """Conversions that go on when the test says so; the result is the input backwards."""

    def __init__(self) -> None:
        self.begun = []
        self.news = threading.Condition()
        self.cancelled = []

    def begin(self, source, target, conversion, seconds, on_progress, on_done):
        with self.news:
            self.begun.append((source, target, conversion, on_progress, on_done))
            self.news.notify_all()
        return lambda: self.cancelled.append(source)

    def wait(self, count):
        with self.news:
            assert self.news.wait_for(lambda: len(self.begun) >= count, 60)

    def finish(self, number=0, **outcome):
        source, target, _, _, on_done = self.begun[number]
        if not outcome.get("failure"):
            with open(source, "rb") as file, open(target, "wb") as out:
                out.write(file.read()[::-1])
        on_done(Outcome(**outcome))


class Clock:
    now = 1_795_240_000.0

    def __call__(self):
        return self.now


class Room:
    """Jobs over a storage, with a converter by hand."""

    def __init__(self, data, **settings):
        self.storage = Storage(data, free_space_kept=0)
        self.converter, self.clock, self.bugs = ByHand(), Clock(), []
        self.folder = self.storage.data / "conversions"
        wanted = {"most": 10, "result_ttl": 3600.0, **settings}
        self.jobs = Jobs(
            self.folder,
            self.converter,
            self.storage,
            audiometa.identify,
            on_bug=self.bugs.append,
            clock=self.clock,
            **wanted,
        )

    def add(self, order=ORDER, data=SOUND, later=True):
        def put(path):
            with open(path, "wb") as file:
                file.write(data)

        job = self.jobs.add(order, put, later)
        job.ended = threading.Event()
        self.jobs.follow(job, lambda job: job.is_over and job.ended.set())
        return job

    def start(self, *arguments, **wishes):
        job = self.add(*arguments, **wishes)
        self.jobs.start(job)
        return job

    def done(self, **wishes):
        """A job that has a result."""
        job = self.start(**wishes)
        self.converter.finish(len(self.converter.begun) - 1)
        assert job.ended.wait(60)
        return job

    def files(self):
        """What is in the folder, once the crew has done all it was given."""
        for _ in range(2):
            barrier = threading.Barrier(3)
            for _ in range(2):
                self.jobs._crew.submit(barrier.wait, 60)
            barrier.wait(60)
        if not self.folder.is_dir():
            return []
        return sorted(p.name for p in self.folder.rglob("*") if p.is_file())

    def close(self):
        self.jobs.close()
        self.storage.close()
        assert not self.bugs


@pytest.fixture
def rooms(tmp_path):
    """A function that opens the data folder, closing it first where it is open."""
    open_ones = []

    def make(**settings):
        while open_ones:
            open_ones.pop().close()
        open_ones.append(Room(tmp_path / "var", **settings))
        return open_ones[-1]

    yield make
    while open_ones:
        open_ones.pop().close()


@pytest.fixture
def room(rooms):
    return rooms()


def refused(call, *arguments):
    with pytest.raises(Refusal) as caught:
        call(*arguments)
    return caught.value.code


# -- states -------------------------------------------------------------------------------------------------


def test_a_job_goes_from_queued_to_done(room):
    job = room.start()
    assert room.jobs.status(job)["status"] == QUEUED and room.jobs.status(job)["position"] == 1
    source, target, conversion, on_progress, _ = room.converter.begun[0]
    assert conversion == TO_MP3
    on_progress(0.5)
    status = room.jobs.status(job)
    assert status["status"] == RUNNING and status["progress"] == 0.5 and status["position"] is None
    assert status["seconds_left"] >= 0 and status["result"] is None
    room.converter.finish(warnings=("2 frames are silent",))
    assert job.ended.wait(60)
    status = room.jobs.status(job)
    assert (
        status["status"] == DONE
        and status["progress"] == 1
        and status["result"] == f"/resample/{job.id}/result"
    )
    assert status["warnings"] == ["2 frames are silent"] and status["size"] == len(SOUND)
    with os.fdopen(room.jobs.open_result(job), "rb") as file:
        assert file.read() == SOUND[::-1]
    assert job.result.sha256 == hashlib.sha256(SOUND[::-1]).hexdigest()


def test_progress_never_goes_back_and_is_not_whole_before_the_end(room):
    job = room.start()
    for share in (0.5, 0.2, 1.0):
        room.converter.begun[0][3](share)
    assert 0.5 < room.jobs.status(job)["progress"] < 1


def test_what_is_as_wanted_is_passed_through_without_a_converter(room):
    job = room.start(AS_IT_IS)
    assert job.ended.wait(60) and job.state == DONE and not room.converter.begun
    with os.fdopen(room.jobs.open_result(job), "rb") as file:
        assert file.read() == SOUND


def test_a_conversion_that_fails_says_why_and_leaves_no_file(room):
    job = room.start()
    room.converter.finish(failure=Refusal("damaged-audio", "no frame in it"))
    assert job.ended.wait(60)
    status = room.jobs.status(job)
    assert status["status"] == FAILED and status["problem"]["code"] == "damaged-audio"
    assert room.files() == []


def test_a_result_that_cannot_be_kept_fails_with_words(room):
    job = room.start()
    room.converter.begun[0][4](Outcome())  # without having written anything
    assert job.ended.wait(60)
    assert job.failure.code == "internal" and room.files() == []
    bug = room.bugs.pop()
    assert isinstance(bug, FileNotFoundError)


def test_a_full_disk_is_told_as_such(room):
    def put(path):
        raise OSError(errno.ENOSPC, "no space left")

    assert refused(room.jobs.add, ORDER, put, True) == "no-space"
    assert os.listdir(str(room.folder)) == []


def test_positions_are_in_the_order_the_jobs_came(room):
    one, two, three = (room.start() for _ in range(3))
    assert [room.jobs.status(job)["position"] for job in (one, two, three)] == [1, 2, 3]
    room.converter.begun[0][3](0.1)
    assert [room.jobs.status(job)["position"] for job in (one, two, three)] == [None, 1, 2]


def test_the_queue_is_bounded_and_takes_more_when_one_is_over(rooms):
    room = rooms(most=2)
    room.start(), room.start()
    with pytest.raises(Refusal) as caught:
        room.add()
    assert caught.value.code == "busy" and ("Retry-After", "5") in caught.value.headers
    room.converter.finish()
    room.files()
    room.start()


def test_whose_input_is_on_its_way_has_a_place_in_the_queue_until_that_fails(rooms):
    room = rooms(most=1)

    def put(path):
        with pytest.raises(Refusal) as caught:
            room.add()
        assert caught.value.code == "busy"
        raise OSError(errno.EIO, "and then it fails")

    with pytest.raises(OSError):
        room.jobs.add(ORDER, put, True)
    room.start()


def test_watchers_are_told_each_change_and_no_more_when_they_stop(room):
    job = room.add()
    seen = []
    stop = room.jobs.follow(job, lambda job: seen.append((job.state, job.progress)))
    room.jobs.start(job)
    room.converter.begun[0][3](0.25)
    room.converter.begun[0][3](0.2501)  # no news
    assert seen == [(QUEUED, 0.0), (RUNNING, 0.25)]
    stop()
    room.converter.finish()
    assert job.ended.wait(60) and len(seen) == 2


# -- files --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_everything_is_ours_alone(room):
    job = room.add()
    for path in (room.folder, job.folder):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((job.folder / "job.json").stat().st_mode) == 0o600


def test_ids_cannot_be_guessed(room):
    ids = [room.add().id for _ in range(5)]
    assert len(set(ids)) == 5 and all(len(id) >= 24 for id in ids)


def test_an_input_that_cannot_be_brought_leaves_nothing(room):
    def put(path):
        with open(path, "wb"):
            raise Refusal("no-space", "the disk is full")

    assert refused(room.jobs.add, ORDER, put, True) == "no-space"
    assert os.listdir(str(room.folder)) == []


def test_the_input_goes_when_the_result_is_there(room):
    room.done()
    assert room.files() == ["job.json", "result"]


def test_a_result_that_becomes_a_file_leaves_nothing_here(room):
    job = room.start(ORDER._replace(conversion=None, save_as="new.wav"))
    assert job.ended.wait(60)
    assert room.files() == []
    assert room.storage.record(name="new.wav") == job.record
    assert room.jobs.status(job)["file"] == f"/files/{job.file_id}"


def test_a_result_whose_name_is_taken_fails_with_words(room):
    for data in (SOUND, wav(0.2)):
        job = room.start(ORDER._replace(conversion=None, save_as="new.wav"), data)
        assert job.ended.wait(60)
    assert job.failure.code == "name-taken" and room.files() == []


def test_what_is_lent_stays_when_the_file_goes(room):
    storage = room.storage
    with storage.begin_upload(len(SOUND)) as upload:
        upload.write(SOUND)
        kept = storage.keep(
            upload,
            name="a.wav",
            info=audiometa.identify(upload.file),
            sha256=hashlib.sha256(SOUND).hexdigest(),
            size=len(SOUND),
            metadata={},
        )
    content = storage.content(id=kept.id)
    job = room.jobs.add(AS_IT_IS, lambda path: storage.lend(content, path), True)
    storage.remove(kept.id)
    with open(job.input, "rb") as file:
        assert file.read() == SOUND


# -- the end ------------------------------------------------------------------------------------------------


def test_a_result_that_was_delivered_whole_is_gone(room):
    job = room.done()
    room.jobs.answered(job, [(0, len(SOUND))], True)
    assert refused(room.jobs.find, job.id) == "gone"
    assert room.files() == [] and refused(room.jobs.open_result, job) == "gone"


def test_a_delivery_that_broke_off_does_not_count(room):
    job = room.done()
    room.jobs.answered(job, [(0, len(SOUND))], False)
    assert room.jobs.find(job.id) is job and room.files() == ["job.json", "result"]


def test_ranges_that_cover_it_together_count_as_whole(room):
    job = room.done()
    room.jobs.answered(job, [(100, len(SOUND))], True)
    room.jobs.answered(job, [(0, 50), (40, 99)], True)
    assert room.jobs.find(job.id) is job
    room.jobs.answered(job, [(99, 100)], True)
    assert refused(room.jobs.find, job.id) == "gone"


def test_spans_are_counted_as_a_set_of_bytes_would_be():
    chance = random.Random(6)
    for _ in range(300):
        size, delivered, bytes_out = chance.randrange(1, 30), Delivered(), set()
        for _ in range(12):
            start = chance.randrange(size)
            stop = chance.randrange(start, size) + 1
            delivered.add(start, stop)
            bytes_out.update(range(start, stop))
            assert delivered.covers(size) == (len(bytes_out) == size)


def test_a_waiting_client_that_goes_takes_its_job_along(room):
    job = room.start(later=False)
    room.jobs.cancel(job)
    assert room.files() == [] and room.converter.cancelled == [job.input]
    room.converter.begun[0][4](Outcome(failure=Refusal("gone", "cancelled")))  # as converters do after a cancel
    assert room.files() == [] and refused(room.jobs.find, job.id) == "gone"


def test_what_a_worker_still_writes_after_a_cancel_goes_too(room):
    job = room.start()
    room.jobs.remove(job)
    os.mkdir(str(job.folder))
    with open(job.output, "wb") as file:
        file.write(b"late")
    room.converter.begun[0][4](Outcome())
    assert room.files() == [] and job.state == FAILED


def test_a_waiting_clients_result_goes_however_its_answer_ended(room):
    for is_whole in (True, False):
        job = room.done(later=False)
        room.jobs.answered(job, [(0, len(SOUND))], is_whole)
        assert room.files() == []


def test_what_is_removed_twice_is_removed_once(room):
    job = room.done()
    room.jobs.remove(job)
    room.jobs.remove(job)
    assert room.files() == [] and refused(room.jobs.find, job.id) == "gone"


def test_what_never_was_is_not_found(room):
    assert refused(room.jobs.find, "x" * 24) == "not-found"


def test_a_result_that_nobody_fetches_expires(rooms):
    room = rooms(result_ttl=0.0)
    job = room.start()
    gone = threading.Event()
    room.jobs.follow(job, lambda job: job.id not in room.jobs._jobs and gone.set())
    room.converter.finish()
    assert gone.wait(60)
    assert room.files() == [] and refused(room.jobs.find, job.id) == "gone"


def test_a_result_that_a_client_waits_for_does_not_expire_under_it(rooms):
    """It goes with the connection, however long that takes to read it."""
    room = rooms(result_ttl=0.0)
    job = room.done(later=False)
    with os.fdopen(room.jobs.open_result(job), "rb") as file:
        assert file.read() == SOUND[::-1]
    room.clock.now += 10_000
    assert room.files() == ["result"] and job.expires is None
    room.jobs.answered(job, [], False)
    assert room.files() == []


def test_years_until_something_expires_are_waited_for(rooms):
    room = rooms(result_ttl=1e15)
    assert room.done().expires > 1e15
    room.files()
    assert room.jobs._keeper.is_alive() and room.bugs == []


# -- restarts -----------------------------------------------------------------------------------------------


def test_a_result_is_there_after_a_restart(rooms):
    job = rooms().done()
    room = rooms()
    again = room.jobs.find(job.id)
    assert room.jobs.status(again) == room.jobs.status(job)
    with os.fdopen(room.jobs.open_result(again), "rb") as file:
        assert file.read() == SOUND[::-1]


def test_an_unfinished_job_begins_again_after_a_restart(rooms):
    first = rooms()
    job = first.start()
    with open(job.output, "wb") as file:
        file.write(b"half of i")
    room = rooms()
    room.converter.wait(1)
    assert not os.path.exists(job.output)
    again = room.jobs.find(job.id)
    done = threading.Event()
    room.jobs.follow(again, lambda job: job.is_over and done.set())
    room.converter.finish()
    assert done.wait(60) and again.state == DONE and again.order == ORDER


@pytest.mark.parametrize(
    "kind, spoil",
    [
        ("waited for", None),
        ("expired", lambda job: None),
        ("without a note", lambda job: os.remove(str(job.folder / "job.json"))),
        (
            "with half a note",
            lambda job: (job.folder / "job.json").write_text('{"created": 1', "utf-8"),
        ),
        ("with another note", lambda job: (job.folder / "job.json").write_text("[]", "utf-8")),
        ("with half a result", lambda job: os.truncate(job.output, 10)),
        ("without a result", lambda job: os.remove(job.output)),
    ],
)
def test_a_start_sweeps_what_nobody_can_come_back_for(rooms, kind, spoil):
    job = rooms().done(later=spoil is not None)
    folder = job.folder.parent
    if spoil is not None:
        spoil(job)
    else:
        os.makedirs(str(job.folder / "more"))
    (folder / "stray").write_bytes(b"x")
    Clock.now += 3601 if kind == "expired" else 0
    room = rooms()
    assert os.listdir(str(folder)) == [], kind
    assert refused(room.jobs.find, job.id) == "not-found"
