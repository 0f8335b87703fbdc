# pyright: basic, reportAttributeAccessIssue=false
"""Failures of an environment that a trial survives without losing an iteration."""

import json

import pytest
import toy_worlds
from trials import describe_small_job

JOB = describe_small_job("toy_worlds:Fragile-v0", num_envs=4, rollout_length=32)
STEPS = 4 * 32


@pytest.fixture
def make_failing(make_trial, monkeypatch):
    """A trial whose environments fail at these steps of the process."""
    monkeypatch.setattr(toy_worlds.Fragile, "taken", 0)
    return lambda failing, resume="", **changed: make_trial(
        JOB | {"env_kwargs": {"failing": failing}} | changed, resume
    )


def test_an_iteration_is_repeated_with_new_environments(make_failing):
    trial = make_failing([STEPS + 7])
    first, second, third = (trial.step() for _ in range(3))
    assert [r["iteration"] for r in (first, second, third)] == [1, 2, 3]
    assert [len(r["failures"]) for r in (first, second, third)] == [0, 1, 0]
    assert "ConnectionError: the simulator is gone" in second["failures"][0]
    assert "toy_worlds.py:" in second["failures"][0], "the user's own line"
    assert not second["fault"] and second["score"] is not None
    assert json.loads(third["metrics"])["env_steps"] == 3 * STEPS


def test_too_many_failures_end_the_trial_and_keep_its_score(make_failing):
    trial = make_failing([STEPS + 1, STEPS + 2, STEPS + 3], max_failures=2)
    scored = trial.step()
    ended = trial.step()
    assert scored["score"] is not None and trial.scores == [scored["score"]]
    assert ended["done"] and ended["iteration"] == 1 and ended["score"] is None
    assert "failed 3 times" in ended["fault"] and "the simulator is gone" in ended["fault"]
    assert len(ended["failures"]) == 2, "those that it survived"


def test_only_failures_in_a_row_count(make_failing):
    trial = make_failing([STEPS + 1, 2 * STEPS + 9, 3 * STEPS + 17], max_failures=1)
    results = [trial.step() for _ in range(4)]
    assert [len(r["failures"]) for r in results] == [0, 1, 1, 1]
    assert [r["fault"] for r in results] == [""] * 4


def test_after_a_resume_a_failure_begins_other_episodes(make_failing, tmp_path):
    numbers = set()
    (tmp_path / "saved").mkdir()
    for resume in ("", tmp_path / "saved", tmp_path / "saved"):
        trial = make_failing([STEPS + 1 if not resume else 1], resume=resume, iterations=2)
        toy_worlds.Fragile.taken = 0
        if not resume:
            trial.step()
            trial.save_checkpoint(str(tmp_path / "saved"))
        assert len(trial.step()["failures"]) == 1
        runner = trial.agents[0].env_runner_group.local_env_runner
        numbers |= {(runner.restored_at, runner.env_seed)}
    restored, seeds = zip(*numbers, strict=True)
    assert len(set(restored)) == len(set(seeds)) == 3


def test_without_allowed_failures_the_first_one_ends_the_trial(make_failing):
    ended = make_failing([1], max_failures=0).step()
    assert ended["done"] and "the simulator is gone" in ended["fault"]
    assert "times" not in ended["fault"] and not ended["failures"]


def test_environments_begin_other_episodes_after_a_failure(make_failing):
    trial = make_failing([STEPS + 1, STEPS + 2])
    seeds = set()
    for _ in range(2):
        trial.step()
        seeds.add(trial.agents[0].env_runner_group.local_env_runner.env_seed)
    assert len(seeds) == 2


def test_a_resume_completes_the_iteration_in_which_one_seed_failed(make_failing, tmp_path):
    # Both seeds run iteration 1, the first runs iteration 2, and the second fails in that.
    failed = make_failing([3 * STEPS + 7], seeds=2, iterations=2, max_failures=0)
    failed.step()
    ended = failed.step()
    assert ended["done"] and ended["iteration"] == ended["training_iteration"] == 1
    assert [agent.iteration for agent in failed.agents] == [2, 1]
    ahead = failed.agents[0].flat_metrics
    (tmp_path / "saved").mkdir()
    failed.save_checkpoint(str(tmp_path / "saved"))
    resumed = make_failing([], seeds=2, iterations=2, resume=tmp_path / "saved")
    last = resumed.step()
    assert last["iteration"] == 2 and [agent.iteration for agent in resumed.agents] == [2, 2]
    metrics, behind = json.loads(last["metrics"]), resumed.agents[1].flat_metrics
    assert metrics["env_steps"] == 4 * STEPS
    assert metrics["episodes"] == ahead["episodes"] + behind["episodes"] > 0
    assert last["score"] is not None
    pooled = [score.episodes.iterations for score in resumed.agent_scores]
    assert [len(iterations) for iterations in pooled] == [2, 2]


def test_after_that_iteration_every_seed_trains_again(make_failing, tmp_path):
    failed = make_failing([STEPS + 7], seeds=2, max_failures=0)
    assert failed.step()["iteration"] == 0
    (tmp_path / "saved").mkdir()
    failed.save_checkpoint(str(tmp_path / "saved"))
    resumed = make_failing([], seeds=2, resume=tmp_path / "saved")
    assert [resumed.step()["iteration"] for _ in range(3)] == [1, 2, 3]
    assert [agent.iteration for agent in resumed.agents] == [3, 3]
