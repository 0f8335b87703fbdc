# pyright: basic
"""Tables with the newest row first, or in no order, are read from the oldest on."""

import random

import pytest
from foreign_logs import diagnose_log, write_columns
from health_runs import rising

from rungwise.logs.log_record import Record
from rungwise.logs.row_order import join_resumed, order_records
from tune_jobs.audit.audit import audit
from tune_jobs.audit.replayed_run import JudgingOptions

STEPS = [1000.0 * (i + 1) for i in range(60)]
CONTINUED = [*STEPS[:40], *STEPS[35:]]
UNEVEN = [i * (i + 1) for i in range(60)]


def order(**columns):
    """Return the values of the first column after its rows were ordered."""
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    name = next(iter(columns))
    return [record.values[name] for record in order_records([Record("", row) for row in rows])]


@pytest.mark.parametrize("steps", [STEPS, CONTINUED, UNEVEN])
@pytest.mark.parametrize("name", ["step", "iteration"])
def test_rows_with_the_newest_first_are_turned(name, steps):
    assert order(**{name: steps[::-1]}) == steps
    assert order(**{name: steps}) == steps


def test_rows_in_no_order_are_sorted_by_regular_steps():
    assert order(step=random.Random(0).sample(STEPS, 60)) == STEPS


@pytest.mark.parametrize(
    "columns",
    [
        {"step": STEPS[:10][::-1]},
        {"steps": [20.0 + 27 * i % 50 for i in range(40)]},
        {"steps": random.Random(0).sample(range(60), 60)},
        {"steps": STEPS[::-1], "iteration": range(60)},
        {"step": STEPS * 3},
        {"reward": STEPS[::-1]},
        {"step": [*STEPS[::-1], float("nan")]},
    ],
    ids=["few", "lengths", "all lengths", "count differs", "runs", "no count", "missing"],
)
def test_any_other_order_is_kept(columns):
    assert order(**columns) == list(columns[next(iter(columns))])


def test_a_healthy_table_with_the_newest_first_is_healthy(tmp_path):
    columns = {"step": STEPS[::-1], "return": rising(60)[::-1]}
    assert diagnose_log(write_columns(tmp_path / "a.csv", **columns)) == {}


def make_part(returns, first=1):
    return [
        Record("", {"iteration": float(i), "step": 100.0 * i, "reward": float(value)})
        for i, value in enumerate(returns, start=first)
    ]


@pytest.mark.parametrize("first", [0, 1])
def test_counts_that_a_resume_began_anew_are_left_out(first):
    parts = [make_part(rising(40, 10.0 * i, 10.0 * i + 10), first) for i in range(3)]
    joined = join_resumed([record for part in parts for record in part])
    assert len(joined) == 120 and all(record.values.keys() == {"reward"} for record in joined)


@pytest.mark.parametrize("later", [rising(150, 150.0, 300.0), [150.0] * 150])
def test_no_healthy_run_that_counts_anew_is_ended(tmp_path, monkeypatch, later):
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path))
    columns = {"iteration": [*range(1, 151)] * 2, "reward": [*rising(150, 0.0, 150.0), *later]}
    path = write_columns(
        tmp_path / "a.csv", step=[100 * i for i in columns["iteration"]], **columns
    )
    (run,) = audit([path], JudgingOptions(), workers=1).judged
    assert run.stop is None and len(run.scores) == 300


@pytest.mark.parametrize(
    "later",
    [
        make_part(rising(40, 0.0, 10.0)),  # an untrained agent
        make_part(rising(40, 8.0, 20.0), 33),  # a checkpoint
        make_part(rising(40, 10.0, 20.0), 41),  # it counts on
    ],
)
def test_what_does_not_begin_anew_is_left_as_it_is(later):
    records = make_part(rising(40, 0.0, 10.0)) + later
    assert join_resumed(records) == records
