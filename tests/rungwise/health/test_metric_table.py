# pyright: basic, reportAttributeAccessIssue=false
"""Rows kept by metric are the rows that were given, to the rules and to anybody."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.health import History, diagnose
from rungwise.health.metric_table import MOST_COMPUTED, MetricTable

VALUES = st.one_of(
    st.floats(), st.integers(-5, 5), st.lists(st.floats(0, 1), min_size=2, max_size=2), st.text()
)
NAMES = ["score", "kl", "entropy", "nonfinite", "choice_fractions", "return_mean", "episodes"]


def kept(rows):
    columns = MetricTable()
    for row in rows:
        columns.append(row)
    return columns


def same(one, other):
    numbers = all(isinstance(v, int | float) for v in (one, other))
    return repr(float(one)) == repr(float(other)) if numbers else one == other


@settings(max_examples=80, derandomize=True)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES), max_size=40), st.integers(0, 10))
def test_rows_are_read_back_also_after_the_last_were_removed(rows, back):
    columns = kept([*rows, *({"kl": 1.0, "new": "text"} for _ in range(back))])
    for _ in range(back):
        columns.pop()
    assert len(columns) == len(rows)
    for row, found in zip(rows, columns, strict=True):
        assert row.keys() == found.keys()
        assert all(same(value, found[name]) for name, value in row.items())
    for name in NAMES:
        plain, ours = History(rows, 9).series(name), History(columns, 9).series(name)
        np.testing.assert_array_equal(plain, ours)
        np.testing.assert_array_equal(History(rows[5:], 9).series(name), columns[5:].column(name))


@settings(max_examples=30, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_the_rules_find_the_same_in_either_form(seed, count):
    random = np.random.default_rng(seed)
    sick = random.choice(["kl", "entropy", "nan", "shares"])
    rows = [
        {
            "iteration": at,
            "score": float(random.normal()),
            "env_steps": 1000 * at,
            "kl": 20.0 if sick == "kl" else 0.01,
            "entropy": 1e-12 if sick == "entropy" else 1.0,
            "choice_fraction_max": 0.99 if sick == "shares" else 0.3,
            "choice_fractions": [0.99, 0.01] if sick == "shares" else [0.5, 0.5],
            "value_loss": math.nan if sick == "nan" and at > 3 else 1.0,
            "nonfinite": 3 if sick == "nan" and at > 3 else 0,
        }
        for at in range(1, count + 1)
    ]
    plain, ours = (diagnose(History(form, 40), {}) for form in (rows, kept(rows)))
    assert ours == plain


def test_a_long_run_takes_a_tenth_of_the_memory_of_its_rows():
    columns = kept({f"metric_{i}": float(at) for i in range(50)} for at in range(5_000))
    assert (
        columns._numbers.nbytes <= 50 * 5_000 * 8 * 2
    )  # a dict of 50 floats has some 4 KB, 20,000 KB in all
    assert columns[4_999]["metric_7"] == 4_999


def test_improvement_is_judged_once_for_the_same_rows_and_anew_for_others():
    rows = [{"iteration": at, "score": float(at)} for at in range(1, 13)]
    table = kept(rows)
    assert all(History(seen, 12).progress.improved is True for seen in (table, table[:9]))
    again = table.compute_once("key", object)
    assert table[:12].compute_once("key", object) is again
    assert table[:9].compute_once("key", object) is not again
    # A restored trial repeats the iterations after its checkpoint, and does not learn this time.
    for _ in rows[2:]:
        table.pop()
    flat = [*rows[:2], *({"iteration": at, "score": 1.0 + at % 2} for at in range(3, 13))]
    for row in flat[2:]:
        table.append(row)
    assert History(table, 12).progress.improved is History(flat, 12).progress.improved is False
    assert table.compute_once("key", object) is not again


def test_few_results_stay_in_memory():
    table = kept({"kl": 0.1} for _ in range(3 * MOST_COMPUTED))
    for rows in range(len(table)):
        table[:rows].compute_once("key", object)
    assert len(table._computed) <= MOST_COMPUTED
