# pyright: basic
"""The metric of a job, its held-out value, and what the score of an agent is the mean of."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algos.policy import Policy
from rungwise.run_log.trial_outcome import POOLED
from rungwise.validation import InputError
from tune_jobs.evaluation.evaluate import evaluate_held_out
from tune_jobs.evaluation.players import EnvironmentCopies
from tune_jobs.evaluation.scoring import (
    FEWEST,
    AgentScore,
    RecentEpisodes,
    is_episode_mean,
    resolve_metric,
)
from tune_jobs.jobs.job_yaml import load_job, make_job

SMALL = {"num_envs": 4, "rollout_length": 64, "minibatch_size": 64, "hidden": [8]}
POLE = {"env": "CartPole-v1", "settings": SMALL, "held_out_interval": 2, "held_out_episodes": 8}
CAUSAL = {
    "env": "CausalLearning-v0",
    "env_kwargs": {"scm": "ace5", "interventions": 3},
    "settings": SMALL | {"rollout_length": 16},
}


def test_a_held_out_score_exists_only_where_measured(make_trial):
    score = {"metric": "held_out_return_mean", "mode": "max"}
    made = make_trial(POLE | score | {"iterations": 5})
    results = [made.step() for _ in range(5)]
    looked = [json.loads(result["metrics"]).get("held_out_return_mean") for result in results]
    # At the first iteration, at every second one, and at the last.
    assert [look is not None for look in looked] == [True, True, False, True, True]
    assert [result["score"] for result in results] == looked
    assert made.scores == [looked[-1]]
    training = [json.loads(result["metrics"])["return_mean"] for result in results]
    assert training != looked, "it is not the score of training"


def test_held_out_metrics_are_those_of_the_saved_policy(make_trial, tmp_path):
    job = make_job(CAUSAL | {"held_out_interval": 1, "held_out_episodes": 16})
    made = make_trial(CAUSAL | {"held_out_interval": 1, "held_out_episodes": 16})
    metrics = json.loads(made.step()["metrics"])
    made.save_checkpoint(str(tmp_path))
    again = evaluate_held_out(Policy.load(tmp_path), job)
    assert {"held_out_excess_risk", "held_out_median"} <= set(again)
    for name, figure in again.items():
        assert metrics[name] == pytest.approx(figure), name


def test_a_curriculum_is_scored_on_models_of_another_size(make_trial):
    preset = load_job("acbo-curriculum")
    small = {"model": "set", "hidden": [4], "num_envs": 4, "group_size": 2}
    made = make_trial(
        {
            **{"env": preset.env, "algo": preset.algo, "metric": preset.metric, "mode": "max"},
            **{"env_kwargs": preset.env_kwargs, "held_out_interval": 1, "held_out_episodes": 8},
            "evaluation_env_kwargs": preset.evaluation_env_kwargs,
            "settings": small | {"rollout_length": 20, "minibatch_size": 20},
        }
    )
    metrics = json.loads(made.step()["metrics"])
    # Training is in its first stage, and what is scored is no stage at all.
    assert metrics["stage"] == 0
    assert math.isfinite(metrics["held_out_episode_mean"])


def test_held_out_seeds_are_apart_from_comparison_and_finals(monkeypatch):
    asked = []
    monkeypatch.setattr(EnvironmentCopies, "play", lambda self, *a: asked.append(a[-2:]))
    monkeypatch.setattr("tune_jobs.evaluation.evaluate.summarise_gym_episodes", lambda episodes: {})
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


ITERATIONS = st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(1, 150)), min_size=1)


def pooled(iterations):
    recent = RecentEpisodes()
    for mean, episodes in iterations:
        recent.add(mean, episodes)
    return recent


@given(ITERATIONS)
def test_mean_over_the_fewest_iterations_with_100_episodes(iterations):
    pool = []  # of single episodes, by hand
    for mean, episodes in reversed(iterations):
        pool += [mean] * episodes
        if len(pool) >= POOLED:
            break
    recent = pooled(iterations)
    assert recent.episodes == len(pool)
    assert recent.mean(1) == pytest.approx(math.fsum(pool) / len(pool), abs=1e-9)


@pytest.mark.parametrize(
    ("iterations", "mean"),
    [
        ([(10.0, 2), (1.0, 30)], 50 / 32),  # by hand: (2 * 10 + 30 * 1) / 32
        ([(9.0, 300), (5.0, 99), (1.0, 100)], 1.0),
        ([(0.0, 98), (100.0, 2)], 2.0),  # two lucky episodes do not make a score
    ],
)
def test_iterations_count_by_their_episodes(iterations, mean):
    assert pooled(iterations).mean() == pytest.approx(mean)


@pytest.mark.parametrize(("episodes", "decided"), [(FEWEST - 1, False), (FEWEST, True)])
def test_fewer_than_20_episodes_are_undecided(episodes, decided):
    recent = pooled([(1.0, episodes)])
    assert (recent.mean() is not None) == decided
    assert recent.mean(1) == 1.0


def test_no_episode_is_no_score_however_few_are_asked_for():
    assert RecentEpisodes().mean(0) is None


def test_it_can_be_written_as_json_and_read_back():
    recent = pooled([(1.0, 60), (2.0, 30), (3.0, 20)])
    again = RecentEpisodes(json.loads(json.dumps(recent.iterations)))
    assert again.iterations == recent.iterations
    recent.add(4.0, 70)
    again.add(4.0, 70)
    assert again.mean() == recent.mean()


def test_means_over_finished_episodes_alone_are_pooled():
    pooled_ones = ["return_mean", "success_rate", "excess_risk", "work_ratio"]
    others = ["held_out_return_mean", "held_out_excess_risk", "return_max", "reward_mean", "kl"]
    assert [name for name in pooled_ones + others if is_episode_mean(name)] == pooled_ones


def measured(rows, metric="return_mean", iterations=30, over=True):
    score = AgentScore(metric, iterations)
    values = [score.measure({"nonfinite": 0, "episodes": 0} | row, False) for row in rows[:-1]]
    values.append(score.measure({"nonfinite": 0, "episodes": 0} | rows[-1], over))
    return values, score.scored_reward


STUCK = {"unfinished_episodes": 6, "unfinished_return_mean": -2000.0}


def test_long_episodes_that_go_on_count_beside_those_that_ended():
    """Two lucky episodes of -50 do not hide six that go in circles."""
    values, _ = measured([{"return_mean": -50.0, "episodes": 2}, STUCK])
    # By hand: (2 * -50 + 6 * -2000) / 8.
    assert values == [None, pytest.approx(-1512.5)]


def test_they_change_the_score_of_iterations_without_an_end():
    rows = [{"return_mean": -50.0, "episodes": 20}, STUCK]
    assert measured(rows, over=False)[0] == [-50.0, pytest.approx(-13000 / 26)]


def test_of_other_metrics_nothing_is_known_before_the_end():
    rows = [{"success_rate": 1.0, "episodes": 20}, STUCK]
    assert measured(rows, "success_rate", over=False)[0] == [1.0, None]


@pytest.mark.parametrize(
    ("known", "steps"), [({"time_limit": 500, "running_length_max": 80}, 500),
                         ({"running_length_max": 80}, 80)],
)  # fmt: skip
def test_without_an_episode_the_last_rewards_score_at_the_end(known, steps):
    # 30 iterations: the last tenth are three.
    rows = [{"reward_mean": reward} | known for reward in (9.0, 1.0, 2.0, 3.0)]
    values, scored = measured(rows)
    assert values == [None, None, None, pytest.approx(2.0 * steps)]
    assert scored == 2.0


def test_an_episode_that_ended_scores_in_place_of_rewards():
    values, scored = measured([{"reward_mean": 1.0, "return_mean": 7.0, "episodes": 1}])
    assert values == [7.0] and scored is None


def test_rewards_score_no_other_metric_than_a_return():
    rows = [{"reward_mean": 1.0, "running_length_max": 80}]
    assert measured(rows, "success_rate") == ([None], None)


def test_a_mean_that_is_not_finite_spoils_no_later_score():
    # The episode with the NaN reward ended in the iteration after that of the reward.
    rows = [{"return_mean": mean, "episodes": 20} for mean in (1.0, math.nan, 3.0)]
    values, _ = measured(rows, over=False)
    assert values == [1.0, pytest.approx(math.nan, nan_ok=True), 2.0]
