"""The catalogue in an rqlite cluster: the same door, over HTTP, for any number of servers at once.

rqlite is SQLite behind Raft: a write is acknowledged when most nodes have it.  What was learned about it and holds
here: an answer 200 may carry an error; an answer that says "failed" may belong to a write that was done, or that
comes to be done later, when a hung node wakes (so every call says who it is, and counts once: audiokit/catalogue/once.py);
PRAGMA, BEGIN and RETURNING break the cluster and are never sent; a read asks the leader (level=weak), since a
follower's own copy lags and a file just uploaded would be missing.

Raises `CatalogueDown` when nobody answers in time (the write may have been done), `CatalogueRefused`, `TooSlow`,
sqlite3.IntegrityError and sqlite3.OperationalError as SQLite's own door does.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterator, List, Optional, Sequence, Tuple

from .. import migrations
from .address import Address
from .errors import CatalogueDown, TooSlow
from .guard import allowed, bindable
from .nodes import Nodes, Patience, Unfit
from .once import TABLE, Once
from .search import SEARCH, is_derived

Statement = Tuple[str, Sequence[Any]]

_SLOWEST_S = 2.0  # a query's, on a node: the leader is everybody's
_HOP_S = 1.0  # from a follower to the leader and back; rqlite's own 30 s would outlast the fail-over
_LONG = Patience(answer=120.0, deadline=240.0)  # a whole catalogue, or all of a migration's statements
_READING = Patience(answer=_SLOWEST_S + _HOP_S, deadline=5.0)
_PER_SECOND = 4.0  # how `generation` rises by itself: others write too, and nobody tells us
_PASSING = ("database is locked", "database table is locked", "interrupted", "within a transaction",
            "leadership lost", "not leader", "leader not found", "stale read")
_RAISED = re.compile(r"RAISE\(ABORT, '([^']*)'\)")  # what the schema's own triggers say
_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS versions (version INTEGER PRIMARY KEY NOT NULL, since_ms INTEGER NOT NULL) "
    "WITHOUT ROWID"
)
_SECRETS = "CREATE TABLE IF NOT EXISTS secrets (what TEXT PRIMARY KEY NOT NULL, word TEXT NOT NULL) WITHOUT ROWID"
# Tables beside the schema: a catalogue in a file has no use for them, and no copy shows what is secret.
_CLUSTERS_OWN = {"versions": _VERSIONS, "writes": TABLE, "secrets": _SECRETS}
_HAS_OWN = f"SELECT count(*) = {len(_CLUSTERS_OWN)} FROM sqlite_master WHERE name IN {tuple(_CLUSTERS_OWN)}"
_SEARCH_VERSION = -1  # its row says that somebody made the search index


class RqliteCatalogue:
    """The rqlite door.  Thread-safe."""

    is_far = True
    is_writing = True  # there is no thread that could end

    def __init__(
        self, address: Address, schema: str, *, migrate: bool = True, patience: Patience = Patience(),
    ) -> None:
        """Find the cluster and bring its catalogue to the version of `schema`, unless somebody else does.

        MigrationError when it has another one and `migrate` is false, or a newer one.
        """
        self.failure: Optional[str] = None  # why the last write failed, None after one that did not
        self.address = address.text
        self._nodes = Nodes(address, patience)
        self._once = Once()
        self._write_path = f"/db/execute?transaction&timeout={_HOP_S:g}s"
        self._read_path = f"/db/query?level={address.level}&timeout={_HOP_S:g}s&db_timeout="
        self._raised = frozenset(_RAISED.findall(schema))
        try:
            self.versions = _bring_up(self, schema, migrate)  # before and after
            if not self.read(_HAS_OWN)[0][0]:
                self.tell([(sql, ()) for sql in _CLUSTERS_OWN.values()])
            self.has_trigrams = bool(self.read("SELECT 1 FROM sqlite_master WHERE name = 'words_in'"))
        except BaseException:
            self._nodes.close()
            raise

    # -- the door --------------------------------------------------------------------------------------

    def read(self, sql: str, params: Sequence[Any] = (), deadline_s: Optional[float] = None) -> List[tuple]:
        """All rows of a query; TooSlow when it takes longer than `deadline_s` seconds, or than a node gives it."""
        return self.read_all([(sql, params)], deadline_s)[0]

    def read_all(self, queries: Sequence[Statement], deadline_s: Optional[float] = None) -> List[List[tuple]]:
        """The rows of several queries, in one round trip."""
        seconds = min(deadline_s or _SLOWEST_S, _SLOWEST_S)

        def judged(answer: Any) -> List[List[tuple]]:
            results = _results(answer, len(queries), seconds)
            return [list(map(tuple, result.get("values") or ())) for result in results]

        for sql, _ in queries:
            allowed(sql)
        return self._nodes.ask(f"{self._read_path}{seconds:g}s", _said(queries), judged, _READING)

    def write(self, statements: Sequence[Statement]) -> List[int]:
        """Carry out the statements as one transaction, once; how many rows each touched, when most nodes have it."""
        for sql, _ in statements:
            allowed(sql)
        return self._once.write(statements, self.tell, self.read)

    def tell(self, statements: Sequence[Statement], patience: Optional[Patience] = None) -> List[int]:
        """The same as the nodes are told it: what is carried out twice counts twice.  For the schema's own steps."""
        def judged(answer: Any) -> List[int]:
            return [result.get("rows_affected", 0) for result in _results(answer, len(statements), raised=self._raised)]

        try:
            counts = self._nodes.ask(self._write_path, _said(statements), judged, patience)
        except CatalogueDown as error:
            self.failure = str(error)
            raise
        self.failure = None
        return counts

    def agreed(self, what: str, ours: str) -> str:
        """A secret that all servers share: `ours`, unless another one was first.  It is in no copy."""
        ask = "SELECT word FROM secrets WHERE what = ?", (what,)
        if not self.read(*ask):
            self.write([("INSERT OR IGNORE INTO secrets (what, word) VALUES (?, ?)", (what, ours))])
        return self.read(*ask)[0][0]

    @property
    def generation(self) -> float:
        """What rises with every commit, anybody's: here with time, since nobody tells."""
        return time.monotonic() * _PER_SECOND

    # -- beside the door -------------------------------------------------------------------------------

    def backup(self, target: Path) -> None:
        """The catalogue as it is at one moment as a file that the SQLite door can open."""
        with open(target, "w+b") as file:
            self._nodes.fetch("/db/backup", file, _LONG)
            file.flush()
            os.fsync(file.fileno())
        with closing(sqlite3.connect(str(target), isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode=DELETE")
            version = copy.execute("SELECT max(version) FROM versions").fetchone()[0]
            for table in _CLUSTERS_OWN:
                copy.execute(f"DROP TABLE IF EXISTS {table}")
            copy.execute(f"PRAGMA user_version = {int(version)}")

    def dump(self) -> Iterator[str]:
        """The catalogue as SQL text, a statement at a time; the search index, being derived, is left out."""
        with self._copy() as copy:
            version = migrations.version_of(copy)
            for line in copy.iterdump():
                if not is_derived(line):
                    yield line
            yield f"PRAGMA user_version = {version};"

    def integrity(self) -> List[str]:
        """What SQLite itself finds wrong in a copy, empty when nothing is."""
        with self._copy() as copy:
            found = [row[0] for row in copy.execute("PRAGMA integrity_check(20)")]
        return [] if found == ["ok"] else found

    def _copy(self) -> _Copy:
        return _Copy(self)

    def close(self) -> None:
        """End every connection; harmless a second time."""
        self._nodes.close()


class _Copy:
    """A copy of a catalogue in a file that goes with it."""

    def __init__(self, catalogue: RqliteCatalogue) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="audioserver-")
        path = Path(self._folder.name) / "catalogue.db"
        catalogue.backup(path)
        self._connection = sqlite3.connect(str(path), isolation_level=None)

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._folder.cleanup()


# -- what is said and what is answered ----------------------------------------------------------------------


def _said(statements: Sequence[Statement]) -> List[List[Any]]:
    return [[sql, *map(bindable, params)] for sql, params in statements]


def _results(
    answer: Any, count: int, seconds: float = _LONG.answer, raised: FrozenSet[str] = frozenset(),
) -> List[Dict[str, Any]]:
    """The results of an answer 200, which may be an error all the same: of the cluster, or of one statement."""
    if not isinstance(answer, dict):
        raise Unfit("it answers something else")
    results = answer.get("results") or []
    wrong = answer.get("error") or next((r["error"] for r in results if r.get("error")), None)
    if wrong is None and len(results) != count:
        wrong = f"not leader: {len(results)} results for {count} statements"
    if wrong is None:
        return results
    if "query timeout" in wrong:
        raise TooSlow(f"the query took longer than {seconds:g} s")
    if answer.get("error") or any(word in wrong for word in _PASSING):
        raise Unfit(wrong)
    if "constraint failed" in wrong or wrong in raised:
        raise sqlite3.IntegrityError(wrong)
    if "malformed" in wrong:
        raise sqlite3.DatabaseError(wrong)
    raise sqlite3.OperationalError(wrong)


# -- the schema ---------------------------------------------------------------------------------------------


def _bring_up(door: RqliteCatalogue, schema: str, migrate: bool) -> Tuple[int, int]:
    """As migrations.bring_up does, by a row in `versions` that only one of many can write; before and after."""
    wanted = migrations.version_in(schema)
    before = _version(door)
    if before > wanted or before < wanted and not migrate:
        raise migrations.MigrationError(
            f"the catalogue at {door.address} has version {before}, this program speaks {wanted}"
        )
    if before == wanted:
        return before, wanted
    if before == 0:
        door.tell([(_VERSIONS, ())])
        _step(door, schema, wanted)
        _search(door)
        return before, wanted
    known = migrations.steps()
    for version in range(before + 1, wanted + 1):
        if version not in known:
            raise migrations.MigrationError(f"no migration leads from version {version - 1} to {version}")
        _step(door, known[version].read_text("utf-8"), version)
    return before, wanted


def _version(door: RqliteCatalogue) -> int:
    # In this order: whoever makes ours at this very moment makes `versions` first.
    has_files = door.read("SELECT 1 FROM sqlite_master WHERE name = 'files'")
    if not door.read("SELECT 1 FROM sqlite_master WHERE name = 'versions'"):
        if has_files:
            raise migrations.MigrationError(f"{door.address} holds something that is no catalogue of ours")
        return 0
    return door.read("SELECT coalesce(max(version), 0) FROM versions")[0][0]


def _step(door: RqliteCatalogue, script: str, version: int) -> None:
    """One step, or nothing when somebody else was first: the row comes before what it speaks of."""
    statements: List[Statement] = [_claim(version)]
    statements += [(sql, ()) for sql in migrations.statements(script) if not _is_pragma(sql) and allowed(sql)]
    try:
        door.tell(statements, _LONG)
    except sqlite3.IntegrityError:
        if _version(door) < version:
            raise


def _search(door: RqliteCatalogue) -> None:
    """The search index, where rqlite's SQLite can; the same queries scan without it."""
    statements = [(sql, ()) for sql in migrations.statements(SEARCH.read_text("utf-8"))]
    try:
        door.tell([_claim(_SEARCH_VERSION), *statements], _LONG)
    except (sqlite3.IntegrityError, sqlite3.OperationalError):
        pass


def _claim(version: int) -> Statement:
    return "INSERT INTO versions (version, since_ms) VALUES (?, ?)", (version, time.time_ns() // 1_000_000)


def _is_pragma(sql: str) -> bool:
    return sql.lstrip().upper().startswith("PRAGMA")
