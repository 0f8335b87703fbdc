# pyright: basic
import numpy as np
import pytest

from envs.validation import InputError
from tune_jobs.search import Space, draws


def test_the_same_seed_draws_the_same_settings():
    spaces = {"lr": Space("loguniform", (1e-4, 1e-2)), "epochs": Space("int", (2, 8))}
    assert draws(spaces, 5, 3) == draws(spaces, 5, 3)
    assert draws(spaces, 5, 3) != draws(spaces, 5, 4)


@pytest.mark.parametrize("kind", ["uniform", "loguniform"])
def test_every_equal_part_of_a_range_is_drawn_from_once(kind):
    drawn = [row["x"] for row in draws({"x": Space(kind, (1e-4, 1e-1))}, 10, 0)]
    place = np.log(drawn) if kind == "loguniform" else np.array(drawn)
    low, high = (np.log(1e-4), np.log(1e-1)) if kind == "loguniform" else (1e-4, 1e-1)
    parts = np.floor((place - low) / (high - low) * 10).clip(0, 9).astype(int)
    # Rounding to four digits may move a value over an edge, but not the whole spread.
    assert len(set(parts)) >= 9


def test_whole_numbers_and_choices_reach_both_ends_and_nothing_else():
    spaces = {"n": Space("int", (2, 4)), "a": Space("choice", ("tanh", "relu"))}
    rows = draws(spaces, 30, 0)
    assert {row["n"] for row in rows} == {2, 3, 4}
    assert {row["a"] for row in rows} == {"tanh", "relu"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"logunform": [1, 2]}, "did you mean loguniform"),
        ({"uniform": [2, 1]}, "a lower and a higher bound"),
        ({"loguniform": [0, 1]}, "above zero"),
        ({"uniform": [1]}, "two numbers"),
        ({"choice": []}, "a list of values"),
        (3, "must name one kind of space"),
    ],
)
def test_a_space_that_cannot_be_drawn_from_is_refused_with_its_field(given, said):
    with pytest.raises(InputError, match=said) as error:
        Space.parse("lr", given)
    assert "lr" in str(error.value)
