# pyright: basic
"""The metric of a job, and its value on held-out seeds during training."""

import json
import math

import pytest

from algos.policy import Policy
from envs.validation import InputError
from tune_jobs.evaluation import scoring
from tune_jobs.evaluation.scoring import evaluate_held_out, resolve_metric
from tune_jobs.jobs.job_yaml import load_job, make_job
from tune_jobs.session.trial import make_trainable

SMALL = {"num_envs": 4, "rollout_length": 64, "minibatch_size": 64, "hidden": [8]}
POLE = {"env": "CartPole-v1", "settings": SMALL, "held_out_interval": 2, "held_out_episodes": 8}
CAUSAL = {
    "env": "CausalLearning-v0",
    "env_kwargs": {"scm": "ace5", "interventions": 3},
    "settings": SMALL | {"rollout_length": 16},
}


def trial(tmp_path, job):
    kind = make_trainable(make_job(job))
    made = kind.__new__(kind)
    plan = {
        "trial": "00",
        "config": {},
        "hang_report_dir": str(tmp_path / "faults"),
        "resume_from": "",
    }
    made.setup({"plan": plan})
    return made


@pytest.mark.usefixtures("local_ray")
def test_a_held_out_score_exists_only_where_measured(tmp_path):
    score = {"metric": "held_out_return_mean", "mode": "max"}
    made = trial(tmp_path, POLE | score | {"iterations": 5})
    results = [made.step() for _ in range(5)]
    looked = [json.loads(result["metrics"]).get("held_out_return_mean") for result in results]
    # At the first iteration, at every second one, and at the last.
    assert [look is not None for look in looked] == [True, True, False, True, True]
    assert [result["score"] for result in results] == looked
    assert made.scores == [looked[-1]]
    training = [json.loads(result["metrics"])["return_mean"] for result in results]
    assert training != looked, "it is not the score of training"
    made.cleanup()


@pytest.mark.usefixtures("local_ray")
def test_held_out_metrics_are_those_of_the_saved_policy(tmp_path):
    job = make_job(CAUSAL | {"held_out_interval": 1, "held_out_episodes": 16})
    made = trial(tmp_path, CAUSAL | {"held_out_interval": 1, "held_out_episodes": 16})
    metrics = json.loads(made.step()["metrics"])
    made.save_checkpoint(str(tmp_path))
    again = evaluate_held_out(Policy.load(tmp_path), job)
    assert {"held_out_excess_risk", "held_out_median"} <= set(again)
    for name, figure in again.items():
        assert metrics[name] == pytest.approx(figure), name
    made.cleanup()


@pytest.mark.usefixtures("local_ray")
def test_a_curriculum_is_scored_on_models_of_another_size(tmp_path):
    preset = load_job("acbo-curriculum")
    small = {"model": "set", "hidden": [4], "num_envs": 4, "group_size": 2}
    made = trial(
        tmp_path,
        {
            **{"env": preset.env, "algo": preset.algo, "metric": preset.metric, "mode": "max"},
            **{"env_kwargs": preset.env_kwargs, "held_out_interval": 1, "held_out_episodes": 8},
            "evaluation_env_kwargs": preset.evaluation_env_kwargs,
            "settings": small | {"rollout_length": 20, "minibatch_size": 20},
        },
    )
    metrics = json.loads(made.step()["metrics"])
    # Training is in its first stage, and what is scored is no stage at all.
    assert metrics["stage"] == 0
    assert math.isfinite(metrics["held_out_episode_mean"])
    made.cleanup()


def test_held_out_seeds_are_apart_from_comparison_and_finals(monkeypatch):
    asked = []
    played = {"policy": None}
    monkeypatch.setattr(scoring, "play_gym_episodes", lambda *a: asked.append(a[-2:]) or played)
    monkeypatch.setattr(scoring, "summarise_gym_episodes", lambda episodes: {})
    policy = Policy.__new__(Policy)
    policy.metadata = {"env": "CartPole-v1", "env_kwargs": {}}
    evaluate_held_out(policy, make_job(POLE | {"evaluation_episodes": 100}))
    assert asked == [(8, 200)]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"held_out_interval": 0}, "held_out_interval is 0: set it"),
        ({"metric": "held_out_kl"}, "held_out_kl"),
    ],
)
def test_a_held_out_metric_that_is_never_reported_is_refused(changed, said):
    with pytest.raises(InputError, match=said):
        resolve_metric(make_job(POLE | {"metric": "held_out_return_mean"} | changed))


def test_the_mode_of_a_held_out_metric_is_that_of_training():
    pole = make_job(POLE | {"metric": "held_out_return_mean"})
    causal = make_job(CAUSAL | {"held_out_interval": 1, "metric": "held_out_excess_risk"})
    assert resolve_metric(pole) == ("held_out_return_mean", "max")
    assert resolve_metric(causal) == ("held_out_excess_risk", "min")
