"""The jobs of servers that share a catalogue: whichever is asked knows all that are wanted later.

One server converts: the one that was asked to, with its own queue, folder and workers (jobs.py).  What it has begun is
posted on a board in the catalogue before the client is told, and what is to be converted is in the store of the bytes by
then; how far it is, at most once a second; its end when the result is in the store, where every server finds it, also when
the one that made it is no more.

    find      the board is right, always; the job's own server only knows better how far it is
    follow    one look at the board a second (sooner at the beginning), for all who follow anything, and for what others
              removed of ours
    remove    on the board; its own server sees that within a second and stops

A job whose server is silent for a minute is another one's (heirs.py): a server that hung, and wakes, sees that, makes no
file of it and names no result.  A server that is back earlier begins its unfinished jobs again, as after any restart.  Where
the catalogue or the store is away when a job ends, its server tries again until they are back.  Raises `Refusal`, and what
the catalogue raises.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple, Union

from .catalogue.jobs import GONE, Made, Posted, undone
from .catalogue.rows import Statement
from .failures import AWAY, refusal_of
from .far_job import FarJob, is_held, written
from .heirs import Heirs, Stamps
from .job import DONE, FAILED, Delivered, Job, Share, gone, unknown
from .jobs import Elsewhere, Jobs
from .wire.problems import Refusal
from .wire.workers import Lane, Workers

PULSE_S = 1.0  # between looks at the board, while there is anything to see
SILENT_S = 60.0  # without a word of its server another takes a job: longer than a restart, or a new leader, takes
_CREW = 4  # threads that send results and write rows: they wait for other machines, not for a core
_WITHDRAWN = 1000  # ids remembered of what was refused while the catalogue is away; no more of its writes can come late
_SPANS = 100  # of a result whose delivery is remembered: a client of many pieces has to wait for its end to expire
_PATIENCE_S = 5.0  # for what waits for another machine while we end
AnyJob = Union[Job, FarJob]


class _End:
    """A job that ended so, until all can know."""

    def __init__(self, job: Job, state: str, failure: Optional[Refusal]) -> None:
        self.job, self.state, self.failure = job, state, failure
        self.made: Optional[Made] = None
        self.is_there = False  # whether the store has its bytes


class SharedJobs(Elsewhere):
    """All jobs of all servers, with the face of `Jobs`.  Thread-safe; what asks the board waits for it."""

    def __init__(
        self, make: Callable[..., Jobs], results: Any, *, result_ttl: float, on_bug: Callable[[BaseException], None],
        clock: Callable[[], float] = time.time, pulse_s: float = PULSE_S, silent_s: float = SILENT_S,
    ) -> None:
        """`make(elsewhere=…)` gives this server's own jobs; `results` has the board and the results."""
        self._results, self._board = results, results.board
        self._on_bug, self._clock = on_bug, clock
        self._pulse_s, self._silent_s = pulse_s, silent_s
        self._lock = threading.Lock()
        self._posted: Dict[str, Tuple[Any, float]] = {}  # of ours: what the board was told, and when
        self._ending: Dict[str, _End] = {}
        self._put_off: List[_End] = []
        self._withdrawn: Deque[str] = deque(maxlen=_WITHDRAWN)  # refused, and perhaps on the board all the same
        self._followers: Dict[str, List[_Follower]] = {}
        self._next_round, self._is_clearing = 0.0, False
        self._crew = Workers(_CREW, "job-ends", on_bug)
        self._stirred, self._over = threading.Event(), threading.Event()
        self._stamps = Stamps(clock)
        self._jobs = make(elsewhere=self)
        self._heirs = Heirs(
            self._jobs, results, self._stamps, silent_s=silent_s, expiry=lambda: clock() + result_ttl,
            submit=Lane(self._crew, _CREW // 2).submit,  # inputs may take minutes to come, and ends must not wait for that
            stir=self._stirred.set,
        )
        self.warm_up, self.check_room = self._jobs.warm_up, self._jobs.check_room
        self.add, self.cancel = self._jobs.add, self._jobs.cancel
        self._jobs.resume()
        self._stirred.set()  # what others did meanwhile
        self._thread = threading.Thread(target=self._run, name="job-board", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, and whoever converts with it; this server's unfinished jobs stay for its next start."""
        self._over.set()
        self._stirred.set()
        self._thread.join(_PATIENCE_S)  # it may wait for the catalogue
        self._jobs.close()
        self._crew.close()

    # -- asking ----------------------------------------------------------------------------------------

    def find(self, id: str, owner: Optional[int] = 0) -> AnyJob:
        """As `Jobs.find`."""
        row = self._board.named(id)
        if row is None or owner not in (None, row.owner):
            raise unknown()
        if row.state == GONE or row.is_over and row.expires_ms <= 1000 * self._clock():
            raise gone()
        mine = None if row.is_over else self._jobs.unfinished().get(id)
        return mine if mine is not None and is_held(row, mine) else FarJob(row)

    def status(self, job: AnyJob) -> Dict[str, Any]:
        """What a client is told of it."""
        return self._jobs.status(job) if type(job) is Job else job.said

    def follow(self, job: AnyJob, watcher: Callable[[Any], None]) -> Callable[[], None]:
        """As `Jobs.follow`; quick."""
        if type(job) is Job:
            stop = self._jobs.follow(job, watcher)
            if job.is_wanted_later and self._jobs.unfinished().get(job.id) is not job and not job.is_over:
                self._follow(job.id, _Follower(watcher, ""))  # another server took it just now
        else:
            watcher(job)  # first: or it might come behind what is newer
            if not job.is_over:
                self._follow(job.id, _Follower(watcher, job.row.status))

        def forget() -> None:
            if type(job) is Job:
                stop()
            self._forget(job.id, watcher)  # it may be another server's by now

        return forget

    def _follow(self, id: str, follower: _Follower) -> None:
        with self._lock:
            there = self._followers.setdefault(id, [])
            if all(one.watcher is not follower.watcher for one in there):
                there.append(follower)
        self._stirred.set()

    def _forget(self, id: str, watcher: Callable[[Any], None]) -> None:
        with self._lock:
            left = [one for one in self._followers.pop(id, []) if one.watcher is not watcher]
            if left:
                self._followers[id] = left

    # -- results ---------------------------------------------------------------------------------------

    def open_result(self, job: AnyJob, start: int, stop: int) -> Any:
        """What these bytes of the result are sent from: a descriptor or a `Source`; Refusal `gone`, `busy`."""
        if type(job) is Job:
            return self._jobs.open_result(job)
        try:
            return self._results.open(job.row, start, stop)
        except FileNotFoundError:
            raise gone("result") from None

    def answered(self, job: AnyJob, spans: List[Tuple[int, int]], is_whole: bool) -> None:
        """As `Jobs.answered`; quick."""
        if type(job) is Job:
            self._jobs.answered(job, spans, is_whole)
        elif is_whole:
            self._crew.submit(self._delivered, job.id, spans)

    def _delivered(self, id: str, spans: List[Tuple[int, int]]) -> None:
        """These bytes of a result are out, others perhaps from other servers; all of them, and it goes."""
        try:
            while True:
                row = self._board.named(id)
                if row is None or row.state != DONE:
                    return
                delivered = Delivered(json.loads(row.delivered))
                for start, stop in spans:
                    delivered.add(start, stop)
                if delivered.covers(row.size):
                    return self._results.remove(id)
                text = json.dumps(delivered.spans[:_SPANS])
                if text == row.delivered or self._board.note_delivered(id, row.delivered, text):
                    return
        except AWAY:
            pass  # it stays until it expires

    def remove(self, job: AnyJob) -> None:
        """Cancel it, or remove what came of it, for all servers; harmless a second time."""
        self._results.remove(job.id)
        mine = self._jobs.unfinished().get(job.id)
        if mine is not None:
            self._jobs.remove(mine)

    def start(self, job: Job) -> None:
        """Begin the work; quick."""
        self._jobs.start(job)
        self._stirred.set()  # there is something to tell from now on

    # -- what this server's jobs tell -------------------------------------------------------------------

    def share(self, job: Job) -> Share:
        """What others need to go on with a job: its input is in the store; Refusal `busy`."""
        is_stored = job.order.source is not None
        return Share(secrets.token_hex(16), None if is_stored else self._results.send(job.input))

    def post(self, job: Job) -> None:
        """A job is about to begin: from now on every server knows of it; Refusal `busy`."""
        try:
            self._board.post(job.id, job.owner, self._said(job), job.order.mime, self._stamps.next_ms(), job.share.key)
        except (OSError, sqlite3.IntegrityError) as error:
            raise refusal_of(error) from error

    def withdraw(self, job: Job) -> None:
        """A job is refused: its input goes, and its row, which may be on the board although nobody heard of that."""
        if job.share.holder:  # it was shared, and perhaps posted
            self._results.disown(job.share.key)
            with self._lock:
                self._withdrawn.append(job.id)
            self._stirred.set()

    def _said(self, job: Job) -> str:
        """The status of a job that is not over, as it is on the board."""
        return written(self._jobs.status(job), job)

    def check(self, job: Job) -> None:
        """Refusal `gone` where a job that is about to become a file is another server's by now, or was removed."""
        try:
            row = self._board.named(job.id)
        except OSError as error:
            raise refusal_of(error) from error
        if row is None or row.is_over or not is_held(row, job):
            raise gone()

    def undo(self, job: Job, key: str) -> Statement:
        """What takes back the file with the bytes `key` where the job is not ours when the file comes to be."""
        return undone(key, job.id, job.share.holder)

    def publish(self, job: Job, state: str, failure: Optional[Refusal]) -> None:
        """A job has ended: its result, then its row; quick."""
        end = _End(job, state, failure)
        with self._lock:
            self._ending[job.id] = end
        self._crew.submit(self._announce, end)

    def _announce(self, end: _End) -> None:
        job = end.job
        try:
            self._bring(end)
            status = json.dumps(self._jobs.status(job, end.state, end.failure))
            is_known = self._board.finish(
                job.id, end.state, status, end.made, int(1000 * job.expires), job.share.holder, self._stamps.next_ms(),
            )
            if not is_known:  # it was removed, or given up, or another server took it
                self._drop(end)
                self._lose(job)
        except (Refusal, *AWAY) as error:
            if job.id in self._jobs.unfinished():
                return self._fell_short(end, error)
            is_known = False
        if is_known:
            self._results.carry_out(job.share.key)
            self._jobs.conclude(job, end.state, end.failure)
        with self._lock:
            self._ending.pop(job.id, None)

    def _bring(self, end: _End) -> None:
        """Have the result in the store; its key stays the same however often that is tried."""
        result = end.job.result
        if end.state != DONE or result is None or end.is_there:
            return
        if end.made is None:
            end.made = Made(self._results.new_key(), result.size, result.sha256, int(1000 * result.since))
        self._results.put(end.made.key, end.job.output, result.size, result.sha256)
        end.is_there = True

    def _fell_short(self, end: _End, error: BaseException) -> None:
        """It could not be published: again, where somebody was away, else the job has failed."""
        refusal = refusal_of(error) if isinstance(error, OSError) else error
        is_away = isinstance(refusal, Refusal) and refusal.code == "busy"
        if not is_away and end.state == DONE:
            self._drop(end)
            end.state, end.failure = FAILED, Refusal("internal", "the result could not be kept")
            if isinstance(refusal, Refusal):
                end.failure = refusal
            else:
                self._on_bug(error)
        with self._lock:
            self._put_off.append(end)

    def _drop(self, end: _End) -> None:
        made, end.made, end.is_there = end.made, None, False
        if made is not None:
            self._results.disown(made.key)

    # -- the board's thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        pause, shortest = 0.0, self._pulse_s / 16
        while True:
            is_news = self._stirred.wait(pause if self._is_busy() else self._silent_s / 4)
            self._stirred.clear()
            if self._over.is_set():
                return
            pause = shortest if is_news else min(2 * pause + shortest, self._pulse_s)  # most conversions are short
            try:
                self._look()
                if time.monotonic() >= self._next_round:
                    self._go_round()
                    self._next_round = time.monotonic() + self._silent_s / 4
            except AWAY:
                self._heirs.hear_anew()
            except Exception as bug:  # the edge of a thread: the next look may go better
                self._on_bug(bug)
            self._try_again()
            self._over.wait(shortest)  # whatever the news: the board is everybody's

    def _is_busy(self) -> bool:
        """Whether there is anything of ours, or of interest to somebody here."""
        return bool(self._followers or self._ending or self._withdrawn or self._mine())

    def _mine(self) -> Dict[str, Job]:
        """The jobs that this server is at, those too whose input is on its way."""
        return {**self._heirs.adopting, **self._jobs.unfinished()}  # in this order: what has begun meanwhile is in both

    def _try_again(self) -> None:
        with self._lock:
            put_off, self._put_off = self._put_off, []
        for end in put_off:
            self._crew.submit(self._announce, end)
        self._heirs.try_again()

    def _look(self) -> None:
        """See what became of ours and of those that are followed, and tell how far ours are."""
        while self._withdrawn:
            self._board.withdraw(self._withdrawn[0], int(1000 * self._clock()))
            self._withdrawn.popleft()
        mine = self._mine()
        rows = self._board.all_named([*mine, *list(self._followers)])
        wanted = {id: job for id, job in mine.items() if id in rows and not rows[id].is_over and is_held(rows[id], job)}
        for id, job in mine.items():
            with self._lock:
                is_ending = id in self._ending
            if id not in wanted and not is_ending:  # what is ending finds out by itself
                self._lose(job)
        self._stamps.go_on_from(rows[id].renewed_ms for id in wanted)
        self._advance(wanted)
        for id in list(self._followers):
            if id in rows:
                self._tell(rows[id])

    def _advance(self, mine: Dict[str, Job]) -> None:
        """Tell how far they are: what changed, and now and then that somebody is at it still."""
        now, news, posted = time.monotonic(), [], {}
        for id, job in mine.items():
            said = self._jobs.status(job)
            gist = (said["status"], said["position"], int(100 * said["progress"]))
            before, since = self._posted.get(id, (None, 0.0))
            if now - since >= (self._silent_s / 6 if gist == before else self._pulse_s):
                news.append((id, said["status"], self._said(job), job.share.holder))
                before, since = gist, now
            posted[id] = (before, since)
        self._board.advance(news, self._stamps.next_ms())
        self._posted = posted

    def _lose(self, job: Job) -> None:
        """It was removed, or another server has it now; then whoever was told of it here is told of that."""
        self._heirs.drop(job.id)
        row = self._board.named(job.id)
        if row is None or row.is_over:
            return self._jobs.remove(job)
        for watcher in self._jobs.release(job):
            self._follow(job.id, _Follower(watcher, ""))

    def _tell(self, row: Posted) -> None:
        job = FarJob(row)
        with self._lock:
            followers = [one for one in self._followers.get(row.id, ()) if job.is_over or one.heard != row.status]
            if job.is_over:
                self._followers.pop(row.id, None)
        for one in followers:
            one.heard = row.status
            one.watcher(job)

    def _go_round(self) -> None:
        """What any server does for all: end what expired, forget what is gone, and see whose server is silent."""
        now_ms = int(1000 * self._clock())
        due = self._board.due(now_ms)
        self._heirs.look(due.unfinished, self._mine())
        if due.expired and not self._is_clearing:
            self._is_clearing = True
            self._crew.submit(self._clear, due.expired)
        if due.is_forgettable:
            self._board.forget(now_ms)

    def _clear(self, ids: List[str]) -> None:
        """End what expired; beside the board's thread, which a slow store must not keep from saying that we live."""
        try:
            for id in ids:
                self._results.remove(id)
        except AWAY:
            pass  # the next round finds them again
        finally:
            self._is_clearing = False


class _Follower:
    """Somebody who is told of a job, and the status that they heard last."""

    def __init__(self, watcher: Callable[[Any], None], heard: str) -> None:
        self.watcher, self.heard = watcher, heard
