"""The rows of signed links and of drops, behind the catalogue's door.

Never sees a drop's secret, only its digest, nor the key that signs.  What comes through a drop is
counted by the catalogue's own triggers (schema.sql), in the transaction that adds the file.
"""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

from ..links import Drop, Link

Statement = Tuple[str, Tuple[Any, ...]]

_LINK = "l.id, l.file, l.account, l.download, l.created_ms, l.expires_ms"
_DROP = (
    "d.id, d.account, d.note, d.created_ms, d.expires_ms, d.most_files, d.most_bytes, d.most_ms, "
    "d.files, d.bytes, d.duration_ms"
)
# Whoever made it may still come in; what was made in open mode was nobody's, and stays.
_IS_LET_IN = "(account = 0 OR account IN (SELECT id FROM accounts WHERE is_disabled = 0))"
MOST_LINKS = 1000  # to a file
MOST_DROPS = 1000  # of an account
_KEEP_MS = 7 * 86_400_000  # what has expired can still be seen in lists for so long
_FORGET_LINKS = "DELETE FROM links WHERE expires_ms < ?"
_ADD_LINK = (
    "INSERT INTO links (id, file, account, download, created_ms, expires_ms) "
    "SELECT ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM files WHERE id = ?) "
    "AND NOT EXISTS (SELECT 1 FROM links WHERE id = ?) "
    "AND (SELECT count(*) FROM links WHERE file = ?) < ?"
)
_OF_FILE = (
    f"SELECT {_LINK}, a.name FROM links l LEFT JOIN accounts a ON a.id = l.account "
    "WHERE l.file = ? ORDER BY l.created_ms, l.id"
)
_OF_OWNER = " AND EXISTS (SELECT 1 FROM files f WHERE f.id = links.file AND f.owner = ?)"
_FORGET_DROPS = "DELETE FROM drops WHERE expires_ms < ?"
_ADD_DROP = (
    "INSERT INTO drops (id, digest, account, note, created_ms, expires_ms, "
    "most_files, most_bytes, most_ms) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? "
    "WHERE NOT EXISTS (SELECT 1 FROM drops WHERE id = ?) "
    "AND (SELECT count(*) FROM drops WHERE account = ?) < ?"
)


class Links:
    """Signed links in a catalogue.  Thread-safe, as the catalogue is."""

    def __init__(self, catalogue: Any) -> None:
        self._catalogue = catalogue

    def add(self, link: Link) -> bool:
        """Keep a new link, and forget those long expired; False when its file is gone or has
        MOST_LINKS."""
        forget = (_FORGET_LINKS, (link.created_ms - _KEEP_MS,))
        add = (_ADD_LINK, (*link, link.file, link.id, link.file, MOST_LINKS))
        return bool(self._catalogue.write([forget, add])[1])

    def named(self, id: str) -> Optional[Link]:
        """The link of that id, unless whoever made it may not come in any more."""
        rows = self._catalogue.read(f"SELECT {_LINK} FROM links l WHERE id = ? AND {_IS_LET_IN}", (id,))
        return _link(rows[0]) if rows else None

    def of_file(self, file: str) -> List[Tuple[Link, Optional[str]]]:
        """The links to a file, oldest first, each with the name of the account that made it."""
        rows = self._catalogue.read(_OF_FILE, (file,))
        return [(_link(row[:-1]), row[-1]) for row in rows]

    def has(self, id: str, owner: Optional[int]) -> bool:
        """Whether there is such a link to a file of `owner` (None: of anybody)."""
        where, params = _one_of(id, owner, _OF_OWNER)
        return bool(self._catalogue.read("SELECT 1 FROM links" + where, params))

    def remove(self, id: str, owner: Optional[int]) -> bool:
        """Remove a link to a file of `owner` (None: of anybody); whether there was one."""
        where, params = _one_of(id, owner, _OF_OWNER)
        return bool(self._catalogue.write([("DELETE FROM links" + where, params)])[0])


class Drops:
    """Drops in a catalogue.  Thread-safe, as the catalogue is."""

    def __init__(self, catalogue: Any) -> None:
        self._catalogue = catalogue

    def add(self, drop: Drop, digest: str) -> bool:
        """Keep a new drop under the digest of its token, and forget those long expired; False
        when there are MOST_DROPS of the account."""
        forget = (_FORGET_DROPS, (drop.created_ms - _KEEP_MS,))
        add = (_ADD_DROP, (drop.id, digest, *drop[1:8], drop.id, drop.account, MOST_DROPS))
        return bool(self._catalogue.write([forget, add])[1])

    def shown(self, digest: str) -> Optional[Drop]:
        """The drop whose token has that digest, unless its owner may not come in any more."""
        rows = self._catalogue.read(f"SELECT {_DROP} FROM drops d WHERE digest = ? AND {_IS_LET_IN}", (digest,))
        return Drop._make(rows[0]) if rows else None

    def of(self, account: Optional[int]) -> List[Tuple[Drop, Optional[str]]]:
        """The drops of an account (None: of all), oldest first, each with its account's name."""
        where, params = ("", ()) if account is None else ("WHERE d.account = ? ", (account,))
        rows = self._catalogue.read(
            f"SELECT {_DROP}, a.name FROM drops d LEFT JOIN accounts a ON a.id = d.account {where}"
            "ORDER BY d.created_ms, d.id",
            params,
        )
        return [(Drop._make(row[:-1]), row[-1]) for row in rows]

    def has(self, id: str, account: Optional[int]) -> bool:
        """Whether there is such a drop of `account` (None: of anybody)."""
        where, params = _one_of(id, account, " AND account = ?")
        return bool(self._catalogue.read("SELECT 1 FROM drops" + where, params))

    def remove(self, id: str, account: Optional[int]) -> bool:
        """Remove a drop of `account` (None: of anybody); whether there was one."""
        where, params = _one_of(id, account, " AND account = ?")
        return bool(self._catalogue.write([("DELETE FROM drops" + where, params)])[0])


def _one_of(id: str, whose: Optional[int], is_theirs: str) -> Tuple[str, Tuple[Any, ...]]:
    """The row of that id, of somebody (None: of anybody), as the end of a statement and its parameters."""
    return (" WHERE id = ?", (id,)) if whose is None else (" WHERE id = ?" + is_theirs, (id, whose))


def came_through(drop: str, key: str) -> Statement:
    """What notes, behind the statements that add the file with the blob `key`, that it came through
    a drop.

    With them it is undone when the drop is gone or takes no more.
    """
    return (
        "INSERT INTO drop_files (file, drop_id) SELECT id, ? FROM files "
        "WHERE key = ? AND NOT EXISTS (SELECT 1 FROM drop_files WHERE file = files.id)",
        (drop, key),
    )


def _link(row: Tuple[Any, ...]) -> Link:
    id, file, account, download, *rest = row
    return Link(id, file, account, bool(download), *rest)
