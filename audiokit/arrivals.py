"""A received file on its way to being one of ours: a name that is free, its bytes in the store, its row.

These are steps 3 to 6 of the order that stands at the top of storage.py, and what each leaves that fails.  Never: a row
before its bytes are durable, bytes that stay behind a refusal.  Raises `Refusal` for what callers do wrong or there is no
room for, and OSError for a disk that fails.
"""

from __future__ import annotations

import os
import sqlite3
from base64 import b32encode
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Union

import audiometa

from . import quotas
from .catalogue.links import came_through
from .catalogue.rows import File, Row, Statement, added, changed, noted, row_of, when
from .failures import refusal_of
from .formats.info import AudioInfo
from .held import Held
from .names import free_names, other_names, valid_name
from .spool import Upload
from .wire.company import Joint, Work, one_by_one
from .wire.problems import Refusal

Received = Union[Upload, Held]
Undo = Callable[[str], Statement]
Look = Callable[[Optional[File]], None]  # is given a file before it is changed, and may refuse


class Kept(NamedTuple):
    """What became of an upload."""

    outcome: str  # "created", "same" or "replaced"
    id: str
    record: str  # JSON, one line
    etag: str  # with its quotes


class Arrivals:
    """Makes received files ours.  Thread-safe."""

    def __init__(
        self, catalogue: Any, blobs: Any, ownership: Any, removals: Any, named: Callable[[int, str], Optional[File]],
        limits: Callable[[int], Optional[quotas.Limits]], clock_ms: Callable[[], int],
    ) -> None:
        """`named(owner, name)` finds a file, `limits(owner)` what an account may have."""
        self._blobs, self._ownership, self._removals = blobs, ownership, removals
        self._limits, self._clock_ms = limits, clock_ms
        self._named_all = one_by_one(named)
        self._put_all = one_by_one(blobs.put) if blobs.is_far else blobs.put_all
        self._write_all = (
            one_by_one(lambda *statements: catalogue.write(statements)) if catalogue.is_far else catalogue.write_all
        )

    def keeping(
        self, upload: Received, *, name: Optional[str], info: AudioInfo, sha256: str, size: int,
        metadata: Dict[str, str], overwrite: bool = False, owner: int = 0, uploaded_by: Optional[str] = None,
        now_ms: Optional[int] = None, default_extension: str = "", drop: Optional[str] = None,
        check: Optional[Look] = None, undo: Optional[Undo] = None,
    ) -> Work[Kept]:
        """Make a received file one of ours, durable when this returns; the upload is over either way.

        A work that costs less in company (wire/company.py): its sync and its commit are shared.
        `name` None: the beginning of `sha256` with `default_extension`, and a number where that is taken.  Through a
        `drop` it is a new file in any case, under a name that is free.  Refusal `name-taken` when the name has other
        bytes and `overwrite` is false, `bad-name`, `no-space`, `over-quota`, `not-found` for a drop that is gone.
        `check` is given the file that has the name, or None, and may refuse.  `undo` gives, for the key of the bytes, what
        removes a new file again where it is not to be: then Refusal `gone`, and nothing is left.
        """
        with upload:
            if now_ms is None:
                now_ms = self._clock_ms()
            fields = {
                "id": "", "name": "", "size": size, "sha256": sha256, "uploaded": when(now_ms),
                "uploaded_by": uploaded_by, "shared": False, **audiometa.record_fields(info), "metadata": dict(metadata),
            }
            fields["warnings"] = fields.pop("warnings")  # behind the metadata, as in docs/api.md
            family = audiometa.FAMILY.get(info.container, info.container)
            incoming = _Incoming(fields, owner, now_ms, family, overwrite, drop, check, undo)
            names = iter([valid_name(name)]) if name is not None else free_names(sha256[:12], default_extension)
            if drop is not None:
                names = other_names(next(names), os.urandom)
            return (yield from self._placing(upload, incoming, names, name is None or drop is not None))

    def _placing(self, upload: Received, incoming: _Incoming, names: Iterator[str], is_generated: bool) -> Work[Kept]:
        """Find out under which name, then move the bytes and write the row."""
        key = ""
        name = next(names)
        while True:
            incoming.fields["name"] = name
            there = yield Joint(self._named_all, (incoming.owner, name))
            if incoming.check is not None:
                try:
                    incoming.check(None if is_generated else there)
                except Refusal:
                    self._removals.drop(key)
                    raise
            if there is not None and incoming.drop is None and (there.sha256, there.size) == incoming.identity:
                self._removals.drop(key)
                return Kept("same", there.id, there.record, f'"{there.sha256}"')
            if there is not None and is_generated:
                name = next(names)
                continue
            if there is not None and not incoming.overwrite:
                self._removals.drop(key)
                raise Refusal("name-taken", f"there is another file named {name!r}", parameter="name")
            if not key:
                key = yield from self._putting(upload, incoming)
            try:
                work = self._replacing(there, key, incoming) if there else self._creating(key, incoming)
                kept = yield from work
            except BaseException as error:
                self._removals.disown(key)
                raise self._refusal_of(error, incoming) from None
            if kept is not None:
                return kept
            # Someone else came first: look again.

    def _putting(self, upload: Received, incoming: _Incoming) -> Work[str]:
        key = self._blobs.new_key()
        sha256, size = incoming.identity
        try:
            self._ownership.ensure()
        except OSError as error:
            raise refusal_of(error) from error
        try:
            yield Joint(self._put_all, (key, upload.file, size, sha256))
        except OSError as error:
            self._removals.drop(key)
            raise refusal_of(error) from error
        upload.give_away()
        return key

    def _creating(self, key: str, incoming: _Incoming) -> Work[Optional[Kept]]:
        record = incoming.fields
        record["id"] = _new_id(incoming.now_ms)
        row = incoming.row(key, 1)
        through = [came_through(incoming.drop, key)] if incoming.drop is not None else []
        undone = [incoming.undo(key)] if incoming.undo is not None else []
        counts = yield Joint(self._write_all, added(record, row) + through + undone)
        if not counts[0]:
            return None
        if undone and counts[-1]:
            raise Refusal("gone", "who wanted it is somebody else by now")
        return Kept("created", record["id"], row.record, f'"{record["sha256"]}"')

    def _replacing(self, there: File, key: str, incoming: _Incoming) -> Work[Optional[Kept]]:
        record = incoming.fields
        record["id"], record["shared"] = there.id, bool(there.shared)
        row = incoming.row(key, there.version + 1)
        counts = yield Joint(self._write_all, [
            noted(there.id, there.version, incoming.now_ms), *changed(record, row, there.version),
        ])
        if not counts[-1]:
            return None
        self._removals.carry_out(there.key)
        return Kept("replaced", there.id, row.record, f'"{record["sha256"]}"')

    def _refusal_of(self, error: BaseException, incoming: _Incoming) -> BaseException:
        """What a failed write means for the caller: a full disk, a move, a quota, or what it was."""
        known = refusal_of(error)
        if known is error and isinstance(error, sqlite3.IntegrityError):
            return quotas.refusal_of(str(error), self._limits(incoming.owner), incoming.drop is not None) or error
        return known


def _new_id(now_ms: int) -> str:
    """A file's id: 40 bits of the time and 80 of chance.

    Files that come together lie together in every index that has the id: a crowd writes a third less of the catalogue.
    """
    ticks = (now_ms >> 4) % (1 << 40)  # of 16 ms: they go round in 557 years
    return b32encode(ticks.to_bytes(5, "big") + os.urandom(10)).decode("ascii").lower()


class _Incoming:
    """An upload's record while its place is looked for."""

    def __init__(
        self, fields: Dict[str, Any], owner: int, now_ms: int, family: str, overwrite: bool, drop: Optional[str],
        check: Optional[Look], undo: Optional[Undo],
    ) -> None:
        self.fields, self.owner, self.now_ms = fields, owner, now_ms
        self.family, self.overwrite, self.drop, self.check = family, overwrite, drop, check
        self.undo = undo
        self.identity = (fields["sha256"], fields["size"])

    def row(self, key: str, version: int) -> Row:
        """The values of the row that it becomes."""
        return row_of(self.fields, owner=self.owner, key=key, uploaded_ms=self.now_ms, family=self.family, version=version)
