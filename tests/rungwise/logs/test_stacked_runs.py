# pyright: basic, reportArgumentType=false
"""A table of several runs is judged run by run."""

from itertools import product

import pytest
from foreign_logs import write_columns
from health_runs import flat, rising

from rungwise.judging.doctor import doctor
from rungwise.logs.discovery import find_logs
from rungwise.logs.log_record import Record
from rungwise.logs.read_logs import read_logs
from rungwise.logs.stacked_runs import split_runs
from tune_jobs.audit.replayed_run import JudgingOptions, replay_source

ROWS = 60


def write_seeds(path, order):
    """Write a table with a run that learns and one that never does."""
    returns = [rising(ROWS), flat(ROWS, noise=0.005, seed=1)]
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


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"algo": "pq", "seed": (0.0, 1.0)}, ["seed 0, algo p", "seed 1, algo p"]),
        ({"env": "WH"}, ["env W", "env H"]),
        ({"agent": "ab", "seed": (3.0,)}, ["agent a", "agent b"]),
    ],
)
@pytest.mark.parametrize("order", [lambda i: 0, lambda i: i, lambda i: -i])
def test_columns_name_runs_together_or_with_words(names, expected, order):
    runs = [dict(zip(names, values, strict=True)) for values in product(*names.values())]
    cells = sorted(((i, run) for run in runs for i in range(30)), key=lambda cell: order(cell[0]))
    rows = [Record("", run | {"step": 1000.0 * (i + 1)}) for i, run in cells]
    split = split_runs("log", rows)
    assert set(split) >= {f"log/{name}" for name in expected} and len(split) == len(runs)
    for run in split.values():
        assert [record.values["step"] for record in run] == [1000.0 * (i + 1) for i in range(30)]


@pytest.mark.parametrize(
    "columns",
    [
        # One run that changes its task, and the episodes of parallel environments.
        {"task": "a" * 30 + "b" * 30, "step": range(60), "epoch": [*range(30)] * 2},
        {"env": [0, 1] * 30, "step": [i // 2 for i in range(60)]},
    ],
)
def test_words_and_indices_that_name_no_run_split_nothing(columns):
    cells = zip(*columns.values(), strict=True)
    rows = [Record("", dict(zip(columns, values, strict=True))) for values in cells]
    assert split_runs("log", rows) == {"log": rows}


def test_a_chart_of_wandb_is_a_run_for_each_column(tmp_path):
    header = '"Step","slow - reward","slow - reward__MIN","slow - reward__MAX",' + (
        '"fast-1 - reward","fast-1 - reward__MIN","fast-1 - reward__MAX"\n'
    )
    rows = [f'"{i}","{i}","{i}","{i}","{2 * i}","",""\n' for i in range(1, 9)]
    rows += [f'"{i}","","","","{2 * i}","",""\n' for i in range(9, 12)]
    (tmp_path / "wandb_export.csv").write_text(header + "".join(rows))
    logs = {log.name: log for log in read_logs(tmp_path)}
    assert {name: len(log.rows) for name, log in logs.items()} == {
        "wandb_export.csv/run slow": 8,
        "wandb_export.csv/run fast-1": 11,
    }
    assert logs["wandb_export.csv/run fast-1"].rows[-1]["return_mean"] == 22
