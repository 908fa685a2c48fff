"""Conditional requests by the precedence of RFC 9110 section 13.2.2."""

from __future__ import annotations

import itertools

import pytest

from audiokit.wire.conditions import evaluate, if_range_matches
from audiokit.wire.fields import http_date

ETAG, MODIFIED = '"abc"', 784111777  # Sun, 06 Nov 1994 08:49:37 GMT
SAME, BEFORE, AFTER = http_date(MODIFIED), http_date(MODIFIED - 1), http_date(MODIFIED + 1)

ROWS = [
    ({}, None, None, "no condition"),
    ({"if-match": '"abc"'}, None, None, "the same (13.1.1)"), ({"if-match": "*"}, None, None, "any"),
    ({"if-match": '"x", "abc"'}, None, None, "one of a list"), ({"if-match": '"x"'}, 412, 412, "another"),
    ({"if-match": 'W/"abc"'}, 412, 412, "a weak tag never matches strongly (8.8.3.2)"),
    ({"if-match": "abc"}, 412, 412, "no entity tag"), ({"if-match": ""}, 412, 412, "empty"),
    ({"if-match": '"abc'}, 412, 412, "open quote"), ({"if-match": '"ABC"'}, 412, 412, "tags know case"),
    ({"if-match": '"a", *'}, 412, 412, "* stands alone"),
    ({"if-none-match": '"abc"'}, 304, 412, "the same (13.1.2)"), ({"if-none-match": "*"}, 304, 412, "any"),
    ({"if-none-match": 'W/"abc"'}, 304, 412, "compared weakly"), ({"if-none-match": '"x"'}, None, None, "another"),
    ({"if-none-match": '"x","abc" , "y"'}, 304, 412, "one of a list"), ({"if-none-match": ',, "abc",'}, 304, 412, "empty elements"),
    ({"if-none-match": '"a,b", "abc"'}, 304, 412, "a comma inside a tag"), ({"if-none-match": "abc"}, None, None, "no tag"),
    ({"if-none-match": '"x" "abc"'}, None, None, "no comma"), ({"if-none-match": 'w/"abc"'}, None, None, "W knows case"),
    ({"if-modified-since": SAME}, 304, None, "not since (13.1.3); for GET and HEAD only"),
    ({"if-modified-since": AFTER}, 304, None, "not since"), ({"if-modified-since": BEFORE}, None, None, "since"),
    ({"if-modified-since": "yesterday"}, None, None, "no date: ignored"),
    ({"if-modified-since": "Sunday, 06-Nov-94 08:49:37 GMT"}, 304, None, "the date of RFC 850"),
    ({"if-modified-since": "Sun Nov  6 08:49:37 1994"}, 304, None, "the date of asctime"),
    ({"if-unmodified-since": SAME}, None, None, "not since (13.1.4)"), ({"if-unmodified-since": AFTER}, None, None, "not since"),
    ({"if-unmodified-since": BEFORE}, 412, 412, "since"), ({"if-unmodified-since": "0"}, None, None, "no date: ignored"),
    ({"if-match": '"abc"', "if-unmodified-since": BEFORE}, None, None, "If-Match goes before If-Unmodified-Since"),
    ({"if-match": '"x"', "if-none-match": '"abc"'}, 412, 412, "If-Match goes first"),
    ({"if-match": '"abc"', "if-none-match": '"abc"'}, 304, 412, "then If-None-Match"),
    ({"if-none-match": '"x"', "if-modified-since": SAME}, None, None, "If-None-Match goes before If-Modified-Since"),
    ({"if-none-match": '"abc"', "if-modified-since": BEFORE}, 304, 412, "If-None-Match goes before If-Modified-Since"),
    ({"if-unmodified-since": BEFORE, "if-none-match": '"abc"'}, 412, 412, "If-Unmodified-Since goes first"),
    ({"if-unmodified-since": AFTER, "if-modified-since": SAME}, 304, None, "both dates"),
]  # fmt: skip


@pytest.mark.parametrize("fields, read, write, why", ROWS, ids=["%s %s" % (n, row[3]) for n, row in enumerate(ROWS)])
def test_conditions(fields, read, write, why):
    for method in ("GET", "HEAD"):
        assert evaluate(fields, method, ETAG, MODIFIED) == read, why
    for method in ("PATCH", "DELETE", "POST"):
        assert evaluate(fields, method, ETAG, MODIFIED) == write, why


def test_a_weak_validator_matches_only_weakly():
    assert evaluate({"if-none-match": '"abc"'}, "GET", 'W/"abc"', MODIFIED) == 304
    assert evaluate({"if-match": '"abc"'}, "GET", 'W/"abc"', MODIFIED) == 412


def test_every_combination_follows_the_steps_of_the_standard():
    choices = {
        "if-match": (None, ETAG, '"x"'), "if-unmodified-since": (None, BEFORE, AFTER),
        "if-none-match": (None, ETAG, '"x"'), "if-modified-since": (None, BEFORE, AFTER),
    }  # fmt: skip
    for method, *values in itertools.product(("GET", "DELETE"), *choices.values()):
        fields = {name: value for name, value in zip(choices, values) if value}
        match, unmodified, none_match, since = values
        expected = None
        if match == '"x"' or (match is None and unmodified == BEFORE):  # steps 1 and 2
            expected = 412
        elif none_match == ETAG:  # step 3
            expected = 304 if method == "GET" else 412
        elif none_match is None and method == "GET" and since == AFTER:  # step 4
            expected = 304
        assert evaluate(fields, method, ETAG, MODIFIED) == expected, (method, fields)
        without = {name: value for name, value in fields.items() if not name.endswith("-since")}
        assert evaluate(fields, method, ETAG, None) == evaluate(without, method, ETAG, None), "no time, no dates"


IF_RANGE = [
    ({}, True, "none"), ({"if-range": ETAG}, True, "the same"), ({"if-range": '"x"'}, False, "another"),
    ({"if-range": 'W/"abc"'}, False, "weak tags do not do (13.1.5)"), ({"if-range": SAME}, True, "the very date"),
    ({"if-range": AFTER}, False, "a later date is another (13.1.5)"), ({"if-range": BEFORE}, False, "an earlier one"),
    ({"if-range": "abc"}, False, "neither tag nor date"), ({"if-range": ""}, False, "empty"),
    ({"if-range": "*"}, False, "no tag"), ({"if-range": '"abc", "x"'}, False, "no list"),
]  # fmt: skip


@pytest.mark.parametrize("fields, matches, why", IF_RANGE, ids=[row[2] for row in IF_RANGE])
def test_if_range(fields, matches, why):
    assert if_range_matches(fields, ETAG, MODIFIED, MODIFIED + 1) is matches, why


@pytest.mark.parametrize("now", [MODIFIED, MODIFIED + 0.99, MODIFIED - 100])
def test_a_date_names_no_content_before_its_second_is_over(now):
    """Until then there may be other content of that date (8.8.2.2)."""
    assert not if_range_matches({"if-range": SAME}, ETAG, MODIFIED, now)
    assert if_range_matches({"if-range": ETAG}, ETAG, MODIFIED, now)


def test_several_tags_are_each_the_representations_and_none_is_that_there_is_no_representation():
    both, none = (ETAG, '"record"'), ()
    for tag in both:
        assert evaluate({"if-match": tag}, "PATCH", both, None) is None
        assert evaluate({"if-none-match": tag}, "PATCH", both, None) == 412
    assert evaluate({"if-match": '"x"'}, "PATCH", both, None) == 412
    for value in ("*", ETAG):
        assert evaluate({"if-match": value}, "POST", none, None) == 412
        assert evaluate({"if-none-match": value}, "POST", none, None) is None


@pytest.mark.parametrize("unit", [",\t", '"a",', '"', " ", "W/", '"a" ', ',"a"\t,\t'])
def test_long_lists_take_no_more_than_their_length(unit):
    """A value as long as a head may be is read at once: a pattern that backtracks would not come back."""
    for value in (unit * 8000 + "x", '"a"' + unit * 8000 + "x"):
        evaluate({"if-match": value, "if-none-match": value}, "GET", ETAG, MODIFIED)
        if_range_matches({"if-range": value}, ETAG, MODIFIED, MODIFIED + 1)
