# pyright: basic
"""Validation of configurations: types, bounds, and the words of their errors."""

import dataclasses
import math
from typing import Annotated, Any, Literal

import pytest

from rungwise.validation import (
    AtLeastOne,
    Between,
    InputError,
    check_value,
    get_fields,
    unknown_name_error,
    validate,
)


@pytest.mark.parametrize(
    ("bounds", "words", "inside", "outside"),
    [
        (Between(0), "at least 0", [0, 5], [-1]),
        (Between(0, low_open=True), "greater than 0", [1e-9], [0, -1]),
        (Between(high=2), "at most 2", [2, -9], [2.1]),
        (Between(high=2, high_open=True), "less than 2", [1.9], [2]),
        (Between(0, 1), "in [0, 1]", [0, 1], [-0.1, 1.1]),
        (Between(0, 1, True, True), "in (0, 1)", [0.5], [0, 1]),
    ],
)
def test_bounds_include_closed_ends_alone(bounds, words, inside, outside):
    assert str(bounds) == words
    assert all(value in bounds for value in inside)
    assert not any(value in bounds for value in outside)


@pytest.mark.parametrize(
    ("value", "hint", "words"),
    [
        (True, int, "a whole number"),
        (True, float, "a number"),
        (2.5, int, "a whole number"),
        ("1", float, "a number"),
        (1, str, "text"),
        (1, bool, "true or false"),
        ("c", Literal["a", "b"], "one of 'a', 'b'"),
        ("1", int | None, "a whole number or nothing"),
        ([1], tuple[int, ...], "a list"),
        ((1, "2"), tuple[int, ...], "a list"),
        ((1, 2, 3), tuple[int, int], "a list"),
    ],
)
def test_a_value_of_another_type_is_refused(value, hint, words):
    with pytest.raises(InputError, match=f"size must be {words}, but it is "):
        check_value("size", value, hint)


@pytest.mark.parametrize(
    ("value", "hint"),
    [(1, float), (None, int | None), ((), tuple[int, ...]), ((1, "2"), tuple[int, str])],
)
def test_a_value_of_the_type_is_accepted(value, hint):
    check_value("size", value, hint)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_is_finite_even_without_bounds(value):
    with pytest.raises(InputError, match=r"lr must be a"):
        check_value("lr", value, float)
    with pytest.raises(InputError, match=r"scores\[1\] must be a"):
        check_value("scores", (0.0, value), tuple[float, float])


@pytest.mark.parametrize("value", [2**63, -(2**64), 10**400])
def test_a_whole_number_that_no_array_holds_is_refused(value):
    with pytest.raises(InputError, match=r"steps must be a number below 2\^63, but it is one of"):
        check_value("steps", value, int)


def test_an_argument_of_an_environment_may_be_infinite():
    check_value("env_kwargs", {"limit": math.inf}, dict[str, Any])


@dataclasses.dataclass(frozen=True)
class Sizes:
    rows: Annotated[int, AtLeastOne] = 3
    name: str = "a"


def test_a_field_is_named_as_the_user_calls_it():
    assert get_fields(Sizes) == {"rows": (int, AtLeastOne), "name": (str, None)}
    assert get_fields(Sizes) is get_fields(Sizes), "sweeps of thousands of trials ask for them"
    validate(Sizes())
    with pytest.raises(InputError, match=r"^rows must be at least 1, but it is 0\.$"):
        validate(Sizes(rows=0))
    with pytest.raises(InputError, match=r"^settings\.rows "):
        validate(Sizes(rows=0), "settings")


def test_an_unknown_name_gets_the_nearest_or_all_known():
    near = str(unknown_name_error("field", "row", ["rows", "name"], "in Sizes"))
    assert near == "There is no field 'row' in Sizes: did you mean rows?"
    assert str(unknown_name_error("field", "xyz", ["b", "a"])).endswith("known are a, b.")
    assert str(unknown_name_error("run", "nope", [])) == "There is no run 'nope': there is none."
