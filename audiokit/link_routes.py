"""The routes of links: signed ones, that read a file without a credential, and drops, that only
upload.

A link shows one file and nothing around it; through a drop comes a file, and out of it comes
nothing, neither a name that is taken nor a digest that is known.  Never says a link a second time.
Raises `Refusal`.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Optional

from . import accounts, content, credentials, json_bodies, links, quotas
from .accounts import ALL
from .json_bodies import moment
from .links import Drop, Link
from .names import valid_name
from .parameters import bad
from .preconditions import check_new
from .quotas import Limits, Usage
from .uploads import KeepingSink, Wishes, wishes_of
from .wire.answers import Answer, Later, Receive
from .wire.company import Work
from .wire.problems import Refusal
from .wire.responses import Response, json_response
from .wire.targets import split_query

DAY_MS = 86_400_000
LINK_MS = DAY_MS  # how long a link lives when nobody says
DROP_MS = 7 * DAY_MS
LONGEST_MS = 366 * DAY_MS  # a year: what is to be open for good should be open to somebody

_expires = json_bodies.lifetime_ms(LONGEST_MS, f"{LONGEST_MS // DAY_MS} days can be")
_LINK = {"expires": _expires, "download": json_bodies.yes_or_no}
_DROP = {
    "expires": _expires,
    "note": json_bodies.text,
    "files": json_bodies.or_null(json_bodies.count),
    "bytes": json_bodies.or_null(json_bodies.number_of_bytes),
    "minutes": json_bodies.or_null(json_bodies.minutes_ms),
}
_OF_NOBODY = ("id", "uploaded_by", "shared")  # of the record: not for whoever uploads through a drop
_OWNERS = "its owner makes links to it"


def _end(given: Dict[str, Any], usual_ms: int, now_ms: int) -> int:
    """When it expires: a whole second, not before the time that was asked for."""
    return links.whole_seconds(now_ms + given.get("expires", usual_ms) + 999)


def _url(request: Any, target: str) -> str:
    """A path, or the whole of it where the server was told its own name."""
    return request.services.settings.public_url + target


# -- signed links ----------------------------------------------------------------------------------


def make(request: Any) -> Answer:
    """POST /files/{id}/links: a link that reads the file."""
    request.parameters()
    request.check_holds(_OWNERS)
    return json_bodies.receive(request, _LINK, lambda given: _made(request, given))


def _made(request: Any, given: Dict[str, Any]) -> Response:
    services, who = request.services, request.who
    now_ms = services.now_ms()
    link = Link(
        links.new_id(services.chance(links.ID_CHANCE_BYTES)),
        request.id,
        who.account,
        given.get("download", True),
        now_ms,
        _end(given, LINK_MS, now_ms),
    )
    if not services.storage.links.add(link):
        request.check_holds(_OWNERS)  # gone since?
        raise _too_many("the file has so many links that")
    services.audit(f"link {link.id} to file {link.file} made by {who.label}, expires {moment(link.expires_ms)}")
    target = links.target_of(services.link_key, link)
    body = {"id": link.id, "url": _url(request, target), **_said(link, who.name)}
    return json_bodies.said_once(body, [("Location", f"/links/{link.id}")])


def of_file(request: Any) -> Answer:
    """GET /files/{id}/links: the links to a file, without what signs them."""
    request.parameters()
    request.check_holds(_OWNERS)

    def work() -> Response:
        found = request.services.storage.links.of_file(request.id)
        return json_response({"links": [{"id": link.id, **_said(link, name)} for link, name in found]})

    return Later(work)


def _too_many(what: str) -> Refusal:
    return Refusal("over-quota", f"{what} there can be no more: end some, or wait until they expire")


def _said(link: Link, by: Optional[str]) -> Dict[str, Any]:
    return {
        "expires": moment(link.expires_ms),
        "download": link.download,
        "file": link.file,
        "created": moment(link.created_ms),
        "created_by": by,
    }


def follow(request: Any) -> Answer:
    """GET /links/{id}: the file that a link is for.  The signature is the credential; there is
    no other."""
    services = request.services
    claim = links.claim_of(
        services.link_key,
        request.head.method,
        request.id,
        split_query(request.head.query),
        services.now_ms(),
    )
    kind = "attachment" if claim.download else "inline"
    return content.stored(
        request, lambda: _linked(services.storage, claim),
        lambda: Refusal("not-found", "the link was revoked, or its file is gone"), kind,
    )


def _linked(storage: Any, claim: links.Claim) -> Any:
    link = storage.links.named(claim.id)
    if link is None or (link.download, link.expires_ms) != (claim.download, claim.expires_ms):
        return None
    return storage.content(id=link.file, reach=ALL)


def revoke(request: Any) -> Answer:
    """DELETE /links/{id}: ends a link."""
    return _end_one(request, request.services.storage.links, "link", "revoked")


def _end_one(request: Any, kept: Any, what: str, done: str) -> Answer:
    """Remove what has the id of the path, of one's own or as an admin anybody's."""
    request.parameters()
    who = request.who

    def work() -> Response:
        request.check_conditions(lambda: kept.has(request.id, who.ends))
        if not kept.remove(request.id, who.ends):
            raise Refusal("not-found", f"there is no {what} {request.id!r}")
        request.services.audit(f"{what} {request.id} {done} by {who.label}")
        return Response(204)

    return Later(work)


# -- drops -----------------------------------------------------------------------------------------


def make_drop(request: Any) -> Answer:
    """POST /drops: a link through which others upload into one's own account."""
    request.parameters()
    return json_bodies.receive(request, _DROP, lambda given: _made_drop(request, given))


def _made_drop(request: Any, given: Dict[str, Any]) -> Response:
    services, who = request.services, request.who
    now_ms = services.now_ms()
    token = links.new_drop_token(services.chance(links.TOKEN_CHANCE_BYTES))
    drop = Drop(
        links.new_id(services.chance(links.ID_CHANCE_BYTES)),
        who.account,
        accounts.valid_note(given.get("note", "")),
        now_ms,
        _end(given, DROP_MS, now_ms),
        given.get("files"),
        given.get("bytes"),
        given.get("minutes"),
    )
    if not services.storage.drops.add(drop, credentials.secret_digest(token)):
        raise _too_many("the account has so many drops that")
    services.audit(f"drop {drop.id} made by {who.label}, expires {moment(drop.expires_ms)}")
    body = {
        "id": drop.id,
        "url": _url(request, links.drop_target(token)),
        **_said_of_drop(drop, who.name),
    }
    return json_bodies.said_once(body, [("Location", f"/drops/{drop.id}")])


def list_drops(request: Any) -> Answer:
    """GET /drops: one's own drops, an admin's view of all, without what opens them."""
    request.parameters()
    who = request.who

    def work() -> Response:
        found = request.services.storage.drops.of(who.ends)
        return json_response({"drops": [{"id": drop.id, **_said_of_drop(drop, name)} for drop, name in found]})

    return Later(work)


def _said_of_drop(drop: Drop, account: Optional[str]) -> Dict[str, Any]:
    return {
        "note": drop.note,
        "account": account,
        "created": moment(drop.created_ms),
        "expires": moment(drop.expires_ms),
        "files": drop.most_files,
        "bytes": drop.most_bytes,
        "minutes": _minutes(drop.most_ms),
        "used": {"files": drop.files, "bytes": drop.bytes, "minutes": _minutes(drop.duration_ms)},
    }


def _minutes(milliseconds: Optional[int]) -> Any:
    if milliseconds is None:
        return None
    return milliseconds // 60_000 if milliseconds % 60_000 == 0 else milliseconds / 60_000


def remove_drop(request: Any) -> Answer:
    """DELETE /drops/{id}: ends a drop; what came through it stays."""
    return _end_one(request, request.services.storage.drops, "drop", "removed")


def upload(request: Any) -> Answer:
    """POST /drop/{token}: stores the body for whoever made the drop."""
    services = request.services
    drop = _open_drop(request)
    wishes = wishes_of(request)
    if wishes.overwrite:
        raise _nothing_replaced()
    check_new(request.fields, request.head.method)  # whatever there is: nobody learns that here
    return Receive(
        _DropSink(request, drop, wishes, _room(services.storage, drop, wishes)),
        services.settings.max_upload,
    )


def _open_drop(request: Any) -> Drop:
    """The drop of this token; what is no token, unknown, removed or expired looks the same."""
    services, token = request.services, request.id
    drop = (
        services.storage.drops.shown(credentials.secret_digest(token))
        if links.is_drop_token(token)
        else None
    )
    if drop is None or drop.expires_ms <= services.now_ms():
        raise Refusal("not-found", "there is no such drop, or not any more")
    return drop


def _room(storage: Any, drop: Drop, wishes: Wishes) -> Optional[int]:
    """How many bytes may come; Refusal that tells nothing of the owner."""
    try:
        rooms = (
            quotas.room(Limits.of(drop), Usage(drop.files, drop.bytes, drop.duration_ms), wishes.size),
            storage.room(drop.account, wishes.size, None, False),
        )
    except Refusal:
        raise quotas.drop_is_full() from None
    return min((room for room in rooms if room is not None), default=None)


def _nothing_replaced() -> Refusal:
    return bad("overwrite", "nothing is replaced through a drop")


class _DropSink(KeepingSink):
    """The body of POST /drop/{token}: received as every upload is, and always a new file."""

    def __init__(self, request: Any, drop: Drop, wishes: Wishes, room: Optional[int]) -> None:
        services = request.services
        super().__init__(
            wishes,
            services.storage,
            services.identify,
            services.hashing,
            services.settings.portable,
            room,
        )
        self._services, self._drop = services, drop

    def _over_room(self) -> Refusal:
        return quotas.drop_is_full()

    def finishing(self) -> Work[Response]:
        """Check, look, keep; 201 and a receipt."""
        services, drop, upload = self._services, self._drop, self._upload
        name, overwrite, metadata = self._said()
        if overwrite:
            raise _nothing_replaced()
        sha256 = self._checked_digest()
        info = self._look(upload)
        extension = services.extension_of(info)
        kept = yield from services.storage.keeping(
            upload,
            name=name,
            info=info,
            sha256=sha256.hex(),
            size=upload.written,
            metadata=metadata,
            default_extension=extension,
            owner=drop.account,
            drop=drop.id,
        )
        self._upload = None
        services.audit(f"file {kept.id} came through drop {drop.id}")
        receipt = _receipt(kept.record, valid_name(name or sha256.hex()[:12] + extension))
        return json_response(receipt, 201)


def _receipt(record: str, name: str) -> Dict[str, Any]:
    """What whoever uploaded learns: what they sent, under the name they gave."""
    found = {key: value for key, value in json.loads(record).items() if key not in _OF_NOBODY}
    return {**found, "name": name}
