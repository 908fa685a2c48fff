"""What is kept: catalogue rows and audio bytes, behind one door.

Never: a row without its bytes, a byte that a refused upload leaves, an acknowledgement before the disk has it.

    upload    1 temporary file in uploads/     crash: swept at the next start
              2 bytes, sha256, what it is      crash: the same
              3 the file synced                crash: the same
              4 renamed to files/ab/KEY        crash: bytes without a row: the next start finds and removes them
              5 the directory synced           crash: the same.  One sync serves all who wait for it
              6 the row committed, synced      crash: the file is there, whole, though nobody was told
              7 the answer
              Of a small body that came whole 1 and 4 are one, behind 2: it is in memory until all that it says is
              found good, and is written as files/ab/KEY.  crash: bytes without a row, whole or not, as at 4.
              3 and 5 are waited for at once
    replace   as above; step 6 moves the row to the new key and notes the old one in `removals`, in one
              transaction; then the old bytes go, then the note.  crash in between: the next start removes them
    remove    1 the row goes, its key is noted in `removals`, in one transaction    crash before: nothing happened
              2 the bytes go, then the note                   crash: the next start does it

Where the bytes are in a store on another machine, step 3 is nothing and steps 4 and 5 are one PUT.  Others may be storing
there too, so that a start sweeps no bytes: the collector does, when they have been there for so long that no upload can
be between its bytes and its row any more.

Where the catalogue is in a cluster, a write that was given up may be carried out late, when a node wakes.  So the notes in
`removals` stay for a day: a row whose key is noted is never written.

A commit that fails is in doubt: SQLite might find it whole after a crash.  Its bytes are removed only after a
later commit has said that the row is not to be (a note in `removals`); if that fails too they stay until a start.

A data folder holds `catalogue.db` (with -wal and -shm), `files/`, `uploads/`, `link.key` and `lock`; conversions and
waveforms have `conversions/` and `peaks/` beside them.  Whoever writes files holds the lock.  Raises `Refusal` for what
callers do wrong or the disk has no room for, `DataFolderBusy`, `MigrationError` for a catalogue of another version, and
OSError for a disk that fails.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import time
import unicodedata
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

import audiometa
from audiokit import keyfile, quotas
from audiokit.accounts import ALL, OWN, SHARED
from audiokit.arrivals import Arrivals, Kept, Look
from audiokit.blobs import DirectoryBlobs, FileOps, StoreDown, StoreError
from audiokit.blobs.lock import DataFolderBusy, FolderLock
from audiokit.blobs.moving import cancel
from audiokit.blobs.ownership import Ownership
from audiokit.catalogue import TooSlow
from audiokit.catalogue.backups import back_up
from audiokit.catalogue.checks import Check, Report, is_named, strays
from audiokit.catalogue.jobs import Board
from audiokit.catalogue.links import Drops, Links
from audiokit.catalogue.pages import Page, Pages
from audiokit.catalogue.people import People
from audiokit.catalogue.recognition import recognise
from audiokit.catalogue.rows import FILE, File, changed, noted, row_of
from audiokit.catalogue.sessions import Sessions
from audiokit.engines import open_blobs, open_catalogue
from audiokit.failures import refusal_of
from audiokit.health import Health
from audiokit.migrations import MigrationError
from audiokit.moves import FILES as LEFT_BY_MOVES
from audiokit.moves import Moved, Origin, discard_arriving, move, refuse_unfinished
from audiokit.names import valid_name
from audiokit.removals import Removals
from audiokit.results import Results
from audiokit.spool import Spool, Upload
from audiokit.wire.company import Work, alone
from audiokit.wire.problems import Refusal

__all__ = [
    "LINK_KEY", "CatalogueError", "Content", "DataFolderBusy", "Kept", "MigrationError", "Page", "Report", "Storage",
    "Upload", "valid_name",
]

LINK_KEY = "link.key"  # signs links: whoever has it can make one, so that it is in no backup
CatalogueError = sqlite3.Error  # what a catalogue raises that is broken inside
SCAN_SECONDS = 10.0  # a query that no index serves may take so long
_CONTENT = "SELECT id, name, size, sha256, mime, uploaded_ms, key FROM files WHERE "
# What is not there and what one may not see are asked for by the same statement, and look the same.
_BY_ID = {
    OWN: "id = ? AND owner = ?", SHARED: "id = ? AND (owner = ? OR shared = 1)", ALL: "id = ? AND (owner = ? OR 1)",
}
_BY_NAME = "owner = ? AND name = ?"
_BY_NAME_OF_ANYBODY = ("owner IN (SELECT owner FROM counters) AND name = ? ORDER BY uploaded_ms DESC, id LIMIT 1")


class Content(NamedTuple):
    """What it takes to send a file."""

    id: str
    name: str
    size: int  # bytes
    sha256: str  # lower-case hex
    mime: str
    uploaded_ms: int  # milliseconds since 1970, UTC
    key: str  # in the blob store


class Storage:
    """The files of one data folder.  Thread-safe; a context manager."""

    def __init__(
        self, data: Union[str, Path], *, create: bool = True, exclusive: bool = True,
        free_space_kept: int = 64 << 20, ops: Optional[FileOps] = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000, blobs: str = "",
        say: Callable[[str], None] = lambda text: None, catalogue: str = "",
    ) -> None:
        """Open the folder `data`; with `create` make what is missing, with `exclusive` own and sweep it.

        `blobs` names the store of the bytes where that is not the folder itself; `say` is told when that fails.
        `catalogue` names the cluster of the rows, in the same way.

        DataFolderBusy when another process owns it, FileNotFoundError when there is no catalogue.
        """
        self.data = Path(data)
        self.ops = ops or FileOps()
        self._clock_ms = clock_ms
        self._is_clean = True
        self._is_open = False
        if create or catalogue:
            self.ops.make_directory(str(self.data))
        elif not self.exists(self.data):
            raise FileNotFoundError(errno.ENOENT, "no catalogue here", str(self.data))
        with ExitStack() as stack:
            self._folder_lock = FolderLock(self.data / "lock") if exclusive else None
            if self._folder_lock is not None:
                stack.callback(self._folder_lock.release, False)
            # First: in a folder that is not ours nothing is made.
            self._catalogue = open_catalogue(catalogue, self.data / "catalogue.db", self.ops, create, exclusive)
            stack.callback(self._catalogue.close)
            refuse_unfinished(self._catalogue)
            self.asks_far = self._catalogue.is_far  # whether reading a row waits for another machine
            self._spool = Spool(self.data / "uploads", self.ops, free_space_kept, self.leave_for_sweep)
            self._blobs = open_blobs(
                blobs, self.data / "files", self.ops, lambda text: say(text) if self._is_open else None
            )
            stack.callback(self._blobs.close)
            self.is_far = self._blobs.is_far  # whether reading the bytes waits for another machine
            self.likes_company = not (self.is_far or self.asks_far)  # whether `keeping` costs less among others
            self._ownership = Ownership(self._catalogue, self._blobs, may_claim=exclusive)
            self.removals = Removals(self._catalogue, self._blobs, clock_ms, self.leave_for_sweep)
            self._arrivals = Arrivals(
                self._catalogue, self._blobs, self._ownership, self.removals, self._named, self.limits, clock_ms
            )
            written = [self._spool.folder] if self.is_far else [self._spool.folder, self.data / "files"]
            self._health = Health(self._catalogue, self._ownership, self._spool, written, self.is_far)
            self.people, self.sessions = People(self._catalogue), Sessions(self._catalogue)
            self.results = Results(
                Board(self._catalogue), self._blobs, self._ownership, self.removals, self._spool.check_room, clock_ms
            )
            self.links, self.drops = Links(self._catalogue), Drops(self._catalogue)
            self._pages = Pages(self._catalogue, SCAN_SECONDS, audiometa.FAMILY)
            if exclusive:
                self.ops.sync_directory(str(self.data))
                self._sweep()
            try:
                if exclusive:  # whoever only reads rows need not know where the bytes are
                    self._ownership.ensure(is_hasty=True)
            except StoreDown as error:  # it may come back: reading what is known goes on meanwhile
                say(str(error))
            self._is_open = True
            stack.pop_all()

    def __enter__(self) -> Storage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def exists(data: Union[str, Path]) -> bool:
        """Whether the folder has a catalogue."""
        return (Path(data) / "catalogue.db").is_file()

    @staticmethod
    def destroy(data: Union[str, Path], blobs: str = "") -> None:
        """Remove catalogue and bytes for good; the folder stays, and what is not ours in it.

        The catalogue goes last, so that an interrupted removal can be repeated.  DataFolderBusy while it is served,
        `NotOurs` where the file of that name is no catalogue.
        """
        folder = Path(data)
        recognise(folder / "catalogue.db")
        if blobs:
            with Storage(folder, create=False, blobs=blobs) as storage:
                storage._ownership.ensure_still()
                storage._blobs.destroy()
        lock = FolderLock(folder / "lock")
        try:
            for name in ("files", "uploads", "conversions", "peaks"):
                if (folder / name).is_dir():
                    shutil.rmtree(folder / name)
            for name in (LINK_KEY, *LEFT_BY_MOVES, "catalogue.db-wal", "catalogue.db-shm", "catalogue.db"):
                if (folder / name).exists():
                    os.remove(folder / name)
        finally:
            lock.release(True)

    @property
    def versions(self) -> Tuple[int, int]:
        """The catalogue's version before it was opened, and now."""
        return self._catalogue.versions

    def close(self) -> None:
        """Give up the folder; uploads still under way are discarded."""
        self._spool.close()
        self._blobs.close()
        self._catalogue.close()
        if self._folder_lock is not None:
            self._folder_lock.release(self._is_clean)

    def link_key(self) -> bytes:
        """What signs links: the one that all servers of a cluster share, or the folder's own.  Under the folder's lock."""
        path = self.data / LINK_KEY
        if self.asks_far:
            return keyfile.shared(path, lambda ours: self._catalogue.agreed("link", ours))
        return keyfile.read_or_make(path, self.ops)

    # -- uploads ---------------------------------------------------------------------------------------

    def check_room(self, expected: Optional[int]) -> None:
        """Refusal `no-space` unless `expected` bytes more leave the disk the space that is kept free.

        Refusal `busy` when the store that they are to go to is known to be away.
        """
        self._check_store()
        self._spool.check_room(expected)

    def begin_upload(self, expected: Optional[int]) -> Upload:
        """A temporary file for `expected` bytes (None when nobody knows); Refusal `no-space`, `busy`."""
        self._check_store()
        return self._spool.begin(expected)

    def _check_store(self) -> None:
        if self._blobs.is_resting:
            raise refusal_of(StoreDown("it is resting"))

    def take_in(self, path: str) -> Upload:
        """A file made elsewhere in the data folder as if it had been received; it is moved."""
        return self._spool.take_in(path)

    def leave_for_sweep(self) -> None:
        """Something could not be removed: the next start must look."""
        self._is_clean = False

    def keep(self, upload: Upload, **what: Any) -> Kept:
        """Make a received file one of ours, durable when this returns; the upload is over either way."""
        return alone(self.keeping(upload, **what))

    def keeping(self, upload: Upload, **what: Any) -> Work[Kept]:
        """The same as a work that costs less in company; `Arrivals.keeping` says what it takes and raises."""
        return self._arrivals.keeping(upload, **what)

    def with_bytes(self, keys: Sequence[str]) -> Set[str]:
        """Those of the keys whose bytes some file has."""
        places = ", ".join("?" * len(keys))
        return {key for (key,) in self._catalogue.read(f"SELECT key FROM files WHERE key IN ({places})", tuple(keys))}

    @property
    def was_clean(self) -> bool:
        """Whether the server before ended in order, as far as this one can know."""
        return self._folder_lock is not None and self._folder_lock.was_clean

    # -- quotas ----------------------------------------------------------------------------------------

    def limits(self, owner: int) -> Optional[quotas.Limits]:
        """What an account may have; None for nobody, who may have anything."""
        account = self.people.of_id(owner) if owner else None
        return quotas.Limits.of(account) if account else None

    def room(self, owner: int, size: Optional[int], name: Optional[str], overwrite: bool) -> Optional[int]:
        """How many bytes of audio an owner's upload may have (None: any); Refusal `over-quota` when it cannot fit.

        `size`: bytes that it is known to have; `name`: where it will go, None where that is not known.
        """
        limits = self.limits(owner)
        if limits is None or limits == (None, None, None):
            return None
        there = self._file(_BY_NAME, (owner, unicodedata.normalize("NFC", name))) if name else None
        if there is not None and not overwrite:
            return None  # the same again, which takes nothing, or refused for its name
        usage = quotas.Usage(*self.people.usage(owner))
        return quotas.room(limits, usage, size, there.size if there is not None else None)

    # -- reading ---------------------------------------------------------------------------------------

    def record(
        self, *, id: Optional[str] = None, name: Optional[str] = None, owner: Optional[int] = 0, reach: str = OWN,
    ) -> Optional[str]:
        """The record of one file as JSON text; None when there is none.

        By its id where that is within `reach` of `owner`, or by its name among the files of `owner` (None: of all,
        the newest).
        """
        rows = self._one("SELECT record FROM files WHERE ", id, name, owner, reach)
        return rows[0][0] if rows else None

    def content(
        self, *, id: Optional[str] = None, name: Optional[str] = None, owner: Optional[int] = 0, reach: str = OWN,
    ) -> Optional[Content]:
        """What it takes to send one file, found as `record` finds it; None when there is none."""
        rows = self._one(_CONTENT, id, name, owner, reach)
        return Content._make(rows[0]) if rows else None

    def described(self, id: str, owner: Optional[int] = 0, reach: str = OWN) -> Optional[Tuple[Content, str]]:
        """What `content` and `record` say of one file, by one look."""
        rows = self._one(_CONTENT.replace(" FROM", ", record FROM", 1), id, None, owner, reach)
        return (Content._make(rows[0][:-1]), rows[0][-1]) if rows else None

    def most(self, limit: int) -> int:
        """How many bytes one file may have, of `limit`."""
        return min(limit, self._blobs.largest or limit)

    def open_content(self, content: Content, start: int = 0, stop: Optional[int] = None) -> Any:
        """What its bytes are sent from, those from `start` to `stop` first: a descriptor or a `Source`.

        FileNotFoundError when they are gone; Refusal `busy` when the store of the bytes fails.
        """
        if not self.is_far:
            return self._blobs.open(content.key)
        try:
            self._ownership.ensure()
            return self._blobs.open(content.key, start, content.size if stop is None else stop, content.size)
        except StoreError as error:
            raise refusal_of(error) from error

    def address(self, content: Content, seconds: float, disposition: str) -> str:
        """Where whoever has this address may fetch the bytes for so long; only of a far store."""
        try:
            return self._blobs.address(content.key, int(seconds), disposition, content.mime)
        except StoreError as error:
            raise refusal_of(error) from error

    def lend(self, content: Content, path: str) -> None:
        """The bytes of a file as `path` in the data folder too, whatever becomes of the file.

        FileNotFoundError when they are gone; Refusal `no-space` where they had to be copied and did not fit.
        """
        try:
            self._blobs.lend(content.key, path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise refusal_of(error) from error

    def span(self, content: Content, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes `start` to `stop` of a file, in pieces that are only lent; only of a far store.  Waits for it."""
        self._ownership.ensure()
        return self._blobs.span(content.key, start, stop, content.size)

    def fetch(self, content: Content, path: str, start: int, stop: int) -> None:
        """The bytes `start` to `stop` of a file as `path` in the data folder; only of a far store.  Raises what `lend` does."""
        self._spool.check_room(stop - start)
        try:
            self._blobs.write(self.span(content, start, stop), path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise refusal_of(error) from error

    def list(self, listing: Any, owner: Optional[int] = 0) -> Page:
        """The page of an owner's records (None: of everybody's) that a `Listing` asks for.

        Refusal `busy` when no index helps in time.
        """
        try:
            return self._pages.page(listing, owner)
        except TooSlow as error:
            raise Refusal("busy", f"{error}: narrow the filters", headers=[("Retry-After", "10")]) from None

    def _one(
        self, select: str, id: Optional[str], name: Optional[str], owner: Optional[int], reach: str
    ) -> List[tuple]:
        if id is not None:
            return self._catalogue.read(select + _BY_ID[reach], (id, owner))
        name = unicodedata.normalize("NFC", name or "")
        try:
            if owner is None:
                return self._catalogue.read(select + _BY_NAME_OF_ANYBODY, (name,))
            return self._catalogue.read(select + _BY_NAME, (owner, name))
        except UnicodeEncodeError:  # half a surrogate pair: no file is called so
            return []

    def _named(self, owner: int, name: str) -> Optional[File]:
        return self._file(_BY_NAME, (owner, name))

    def _file(self, where: str, params: Tuple[Any, ...]) -> Optional[File]:
        rows = self._catalogue.read(FILE + where, params)
        return File._make(rows[0]) if rows else None

    # -- changing --------------------------------------------------------------------------------------

    def change(
        self, id: str, *, name: Optional[str] = None, metadata: Optional[Dict[str, str]] = None,
        shared: Optional[bool] = None, owner: int = 0, reach: str = OWN, check: Optional[Look] = None,
    ) -> Optional[str]:
        """Rename a file, replace its metadata or share it; the new record, None when there is no such file.

        Refusal `bad-name`, `name-taken`, `no-space`, and what `check` raises, who is given the file as it is.
        """
        wanted = valid_name(name) if name is not None else None
        while True:
            there = self._file(_BY_ID[reach], (id, owner))
            if there is None:
                return None
            if check is not None:
                check(there)
            record = json.loads(there.record)
            if shared is not None:
                record["shared"] = shared
            if wanted is not None:
                record["name"] = wanted
            if metadata is not None:
                record["metadata"] = dict(metadata)
            row = row_of(
                record, owner=there.owner, key=there.key, uploaded_ms=there.uploaded_ms, family=there.family,
                version=there.version + 1,
            )
            try:
                counts = self._catalogue.write(changed(record, row, there.version))
            except sqlite3.IntegrityError as error:
                known = refusal_of(error)
                if known is error:
                    known = Refusal("name-taken", f"there is another file named {wanted!r}", parameter="name")
                raise known from None
            except OSError as error:
                raise refusal_of(error) from error
            if counts[-1]:
                return row.record

    def remove(self, id: str, owner: int = 0, reach: str = OWN, check: Optional[Look] = None) -> bool:
        """Remove a file within `reach` of `owner`; whether there was one.  `check` is given it, and may refuse."""
        while True:
            there = self._file(_BY_ID[reach], (id, owner))
            if there is None:
                return False
            if check is not None:
                check(there)
            try:
                counts = self._catalogue.write([
                    noted(id, there.version, self._clock_ms()),
                    ("DELETE FROM files WHERE id = ? AND version = ?", (id, there.version)),
                ])
            except (OSError, sqlite3.IntegrityError) as error:
                raise refusal_of(error) from error
            if counts[-1]:
                self.removals.carry_out(there.key)
                return True

    def remove_all(self, owner: int) -> int:
        """Remove every file of an owner; how many there were."""
        count = 0
        while True:
            rows = self._catalogue.read("SELECT id FROM files WHERE owner = ? LIMIT 1000", (owner,))
            if not rows:
                return count
            count += sum(self.remove(id, owner) for (id,) in rows)

    # -- care ------------------------------------------------------------------------------------------

    def health(self) -> Dict[str, str]:
        """What is wrong, by the engine that is ill: "catalogue", "blobs", "disk"; empty when nothing is."""
        return self._health.wrong()

    def collect(self, grace_s: float) -> List[str]:
        """Remove from a far store what is to be removed, what was half sent, and what no row names since `grace_s`.

        Gives the keys of the last.

        Whatever cannot be read ends it, and so does a store that is not, or no longer, this catalogue's.
        """
        self._ownership.ensure_still()
        self.removals.finish()
        self._blobs.give_up(grace_s)
        removed = []
        for key in strays(self._catalogue, self._blobs, grace_s):
            # Asked anew: the rows were read a page at a time, before the names were.
            if not is_named(self._catalogue, key):
                self.removals.remove_stray(key)
                removed.append(key)
        return removed

    def move(
        self, *, catalogue: Optional[str] = None, blobs: Optional[str] = None, say: Callable[[str], None] = lambda text: None,
    ) -> Moved:
        """Move the rows to the cluster `catalogue`, all audio to the store `blobs`; "": to the folder, None: neither.

        A server may go on reading meanwhile.  Interrupted, the same call goes on.
        """
        if blobs is not None:
            self._ownership.ensure_still()
        origin = Origin(self._catalogue, self._blobs, self.data, self._spool.folder, self.data / LINK_KEY, self.ops)
        return move(origin, catalogue, blobs, say)

    def cancel_move(self) -> bool:
        """Let everything be changed again after a move that was begun and not finished; whether there was one."""
        was_begun = cancel(self._catalogue)
        if self.asks_far:  # what had arrived here is of no use for another try
            discard_arriving(self.data, self.ops)
        return was_begun

    def cut(self) -> None:
        """Whoever waits for a far store fails from now on."""
        self._blobs.close()

    def _sweep(self) -> None:
        """Remove what a crash left; only under the folder's lock."""
        self._spool.sweep()
        self.removals.finish()
        if self._folder_lock is not None and not self._folder_lock.was_clean and not self.is_far:
            for key in list(strays(self._catalogue, self._blobs)):
                self.removals.remove_stray(key)

    def check(self, *, deep: bool = False, fix: bool = False) -> Report:
        """Compare rows with bytes both ways, with `deep` every sha256; `fix` repairs, as checks.py says.

        `fix` needs the folder's lock; looking does not.
        """
        if fix and self._folder_lock is None:
            raise ValueError("fixing needs the data folder's lock")
        self._ownership.ensure_still()  # in another's store all bytes would seem to be missing
        return Check(self._catalogue, self._blobs, deep=deep, fix=fix).run()

    def backup(self, directory: Union[str, Path]) -> int:
        """Copy everything to a new or empty folder while others go on; how many files it has then.

        FileExistsError when there is something in it.
        """
        target = Path(directory)
        self._ownership.ensure()
        self.ops.make_directory(str(target))
        if any(target.iterdir()):
            raise FileExistsError(errno.EEXIST, "the folder is not empty", str(target))
        blobs = DirectoryBlobs(target / "files", self.ops)
        return back_up(self._catalogue, self._blobs, target, blobs, self.ops)

    def dump(self) -> Iterator[str]:
        """The catalogue as SQL, a statement at a time."""
        return self._catalogue.dump()


def storage_at(catalogue: str) -> Any:
    """`Storage`, with its catalogue where the address says; for commands that open one by its folder alone."""
    if not catalogue:
        return Storage

    class Elsewhere(Storage):
        """One whose rows are in a cluster."""

        def __init__(self, data: Union[str, Path], **more: Any) -> None:
            super().__init__(data, catalogue=catalogue, **more)

        @staticmethod
        def exists(data: Union[str, Path]) -> bool:
            try:
                open_catalogue(catalogue, Path(data), FileOps(), False, False).close()
            except MigrationError:
                return False
            return True

        @staticmethod
        def destroy(data: Union[str, Path], blobs: str = "") -> None:
            raise Refusal("not-implemented", "a catalogue in a cluster is removed by the cluster's own means")

    return Elsewhere
