"""Moving what is kept from some engines to others: the bytes, the rows, or both, while a server goes on reading.

Of both, the bytes go first.  Where they are then is said in the rows that arrive, and not in those that leave: so until
the last row has been compared the old place is whole, and `cancel` gives it back as it was.  Only files are frozen while
bytes go, which may take days; the rest only while rows go.  Raises what the engines raise, FileExistsError where something
is there already, `Differs` where what arrived is not what left.
"""

from __future__ import annotations

import contextlib
import errno
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

from . import keyfile
from .blobs import moving as of_bytes
from .engines import open_blobs, open_catalogue, was_left

_HOME = "a file in the data folder"  # as an address of rows
_ARRIVING_FILE, _LEFT_FILE = "catalogue.db.arriving", "catalogue.db.left"
FILES = tuple(name + end for name in (_ARRIVING_FILE, _LEFT_FILE) for end in ("", "-wal", "-shm"))  # what a move may leave
_ARRIVING = "SELECT address FROM places WHERE what = 'arriving'"


class Moved(NamedTuple):
    """What a move did; None: it was not asked for."""

    bytes: Optional[of_bytes.Moved]
    rows: Any  # audiokit.catalogue.moving.Moved


class Origin(NamedTuple):
    """Where things are, and what it takes to move them."""

    catalogue: Any
    blobs: Any
    data: Path
    uploads: Path
    link_key: Path
    ops: Any


def move(origin: Origin, catalogue: Optional[str], blobs: Optional[str], say: Callable[[str], None]) -> Moved:
    """Move to the cluster `catalogue` and the store `blobs`; "": to the folder, None: that stays where it is."""
    if catalogue is None:
        with closing(_target_blobs(origin, blobs or "")) as target:
            arguments = origin.catalogue, origin.blobs, target, origin.uploads, origin.ops, say
            return Moved(of_bytes.move(*arguments), None)
    from .catalogue.moving import check_target, move_rows

    path = origin.data / "catalogue.db"
    arriving = path if catalogue else path.with_name(_ARRIVING_FILE)
    if bool(catalogue) == origin.catalogue.is_far or not catalogue and not was_left(path):
        raise FileExistsError(errno.EEXIST, "there is a catalogue already", catalogue or str(path))
    moved, place = None, None
    with closing(open_catalogue(catalogue, arriving, origin.ops, True, True)) as rows:
        address = rows.address if catalogue else _HOME
        check_target(origin.catalogue, rows)  # before the bytes, which take long
        if blobs is None:
            of_bytes.begin(origin.catalogue, origin.blobs, address)
        else:
            with closing(_target_blobs(origin, blobs)) as target:
                address = f"{address} and {of_bytes.address_of(target)}"
                moved, place = of_bytes.bring(
                    origin.catalogue, origin.blobs, target, address, origin.uploads, origin.ops, say
                )
        _share_key(origin, rows)
        found = move_rows(origin.catalogue, rows, address, say, place)
    if not catalogue:
        if path.exists():
            origin.ops.rename(str(path), str(path.with_name(_LEFT_FILE)))
        origin.ops.rename(str(arriving), str(path))
        origin.ops.sync_directory(str(origin.data))
    return Moved(moved, found)


def discard_arriving(data: Path, ops: Any) -> None:
    """Remove what a move to the folder, which is over, had brought of the rows."""
    for end in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            ops.remove(str(data / (_ARRIVING_FILE + end)))


def refuse_unfinished(catalogue: Any) -> None:
    """FileExistsError where not all rows of a move have arrived."""
    for (address,) in catalogue.read(_ARRIVING):
        raise FileExistsError(errno.EEXIST, "not all of the catalogue has arrived: run `db move` to there again", address)


def _target_blobs(origin: Origin, url: str) -> Any:
    target = open_blobs(url, origin.data / "files", origin.ops)
    if of_bytes.address_of(target) == of_bytes.address_of(origin.blobs):
        target.close()
        raise FileExistsError(errno.EEXIST, "the audio is there already", of_bytes.address_of(target))
    return target


def _share_key(origin: Origin, target: Any) -> None:
    """What signs links goes along, so that links that were made go on."""
    if target.is_far and origin.link_key.exists():
        ours = keyfile.read_or_make(origin.link_key, origin.ops)
        target.agreed("link", ours.hex())
    elif not target.is_far:
        key = keyfile.shared(origin.link_key, lambda ours: origin.catalogue.agreed("link", ours))
        keyfile.replace(origin.link_key, origin.ops, key)
