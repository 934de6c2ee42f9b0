"""JSON from strangers."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique import documents
from pratique.errors import Malformed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_what_is_read(value: object) -> None:
    if "\ud800" <= str(value) <= "\udfff":
        return
    assert documents.parse(documents.canonical(value), what="it") == json.loads(json.dumps(value))


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers(), max_size=5))
def test_one_value_has_one_spelling(value: dict[str, int]) -> None:
    backwards = dict(reversed(list(value.items())))
    assert documents.canonical(value) == documents.canonical(backwards)


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        (b'{"a": 1, "a": 2}', "appears twice"),
        (b'{"x": {"a": 1, "b": 0, "a": 2}}', "appears twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b'{"a": ', "not valid JSON"),
        (b"", "not valid JSON"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 100_000 + b"1", "nested"),
        (b'"' + b'\\"' * 200_000, "not valid JSON"),
    ],
)
def test_a_document_that_two_parsers_read_differently_or_that_costs_too_much(attack: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        documents.parse(attack, what="it")


def test_brackets_inside_strings_are_not_depth() -> None:
    text = json.dumps({"a": "[" * 1000, 'b"\\': '\\"{' * 500}).encode()
    assert documents.parse(text, what="it")["a"] == "[" * 1000


def test_a_gigabyte_of_json_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Malformed, match="at most"):
        documents.parse(b" " * 1001, what="it", max_bytes=1000)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(days=1), "1 day"), (timedelta(days=7), "7 days"), (timedelta(hours=36), "1 day 12 hours"),
        (timedelta(seconds=90), "1 minute 30 seconds"), (timedelta(0), "no time"), (timedelta(days=36_525), "36,525 days"),
    ],
)  # fmt: skip
def test_a_time_in_words(span: timedelta, words: str) -> None:
    assert documents.lasting(span) == words
