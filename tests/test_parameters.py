"""Parameters: known, given once, not empty; one of a few words.  What is wrong is named."""

from __future__ import annotations

import pytest

from audiokit.parameters import once, one_of
from audiokit.wire.problems import Refusal


@pytest.mark.parametrize(
    "pairs, known, name, why",
    [
        ([("a", "1"), ("c", "2")], ("a", "b"), "c", "there is no parameter 'c' here; there are a, b"),
        ([("a", "1")], (), "a", "there is no parameter 'a' here"),
        ([("a", "1"), ("a", "1")], ("a",), "a", "a is given twice"),
        ([("a", "")], ("a",), "a", "a is empty"),
    ],
)
def test_what_is_wrong_is_named(pairs, known, name, why):
    with pytest.raises(Refusal) as caught:
        once(pairs, known)
    assert (caught.value.code, caught.value.members["parameter"], caught.value.detail) == ("bad-parameter", name, why)


def test_what_is_right_is_given_by_name():
    assert once([("b", "2"), ("a", "1")], ("a", "b", "c")) == {"a": "1", "b": "2"}


def test_one_of_a_few_words():
    assert one_of({"form": "wav"}, "form", ("mp3", "wav")) == "wav"
    assert one_of({}, "form", ("mp3", "wav")) is None
    with pytest.raises(Refusal, match="form is 'flac'; there are mp3, wav"):
        one_of({"form": "flac"}, "form", ("mp3", "wav"))
