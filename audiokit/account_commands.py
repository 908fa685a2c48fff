"""The commands `user` and `token`: accounts and API tokens, also while the server runs.

Each is a function from parsed arguments to an exit status.  A password comes from a prompt, from the first line of
standard input or of a file, and never from an argument, which every process on the machine can read.  What they
change a running server notices within a second.  They print results on standard output, all else on standard error.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import time
from typing import Any, Callable, Dict, List, Optional

from . import accounts, credentials
from .accounts import Account
from .commands import OK, fail
from .settings import BadSetting, add_flags, count, seconds, size
from .wire.problems import Refusal

DEFAULT_SCOPES = "read,write,delete"
DEFAULT_EXPIRY = "90d"  # a forgotten token should not work for ever


def add_user(parser: argparse.ArgumentParser) -> None:
    """The arguments of `user`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    about = {
        "add": "make an account; from the first one on everybody needs a credential",
        "list": "print the accounts",
        "remove": "remove an account with its tokens, and say what becomes of its files",
        "password": "give an account another password",
        "disable": "let an account in no longer; its files and tokens stay",
        "enable": "let a disabled account in again",
        "quota": "limit what an account may have; prints its quota",
    }
    for name, text in about.items():
        # Without abbreviations: `--password x` must not be taken for `--password-file x`.
        action = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        add_flags(action, ["data", "catalogue"])
        if name == "list":
            action.add_argument("--json", action="store_true", help="one account a line, as JSON")
            continue
        action.add_argument("name", metavar="NAME")
        if name == "add":
            action.add_argument("--admin", action="store_true", help="sees and changes everything")
        if name in ("add", "password"):
            action.add_argument(
                "--password-file", metavar="FILE", help="its first line is the password; without it: a prompt, or the "
                "first line of standard input",
            )
        if name == "quota":
            for flag, what in (("files", "how many files"), ("bytes", "bytes, such as 10GiB"),
                               ("seconds", "audio, in seconds or such as 20h")):
                action.add_argument("--" + flag, metavar="MOST", help=f"{what}; none: no limit")
        if name == "remove":
            action.add_argument(
                "--files", choices=("keep", "remove"), help="keep: only admins see them from then on; asked for where "
                "the account has files",
            )


def add_token(parser: argparse.ArgumentParser) -> None:
    """The arguments of `token`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = actions.add_parser(
        "new", help="make a token; it is printed alone on the last line, once", description="make an API token",
    )
    new.add_argument("account", metavar="ACCOUNT")
    new.add_argument("--scope", default=DEFAULT_SCOPES, metavar="SCOPES", help="of read,write,delete,admin "
                     f"(default {DEFAULT_SCOPES})")
    new.add_argument("--expires", default=DEFAULT_EXPIRY, metavar="TIME", help="such as 12h or 90d, or never "
                     f"(default {DEFAULT_EXPIRY})")
    new.add_argument("--note", default="", metavar="TEXT", help="what it is for")
    of = actions.add_parser("list", help="print the tokens, without their secrets", description="print the tokens")
    of.add_argument("account", metavar="ACCOUNT", nargs="?")
    of.add_argument("--json", action="store_true", help="one token a line, as JSON")
    revoke = actions.add_parser("revoke", help="end a token", description="end a token")
    revoke.add_argument("id", metavar="ID", help="as `token list` prints it, or the token's beginning")
    for action in (new, of, revoke):
        add_flags(action, ["data", "catalogue"])


def run(given: argparse.Namespace, data: str, storage_class: Any) -> int:
    """Carry out one action of `user` or `token` on the folder `data`."""
    act = _ACTIONS[given.command, given.action]
    if not storage_class.exists(data):
        if (given.command, given.action) != ("user", "add"):
            return fail(f"there is no catalogue in {data}")
        storage_class(data).close()
    with storage_class(data, create=False, exclusive=False) as storage:
        try:
            return act(given, storage)
        except (Refusal, BadSetting) as error:
            return fail(str(error))


# -- user ---------------------------------------------------------------------------------------------------


def _user_add(given: argparse.Namespace, storage: Any) -> int:
    name = accounts.valid_account_name(given.name)
    if storage.people.named(name) is not None:
        return fail(f"there is an account {name!r} already")
    kept = _hashed(_password(given, name))
    if not storage.people.add(name, kept, given.admin, _now_ms()):
        return fail(f"there is an account {name!r} already")
    _audit(f"account {name} added" + (", an admin" if given.admin else ""))
    return OK


def _user_list(given: argparse.Namespace, storage: Any) -> int:
    rows = []
    for account in storage.people.all():
        files, size, duration_ms = storage.people.usage(account.id)
        rows.append({
            "name": account.name, "admin": account.is_admin, "disabled": account.is_disabled,
            "created": _day(account.created_ms), "files": files, "bytes": size, "seconds": duration_ms / 1000,
        })
    _print(rows, given.json)
    return OK


def _user_remove(given: argparse.Namespace, storage: Any) -> int:
    account = _account(given.name, storage)
    files = storage.people.usage(account.id)[0]
    if files and given.files is None:
        return fail(f"{account.name} has {files} files: say --files keep (admins see them) or --files remove")
    storage.people.disable(account.id)  # so that nothing comes while the files go
    removed = storage.remove_all(account.id) if given.files == "remove" else 0
    storage.people.remove(account.id)
    _audit(f"account {account.name} removed" + (f", and {removed} files" if removed else ""))
    return OK


def _user_password(given: argparse.Namespace, storage: Any) -> int:
    account = _account(given.name, storage)
    storage.people.set_password(account.id, _hashed(_password(given, account.name)))
    _audit(f"account {account.name} has another password")
    return OK


def _user_disable(given: argparse.Namespace, storage: Any) -> int:
    account = _account(given.name, storage)
    storage.people.disable(account.id, given.action == "disable")
    _audit(f"account {account.name} {given.action}d")
    return OK


def _user_quota(given: argparse.Namespace, storage: Any) -> int:
    account = _account(given.name, storage)
    limits = storage.limits(account.id)
    wanted = limits._replace(
        files=_most(given.files, count, limits.files), bytes=_most(given.bytes, size, limits.bytes),
        ms=_most(given.seconds, lambda text: round(seconds(text) * 1000), limits.ms),
    )
    if wanted != limits:
        storage.people.limit(account.id, *wanted)
        _audit(f"account {account.name} has the quota: {wanted}")
    print(json.dumps(wanted.as_json()))
    return OK


def _most(text: Optional[str], kind: Callable[[str], int], before: Optional[int]) -> Optional[int]:
    """A limit as a flag says it; as before where there is no flag."""
    if text is None:
        return before
    return None if text == "none" else kind(text)


def _account(name: str, storage: Any) -> Account:
    found = storage.people.named(name.lower())
    if found is None:
        raise Refusal("not-found", f"there is no account {name!r}")
    return found


def _password(given: argparse.Namespace, name: str) -> str:
    try:
        return credentials.valid_password(_typed(given, name).rstrip("\r\n"))
    except UnicodeDecodeError:
        raise Refusal("bad-parameter", "the password is not UTF-8")
    except EOFError:
        raise Refusal("bad-parameter", "no password was given")


def _typed(given: argparse.Namespace, name: str) -> str:
    if given.password_file is not None:
        with open(given.password_file, encoding="utf-8") as file:
            return file.readline()
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    text = getpass.getpass(f"password of {name}: ")
    if getpass.getpass("once more: ") != text:
        raise Refusal("bad-parameter", "the two are not the same")
    return text


def _hashed(password: str) -> str:
    return credentials.hash_password(password, os.urandom(credentials.SALT_BYTES))


# -- token --------------------------------------------------------------------------------------------------


def _token_new(given: argparse.Namespace, storage: Any) -> int:
    account = _account(given.account, storage)
    scopes = accounts.valid_scopes(given.scope.split(","))
    if accounts.ADMIN in scopes and not account.is_admin:
        return fail(f"{account.name} is no admin: its token cannot have the scope admin")
    note, now_ms = accounts.valid_note(given.note), _now_ms()
    expires_ms = _expiry(given.expires, now_ms)
    token = credentials.new_token(os.urandom(credentials.TOKEN_CHANCE_BYTES))
    if not storage.people.add_token(token.id, account.id, token.digest, scopes, note, now_ms, expires_ms):
        return fail(f"the token of {account.name} was not made: the account is gone")
    _audit(f"token {token.id} of {account.name} made: {','.join(scopes)}, expires {_moment(expires_ms) or 'never'}")
    print(token.text)
    return OK


def _expiry(text: str, now_ms: int) -> Optional[int]:
    if text == "never":
        return None
    lasts = seconds(text)
    if lasts < 1:  # as POST /tokens: a token that has expired when it is printed is a mistake
        raise BadSetting(f"--expires is {text!r}; from 1 s on can be, or never")
    return now_ms + int(lasts * 1000)


def _token_list(given: argparse.Namespace, storage: Any) -> int:
    account = _account(given.account, storage).id if given.account is not None else None
    _print([
        {
            "id": token.id, "account": name, "scopes": ",".join(token.scopes), "created": _moment(token.created_ms),
            "expires": _moment(token.expires_ms), "used": _moment(token.used_ms), "note": token.note,
        }
        for token, name in storage.people.tokens(account)
    ], given.json)
    return OK


def _token_revoke(given: argparse.Namespace, storage: Any) -> int:
    id = given.id
    if id.startswith(credentials.TOKEN_PREFIX):
        id = id[len(credentials.TOKEN_PREFIX):].partition("_")[0]
    if not storage.people.revoke(id):
        return fail(f"there is no token {id[:20]!r}")
    _audit(f"token {id} revoked")
    return OK


_ACTIONS: Dict[Any, Callable[[argparse.Namespace, Any], int]] = {
    ("user", "add"): _user_add, ("user", "list"): _user_list, ("user", "remove"): _user_remove,
    ("user", "password"): _user_password, ("user", "disable"): _user_disable, ("user", "enable"): _user_disable,
    ("user", "quota"): _user_quota,
    ("token", "new"): _token_new, ("token", "list"): _token_list, ("token", "revoke"): _token_revoke,
}


# -- words --------------------------------------------------------------------------------------------------


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _moment(milliseconds: Optional[int]) -> Optional[str]:
    if milliseconds is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(milliseconds // 1000))


def _day(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(milliseconds // 1000))


def _print(rows: List[Dict[str, Any]], as_json: bool) -> None:
    """Rows as JSON, one a line, or as columns for a person."""
    if as_json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
        return
    if not rows:
        return
    table = [list(rows[0])] + [[_word(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table)]
    for line in table:
        print("  ".join(word.ljust(width) for word, width in zip(line, widths)).rstrip())


def _word(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _audit(text: str) -> None:
    print(f"audioserver: audit: {text}", file=sys.stderr)
