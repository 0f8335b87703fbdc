# pyright: basic
"""What the presets reach, by the commands a user calls; prints the figures."""

import pytest
from command_line import answer, rungwise

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
