"""Servers that share a catalogue and a store, in one process: each with its jobs, converted by hand."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from support import eventually
from test_jobs import ORDER, SOUND, ByHand
from test_storage import upload

import audiometa
from audiokit.job import DONE
from audiokit.jobs import Jobs
from audiokit.shared_jobs import SharedJobs
from audiokit.wire.problems import Refusal
from storage import Storage

TTL = 3600.0


class Member:
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
        self.board, self.heirs = self.storage.results.board, self.jobs._heirs

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


def kept(tiny):
    """The store's objects that are audio."""
    return [name for name in tiny.names() if name.startswith("p/files/")]


def heard(member, id):
    """All that a follower is told, once the job is over."""
    told, over = [], threading.Event()

    def watcher(job):
        told.append(member.jobs.status(job))
        if job.is_over:
            over.set()

    stop = member.jobs.follow(member.jobs.find(id), watcher)
    return told, over, stop


def dead(member):
    """It does nothing any more, and leaves all as it is."""
    member.jobs.close()
    member.jobs.close = lambda: None


def once_it_is_asked(tiny, method, act):
    """Have the store do `act` at the next request of that kind for audio, and serve all before it."""

    def fault(handler):
        if handler.command == method and "/files/" in handler.path:
            return act(handler)
        tiny.faults.insert(0, fault)
        return False

    tiny.faults.insert(0, fault)


def stored_order(member, name="in.wav"):
    """A conversion of a stored file."""
    upload(member.storage, SOUND, name)
    return ORDER._replace(source=member.storage.content(name=name).key)
