# pyright: basic
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import dump_job, make_job, parse_job
from tune_jobs.jobs.search_space import Space, make_grid, perturb_config, sample_configs


def test_the_same_seed_draws_the_same_settings():
    spaces = {"lr": Space("loguniform", (1e-4, 1e-2)), "epochs": Space("int", (2, 8))}
    assert sample_configs(spaces, 5, 3) == sample_configs(spaces, 5, 3)
    assert sample_configs(spaces, 5, 3) != sample_configs(spaces, 5, 4)


@settings(derandomize=True)
@given(st.integers(1, 70), st.integers(0, 70), st.integers(0, 2**30 - 1))
def test_more_settings_begin_with_those_of_fewer(few, more, seed):
    spaces = {"lr": Space("loguniform", (1e-6, 1e-1)), "a": Space("choice", (1, 2, 3))}
    assert sample_configs(spaces, few + more, seed)[:few] == sample_configs(spaces, few, seed)


@pytest.mark.parametrize("count", [1, 2, 16, 64])
def test_each_of_equal_cells_has_one_place(count):
    drawn = [row["x"] for row in sample_configs({"x": Space("uniform", (0.0, 1.0))}, count, 7)]
    assert sorted(int(place * count) for place in drawn) == list(range(count))


@pytest.mark.parametrize("kind", ["uniform", "loguniform"])
def test_every_equal_part_of_a_range_is_drawn_from_once(kind):
    drawn = [row["x"] for row in sample_configs({"x": Space(kind, (1e-4, 1e-1))}, 10, 0)]
    place = np.log(drawn) if kind == "loguniform" else np.array(drawn)
    low, high = (np.log(1e-4), np.log(1e-1)) if kind == "loguniform" else (1e-4, 1e-1)
    parts = np.floor((place - low) / (high - low) * 10).clip(0, 9).astype(int)
    # Rounding to four digits may move a value over an edge, but not the whole spread.
    assert len(set(parts)) >= 9


@pytest.mark.parametrize("bounds", [(0.999, 0.99999), (12345.6, 12346.7), (-1.00001, -1.0)])
def test_values_of_a_narrow_range_differ_and_lie_within(bounds):
    space = Space("uniform", bounds)
    drawn = [row["gamma"] for row in sample_configs({"gamma": space}, 32, 0)]
    near = [perturb_config({"gamma": space}, {"gamma": v}, np.random.default_rng(0)) for v in drawn]
    assert all(map(space.contains, [*drawn, *(row["gamma"] for row in near)]))
    assert len(set(drawn)) > 24


def test_whole_numbers_below_zero_are_drawn_as_often_as_others():
    drawn = [row["x"] for row in sample_configs({"x": Space("int", (-2, 1))}, 64, 0)]
    assert [drawn.count(x) for x in (-2, -1, 0, 1)] == [16] * 4


@pytest.mark.parametrize(
    ("name", "bounds", "unusual"),
    [
        ("lr", (1e-6, 1e-1), 17),  # two decades at a tenth of the weight of three
        ("optimizer.learning_rate", (1e-6, 1e-1), 17),
        ("lr", (1e-3, 1e-1), 25),
        ("lr", (2e-2, 1e-1), 256),
        ("lrs", (1e-6, 1e-1), 102),
    ],
)
def test_few_learning_rates_are_unusual(name, bounds, unusual):
    space = Space("loguniform", bounds)
    drawn = np.array([row[name] for row in sample_configs({name: space}, 256, 0)])
    assert ((drawn < 1e-5) | (drawn > 1e-2)).sum() == pytest.approx(unusual, abs=2)
    assert drawn.min() < 2 * bounds[0] and drawn.max() > bounds[1] / 2


def test_usual_learning_rates_are_drawn_as_other_values_are():
    space = Space("loguniform", (1e-4, 1e-2))
    rates = [row["lr"] for row in sample_configs({"lr": space}, 20, 0)]
    assert rates == [row["x"] for row in sample_configs({"x": space}, 20, 0)]


def test_integers_and_choices_cover_exactly_their_range():
    spaces = {"n": Space("int", (2, 4)), "a": Space("choice", ("tanh", "relu"))}
    rows = sample_configs(spaces, 30, 0)
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
        ({"uniform": [float("nan"), 1]}, "needs numbers from"),
        ({"uniform": [0, float("inf")]}, "needs numbers from"),
        ({"loguniform": [1e-5, float("nan")]}, "needs numbers from"),
        ({"uniform": [-1.7e308, 1.7e308]}, "needs numbers from"),
        ({"uniform": [0, 10**400]}, "needs numbers from"),
        ({"int": [0, 2**60]}, "needs numbers from"),
        ({"int": [1.5, 3.5]}, "two whole numbers"),
        ({"uniform": [False, True]}, "two numbers"),
        ({"choice": [1.0, float("nan")]}, "must not be NaN"),
    ],
)
def test_invalid_space_is_refused_with_its_field(given, said):
    with pytest.raises(InputError, match=said) as error:
        Space.parse("lr", given).check("lr")
    assert "lr" in str(error.value)


def test_a_grid_has_all_choices_and_both_ends_of_every_range():
    spaces = {
        "a": Space("choice", ("tanh", "relu")),
        "lr": Space("loguniform", (1e-4, 1e-2)),
        "n": Space("int", (2, 4)),
    }
    found = make_grid(spaces, 20)
    assert len(found) == len({tuple(row.values()) for row in found}) == 18
    assert {row["lr"] for row in found} == {1e-4, 1e-3, 1e-2}
    assert {row["n"] for row in found} == {2, 3, 4}
    assert [row["lr"] for row in make_grid({"lr": spaces["lr"]}, 1)] == [1e-3]


def test_a_grid_never_has_an_equal_setting_twice():
    assert [row["n"] for row in make_grid({"n": Space("int", (1, 2))}, 5)] == [1, 2]


CHOICE = {"activation": {"choice": ["tanh", "relu"]}}
SEARCHED = {
    "env": "CartPole-v1",
    "trials": 4,
    "search": {"lr": {"loguniform": [1e-4, 1e-2]}, "clip": {"uniform": [0.1, 0.4]}},
}


def test_points_are_the_first_trials_and_missing_values_sampled():
    job = make_job(SEARCHED | {"points": [{"lr": 0.005}, {"clip": 0.2, "lr": 0.001}]})
    first, second, *rest = job.sample_configs()
    assert first["lr"] == 0.005 and 0.1 <= first["clip"] <= 0.4
    assert second == {"lr": 0.001, "clip": 0.2}
    assert len(rest) == 2
    assert parse_job(dump_job(job), "again") == job


@pytest.mark.parametrize("changed", [{"searcher": "optuna"}, {"scheduler": "pbt"}])
@pytest.mark.parametrize(
    ("point", "said"),
    [({"lr": 0.05}, r"points\[0\].lr is 0.05.*loguniform"), ({"activation": "relu"}, "choice")],
)
def test_points_outside_of_the_space_are_refused_where_it_is_modelled(changed, point, said):
    search = {"lr": {"loguniform": [1e-4, 1e-2]}, "activation": {"choice": ["tanh"]}}
    about = SEARCHED | {"search": search, "points": [point]}
    with pytest.raises(InputError, match=said):
        make_job(about | changed)
    assert make_job(about).sample_configs()[0].items() >= point.items()


@pytest.mark.parametrize(
    ("space", "inside", "outside"),
    [
        (Space("uniform", (0.1, 1)), [0.1, 1], [0, 1.1, True, "0.5", float("nan")]),
        (Space("int", (1, 3)), [1, 3], [0, 2.5, 2.0, True]),
        (Space("choice", ((64, 64), "a")), [(64, 64), "a"], [(64,), "b"]),
    ],
)
def test_a_space_contains_its_values(space, inside, outside):
    assert all(space.contains(value) for value in inside)
    assert not any(space.contains(value) for value in outside)


def test_a_grid_after_the_points_is_part_of_the_same_job():
    points = [{"lr": 0.005, "clip": 0.2}]
    job = make_job(SEARCHED | {"points": points, "trials": 6, "searcher": "grid"})
    assert len(job.sample_configs()) == 5, "one point, and two values by two"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"points": [{"lrr": 0.1}]}, r"no searched field 'lrr' in points\[0\]: did you mean lr"),
        ({"points": [{"lr": -1.0}]}, r"points\[0\].lr must be"),
        ({"points": [{"lr": math.nan}]}, r"points\[0\].lr must be a number, but it is NaN"),
        ({"points": [{"lr": 0.1}] * 5}, "5 points need as many trials"),
        ({"points": [{"lr": 0.1}] * 3, "repeats": 2}, "trials is 4, 2 of which are repeats"),
        ({"repeats": 4}, "4 of the trials are to repeat others, but trials is 4"),
        ({"scheduler": "pbt", "repeats": 1}, "set repeats to 0"),
        ({"points": [{1: 0.1}]}, r"A name in points of the job must be text, but it is 1"),
        ({"trials": 100_000_000}, "trials must be in .*but it is 100000000"),
        ({"points": {"lr": 0.1}}, "must be a list of settings"),
        ({"searcher": "rnadom"}, "searcher must be one of 'random', 'grid'"),
        ({"searcher": "grid", "search": CHOICE, "trials": 1}, "2 combinations of choices"),
    ],
)
def test_a_searcher_that_cannot_do_what_is_asked_says_so(changed, said):
    with pytest.raises(InputError, match=said):
        make_job(SEARCHED | changed).sample_configs()


@pytest.mark.parametrize(
    ("changed", "repeats"),
    [
        ({"trials": 39}, 0),
        ({"trials": 40}, 3),
        ({"trials": 40, "repeats": 0}, 0),
        ({"trials": 4, "repeats": 1}, 1),
        ({"trials": 40, "scheduler": "none"}, 0),
        ({"trials": 40, "searcher": "grid"}, 0),
    ],
)
def test_wide_sweeps_repeat_their_best_settings(changed, repeats):
    job = make_job(SEARCHED | changed)
    assert job.num_repeats == repeats
    assert len(job.name_trials()) == len(job.sample_configs()) <= job.trials - repeats
