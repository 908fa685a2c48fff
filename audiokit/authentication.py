"""Who is asking: from a request's Authorization field to a `Who`.

What is known already is answered in the loop, in microseconds: while there is no account, everybody; else a
credential that was verified a short while ago, found again by a keyed digest of the field.  A token is looked up
by its digest, which takes no longer.  A password is verified off the loop, two at a time, because that is meant to
be slow; who waits for it costs a connection and no thread.  Nothing is remembered longer than five minutes, nor
once the account, its password or the token has changed, whichever process changed it: every fifth
of a second the catalogue is asked for one number.

Never waits, never keeps a credential, never says whether it was the name or the password that was wrong.
Raises `Refusal`.
"""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Union

from . import credentials
from .accounts import BASIC, EVERYBODY, NOBODY, PUBLIC_READER, READ, SESSION, TOKEN, Account, Who, unauthorized
from .credentials import Basic
from .guesses import Guesses, network_of, too_many
from .sessions import shown as shown_cookie
from .wire.answers import Login
from .wire.problems import Refusal
from .wire.workers import Workers

_LOOK_S = 0.2  # s between two looks at the generation: what was changed elsewhere holds within a second
_USED_S = 60.0  # s that a token is remembered: so often its last use is written
_REMEMBERED = 10_000  # credentials kept; a Who takes some 500 bytes
_AT_ONCE = 2  # passwords hashed at a time: 16 MiB and a core each
_BUSY_S = 5  # s after which a client may come again when too many are logging in

Reply = Callable[[Union[Who, Refusal]], None]


class _Known(NamedTuple):
    """A credential that was right."""

    who: Who
    account: Account  # the row it was right for
    generation: int  # in which that row was read
    until: float  # s, monotonic


class Authenticator:
    """Finds out who asks.  `who` is called in the loop; passwords are hashed in threads of its own."""

    def __init__(
        self, people: Any, settings: Any, chance: Callable[[int], bytes], *, may_be_open: bool, sessions: Any = None,
        on_bug: Callable[[BaseException], None], audit: Callable[[str], None], parameters: str = credentials.PARAMETERS,
        clock: Callable[[], float] = time.monotonic, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`may_be_open`: everybody may come in while there is no account; `parameters` of hashes made anew.

        `sessions`: the rows of the page's log-ins; None: there are none.
        """
        self._parameters = parameters
        self._people, self._sessions, self._chance, self._audit = people, sessions, chance, audit
        self._may_be_open, self._has_public = may_be_open, settings.public_read
        self._queue, self._remember_s = settings.login_queue, settings.login_memory
        self._clock, self._clock_ms = clock, clock_ms
        self._guesses = Guesses(settings.guess_window, settings.guess_limit, settings.guess_limit_address)
        self._key = chance(32)
        self._known: Dict[bytes, _Known] = {}
        self._asking: Dict[bytes, List[Reply]] = {}  # those who wait, by the digest of what they showed
        self._lock = threading.Lock()  # over guesses, known and asking, where threads meet
        self._on_bug = on_bug
        self._crew: Optional[Workers] = None  # made when first needed
        self._is_closed = False
        self._generation = -1
        self.is_open = False
        self.look_again = 0.0  # s, monotonic: until then `is_open` holds
        self._look(clock())

    def close(self) -> None:
        """End the threads; who still waits is told so."""
        self._is_closed = True
        if self._crew is not None:
            self._crew.close()

    # -- in the loop -----------------------------------------------------------------------------------

    def who(self, fields: Dict[str, str], scope: str, address: str, is_secure: bool = False) -> Union[Who, Login]:
        """Who shows these header fields to a route of `scope`; `Login` when it takes a while to find out.

        `is_secure`: they came over TLS, where the page's cookie has another name.

        Refusal `unauthorized` for a wrong credential, `too-many-requests` after too many, `busy`.
        """
        now = self._clock()
        if now >= self.look_again:
            self._look(now)
        if self.is_open:
            return EVERYBODY
        field = fields.get("authorization")
        if field is None:
            nobody = PUBLIC_READER if self._has_public and scope == READ else NOBODY
            return self._who_is_logged_in(fields, is_secure) or nobody if "cookie" in fields else nobody
        digest = self._digest(field.encode("latin-1"))
        known = self._known.get(digest)
        if known is not None and known.generation == self._generation and now < known.until:
            if self._guesses.is_quiet or known.who.how == TOKEN:
                return known.who
        return self._who_shows(field, digest, address, now)

    def changed(self) -> None:
        """Accounts or tokens were changed in this process: it holds from the next request on."""
        self.look_again = 0.0

    def _look(self, now: float) -> None:
        self.look_again = now + _LOOK_S
        if not self._guesses.is_quiet:
            with self._lock:
                self._guesses.forget_old(now)
        generation = self._people.generation()
        if generation != self._generation:
            self.is_open = self._may_be_open and not self._people.are_there()
            self._generation = generation

    def _digest(self, shown: bytes) -> bytes:
        return hashlib.blake2b(shown, key=self._key, digest_size=16).digest()

    def _who_shows(self, field: str, digest: bytes, address: str, now: float) -> Union[Who, Login]:
        shown = credentials.parse_authorization(field)
        if shown is None:
            raise unauthorized("the credential is neither Basic nor a token")
        address = network_of(address)
        if isinstance(shown, str):
            return self._who_has(shown, digest, address, now)
        self._check_guesses(shown.name, address, now)
        known = self._revalidated(digest, now)
        return self._login(shown, digest, address) if known is None else known.who

    def _check_guesses(self, name: str, address: str, now: float) -> None:
        if self._guesses.is_quiet:
            return
        with self._lock:
            wait = self._guesses.wait(name, address, now)
        if wait:
            raise too_many(wait)

    def _revalidated(self, digest: bytes, now: float) -> Optional[_Known]:
        """What is known of a credential, if it still holds for the rows as they are now."""
        known = self._known.get(digest)
        if known is None or now >= known.until:
            return None
        if known.generation != self._generation:
            if self._people.of_id(known.account.id) != known.account:
                with self._lock:
                    self._known.pop(digest, None)
                return None
            known = known._replace(generation=self._generation)
            self._remember(digest, known)
        return known

    def _remember(self, digest: bytes, known: _Known) -> None:
        with self._lock:
            self._known.pop(digest, None)
            self._known[digest] = known
            if len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]

    # -- tokens ----------------------------------------------------------------------------------------

    def _who_has(self, text: str, digest: bytes, address: str, now: float) -> Who:
        """Whose token it is.  A right one always gets in: nobody guesses 256 bits."""
        now_ms = self._clock_ms()
        found = self._people.token(credentials.secret_digest(text))
        if found is None or found[1].is_disabled or (found[0].expires_ms or now_ms + 1) <= now_ms:
            self._check_guesses("", address, now)
            with self._lock:
                self._guesses.attempt("", address, now)
            raise unauthorized("the token is not known, not any more, or has expired")
        token, account = found
        who = account.who(TOKEN, token.scopes, token.id)
        left = _USED_S if token.expires_ms is None else min(_USED_S, (token.expires_ms - now_ms) / 1000)
        self._remember(digest, _Known(who, account, self._generation, now + left))
        if token.used_ms is None or now_ms - token.used_ms >= _USED_S * 1000:
            self._submit(self._people.token_was_used, token.id, now_ms)
        return who

    # -- the page ------------------------------------------------------------------------------------------

    def _who_is_logged_in(self, fields: Dict[str, str], is_secure: bool) -> Optional[Who]:
        """Whose session the cookie is.  Asked of the catalogue each time: what has ended has ended."""
        value = shown_cookie(fields, is_secure)
        if value is None or self._sessions is None:
            return None
        account = self._people.logged_in(credentials.secret_digest(value), self._clock_ms())
        return None if account is None or account.is_disabled else account.who(SESSION)

    # -- passwords -------------------------------------------------------------------------------------

    def log_in(self, name: str, password: str, address: str) -> Login:
        """The same for a name and a password that came otherwise than by a header field."""
        shown, address = Basic(name.lower(), password), network_of(address)
        self._check_guesses(shown.name, address, self._clock())
        return self._login(shown, self._digest(repr(shown).encode("utf-8", "replace")), address)

    def hashed(self, password: str) -> str:
        """What is kept of a new password.  Takes a fraction of a second: not for the loop."""
        return credentials.hash_password(password, self._chance(credentials.SALT_BYTES), self._parameters)

    def _login(self, shown: Basic, digest: bytes, address: str) -> Login:
        waiting = len(self._asking)
        if waiting >= self._queue + _AT_ONCE and digest not in self._asking:
            raise Refusal("busy", f"{waiting} log-ins are being looked at", headers=[("Retry-After", str(_BUSY_S))])
        return Login(lambda reply: self._ask(shown, digest, address, reply))

    def _ask(self, shown: Basic, digest: bytes, address: str, reply: Reply) -> None:
        """Have a password verified; who shows the same meanwhile waits for the same answer."""
        with self._lock:
            waiting = self._asking.get(digest)
            if waiting is not None:
                waiting.append(reply)
                return
            self._asking[digest] = [reply]
            self._guesses.attempt(shown.name, address, self._clock())
        self._submit(self._verify, shown, digest, address)

    def _submit(self, task: Callable[..., None], *arguments: Any) -> None:
        with self._lock:
            if self._crew is None:
                self._crew = Workers(_AT_ONCE, "login", self._on_bug, gives_way=True)
        self._crew.submit(task, *arguments)

    def _verify(self, shown: Basic, digest: bytes, address: str) -> None:
        """In the crew: one password, and an answer for all who wait for it."""
        outcome: Union[Who, Refusal] = Refusal("internal", "the password could not be looked at")
        try:
            outcome = self._outcome(shown, digest, address)
        finally:
            with self._lock:
                waiting = self._asking.pop(digest)
            for reply in waiting:
                reply(outcome)

    def _outcome(self, shown: Basic, digest: bytes, address: str) -> Union[Who, Refusal]:
        if self._is_closed:
            return Refusal("draining", "the server is shutting down", headers=[("Retry-After", "5")], close=True)
        generation = self._people.generation()  # before the row: what changes in between is noticed
        account = self._people.named(shown.name)
        kept = account.password if account is not None else credentials.stand_in(self._parameters)
        is_right = credentials.verify_password(shown.password, kept)
        if account is None or not is_right or account.is_disabled:
            # A name that is no account's may be a password in the wrong field: it is not written down.
            self._audit(f"log-in failed: {account.name if account else 'no such account'} from {address}")
            return unauthorized("name and password do not fit")
        if credentials.is_outdated(account.password, self._parameters):
            fresh = self.hashed(shown.password)
            if self._people.hash_anew(account, fresh):
                account, generation = account._replace(password=fresh), self._people.generation()
        who = account.who(BASIC)
        self._remember(digest, _Known(who, account, generation, self._clock() + self._remember_s))
        with self._lock:
            self._guesses.was_right(shown.name, address)
        return who
