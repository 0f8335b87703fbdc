# pyright: basic
"""A table of several runs is judged run by run."""

import pytest
from foreign_logs import write_columns
from health_runs import flat, rising

from tune_jobs.audit.replayed_run import JudgingOptions, replay_source
from tune_jobs.foreign_logs.discovery import find_logs
from tune_jobs.foreign_logs.log_record import Record
from tune_jobs.foreign_logs.stacked_runs import split_runs
from tune_jobs.judging.doctor import doctor

ROWS = 60


def write_seeds(path, order):
    """Write a table with a run that learns and one that never does."""
    returns = [rising(ROWS), flat(ROWS)]
    cells = [(seed, i) for seed in range(2) for i in range(ROWS)]
    cells.sort(key=order)
    return write_columns(
        path,
        seed=[seed for seed, _ in cells],
        step=[1000 * (i + 1) for _, i in cells],
        **{"return": [returns[seed][i] for seed, i in cells]},
    )


@pytest.mark.parametrize(
    "order", [lambda cell: cell, lambda cell: cell[::-1]], ids=["below each other", "in turn"]
)
def test_the_seeds_of_a_table_are_judged_one_by_one(tmp_path, order):
    path = write_seeds(tmp_path / "all.csv", order)
    names = ["all.csv/seed 0", "all.csv/seed 1"]
    logs = doctor(tmp_path)["logs"]
    assert [log["name"] for log in logs] == names
    assert [[f["symptom"] for f in log["findings"]] for log in logs] == [[], ["no_improvement"]]
    (source,) = find_logs(path, {})
    runs = replay_source(source, path.name, JudgingOptions())
    assert [run.name for run in runs] == names
    assert [run.stop and run.stop.symptom for run in runs] == [None, "no_improvement"]


def records(seeds, steps):
    return [
        Record("", {"seed": seed, "step": step}) for seed, step in zip(seeds, steps, strict=True)
    ]


@pytest.mark.parametrize(
    ("seeds", "steps"),
    [
        ([7] * 20, range(20)),
        ([0, 1] * 10, range(20)),
        (range(20), [0, 1] * 10),
        ([0] * 10 + [1] * 10, range(20)),
        ([0] * 10 + [1] * 10, [*range(9), 0, *range(10, 20)]),
    ],
    ids=["one", "of episodes", "a seed a row", "a resume", "falls within a run"],
)
def test_a_seed_that_names_no_run_splits_nothing(seeds, steps):
    rows = records(seeds, steps)
    assert split_runs("log", rows) == {"log": rows}
    assert split_runs("log", []) == {"log": []}
