"""The jobs of servers that share a catalogue: whichever is asked knows all that are wanted later.

One server converts: the one that was asked to, with its own queue, folder and workers (jobs.py).  What it has begun is
posted on a board in the catalogue before the client is told, and what is to be converted is in the store of the bytes by
then; how far it is, at most once a second; its end when the result is in the store, where every server finds it, also when
the one that made it is no more.

    find      the board is right, always; the job's own server only knows better how far it is
    follow    one look at the board a second (sooner at the beginning), for all who follow anything, and for what others
              removed of ours
    remove    on the board; its own server sees that within a second and stops

A server that changes nothing about its job for a minute is taken to be dead.  Whoever sees that, and has room, takes the
job over and begins it anew; what nobody takes has failed.  No two clocks are compared for that.  A word on the board says
who has a job: a server that hung, and wakes, sees that it is another's by then, makes no file of it and names no result.
A server that is back earlier begins its unfinished jobs again, as after any restart.  Where the catalogue or the store is
away when a job ends, its server tries again until they are back.  Raises `Refusal`, and what the catalogue raises.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections import deque
from functools import partial
from typing import Any, Callable, Deque, Dict, Iterable, List, Optional, Set, Tuple, Union

from .catalogue.jobs import GONE, Due, Made, Posted, undone
from .catalogue.rows import Statement
from .failures import refusal_of
from .far_job import FarJob, ended, is_held, left_by, written
from .job import DONE, FAILED, Delivered, Job, Share, gone, unknown
from .jobs import Elsewhere, Jobs
from .wire.problems import Refusal
from .wire.workers import Lane, Workers

PULSE_S = 1.0  # between looks at the board, while there is anything to see
SILENT_S = 60.0  # without a word of its server another takes a job: longer than a restart, or a new leader, takes
_UNTAKEN = 10  # times that; then a job that nobody takes has failed
_TAKEN_MOST = 3  # times that a job is taken over: perhaps it is what its servers die of
_CREW = 4  # threads that send results and write rows: they wait for other machines, not for a core
_WITHDRAWN = 1000  # ids remembered of what was refused while the catalogue is away; no more of its writes can come late
_SPANS = 100  # of a result whose delivery is remembered: a client of many pieces has to wait for its end to expire
_PATIENCE_S = 5.0  # for what waits for another machine while we end
_AWAY = (OSError, sqlite3.Error)  # what the catalogue raises that cannot be asked
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
        self._ttl, self._on_bug, self._clock = result_ttl, on_bug, clock
        self._pulse_s, self._silent_s = pulse_s, silent_s
        self._lock = threading.Lock()
        self._latest_ms = 0  # of what was posted or renewed: it never goes back
        self._posted: Dict[str, Tuple[Any, float]] = {}  # of ours: what the board was told, and when
        self._ending: Dict[str, _End] = {}
        self._taking = threading.Lock()  # one at a time, or more would be taken over than there is room for
        self._adopting: Dict[str, Job] = {}  # taken over, their input on its way
        self._waiting: List[Job] = []  # those of them whose input could not be had just now
        self._put_off: List[_End] = []
        self._withdrawn: Deque[str] = deque(maxlen=_WITHDRAWN)  # refused, and perhaps on the board all the same
        self._followers: Dict[str, List[_Follower]] = {}
        self._seen: Dict[str, Tuple[int, float]] = {}  # of all: what the board said, and since when
        self._silent: Set[str] = set()  # those of them that are about to be taken over or given up here
        self._next_round, self._is_clearing = 0.0, False
        self._crew = Workers(_CREW, "job-ends", on_bug)
        self._takings = Lane(self._crew, _CREW // 2)  # their inputs may take minutes to come, and ends must not wait for that
        self._stirred, self._over = threading.Event(), threading.Event()
        self._jobs = make(elsewhere=self)
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
        except _AWAY:
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
            self._board.post(job.id, job.owner, self._said(job), job.order.mime, self._now_ms(), job.share.key)
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
                job.id, end.state, status, end.made, int(1000 * job.expires), job.share.holder, self._now_ms(),
            )
            if not is_known:  # it was removed, or given up, or another server took it
                self._drop(end)
                self._lose(job)
        except (Refusal, *_AWAY) as error:
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

    def _go_on_from(self, renewed_ms: Iterable[int]) -> None:
        """What is posted next is newer than that, whatever the clocks say, and said before they were set."""
        with self._lock:
            self._latest_ms = max(self._latest_ms, *renewed_ms, 0)

    def _now_ms(self) -> int:
        with self._lock:
            self._latest_ms = max(int(1000 * self._clock()), self._latest_ms + 1)
            return self._latest_ms

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
            except _AWAY:
                self._seen.clear()  # who could not be heard was not silent
            except Exception as bug:  # the edge of a thread: the next look may go better
                self._on_bug(bug)
            self._try_again()
            self._over.wait(shortest)  # whatever the news: the board is everybody's

    def _is_busy(self) -> bool:
        """Whether there is anything of ours, or of interest to somebody here."""
        return bool(self._followers or self._ending or self._withdrawn or self._mine())

    def _mine(self) -> Dict[str, Job]:
        """The jobs that this server is at, those too whose input is on its way."""
        with self._lock:
            adopting = dict(self._adopting)
        return {**adopting, **self._jobs.unfinished()}

    def _try_again(self) -> None:
        with self._lock:
            put_off, self._put_off = self._put_off, []
            waiting, self._waiting = self._waiting, []
        for end in put_off:
            self._crew.submit(self._announce, end)
        for job in waiting:
            self._takings.submit(self._adopt, job)

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
        self._go_on_from(rows[id].renewed_ms for id in wanted)
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
        self._board.advance(news, self._now_ms())
        self._posted = posted

    def _lose(self, job: Job) -> None:
        """It was removed, or another server has it now; then whoever was told of it here is told of that."""
        with self._lock:
            self._adopting.pop(job.id, None)
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
        """What any server does for all: end what expired, give up what nobody is at."""
        now_ms, now = int(1000 * self._clock()), time.monotonic()
        due: Due = self._board.due(now_ms)
        seen = {}
        for id, renewed in due.unfinished.items():
            before, since = self._seen.get(id, (None, now))
            seen[id] = (renewed, since if before == renewed else now)
        self._seen, known = seen, {*self._mine(), *self._silent}
        silent = [id for id, (_, since) in seen.items() if now - since >= self._silent_s and id not in known]
        for row in self._board.all_named(silent).values():
            renewed, since = seen[row.id]
            if row.renewed_ms == renewed:
                is_hopeless = now - since >= _UNTAKEN * self._silent_s or not self._can_be_taken(row)
                self._silent.add(row.id)
                self._takings.submit(self._settle, row, self._give_up if is_hopeless else self._take_over)
        if due.expired and not self._is_clearing:
            self._is_clearing = True
            self._crew.submit(self._clear, due.expired)
        if due.is_forgettable:
            self._board.forget(now_ms)

    def _settle(self, row: Posted, act: Callable[[Posted], None]) -> None:
        try:
            act(row)
        finally:
            self._silent.discard(row.id)

    def _clear(self, ids: List[str]) -> None:
        """End what expired; beside the board's thread, which a slow store must not keep from saying that we live."""
        try:
            for id in ids:
                self._results.remove(id)
        except _AWAY:
            pass  # the next round finds them again
        finally:
            self._is_clearing = False

    # -- what another server was at ------------------------------------------------------------------------

    def _can_be_taken(self, row: Posted) -> bool:
        """Whether the board says what was to be done, and the store has what it is to be done with."""
        if not self._results.are_shared:
            return False
        try:
            heir = self._heir(row)
        except (KeyError, TypeError, ValueError):  # a server of another version wrote it
            return False
        return heir.share.times <= _TAKEN_MOST and bool(row.key or heir.order.source)

    def _take_over(self, row: Posted) -> None:
        """Go on with a job whose server is silent, from its beginning, unless this one is busy or another is faster."""
        try:
            with self._taking:
                self._jobs.check_room(len(self._adopting))
                job = self._heir(row)
                self._go_on_from([row.renewed_ms])
                if not self._board.take_over(row, self._said(job), self._now_ms()):
                    return
                with self._lock:
                    self._adopting[job.id] = job
        except (Refusal, *_AWAY):
            return  # it is silent still, and the next round finds it
        self._adopt(job)

    def _heir(self, row: Posted) -> Job:
        left = left_by(row)
        share = Share(secrets.token_hex(16), row.key, left.times + 1)
        return self._jobs.another(row.id, left.order, left.created, row.owner, left.by, share)

    def _adopt(self, job: Job) -> None:
        """Fetch its input and begin; meanwhile it is renewed as the others are."""
        self._stirred.set()
        with self._lock:
            if self._adopting.get(job.id) is not job:  # it was removed while it waited
                return
        is_settled = True  # also by a bug: it falls silent then, and another server may do better
        try:
            is_settled = self._is_adopted(job)
        finally:
            with self._lock:
                if is_settled:
                    self._adopting.pop(job.id, None)
                else:
                    self._waiting.append(job)

    def _is_adopted(self, job: Job) -> bool:
        """Whether it has begun, or failed, or is to fall silent; else an engine is away, and it is tried again."""
        try:
            self._jobs.adopt(job, partial(self._results.lend, job.share.key or job.order.source))
            return True
        except FileNotFoundError:
            failure = Refusal("not-found", "the file that was to be converted has been removed, and its server is gone")
        except Refusal as refusal:
            failure = refusal
        if failure.code in ("busy", "no-space"):
            return failure.code == "no-space"  # perhaps another server has some
        try:
            self._fail(job, failure)
        except _AWAY:
            return False
        return True

    def _fail(self, job: Job, failure: Refusal) -> None:
        job.expires = self._clock() + self._ttl
        status = json.dumps(self._jobs.status(job, FAILED, failure))
        if self._board.finish(job.id, FAILED, status, None, int(1000 * job.expires), job.share.holder, self._now_ms()):
            self._results.carry_out(job.share.key)

    def _give_up(self, row: Posted) -> None:
        why = Refusal("busy", "the server that was at it has not been heard of for some time: begin again")
        expires = self._clock() + self._ttl
        try:
            status = json.dumps(ended(json.loads(row.status), why, expires))
            if self._board.give_up(row, status, int(1000 * expires)):
                self._results.carry_out(row.key)
        except _AWAY:
            pass  # the next round finds it again


class _Follower:
    """Somebody who is told of a job, and the status that they heard last."""

    def __init__(self, watcher: Callable[[Any], None], heard: str) -> None:
        self.watcher, self.heard = watcher, heard
