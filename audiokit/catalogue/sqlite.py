"""The catalogue in one SQLite file on this disk.

One thread writes: it drains a queue of calls into one transaction (group commit), each call in its own savepoint,
so that sixteen waiting uploads cost one sync of the disk.  Every other thread reads on a connection of its own.
WAL with synchronous=FULL: NORMAL may lose the last commits when the power goes.  In WAL a reader sees a commit
only after it is synced, so what is read is durable.

Raises OSError(ENOSPC) for a full disk, OSError(EMFILE) where a reader finds no descriptors, `InDoubt` when a
commit failed (it may yet come back after a crash), `TooSlow` when a read passes its deadline,
sqlite3.IntegrityError as it is.  Being busy is waited out, never raised.
"""

from __future__ import annotations

import errno
import os
import queue
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence, Tuple, Union

from .. import migrations
from .crowds import adds_rows, joined
from .errors import InDoubt, TooSlow
from .guard import allowed, bindable
from .search import SEARCH, is_derived

Statement = Tuple[str, Sequence[Any]]

MOST_CALLS = 256  # in one transaction: beyond that the first waits for the last without gaining a sync
_BUSY_S = 60.0  # another process's transaction is milliseconds; a minute means that it hangs
_CACHE_KIB = 4096  # pages that the writer keeps: an upload touches some 25, all over the indexes
_READER_CACHE_KIB = 1024  # each thread has a reader; the system's own cache is behind it, and shared
_WAL_PAGES = 4000  # of 4 KiB before the log is carried over; an upload writes some 25 pages, so SQLite's 1000 are few
_STEP = 1000  # SQLite instructions between two looks at a deadline: some 10 us


class _Call:
    """One transaction that somebody waits for; with an `error` at once where it says what no engine could do."""

    __slots__ = ("statements", "adds_rows", "counts", "error", "done")

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = statements
        self.adds_rows = all(adds_rows(sql) for sql, _ in statements)  # and nothing else
        self.counts: List[int] = []
        self.error: Optional[BaseException] = None
        try:
            for sql, params in statements:
                allowed(sql)
                for value in params:
                    bindable(value)
        except ValueError as error:
            self.error = error
        self.done = threading.Lock()
        self.done.acquire()


class Catalogue:
    """The SQLite door.  Thread-safe; close it when no other thread uses it any more."""

    is_far = False  # nobody waits for another machine

    def __init__(
        self, path: Path, schema: str, ops: Any, *, create: bool = True, migrate: bool = True, trigrams: bool = True,
    ) -> None:
        """Open the file at `path`; `schema` is the text of a new one.

        `create` makes a missing file, `migrate` brings an older one up, `trigrams` False leaves the index aside.
        """
        self.path = path
        self.generation = 0  # raised by every commit: what was counted before it may be stale
        self.failure: Optional[str] = None  # why the last commit failed, None after one that did not
        self._ops = ops
        self._here = threading.local()
        self._readers: List[sqlite3.Connection] = []
        self._calls: Any = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        if create and not path.exists():
            os.close(ops.create(str(path)))  # SQLite alone would let everyone read it
        elif not path.exists():
            raise FileNotFoundError(f"there is no catalogue at {path}")
        try:
            self._writer = self._connect()
            try:
                self._open(schema, migrate, trigrams)
            except BaseException:
                self._writer.close()
                raise
        except sqlite3.Error as error:  # no database, or none of ours
            known = _as_os_error(error)
            number = known.errno if isinstance(known, OSError) else errno.EINVAL
            raise OSError(number, f"this is no catalogue that can be used: {error}", str(path)) from error
        self._thread = threading.Thread(target=self._write_on, name="catalogue", daemon=True)
        self._thread.start()

    # -- the door --------------------------------------------------------------------------------------

    def read(self, sql: str, params: Sequence[Any] = (), deadline_s: Optional[float] = None) -> List[tuple]:
        """All rows of a query; TooSlow when it takes longer than `deadline_s` seconds."""
        allowed(sql)
        try:
            try:
                connection = self._here.connection
            except AttributeError:
                connection = self._reader()
            if deadline_s is None:
                return connection.execute(sql, params).fetchall()
            return _within(connection, deadline_s, sql, params)
        except sqlite3.OperationalError as error:
            if "unable to open" not in str(error):
                raise
            raise self._why_closed() from error

    def read_all(self, queries: Sequence[Statement], deadline_s: Optional[float] = None) -> List[List[tuple]]:
        """The rows of several queries; one round trip where the engine is on another machine."""
        return [self.read(sql, params, deadline_s) for sql, params in queries]

    def write(self, statements: Sequence[Statement]) -> List[int]:
        """Carry out the statements as one transaction; how many rows each touched, once that is durable."""
        (outcome,) = self.write_all([statements])
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def write_all(self, calls: Sequence[Sequence[Statement]]) -> List[Union[List[int], BaseException]]:
        """Many calls of `write` for one wait: of each the counts, or what it would have raised."""
        made = [_Call(statements) for statements in calls]
        good = [call for call in made if call.error is None]
        with self._lock:
            if self._closed:
                raise ValueError("the catalogue is closed")
            for call in good:
                self._calls.put(call)
        for call in reversed(good):  # the last is done last: one wait for all of them
            call.done.acquire()
        return [call.counts if call.error is None else call.error for call in made]

    # -- beside the door: what only a local file can do ----------------------------------------------------

    @property
    def is_writing(self) -> bool:
        """Whether the writer's thread lives."""
        return self._thread.is_alive()

    def backup(self, target: Path) -> None:
        """A copy of the catalogue as it is now, whole and synced, while others go on writing."""
        source, copy = self._connect(), sqlite3.connect(str(target), isolation_level=None)
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        finally:
            copy.close()
            source.close()
        descriptor = os.open(str(target), os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            self._ops.sync(descriptor)
        finally:
            os.close(descriptor)

    def dump(self) -> Iterator[str]:
        """The catalogue as SQL text, a statement at a time; the search index, being derived, is left out."""
        connection = self._connect()
        try:
            connection.execute("BEGIN")
            version = migrations.version_of(connection)
            for line in connection.iterdump():
                if not is_derived(line):
                    yield line
            yield f"PRAGMA user_version = {version};"
        finally:
            connection.close()

    def integrity(self) -> List[str]:
        """What SQLite itself finds wrong, empty when nothing is."""
        connection = self._connect()
        try:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(20)")]
        finally:
            connection.close()
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """End the writer and every connection; harmless a second time."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._calls.put(None)
        self._thread.join()
        for connection in self._readers:
            connection.close()
        self._writer.close()

    # -- opening ---------------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(str(self.path), timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA cache_size = -%d" % _CACHE_KIB)
            # Savepoints and sorts would else make files in /var/tmp, which may be full while the disk here is not.
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:  # it is no database at all
            connection.close()
            raise
        return connection

    def _open(self, schema: str, migrate: bool, trigrams: bool) -> None:
        connection = self._writer
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_autocheckpoint = %d" % _WAL_PAGES)
        connection.execute("PRAGMA fullfsync=ON")  # macOS: fsync alone stops at the drive's cache
        connection.execute("PRAGMA checkpoint_fullfsync=ON")
        known, spoken = migrations.version_of(connection), migrations.version_in(schema)
        self.versions = known, spoken  # before and after
        if migrate:
            migrations.bring_up(connection, schema)
        else:
            _same_version(known, spoken)
        self.has_trigrams = trigrams and _can_trigrams()
        if migrate:
            _fit_search(connection, self.has_trigrams)
        self.has_trigrams = self.has_trigrams and _has_table(connection, "words")

    def _reader(self) -> sqlite3.Connection:
        connection = self._connect()
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA cache_size = -%d" % _READER_CACHE_KIB)
        with self._lock:
            if self._closed:
                connection.close()
                raise ValueError("the catalogue is closed")
            self._readers.append(connection)
        self._here.connection = connection
        return connection

    def _why_closed(self) -> OSError:
        """What the system says where SQLite only says that it could not open its files, of which a reader has three."""
        try:
            os.close(os.open(str(self.path), os.O_RDONLY))
        except OSError as known:
            return known
        return OSError(errno.EMFILE, "no descriptors for the catalogue", str(self.path))

    # -- the writer's thread ---------------------------------------------------------------------------

    def _write_on(self) -> None:
        going = True
        while going:
            batch = [self._calls.get()]
            try:
                while batch[-1] is not None and len(batch) < MOST_CALLS:
                    batch.append(self._calls.get_nowait())
            except queue.Empty:
                pass
            if batch[-1] is None:
                going = False
                batch.pop()
            if batch:
                self._carry_out(batch)
                for call in batch:
                    call.done.release()

    def _carry_out(self, batch: List[_Call]) -> None:
        connection = self._writer
        try:
            self._begin()
            for call in _alone_of(connection, batch):
                _within_savepoint(connection, call)
            self._commit()
        except BaseException as error:
            self.failure = str(error)
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            for call in batch:
                call.error = call.error or _as_os_error(error)
        else:
            self.failure = None
            self.generation += 1

    def _begin(self) -> None:
        until = time.monotonic() + _BUSY_S
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > until:
                    raise

    def _commit(self) -> None:
        try:
            self._ops.commit(self._writer)
        except (sqlite3.Error, OSError) as error:
            known = _as_os_error(error)
            number = known.errno if isinstance(known, OSError) else errno.EIO
            raise InDoubt(number, f"the catalogue could not commit: {error}") from error


def _same_version(found: int, spoken: int) -> None:
    """MigrationError says both and what helps."""
    if found != spoken:
        advice = "run `db migrate`, or start the server once" if found < spoken else "use a newer program"
        raise migrations.MigrationError(f"the catalogue has version {found}, this program speaks {spoken}: {advice}")


def _alone_of(connection: sqlite3.Connection, batch: List[_Call]) -> List[_Call]:
    """Carry out together what can be: rows that are added.  The calls that are left, to be carried out one by one."""
    crowd = [call for call in batch if call.adds_rows]
    if len(crowd) < 2 or not _add_together(connection, crowd):
        return batch
    return [call for call in batch if not call.adds_rows]


def _add_together(connection: sqlite3.Connection, crowd: List[_Call]) -> bool:
    """Whether every row of every call could be added; if not, none was."""
    connection.execute("SAVEPOINT one")
    try:
        is_done = all(
            connection.execute(some.sql, some.params).rowcount == some.rows
            for some in joined([call.statements for call in crowd])
        )
    except Exception:  # a quota, perhaps: whose it was is seen when they come one by one
        if not connection.in_transaction:  # a full or failing disk takes the whole transaction along
            raise
        is_done = False
    if is_done:
        for call in crowd:
            call.counts = [1] * len(call.statements)
    else:
        connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")
    return is_done


def _within_savepoint(connection: sqlite3.Connection, call: _Call) -> None:
    connection.execute("SAVEPOINT one")
    try:
        call.counts = [connection.execute(sql, params).rowcount for sql, params in call.statements]
    except Exception as error:
        if not connection.in_transaction:  # a full or failing disk takes the whole transaction along
            raise
        call.error = _as_os_error(error)
        connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")


def _within(connection: sqlite3.Connection, seconds: float, sql: str, params: Sequence[Any]) -> List[tuple]:
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > until, _STEP)
    try:
        return connection.execute(sql, params).fetchall()
    except sqlite3.OperationalError as error:
        if "interrupt" in str(error):
            raise TooSlow(f"the query took longer than {seconds:g} s") from None
        raise
    finally:
        connection.set_progress_handler(None, 0)


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def _as_os_error(error: BaseException) -> BaseException:
    """SQLite tells its errors apart by text alone before Python 3.11."""
    if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
        if "disk is full" in str(error):
            return OSError(errno.ENOSPC, f"the catalogue: {error}")
        if "disk I/O" in str(error):
            return OSError(errno.EIO, f"the catalogue: {error}")
    return error


# -- the search index ---------------------------------------------------------------------------------------


def _can_trigrams() -> bool:
    probe = sqlite3.connect(":memory:")
    try:
        probe.execute("CREATE VIRTUAL TABLE t USING fts5(x, detail=none, tokenize='trigram case_sensitive 1')")
        return True
    except sqlite3.OperationalError:
        return False
    finally:
        probe.close()


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchall())


def _fit_search(connection: sqlite3.Connection, can: bool) -> None:
    """Make the index where SQLite can and it is missing; where it cannot, silence what would feed it."""
    fed = _has_table(connection, "words_in")
    if fed == can:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if can:
            for statement in migrations.statements(SEARCH.read_text("utf-8")):
                connection.execute(statement)
            connection.execute("INSERT INTO words (words) VALUES ('rebuild')")
            connection.execute("INSERT INTO words (words) VALUES ('optimize')")  # each piece of it costs a question
        else:
            for trigger in ("words_in", "words_out", "words_anew"):
                connection.execute("DROP TRIGGER " + trigger)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
