"""The routes of accounts: who one is, the page's log-in, tokens, and what admins do.

What is one's own is under /me, /session and /tokens; what is an admin's is under /users.  A token
makes no other tokens unless it has the scope admin, so that one that leaks cannot outlive itself.
Never answers with a hash or a digest, and with a secret once, when it is made.  Raises `Refusal`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Dict, Iterable, Optional

from . import accounts, credentials, json_bodies, sessions
from .accounts import OPEN, TOKEN, Account, Token, Who
from .json_bodies import moment
from .parameters import bad, one_of
from .quotas import Limits, Usage
from .wire.answers import Answer, Later, Pending
from .wire.problems import Refusal
from .wire.responses import Response, json_response

DEFAULT_SCOPES = (accounts.READ, accounts.WRITE, accounts.DELETE)
TOKEN_MS = 90 * 86_400_000  # how long a token lives when nobody says: a forgotten one should end
MOST_TOKENS = 1000  # of an account
_LONGEST_MS = 100 * 366 * 86_400_000  # of an expiry: beyond it calendars end

_LOGIN = {"name": json_bodies.text, "password": json_bodies.text}
_ME = {"old_password": json_bodies.text, "password": json_bodies.text}
_TOKEN = {
    "scopes": json_bodies.words,
    "expires": json_bodies.or_null(json_bodies.lifetime_ms(_LONGEST_MS, "a hundred years can be, or null for never")),
    "note": json_bodies.text,
}
_QUOTA = {
    "files": json_bodies.or_null(json_bodies.count),
    "bytes": json_bodies.or_null(json_bodies.number_of_bytes),
    "seconds": json_bodies.or_null(json_bodies.duration_ms),
}
_quota = json_bodies.an_object(_QUOTA)
_NEW_USER = {
    "name": json_bodies.text,
    "password": json_bodies.text,
    "admin": json_bodies.yes_or_no,
    "quota": _quota,
}
_USER = {"password": json_bodies.text, "disabled": json_bodies.yes_or_no, "quota": _quota}
_NO_LIMITS = Limits(None, None, None)


# -- oneself ---------------------------------------------------------------------------------------


def me(request: Any) -> Answer:
    """GET /me: who asks, what they may, what they have and may have."""
    request.parameters()
    return json_response(_me(request.services, request.who))


def _me(services: Any, who: Who) -> Dict[str, Any]:
    limits = services.storage.limits(who.account) or _NO_LIMITS
    usage = Usage(*services.storage.people.usage(who.account))
    return {
        "name": who.name,
        "admin": who.is_admin,
        "scopes": [scope for scope in accounts.SCOPES if scope in who.scopes],
        "credential": who.how,
        "token": who.token,
        "usage": usage.as_json(),
        "quota": limits.as_json(),
    }


def change_me(request: Any) -> Answer:
    """PATCH /me: another password for oneself, for whoever knows the old one."""
    request.parameters()
    if not request.who.account:
        raise Refusal("forbidden", "there is no account yet")
    return json_bodies.receive(request, _ME, lambda given: _change_me(request, given))


def _change_me(request: Any, given: Dict[str, Any]) -> Pending:
    _check_given(given, _ME)
    credentials.valid_password(given["password"])

    def change(outcome: Any) -> Response:
        if isinstance(outcome, Refusal):  # a 401 would say that it is the credential that is wrong
            raise (
                Refusal("forbidden", "the old password is not right")
                if outcome.status == 401
                else outcome
            )
        _set_password(request, outcome.account, outcome.name, _hashed(request, given["password"]))
        return Response(204)

    return _verified(request, request.who.name, given["old_password"], change)


def _check_given(given: Dict[str, Any], wanted: Iterable[str]) -> None:
    for key in wanted:
        if key not in given:
            raise bad(key, f"{key} is missing")


def _verified(request: Any, name: str, password: str, then: Callable[[Any], Response]) -> Pending:
    """Have a password looked at as any log-in; `then` answers, given the `Who` or a Refusal, off
    the loop."""
    login = request.services.authenticator.log_in(name, password, request.address)

    def begin(reply: Any) -> Any:
        login.begin(lambda outcome: reply(Later(lambda: then(outcome))))
        return lambda: None  # what is being verified counts, whether or not somebody waits for it

    return Pending(begin)


# -- the page's log-in -----------------------------------------------------------------------------


def log_in(request: Any) -> Answer:
    """POST /session: a cookie for a name and a password."""
    request.parameters()
    return json_bodies.receive(request, _LOGIN, lambda given: _log_in(request, given))


def _log_in(request: Any, given: Dict[str, Any]) -> Pending:
    _check_given(given, _LOGIN)
    return _verified(request, given["name"], given["password"], lambda outcome: _session(request, outcome))


def _session(request: Any, outcome: Any) -> Response:
    """A new session for a `Who`, and an end to the one that was shown; or the Refusal that it is
    instead."""
    if isinstance(outcome, Refusal):
        raise _without_dialog(outcome)
    services, now_ms = request.services, request.services.now_ms()
    seconds = int(services.settings.session_ttl)
    value = sessions.new_value(services.chance(sessions.CHANCE_BYTES))
    _end_session(request)
    if not services.storage.sessions.begin(
        credentials.secret_digest(value), outcome.account, now_ms, now_ms + seconds * 1000
    ):
        raise _without_dialog(accounts.unauthorized("name and password do not fit"))
    services.audit(f"log-in of {outcome.label} from {request.address}")
    cookie = ("Set-Cookie", sessions.set_cookie(value, seconds, request.is_secure))
    return json_bodies.said_once(_me(services, replace(outcome, how=accounts.SESSION)), [cookie])


def _without_dialog(refusal: Refusal) -> Refusal:
    """The same without the challenge that makes a browser ask for a password itself, in front of
    the page's form."""
    if refusal.status != 401:
        return refusal
    return Refusal(refusal.code, refusal.detail, headers=accounts.CHALLENGES[1:])


def log_out(request: Any) -> Answer:
    """DELETE /session: the cookie ends, here and in the browser.  Whoever has none is logged out
    already."""
    request.parameters()

    def work() -> Response:
        request.check_conditions()
        _end_session(request)
        return Response(204, (("Set-Cookie", sessions.forget_cookie(request.is_secure)),))

    return Later(work)


def _end_session(request: Any) -> None:
    value = sessions.shown(request.fields, request.is_secure)
    if value is not None:
        request.services.storage.sessions.end(credentials.secret_digest(value))


# -- tokens ----------------------------------------------------------------------------------------


def list_tokens(request: Any) -> Answer:
    """GET /tokens: one's own tokens, without their secrets."""
    request.parameters()
    return Later(lambda: _tokens(request.services, request.who.account))


def _tokens(services: Any, account: int) -> Response:
    found = services.storage.people.tokens(account)
    return json_response({"tokens": [_said_of_token(token, name) for token, name in found]})


def _said_of_token(token: Token, account: Optional[str]) -> Dict[str, Any]:
    return {
        "id": token.id,
        "account": account,
        "scopes": list(token.scopes),
        "note": token.note,
        "created": moment(token.created_ms),
        "expires": moment(token.expires_ms),
        "used": moment(token.used_ms),
    }


def make_token(request: Any) -> Answer:
    """POST /tokens: a token for oneself; it is said once."""
    request.parameters()
    who = request.who
    if who.how == OPEN:
        raise Refusal("forbidden", "there is no account yet, and a token is an account's")
    if who.how == TOKEN and not who.is_admin:
        raise Refusal("forbidden", "a token makes no tokens, unless it has the scope admin: use the password")
    return json_bodies.receive(
        request,
        _TOKEN,
        lambda given: _make_token(request, request.services.storage.people.of_id(who.account), given),
    )


def _make_token(request: Any, account: Optional[Account], given: Dict[str, Any]) -> Response:
    services = request.services
    people = services.storage.people
    scopes = accounts.valid_scopes(given.get("scopes", DEFAULT_SCOPES))
    if account is not None and accounts.ADMIN in scopes and not account.is_admin:
        raise Refusal("forbidden", f"{account.name} is no admin: its token cannot have the scope admin")
    note, now_ms = accounts.valid_note(given.get("note", "")), services.now_ms()
    lasts = given.get("expires", TOKEN_MS)
    expires_ms = None if lasts is None else now_ms + lasts
    if account is not None and len(people.tokens(account.id)) >= MOST_TOKENS:
        raise Refusal("over-quota", f"{account.name} has {MOST_TOKENS} tokens: end some", limit=MOST_TOKENS)
    token = credentials.new_token(services.chance(credentials.TOKEN_CHANCE_BYTES))
    if account is None or not people.add_token(token.id, account.id, token.digest, scopes, note, now_ms, expires_ms):
        raise Refusal("not-found", "the account is gone")
    services.audit(f"token {token.id} of {account.name} made by {request.who.label}: {','.join(scopes)}")
    said = _said_of_token(Token(token.id, account.id, scopes, note, now_ms, expires_ms, None), account.name)
    return json_bodies.said_once({**said, "token": token.text}, [("Location", f"/tokens/{token.id}")])


def revoke_token(request: Any) -> Answer:
    """DELETE /tokens/{id}: ends a token of one's own, or as an admin any."""
    request.parameters()
    who = request.who
    if who.how == TOKEN and not who.is_admin and who.token != request.id:
        raise Refusal(
            "forbidden",
            "a token ends itself alone, unless it has the scope admin: use the password",
        )

    def work() -> Response:
        people = request.services.storage.people
        request.check_conditions(lambda: people.has_token(request.id, who.ends))
        if not people.revoke(request.id, who.ends):
            raise Refusal("not-found", f"there is no token {request.id!r}")
        _changed(request, f"token {request.id} revoked")
        return Response(204)

    return Later(work)


# -- for admins ------------------------------------------------------------------------------------


def list_users(request: Any) -> Answer:
    """GET /users: every account, what it has and may have."""
    request.parameters()
    people = request.services.storage.people

    def work() -> Response:
        return json_response({"users": [_said_of_user(people, account) for account in people.all()]})

    return Later(work)


def _said_of_user(people: Any, account: Account) -> Dict[str, Any]:
    return {
        "name": account.name,
        "admin": account.is_admin,
        "disabled": account.is_disabled,
        "created": moment(account.created_ms),
        "usage": Usage(*people.usage(account.id)).as_json(),
        "quota": Limits.of(account).as_json(),
    }


def user(request: Any) -> Answer:
    """GET /users/{name}: one account."""
    request.parameters()
    return json_response(_said_of_user(request.services.storage.people, _account(request)))


def _account(request: Any) -> Account:
    found = request.services.storage.people.named(request.id.lower())
    if found is None:
        raise _no_account(request)
    return found


def _no_account(request: Any) -> Refusal:
    return Refusal("not-found", f"there is no account {request.id[:80]!r}")


def add_user(request: Any) -> Answer:
    """POST /users: makes an account."""
    request.parameters()
    return json_bodies.receive(request, _NEW_USER, lambda given: _add_user(request, given))


def _add_user(request: Any, given: Dict[str, Any]) -> Response:
    people = request.services.storage.people
    _check_given(given, ("name", "password"))
    name = accounts.valid_account_name(given["name"])
    if people.named(name) is not None or not people.add(
        name,
        _hashed(request, given["password"]),
        given.get("admin", False),
        request.services.now_ms(),
    ):
        raise Refusal("name-taken", f"there is an account {name!r} already", parameter="name")
    account = people.named(name)
    if account is not None and "quota" in given:
        people.limit(account.id, *_limits(account, given["quota"]))
        account = people.named(name)
    _changed(request, f"account {name} added" + (", an admin" if given.get("admin") else ""))
    if account is None:  # and removed again
        raise Refusal("not-found", f"there is no account {name!r} any more")
    return json_response(_said_of_user(people, account), 201, [("Location", f"/users/{name}")])


def _hashed(request: Any, password: str) -> str:
    return request.services.authenticator.hashed(credentials.valid_password(password))


def _set_password(request: Any, id: int, name: str, hashed: str) -> None:
    request.services.storage.people.set_password(id, hashed)
    _changed(request, f"account {name} has another password")


def _limits(account: Account, given: Dict[str, Any]) -> Limits:
    """The account's quota with what is given in it."""
    return Limits(
        given.get("files", account.most_files),
        given.get("bytes", account.most_bytes),
        given.get("seconds", account.most_ms),
    )


def change_user(request: Any) -> Answer:
    """PATCH /users/{name}: another password or quota; disables or enables."""
    request.parameters()
    _account(request)
    return json_bodies.receive(request, _USER, lambda given: _change_user(request, given))


def _change_user(request: Any, given: Dict[str, Any]) -> Response:
    people, account = request.services.storage.people, _account(request)
    hashed = _hashed(request, given["password"]) if "password" in given else None
    if "disabled" in given:  # first of all: it alone may be refused, and then nothing is changed
        if not people.disable(account.id, given["disabled"], but_not_last_admin=True):
            raise _last_admin(account)
        _changed(request, f"account {account.name} {'disabled' if given['disabled'] else 'enabled'}")
    if hashed is not None:
        _set_password(request, account.id, account.name, hashed)
    if "quota" in given:
        limits = _limits(account, given["quota"])
        people.limit(account.id, *limits)
        _changed(request, f"account {account.name} has the quota: {limits}")
    return json_response(_said_of_user(people, _account(request)))


def _last_admin(account: Account) -> Refusal:
    return Refusal(
        "forbidden",
        f"{account.name} is the last admin who may come in; "
        "on the machine itself `user` changes that",
    )


def remove_user(request: Any) -> Answer:
    """DELETE /users/{name}: removes an account with its tokens, and its files if that is said."""
    files = one_of(request.parameters("files"), "files", ("keep", "remove"))
    _account(request)
    return Later(lambda: _remove_user(request, files), is_far=True)


def _remove_user(request: Any, files: Optional[str]) -> Response:
    storage, account = request.services.storage, _account(request)
    count = storage.people.usage(account.id)[0]
    request.check_conditions()
    if count and files is None:
        raise bad(
            "files",
            f"{account.name} has {count} files: files=keep leaves them to admins, files=remove removes them",
        )
    # Disabled first, so that nothing comes while they go.
    if not storage.people.disable(account.id, True, but_not_last_admin=True):
        raise _last_admin(account)
    removed = storage.remove_all(account.id) if files == "remove" else 0
    storage.people.remove(account.id)
    _changed(request, f"account {account.name} removed" + (f", and {removed} files" if removed else ""))
    return Response(204)


def user_tokens(request: Any) -> Answer:
    """GET /users/{name}/tokens: an account's tokens."""
    request.parameters()
    account = _account(request)
    return Later(lambda: _tokens(request.services, account.id))


def make_user_token(request: Any) -> Answer:
    """POST /users/{name}/tokens: a token for that account."""
    request.parameters()
    _account(request)
    return json_bodies.receive(request, _TOKEN, lambda given: _make_token(request, _account(request), given))


def _changed(request: Any, text: str) -> None:
    """It holds from the next request on, and is written down."""
    request.services.authenticator.changed()
    request.services.audit(f"{text} by {request.who.label}")
