"""What is done for a connection in workers' threads: bodies come, routes work, answers leave.

Whoever runs an errand has the connection's transfer alone, lent by the loop (connection.py), and touches nothing else of
it: not what is watched, timed or buffered.  The last thing an errand does is to `post` what came of it, which gives the
connection back.  Never waits for the client.  Raises nothing: what goes wrong is an outcome too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from .company import Work
from .problems import Refusal
from .transfers import AGAIN, DONE, WAIT, PeerGone

if TYPE_CHECKING:  # it sends us; we only know what it lends
    from .connection import Connection

SMALL = 1 << 16  # bytes of a body that is kept in company: what one read of the loop takes


def receive(connection: Connection, is_first: bool = False) -> None:
    """One step of the body, and the route's answer once it is whole."""
    reactor = connection.reactor
    try:
        if is_first:
            connection.sink.open()
        outcome: Any = _turns(connection, connection.receiving)
    except (Refusal, PeerGone) as end:
        outcome = end.with_traceback(None)  # it names us, and we it: only a collection could tell them apart
    except Exception as bug:
        outcome = connection.handler.bug(bug)
    if outcome is DONE and connection.sink.likes_company and connection.receiving.received <= SMALL:
        reactor.crowds.submit([connection])
    elif outcome is DONE:
        reactor.far.submit(finish, connection)
    else:
        if outcome is not WAIT and outcome is not AGAIN:
            _abandon(connection)
        reactor.post(connection, outcome)


def complete(connection: Connection) -> Work[Any]:
    """Among others of its kind: a small body that is here whole, and the route's answer; the crowd posts what came of it."""
    try:
        if connection.is_untouched:
            connection.sink.hold()
            connection.receiving.step()
        outcome: Any = yield from connection.sink.finishing()
        connection.sink = None
    except Refusal as refusal:
        outcome = refusal.with_traceback(None)
    except Exception as bug:
        outcome = connection.handler.bug(bug)
    _abandon(connection)
    return outcome


def finish(connection: Connection) -> None:
    """The body is whole: the route's answer."""
    def act() -> Any:
        answer = connection.sink.finish()
        connection.sink = None
        return answer

    outcome = _answer(connection, act)
    _abandon(connection)
    connection.reactor.post(connection, outcome)


def work(connection: Connection, act: Callable[[], Any]) -> None:
    """What a route does off the loop."""
    connection.reactor.post(connection, _answer(connection, act))


def send(connection: Connection) -> None:
    """One step of the answer."""
    try:
        outcome: Any = _turns(connection, connection.sending)
    except PeerGone as gone:
        outcome = gone.with_traceback(None)
    except Exception as bug:
        connection.handler.bug(bug)
        outcome = PeerGone("cannot go on sending")
    connection.reactor.post(connection, outcome)


def seek(connection: Connection) -> None:
    """The answer's source has to be asked again, which may take its time."""
    outcome: Any = AGAIN
    try:
        connection.sending.seek()
    except OSError as error:  # what was promised cannot be kept: only the connection's end can tell
        outcome = PeerGone(str(error))
    except Exception as bug:
        connection.handler.bug(bug)
        outcome = PeerGone("cannot go on sending")
    connection.reactor.post(connection, outcome)


def _answer(connection: Connection, act: Callable[[], Any]) -> Any:
    """What a route's work gives, or the answer that says why it gives nothing."""
    try:
        return act()
    except Refusal as refusal:
        return connection.handler.problem(refusal)
    except Exception as bug:
        return connection.handler.bug(bug)


def _turns(connection: Connection, transfer: Any) -> str:
    """Step after step while nobody else wants the thread: handing over costs 5 % of a fast transfer."""
    outcome = transfer.step()
    while outcome is AGAIN and not connection.reactor.bulk.is_pressed:
        outcome = transfer.step()
    return outcome


def _abandon(connection: Connection) -> None:
    sink, connection.sink = connection.sink, None
    if sink is not None:
        try:
            sink.abandon()
        except Exception as bug:  # the client still gets its answer
            connection.handler.bug(bug)
