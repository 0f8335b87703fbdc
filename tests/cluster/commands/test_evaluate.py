# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
"""`rungwise evaluate` of a run directory, and its limit of steps."""

import pytest
from finished_run import silent

from cluster.commands import evaluate as command
from cluster.commands.evaluate import Evaluate, make_comparison_table
from tune_jobs.evaluation.episode_budget import LEAST_SINGLE


def test_evaluate_takes_a_run_directory_and_says_which_checkpoint(run, capsys):
    found = Evaluate(checkpoint=run, episodes=5)(silent())
    assert found["checkpoint"] == str(run / "trials/01/checkpoint_4") and found["episodes"] == 5
    assert found["checkpoint"] in capsys.readouterr().err.replace("\n", "")
    named = Evaluate(checkpoint=run / "trials/01/checkpoint_4", episodes=5)(silent())
    assert named == found
    assert "checkpoint" not in capsys.readouterr().err


def test_evaluate_takes_the_directory_of_a_trial(run):
    found = Evaluate(checkpoint=run / "trials/02", episodes=2)(silent())
    assert found["checkpoint"] == str(run / "trials/02/checkpoint_4")


def test_evaluate_plays_what_its_steps_allow_unless_asked_for_more(run, monkeypatch):
    monkeypatch.setattr(command, "STEPS", 0)
    console = silent()
    found = Evaluate(checkpoint=run)(console)
    assert (found["episodes"], found["most"]) == (LEAST_SINGLE, 256)
    assert f"0 steps allowed {LEAST_SINGLE} of 256 episodes" in console.file.getvalue()
    assert Evaluate(checkpoint=run, episodes=30)(silent())["episodes"] == 30


def test_evaluate_reports_standard_errors(run):
    console = silent()
    found = Evaluate(checkpoint=run, episodes=8)(console)
    assert set(found["standard_errors"]) == {"policy", "greedy", "random"}
    error = found["standard_errors"]["policy"]["return_mean"]
    # The deviation of NumPy, which divides by 8, over the root of 7.
    assert error == pytest.approx(found["policy"]["return_std"] / 7**0.5)
    assert f"{found['policy']['return_mean']:.4g} ± {error:.2g}" in console.file.getvalue()


def test_figures_without_a_standard_error_stand_alone():
    table = make_comparison_table(
        {"policy": {"mean": 1.5, "median": 1.0}}, "t", {"policy": {"mean": 0.25}}
    )
    console = silent()
    console.print(table)
    mean, median = console.file.getvalue().splitlines()[-2:]
    assert mean.split() == ["mean", "1.5", "±", "0.25"] and median.split() == ["median", "1"]
