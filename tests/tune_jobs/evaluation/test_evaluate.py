# pyright: basic
"""A run judged by episodes that it never trains on: looked at, watched, and the best one kept."""

import json

import numpy as np
import pytest
from command_line import answer, rungwise

from algos.policy import Policy
from envs.validation import InputError
from tune_jobs.evaluation.evaluate import evaluate_held_out, resolve_metric
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.run_log.events import CheckpointRow, EndRow, EvaluationRow, ResultRow, read_event_log
from tune_jobs.trial import TrialTrainable

SMALL = {"num_envs": 4, "rollout_length": 64, "minibatch_size": 64, "hidden": [8]}
POLE = {"env": "CartPole-v1", "settings": SMALL, "held_out_interval": 2, "held_out_episodes": 8}
CAUSAL = {
    "env": "CausalLearning-v0",
    "env_kwargs": {"scm": "ace5", "interventions": 3},
    "settings": SMALL | {"rollout_length": 16},
}


def trial(tmp_path, job):
    made = TrialTrainable.__new__(TrialTrainable)
    plan = {
        "trial": "00",
        "config": {},
        "hang_report_dir": str(tmp_path / "faults"),
        "resume_from": "",
    }
    made.setup({"plan": plan}, make_job(job))
    return made


@pytest.mark.usefixtures("local_ray")
def test_it_is_looked_at_first_and_then_as_often_as_asked_and_the_score_stands_between(tmp_path):
    made = trial(tmp_path, POLE | {"metric": "held_out_return_mean", "mode": "max"})
    results = [made.step() for _ in range(4)]
    looked = [json.loads(result["metrics"]).get("held_out_return_mean") for result in results]
    assert [look is not None for look in looked] == [True, True, False, True]
    assert [result["score"] for result in results] == [looked[0], looked[1], looked[1], looked[3]]
    training = [json.loads(result["metrics"])["return_mean"] for result in results]
    assert training != looked, "it is not the score of training"
    made.cleanup()


@pytest.mark.usefixtures("local_ray")
def test_what_it_says_is_what_the_saved_policy_does_on_those_very_seeds(tmp_path):
    job = make_job(CAUSAL | {"held_out_interval": 1, "held_out_episodes": 16})
    made = trial(tmp_path, CAUSAL | {"held_out_interval": 1, "held_out_episodes": 16})
    metrics = json.loads(made.step()["metrics"])
    made.save_checkpoint(str(tmp_path))
    again = evaluate_held_out(Policy.load(tmp_path), job)
    assert {"held_out_excess_risk", "held_out_median"} <= set(again)
    for name, figure in again.items():
        assert metrics[name] == pytest.approx(figure), name
    made.cleanup()


def test_those_seeds_are_neither_the_comparisons_nor_the_finals(monkeypatch):
    from tune_jobs.evaluation import evaluate

    asked = []
    played = {"policy": None}
    monkeypatch.setattr(evaluate, "play_gym_episodes", lambda *a: asked.append(a[-2:]) or played)
    monkeypatch.setattr(evaluate, "summarise_gym_episodes", lambda episodes: {})
    policy = Policy.__new__(Policy)
    policy.metadata = {"env": "CartPole-v1", "env_kwargs": {}}
    evaluate_held_out(policy, make_job(POLE | {"evaluation_episodes": 100, "evaluation_seed": 7}))
    assert asked == [(8, 207)]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"held_out_interval": 0}, "held_out_interval is 0: set it"),
        ({"metric": "held_out_kl"}, "held_out_kl"),
    ],
)
def test_a_metric_that_nobody_would_report_is_refused(changed, said):
    with pytest.raises(InputError, match=said):
        resolve_metric(make_job(POLE | {"metric": "held_out_return_mean"} | changed))


def test_which_way_is_good_is_known_as_it_is_of_training():
    pole = make_job(POLE | {"metric": "held_out_return_mean"})
    causal = make_job(CAUSAL | {"held_out_interval": 1, "metric": "held_out_excess_risk"})
    assert resolve_metric(pole) == ("held_out_return_mean", "max")
    assert resolve_metric(causal) == ("held_out_excess_risk", "min")


@pytest.mark.timeout(240)
def test_a_single_run_ends_when_held_out_episodes_get_no_better_and_gives_the_best_of_them(
    tmp_path,
):
    """A learning rate of nothing: the first look is the best there will be."""
    options = {
        **{"settings.lr": 1e-12, "settings.num-envs": 4, "settings.rollout-length": 32},
        **{
            "settings.minibatch-size": 64,
            "iterations": 20,
            "patience": 4,
            "checkpoint-interval": 2,
        },
        **{"held-out-interval": 2, "held-out-episodes": 8, "metric": "held_out_return_mean"},
        **{"keep": "best", "evaluation-episodes": 0, "out": "run"},
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    done = rungwise("train", "--env", "CartPole-v1", *flags, "--json", cwd=tmp_path, timeout=200)
    assert done.returncode == 0, done.stderr
    rows = read_event_log(tmp_path / "run" / "events.jsonl")
    end = next(row for row in rows if isinstance(row, EndRow))
    results = [row for row in rows if isinstance(row, ResultRow)]
    scores = np.array([row.score for row in results])
    assert end.reason == "plateau" and len(results) < 20
    kept = answer(done)["checkpoint"]
    at = next(r.iteration for r in rows if isinstance(r, CheckpointRow) and kept.endswith(r.path))
    saved = [s for row, s in zip(results, scores, strict=True) if row.iteration % 2 == 0]
    assert scores[at - 1] == max(saved)
    assert answer(done)["metrics"]["score"] == max(saved), "what it tells is of what it kept"
    assert not any(isinstance(row, EvaluationRow) for row in rows)


def test_evaluate_judges_a_policy_in_the_environment_of_its_jobs_evaluation(tmp_path):
    """Not in that of its training, whose goals or models it may know by heart."""
    (tmp_path / "job.yaml").write_text(
        json.dumps(CAUSAL | {"algo": "ppo", "evaluation_env_kwargs": {"interventions": 7}})
    )
    done = rungwise(
        *("train", "job.yaml", "--iterations", 1, "--evaluation-episodes", 8, "--cpus", 1),
        *("--out", "run", "--json"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (compared,) = (
        r for r in read_event_log(tmp_path / "run" / "events.jsonl") if isinstance(r, EvaluationRow)
    )
    evaluate = ("evaluate", answer(done)["checkpoint"], "--episodes", 8, "--json")
    told = answer(rungwise(*evaluate, cwd=tmp_path))
    assert told["env_kwargs"] == {"interventions": 7}
    assert told["policy"] == pytest.approx(compared.policy)
    other = answer(rungwise(*evaluate, "--env-kwargs", "interventions", 3, cwd=tmp_path))
    assert other["env_kwargs"] == {"interventions": 3}
    assert other["baselines"]["random"]["mean"] > told["baselines"]["random"]["mean"]
