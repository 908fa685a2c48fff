"""Works in company: what waits for the same act is one call of it, and a fault is the fault of its own work."""

from __future__ import annotations

import pytest

from audiokit.wire.company import Joint, alone, one_by_one, together


class Acts:
    """Two acts that note how many items they were called with; a negative item fails."""

    def __init__(self):
        self.calls = []
        self.double = self._act("double", lambda item: 2 * item)
        self.name = self._act("name", str)

    def _act(self, word, change):
        def act(items):
            self.calls.append((word, len(items)))
            return [ValueError(item) if item < 0 else change(item) for item in items]
        return act


@pytest.fixture
def acts():
    return Acts()


def story(acts, number):
    doubled = yield Joint(acts.double, number)
    try:
        return (yield Joint(acts.name, doubled if number < 100 else -1))
    except ValueError:
        return "mended"


def at_once(number):
    return number
    yield


def test_a_work_alone_takes_a_step_at_a_time(acts):
    assert alone(story(acts, 4)) == "8"
    assert alone(story(acts, 100)) == "mended"
    assert acts.calls == [("double", 1), ("name", 1)] * 2
    with pytest.raises(ValueError):
        alone(story(acts, -1))


def test_what_waits_for_the_same_act_is_one_call_of_it(acts):
    assert together([story(acts, number) for number in (1, 2, 3)]) == ["2", "4", "6"]
    assert acts.calls == [("double", 3), ("name", 3)]


def test_who_needs_no_act_is_done_at_once_and_nobody_is_fine(acts):
    assert together([at_once(7), story(acts, 1)]) == [7, "2"]
    assert together([]) == []


def test_what_fails_fails_for_one_alone(acts):
    first, failed, mended = together([story(acts, number) for number in (1, -2, 100)])
    assert (first, mended) == ("2", "mended") and isinstance(failed, ValueError)


def test_an_act_that_fails_as_a_whole_fails_for_all_who_are_in_it(acts):
    def broken(items):
        raise OSError("broken")

    def other():
        yield Joint(broken, 1)

    *failed, fine = together([other(), other(), story(acts, 1)])
    assert [str(error) for error in failed] == ["broken", "broken"] and fine == "2"


def test_what_gains_nothing_in_company_is_done_one_by_one():
    double = one_by_one(lambda item, times: [item] * times)
    done, failed = double([("a", 2), ("a", "b")])
    assert done == ["a", "a"] and isinstance(failed, TypeError)
