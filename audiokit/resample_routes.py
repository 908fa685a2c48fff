"""The routes of the resampling service: from a request to a job, and from a job to an answer.

What is asked for, and whether it can be, orders.py says.  Never shows a path of the server, never takes one.  Raises
`Refusal`.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Callable, Iterable, Optional, Tuple, Union

from . import content
from .accounts import ALL, READ, Who, not_admitted
from .failures import refusal_of
from .job import FAILED, Job, Order
from .names import valid_name
from .offers import is_decoded, is_resampled
from .orders import Look, Wanted, order_of, size_of, wanted_of
from .preconditions import check_new
from .uploads import ReceivingSink, Wishes, disposed_name
from .wire.answers import Answer, Later, Pending, Receive, Stream
from .wire.fields import parse_prefer
from .wire.policies import DATA
from .wire.problems import Refusal
from .wire.responses import Response, json_response
from .wire.targets import split_query

_WARNINGS_MAX = 1000  # characters of X-Resample-Warnings: all of them are in the status
_EVENTS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", DATA),
)


# -- POST /resample --------------------------------------------------------------------------------


def resample(request: Any) -> Answer:
    """POST /resample: converts the body, or a stored file."""
    services, framing = request.services, request.framing
    wanted = _wanted(request)
    check_new(request.fields, request.head.method)  # save_as replaces nothing
    services.jobs.check_room()
    if wanted.stored:
        if framing.is_given and framing.has_body:
            raise Refusal("bad-request", "a stored file is to be converted, and a body is given too")
        return Later(lambda: _begin_stored(services, wanted, request.who), is_far=True)
    if not framing.is_given:
        raise Refusal(
            "length-required",
            "audio to convert needs Content-Length or Transfer-Encoding: chunked; "
            "a stored file is named by id= or source=",
        )
    limit = services.settings.max_upload
    framing.check_fits(limit)
    services.storage.check_room(framing.length)
    services.jobs.warm_up()
    return Receive(_ResampleSink(request, wanted), limit)


def _wanted(request: Any, form: Iterable[Tuple[str, str]] = (), filename: Optional[str] = None) -> Wanted:
    """All that query, form and header fields ask for; the more general ones come behind."""
    fields = request.fields
    wanted = wanted_of(split_query(request.head.query), form)
    if "respond-async" in parse_prefer(fields.get("prefer", "")):
        wanted = wanted._replace(is_async=True)
    name = disposed_name(fields) if wanted.name is None else wanted.name
    name = filename if name is None else name
    return wanted._replace(
        name=None if name is None else valid_name(name),
        save_as=None if wanted.save_as is None else _save_name(wanted.save_as),
    )


def _save_name(text: str) -> str:
    try:
        return valid_name(text)
    except Refusal as refusal:
        raise Refusal(refusal.code, f"save_as: {refusal.detail}", parameter="save_as") from None


class _ResampleSink(ReceivingSink):
    """The body of POST /resample: received as an upload is, then given to a job."""

    def __init__(self, request: Any, wanted: Wanted) -> None:
        services = request.services
        super().__init__(
            Wishes.of(request, None, False, {}),
            services.storage,
            services.identify,
            services.hashing,
            services.settings.portable,
        )
        self._request, self._services, self._wanted = request, services, wanted

    def finish(self) -> Union[Response, Pending]:
        """All is there: look at it and begin."""
        wanted, services = self._wanted, self._services
        if self._form is not None:
            wanted = _wanted(self._request, self._form.close(), self._form.filename)
            if bool(wanted.stored) == self._form.has_file:
                raise Refusal("bad-request", "the form needs either a part with a file name, or id or source")
            if wanted.stored:
                return _begin_stored(services, wanted, self._request.who)
        self._checked_digest()
        info = self._look(self._upload)
        order = order_of(wanted, Look.of(info), wanted.name, services.settings.max_resample_seconds)
        services.storage.check_room(size_of(order, info.duration))
        answer = _begin(services, order, self._upload.move_to, wanted.is_async, self._request.who)
        self._upload = None
        return answer


def _begin_stored(services: Any, wanted: Wanted, who: Who) -> Union[Response, Pending]:
    if not who.may(READ):  # a conversion shows what the file has in it
        raise not_admitted(who, READ)
    meant = wanted.stored
    file = services.storage.content(owner=who.names, reach=who.reach, **meant)
    record = services.storage.record(id=file.id, reach=ALL) if file is not None else None
    if record is None:
        raise content.no_file(meant)
    look = Look.of(json.loads(record))
    order = order_of(wanted, look, wanted.name or file.name, services.settings.max_resample_seconds)
    order = order._replace(source=file.key)
    services.storage.check_room(size_of(order, look.duration))
    return _begin(services, order, partial(_lend, services.storage, file), wanted.is_async, who)


def _lend(storage: Any, file: Any, path: str) -> None:
    try:
        storage.lend(file, path)
    except FileNotFoundError:
        raise Refusal("not-found", f"the file {file.name!r} has just been removed or replaced") from None


def _begin(
    services: Any, order: Order, put: Callable[[str], None], is_async: bool, who: Who
) -> Union[Response, Pending]:
    jobs = services.jobs
    job = jobs.add(order, put, is_async, who.account, who.name)
    if not is_async:
        return Pending(partial(_wait, jobs, job))
    jobs.start(job)
    headers = (("Location", f"/resample/{job.id}"), ("Preference-Applied", "respond-async"))
    return json_response(jobs.status(job), 202, headers)


def _wait(jobs: Any, job: Job, reply: Callable[[Any], None]) -> Callable[[], None]:
    """Begin a job whose client waits on its connection."""

    def changed(job: Job) -> None:
        if job.is_over:
            reply(_outcome(jobs, job))

    jobs.follow(job, changed)
    jobs.start(job)
    return partial(jobs.cancel, job)


def _outcome(jobs: Any, job: Job) -> Union[Response, Refusal]:
    """The answer to whoever waited for it."""
    try:
        if job.state == FAILED:
            return job.failure
        if job.record is not None:
            status = 201 if job.is_new_file else 200
            headers = [("Location", f"/files/{job.file_id}")] if job.is_new_file else []
            return json_response(job.record.encode(), status, headers + list(_said(job)))
        return content.whole(_kept(jobs, job))
    except (Refusal, OSError) as error:  # whatever it is, whoever waits must be told
        jobs.answered(job, [], False)
        known = refusal_of(error)
        return known if isinstance(known, Refusal) else Refusal("internal", "the result cannot be read")


def _kept(jobs: Any, job: Job) -> content.Kept:
    order, result = job.order, job.result
    return content.Kept(
        result.size,
        result.sha256,
        order.mime,
        order.name,
        int(result.since),
        partial(jobs.open_result, job),
        partial(jobs.answered, job),
        _said(job),
    )


def _said(job: Job) -> Tuple[Tuple[str, str], ...]:
    """What was done, as header fields."""
    said = [("X-Resample", job.order.done)]
    if job.warnings:
        text = "; ".join(job.warnings)[:_WARNINGS_MAX]
        said.append(("X-Resample-Warnings", "".join([c if " " <= c <= "~" else "?" for c in text])))
    return tuple(said)


# -- /resample/{id} --------------------------------------------------------------------------------


def _job(request: Any) -> Job:
    """The conversion that is meant, of those that the caller began; an admin's are all."""
    return request.services.jobs.find(request.id, request.who.ends)


def status(request: Any) -> Answer:
    """GET /resample/{id}: how far it is."""
    request.parameters()
    jobs = request.services.jobs
    return json_response(jobs.status(_job(request)))


def events(request: Any) -> Answer:
    """GET /resample/{id}/events: the same as server-sent events, one a change."""
    request.parameters()
    jobs, job = request.services.jobs, _job(request)
    if request.head.method == "HEAD":
        return Response(200, _EVENTS, is_endless=True)

    def begin(push: Callable[[Optional[bytes]], None]) -> Callable[[], None]:
        def changed(job: Job) -> None:
            push(b"data: " + json.dumps(jobs.status(job)).encode() + b"\n\n")
            if job.is_over:
                push(None)

        return jobs.follow(job, changed)

    return Stream(Response(200, _EVENTS), begin)


def result(request: Any) -> Answer:
    """GET /resample/{id}/result: the audio."""
    request.parameters()
    jobs, job = request.services.jobs, _job(request)
    if not job.is_over:
        raise Refusal("not-ready", f"the conversion is {job.state}", headers=[("Retry-After", "1")])
    if job.state == FAILED:
        raise job.failure
    if job.file_id is not None:
        return Response(303, (("Location", f"/files/{job.file_id}/content"),))
    return content.answer(request, _kept(jobs, job))


def remove(request: Any) -> Answer:
    """DELETE /resample/{id}: cancels it, or removes what came of it."""
    request.parameters()
    jobs, job = request.services.jobs, _job(request)
    request.check_conditions()

    def work() -> Response:
        jobs.remove(job)
        return Response(204)

    return Later(work)


# -- GET /files/{id} --------------------------------------------------------------------------------


def offer(id: str, record: str) -> Tuple[Tuple[str, str], ...]:
    """A link (RFC 8288) from a stored file's record to its conversion, where there is one."""
    # The record's own fields come before those that others name: the first of these is right.
    container, codec = (record.partition(f'"{field}": "')[2].partition('"')[0] for field in ("container", "codec"))
    rate = record.partition('"sample_rate": ')[2].partition(",")[0]
    if not (is_decoded(container, codec) and rate.isdigit() and is_resampled(int(rate))):
        return ()
    return (("Link", f'</resample?id={id}>; rel="related"; type="audio/mpeg"; title="POST converts it"'),)
