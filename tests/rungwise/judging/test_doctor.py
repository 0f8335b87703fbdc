"""The doctor judges logs of any tool, one or many at once."""

import json
import math
from pathlib import Path

import pytest
from foreign_logs import (
    diagnose_log,
    make_sick_results,
    write_columns,
    write_results,
)
from health_runs import flat as flat_returns
from health_runs import rising
from paths import DATA

from rungwise.health import RULES
from rungwise.judging.doctor import doctor
from rungwise.validation import InputError


def test_an_experiment_has_a_log_for_each_of_its_trials(tmp_path):
    for name in ("a", "b", "c"):
        write_results(tmp_path / name / "result.json", make_sick_results())
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "result.json").touch()  # a trial that failed before its first result
    answer = doctor(tmp_path)
    assert [log["name"] for log in answer["logs"]] == ["a", "b", "c", "d"]
    assert "all 3" in answer["siblings"]["kl_runaway"]
    assert set(answer["logs"][3]["not_judged"].values()) == {"the log has no iteration"}
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer


def test_a_plain_file_is_judged_by_the_rules_about_the_return(tmp_path):
    path = write_columns(
        tmp_path / "a.csv", step=list(range(0, 4000, 100)), **{"return": flat_returns(40, seed=2)}
    )
    answer = doctor(path)
    judged = ["not_finite", "no_episode_ends", "constant_reward"]
    judged += ["performance_collapse", "fell_from_best", "no_improvement"]
    assert answer["judged"] == judged
    assert set(answer["not_judged"]) == set(RULES) - set(answer["judged"])
    assert answer["not_judged"]["frozen_policy"].startswith("the log has no entropy")
    assert [f["symptom"] for f in answer["findings"]] == ["no_improvement"]
    assert answer["findings"][0]["log"] == "a.csv"
    learnt = write_columns(tmp_path / "b.csv", step=list(range(40)), **{"return": rising(40)})
    assert diagnose_log(learnt) == {}


def test_strangers_logs_get_the_findings_that_they_deserve():
    survivors = doctor(DATA / "strangers" / "d4_survivors")
    assert [f for f in survivors["findings"] if f["severity"] != "note"] == []
    stuck = doctor(DATA / "strangers" / "d11_stuck.jsonl")["findings"]
    assert [(f["symptom"], f["severity"], f["since"]) for f in stuck] == [
        ("performance_collapse", "warn", 31)
    ]
    assert "exactly -4.5 in all 90 scores" in stuck[0]["evidence"]


@pytest.mark.parametrize(
    ("columns", "is_empty"),
    [
        ({}, True),
        ({"step": list(range(100, 3100, 100)), "loss": [0.5] * 30}, True),
        ({"episodes": [4] * 30}, True),
        ({"episodes": [0] * 30}, False),
        ({"return_mean_100": [float(i) for i in range(30)]}, False),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_return_that_is_never_a_number_is_not_healthy(tmp_path, columns, is_empty):
    path = write_columns(tmp_path / "a.csv", reward=[math.nan] * 30, **columns)
    found = [finding for finding in doctor(path)["findings"] if finding["symptom"] == "not_finite"]
    assert [finding["severity"] for finding in found] == ["stop"] * is_empty
    assert all("reward is NaN in all 30 rows" in finding["evidence"] for finding in found)


def test_a_nan_between_numbers_is_an_empty_cell(tmp_path):
    rhythm = [float(i) if i % 4 == 0 else math.nan for i in range(40)]
    loss = [1.0] * 30 + [math.nan] * 10
    returns = rising(40)
    lost = [*returns[:30], *[math.nan] * 32]  # of fewer rows it may be that no episode ended
    assert diagnose_log(write_columns(tmp_path / "a.csv", reward=returns, entropy=rhythm)) == {}
    broken = {"not_finite": ("stop", 31)}
    assert diagnose_log(write_columns(tmp_path / "b.csv", reward=returns, loss=loss)) == broken
    assert diagnose_log(write_columns(tmp_path / "c.csv", reward=lost[:-1])) == {}
    assert diagnose_log(write_columns(tmp_path / "c.csv", reward=lost)) == broken
    assert diagnose_log(write_columns(tmp_path / "d.csv", reward=returns, kl=loss)) == broken
    assert (
        diagnose_log(
            write_columns(tmp_path / "e.csv", reward=[*returns[:30], math.inf, *returns[31:]])
        )
        == broken
    )


def test_a_log_of_one_row_is_too_short_and_says_what_is_needed(tmp_path):
    short = write_columns(tmp_path / "a.csv", step=[1], **{"return": [2.0]})
    (entry,) = doctor(short)["logs"]
    assert (entry["rows"], entry["rows_needed"], entry["findings"]) == (1, 15, [])
    assert entry["judged"] == ["not_finite"]
    assert "1 iteration of the 15" in entry["not_judged"]["no_improvement"]
    enough = write_columns(tmp_path / "b.csv", step=list(range(15)), **{"return": rising(15)})
    assert "no_improvement" in doctor(enough)["logs"][0]["judged"]


def test_several_paths_are_judged_in_one_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/progress.csv", "b/progress.csv"):
        write_columns(Path(name), step=list(range(40)), reward=flat_returns(40, seed=2))
    both = doctor(Path("a"), Path("b"), Path("b/progress.csv"))
    assert [log["name"] for log in both["logs"]] == ["a/progress.csv", "b/progress.csv"]
    assert (both["path"], both["paths"]) == (None, ["a", "b", "b/progress.csv"])
    alone = doctor(Path("a"))
    assert (alone["path"], alone["logs"][0]["name"]) == ("a", "a")
    assert both.keys() == alone.keys()
    with pytest.raises(InputError, match="There is no nowhere"):
        doctor(Path("a"), Path("nowhere"))


def test_every_number_that_is_not_finite_is_counted(tmp_path):
    sick = [1.0] * 30 + [math.nan] * 30
    for name in ("loss", "entropy"):
        path = write_columns(tmp_path / f"{name}.csv", reward=rising(60), **{name: sick})
        (finding,) = doctor(path)["findings"]
        assert finding["since"] == 31
        assert f"30 non-finite numbers, the first in {name} (nan)" in finding["evidence"]


def test_numbers_at_the_end_of_the_range_raise_no_warning(tmp_path, recwarn):
    ends = [1e308 * (-1) ** i for i in range(60)]
    assert doctor(write_columns(tmp_path / "a.csv", reward=ends, entropy=ends, kl=ends))["findings"]
    assert not recwarn.list


def test_a_log_that_begins_late_blames_no_score_that_does_not_rise(tmp_path):
    """A policy that has learnt all there is, continued in a new file: constant, and certain."""
    columns = {"return": flat_returns(50, seed=2), "entropy": [0.01 - 1e-5 * i for i in range(50)]}
    for first, worst in ((1, "stop"), (501, "note")):
        steps = [2000 * (first + i) for i in range(50)]
        path = write_columns(tmp_path / f"{first}.csv", step=steps, **columns)
        found = {severity for severity, _ in diagnose_log(path).values()}
        assert (worst in found) and (worst == "stop" or found == {"note"})
    assert "It begins late" in doctor(path)["logs"][0]["note"]
