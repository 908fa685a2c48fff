"""The rows of accounts and tokens, behind the catalogue's door.

Never sees a password or a token: only what is kept of them (audiokit/credentials.py).  Whoever changes a row here,
in this process or another, raises the generation that `generation` reads, so that a server notices.

What changes an account is bound to the generation it was decided in: a write that was given up and comes late, when
somebody has changed accounts since, changes nothing.  So nobody who was disabled, and no old password, comes back.
"""

from __future__ import annotations

import sqlite3
from typing import Any, List, Optional, Sequence, Tuple

from ..accounts import Account, Token

Statement = Tuple[str, Tuple[Any, ...]]

_ACCOUNT = "a.id, a.name, a.password, a.is_admin, a.is_disabled, a.created_ms, a.most_bytes, a.most_files, a.most_ms"
_TOKEN = "t.id, t.account, t.scopes, t.note, t.created_ms, t.expires_ms, t.used_ms"
_IN_GENERATION = " AND (SELECT n FROM generations WHERE what = 'accounts') = ?"
_OTHER_ADMIN = (
    " AND (is_admin = 0 OR is_disabled = 1 OR EXISTS "
    "(SELECT 1 FROM accounts b WHERE b.is_admin = 1 AND b.is_disabled = 0 AND b.id <> accounts.id))"
)
_WIDTH = _ACCOUNT.count(",") + 1


class People:
    """Accounts and their tokens in a catalogue.  Thread-safe, as the catalogue is."""

    def __init__(self, catalogue: Any) -> None:
        self._catalogue = catalogue

    def generation(self) -> int:
        """A number that rises with every change of who may come in, whoever makes it."""
        return self._catalogue.read("SELECT n FROM generations WHERE what = 'accounts'")[0][0]

    # -- accounts --------------------------------------------------------------------------------------

    def are_there(self) -> bool:
        """Whether there is any account."""
        return bool(self._catalogue.read("SELECT 1 FROM accounts LIMIT 1"))

    def all(self) -> List[Account]:
        """Every account, by name."""
        return [_account(row) for row in self._catalogue.read(f"SELECT {_ACCOUNT} FROM accounts a ORDER BY a.name")]

    def named(self, name: str) -> Optional[Account]:
        """The account of that name."""
        return self._one("a.name = ?", name)

    def of_id(self, id: int) -> Optional[Account]:
        """The account with that number."""
        return self._one("a.id = ?", id)

    def _one(self, where: str, value: Any) -> Optional[Account]:
        rows = self._catalogue.read(f"SELECT {_ACCOUNT} FROM accounts a WHERE {where}", (value,))
        return _account(rows[0]) if rows else None

    def add(self, name: str, password: str, is_admin: bool, now_ms: int) -> bool:
        """Add an account with the hash `password`; False when the name is taken."""
        return self._decided(
            "INSERT INTO accounts (name, password, is_admin, created_ms) SELECT ?, ?, ?, ? "
            "WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE name = ?)",
            (name, password, int(is_admin), now_ms, name),
        )

    def remove(self, id: int) -> bool:
        """Remove an account, its tokens, sessions, links and drops; its files stay, whatever becomes of them."""
        return self._decided("DELETE FROM accounts WHERE id = ?", (id,))

    def set_password(self, id: int, password: str) -> bool:
        """Another password, as its hash; ends every session of the account."""
        end = "DELETE FROM sessions WHERE account = (SELECT id FROM accounts WHERE id = ? AND password = ?)"
        return self._decided("UPDATE accounts SET password = ? WHERE id = ?", (password, id), [(end, (id, password))])

    def hash_anew(self, account: Account, password: str) -> bool:
        """The same password under a dearer hash; ends no session.  Not if it was changed meanwhile, or is being moved."""
        sql = "UPDATE accounts SET password = ? WHERE id = ? AND password = ?"
        try:
            return bool(self._change(sql, password, account.id, account.password))
        except sqlite3.IntegrityError:
            return False

    def disable(self, id: int, is_disabled: bool = True, but_not_last_admin: bool = False) -> bool:
        """Let an account in no longer, which ends every session of it, or again.

        With `but_not_last_admin` False, and nothing is done, when no other admin could come in then.
        """
        unless = _OTHER_ADMIN if but_not_last_admin and is_disabled else ""
        end = "DELETE FROM sessions WHERE account = (SELECT id FROM accounts WHERE id = ? AND is_disabled = 1)"
        return self._decided(
            f"UPDATE accounts SET is_disabled = ? WHERE id = ?{unless}", (int(is_disabled), id), [(end, (id,))]
        )

    def limit(self, id: int, most_files: Optional[int], most_bytes: Optional[int], most_ms: Optional[int]) -> bool:
        """Another quota: files, bytes, milliseconds of audio; None: no limit."""
        return self._decided(
            "UPDATE accounts SET most_files = ?, most_bytes = ?, most_ms = ? WHERE id = ?",
            (most_files, most_bytes, most_ms, id),
        )

    def _decided(self, sql: str, params: Tuple[Any, ...], more: Sequence[Statement] = ()) -> bool:
        """Change a row of `accounts`, then do `more`, in the generation that is now; whether a row was changed.

        `sql` ends with its conditions.  Of none that was changed another generation may be the reason: then again.
        """
        generation = self.generation()
        while True:
            if self._catalogue.write([(sql + _IN_GENERATION, (*params, generation)), *more])[0]:
                return True
            before, generation = generation, self.generation()
            if before == generation:
                return False

    def usage(self, id: int) -> Tuple[int, int, int]:
        """What an owner has: files, bytes, milliseconds of audio."""
        rows = self._catalogue.read("SELECT files, bytes, duration_ms FROM counters WHERE owner = ?", (id,))
        return rows[0] if rows else (0, 0, 0)

    # -- tokens ----------------------------------------------------------------------------------------

    def add_token(
        self, id: str, account: int, digest: str, scopes: Tuple[str, ...], note: str, now_ms: int,
        expires_ms: Optional[int],
    ) -> bool:
        """Keep a new token's digest; False when there is no such account, or the id is taken."""
        return bool(self._change(
            "INSERT INTO tokens (id, account, digest, scopes, note, created_ms, expires_ms) SELECT ?, ?, ?, ?, ?, ?, ? "
            "WHERE EXISTS (SELECT 1 FROM accounts WHERE id = ?) AND NOT EXISTS (SELECT 1 FROM tokens WHERE id = ?)",
            id, account, digest, ",".join(scopes), note, now_ms, expires_ms, account, id,
        ))

    def token(self, digest: str) -> Optional[Tuple[Token, Account]]:
        """The token with that digest and whose it is."""
        rows = self._catalogue.read(
            f"SELECT {_ACCOUNT}, {_TOKEN} FROM tokens t JOIN accounts a ON a.id = t.account WHERE t.digest = ?", (digest,)
        )
        return (_token(rows[0][_WIDTH:]), _account(rows[0][:_WIDTH])) if rows else None

    def logged_in(self, digest: str, now_ms: int) -> Optional[Account]:
        """Whose session has that digest."""
        rows = self._catalogue.read(
            f"SELECT {_ACCOUNT} FROM sessions s JOIN accounts a ON a.id = s.account "
            "WHERE s.digest = ? AND s.expires_ms > ?", (digest, now_ms),
        )
        return _account(rows[0]) if rows else None

    def tokens(self, account: Optional[int] = None) -> List[Tuple[Token, str]]:
        """The tokens of one account, or of all, oldest first; each with its account's name."""
        where, params = ("WHERE t.account = ? ", (account,)) if account is not None else ("", ())
        rows = self._catalogue.read(
            f"SELECT {_TOKEN}, a.name FROM tokens t JOIN accounts a ON a.id = t.account {where}"
            "ORDER BY a.name, t.created_ms, t.id", params,
        )
        return [(_token(row[:-1]), row[-1]) for row in rows]

    def has_token(self, id: str, account: Optional[int] = None) -> bool:
        """Whether there is such a token, with `account` of that one."""
        return any(token.id == id for token, _ in self.tokens(account))

    def revoke(self, id: str, account: Optional[int] = None) -> bool:
        """Remove a token, with `account` only if it is that one's; whether there was one."""
        if account is None:
            return bool(self._change("DELETE FROM tokens WHERE id = ?", id))
        return bool(self._change("DELETE FROM tokens WHERE id = ? AND account = ?", id, account))

    def token_was_used(self, id: str, now_ms: int) -> None:
        """Note when a token was shown last."""
        self._change("UPDATE tokens SET used_ms = ? WHERE id = ? AND coalesce(used_ms, 0) < ?", now_ms, id, now_ms)

    def _change(self, sql: str, *params: Any) -> int:
        return self._catalogue.write([(sql, params)])[0]


def _account(row: Tuple[Any, ...]) -> Account:
    id, name, password, is_admin, is_disabled, *rest = row
    return Account(id, name, password, bool(is_admin), bool(is_disabled), *rest)


def _token(row: Tuple[Any, ...]) -> Token:
    id, account, scopes, *rest = row
    return Token(id, account, tuple(scopes.split(",")), *rest)
