# pyright: basic
"""What the presets reach, by the commands a user calls; prints the figures."""

from typing import Any

import numpy as np
import pytest
import torch
from command_line import answer, rungwise

from algos.policy import Policy
from tune_jobs.evaluation.evaluation_world import make_world
from tune_jobs.evaluation.players import play_world_episodes
from tune_jobs.run_log.events import ResultRow, read_event_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_causal_preset_beats_every_simple_rule_on_fresh_seeds(seed, tmp_path):
    done = rungwise(
        *("train", "causal", "--seed", seed, "--evaluation-episodes", 0, "--json"),
        cwd=tmp_path,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    done = rungwise(
        *("evaluate", answer(done)["checkpoint"], "--episodes", 256, "--json"), cwd=tmp_path
    )
    told = answer(done)
    print(f"\nseed {seed}: policy {told['policy']}, better on {told['better_than_random']:.1%}")
    assert told["policy"]["median"] <= 0.10
    assert told["better_than_random"] >= 0.9
    rules = {name: figures["median"] for name, figures in told["baselines"].items()}
    del rules["greedy"]
    assert told["policy"]["median"] < min(rules.values())


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_the_cartpole_preset_solves_cartpole(seed, tmp_path):
    done = rungwise(
        *("train", "cartpole", "--seed", seed, "--evaluation-episodes", 0, "--json"),
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    done = rungwise(
        *("evaluate", answer(done)["checkpoint"], "--episodes", 100, "--json"), cwd=tmp_path
    )
    told = answer(done)
    print(f"\nseed {seed}: policy {told['policy']}, random {told['baselines']['random']}")
    assert told["policy"]["return_mean"] >= 475


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_causal_ace_preset_keeps_its_interventions_diverse(seed, tmp_path):
    done = rungwise(
        *("train", "causal-ace", "--seed", seed, "--evaluation-episodes", 0, "--json"),
        *("--out", "run"),
        cwd=tmp_path,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    told = answer(done)
    policy, generator = Policy.load(tmp_path / told["checkpoint"]), torch.Generator().manual_seed(0)
    world: Any = make_world(policy.metadata["env"], policy.metadata["env_kwargs"])
    useful = []

    def act(state, observations, keys):
        action = policy.act_batch(observations, greedy=False, generator=generator)
        gain = np.log(state.risk.excess / world.step(state, action).state.risk.excess)
        useful.append(np.mean(np.abs(gain) >= 0.01))
        return action

    # Without the baselines, whose designs take minutes for episodes of 25 interventions.
    played = play_world_episodes(world, act, 256, 0)
    _, x2, _, x4, x5 = played.choice_fractions
    iterations = sum(
        isinstance(r, ResultRow) for r in read_event_log(tmp_path / "run" / "events.jsonl")
    )
    median, saved = float(np.median(played.metrics["excess_risk"])), 1 - iterations / 400
    print(
        f"\nseed {seed}: X2 {x2:.1%}, X4 {x4:.1%}, X5 {x5:.1%}, useful {np.mean(useful):.1%}, "
        f"{saved:.0%} saved, median excess risk {median:.3f}"
    )
    assert told["end_reason"] == "plateau"
    assert x2 < 0.5 and x4 > 0.1 and x5 > 0.1  # of X4 15 % are asked, 13 to 19 come
    assert np.mean(useful) > 0.5
    assert saved > 0.8
    assert median <= 0.1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cbo_toy_comes_within_2_percent_of_the_optimum(seed, tmp_path):
    done = rungwise(
        *("train", "cbo-toy", "--seed", seed, "--evaluation-episodes", 0, "--json"),
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    done = rungwise(
        *("evaluate", answer(done)["checkpoint"], "--episodes", 100, "--json"), cwd=tmp_path
    )
    told = answer(done)
    print(f"\nseed {seed}: policy {told['policy']}")
    assert told["policy"]["incumbent"] <= -2.1718 * 0.98
