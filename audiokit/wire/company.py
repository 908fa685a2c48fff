"""Work that costs less in company: many syncs of a disk, or many rows in one transaction.

Such work is a generator.  Where others could join in it yields a `Joint` and is sent what came of it, or has that
thrown into it; what it returns is its result.  `alone` carries one such work out, `together` many of them side by
side: each time, all that wait for the same act are one call of it.  Pure: the acts do what is done.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Generator, List, NamedTuple, Sequence, Tuple, TypeVar

T = TypeVar("T")


class Joint(NamedTuple):
    """A step: `act` takes a list of items and gives a list of outcomes in their order, an exception where one failed."""

    act: Callable[[List[Any]], Sequence[Any]]
    item: Any


Work = Generator[Joint, Any, T]


def alone(work: Work[T]) -> T:
    """Carry out one work; its result, or what it raises."""
    try:
        step = next(work)
        while True:
            (outcome,) = step.act([step.item])
            step = work.throw(outcome) if isinstance(outcome, BaseException) else work.send(outcome)
    except StopIteration as end:
        return end.value


def together(crowd: Sequence[Work[Any]]) -> List[Any]:
    """Carry out many works; for each its result, or the exception that it raised."""
    results: List[Any] = [None] * len(crowd)

    def go_on(number: int, outcome: Any) -> None:
        work = crowd[number]
        try:
            step = work.throw(outcome) if isinstance(outcome, BaseException) else work.send(outcome)
            waiting.setdefault(step.act, []).append((number, step.item))
        except StopIteration as end:
            results[number] = end.value
        except BaseException as error:  # of this one alone: the others go on
            results[number] = error

    waiting: Dict[Callable[[List[Any]], Sequence[Any]], List[Tuple[int, Any]]] = {}
    for number in range(len(crowd)):
        go_on(number, None)
    while waiting:
        act = next(iter(waiting))
        members = waiting.pop(act)
        try:
            outcomes = act([item for _, item in members])
        except BaseException as error:  # a fault of the act's: all of them hear of it
            outcomes = [error] * len(members)
        for (number, _), outcome in zip(members, outcomes):
            go_on(number, outcome)
    return results


def one_by_one(act: Callable[..., Any]) -> Callable[[List[Any]], List[Any]]:
    """An act of a single item (a tuple of its arguments) as one of many, for which company saves nothing."""
    def each(items: List[Any]) -> List[Any]:
        return [outcome_of(act, *item) for item in items]

    return each


def outcome_of(act: Callable[..., Any], *arguments: Any) -> Any:
    """What `act(*arguments)` gives, or the exception that it raises."""
    try:
        return act(*arguments)
    except BaseException as error:
        return error
