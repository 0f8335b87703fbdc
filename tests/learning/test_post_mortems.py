# pyright: basic
"""The post-mortems re-enacted: what took hours to be seen is found within minutes, by its name.

Each test prints when: in which iteration, at what share of the budget, after how many seconds.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks import health_suite
from benchmarks.health_cases import BANDIT, CLICKS, EPISODES, SHOP, SMALL, THINKING, Case
from command_line import answer, rungwise
from paths import SUPPORT

from algos.policy import Policy
from rungwise.health import RULES
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import CheckpointRow, ResultRow
from tune_jobs.evaluation.evaluation_world import make_world
from tune_jobs.evaluation.players import play_world_episodes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    "case",
    [
        Case("V* too optimistic", ("v_star_optimistic",), BANDIT, algo="astar_po",
             faulty="V* too high", settings=EPISODES),
        Case("clicks that pay more than the purchase", ("reward_hacking", "no_success"), SHOP,
             {"farmed": True}, settings=CLICKS),
        Case("thoughts for show", ("theatre",), THINKING, {"reader": "ignores"}, settings=SMALL),
    ],
    ids=lambda case: case.name,
)  # fmt: skip
def test_what_the_post_mortems_found_late_is_found_live(case, seed, monkeypatch):
    monkeypatch.syspath_prepend(SUPPORT)  # its toy_worlds
    rows, named, seconds = health_suite.train_until_named(case, seed)
    assert named, f"not found in {len(rows)} iterations"
    share = len(rows) / case.iterations
    print(
        f"\n{case.name}, seed {seed}: {named[0].symptom} in iteration {len(rows)} ({share:.0%} of "
        f"the budget), after {seconds:.0f} s: {named[0].evidence}"
    )
    assert share <= 0.5


BUDGET, PATIENCE = 250, 20
JOB = {
    "env": "CausalLearning-v0",
    "env_kwargs": {
        "interventions": 25,
        "observe_every": 3,
        "reward": {"postmortem": True},
    },
    "algo": "ppo",
    # Rewards are in the hundreds here: no clip and hardly any weight on the value's error, or the
    # policy would not follow them.
    "settings": {
        **{"gamma": 0.99, "entropy_coef": 0.01, "lr": 0.01, "epochs": 8, "grad_clip": 0.0},
        **{"value_coef": 1e-6, "num_envs": 64, "rollout_length": 25, "minibatch_size": 256},
    },
    "iterations": BUDGET,
    "keep": "best",
    "checkpoint_interval": 1,
    "evaluation_episodes": 0,
    "health": dict.fromkeys(RULES, "warn"),  # so that patience alone ends a run
}
"""The causal post-mortem's episode, rewards, patience (20) and min_delta (0.01)."""


@pytest.mark.parametrize("seed", range(3))
def test_a_causal_run_on_its_plateau_ends_soon_and_loses_nothing(seed, tmp_path):
    """The post-mortem counts in evaluations of its policy; here each iteration's score is one."""
    (tmp_path / "job.yaml").write_text(json.dumps(JOB))  # JSON is YAML
    ended = run("--patience", PATIENCE, "--seed", seed, "--out", "ended", cwd=tmp_path)
    whole = run("--seed", seed, "--out", "whole", cwd=tmp_path)
    scores, all_scores = (scores_of(tmp_path / name) for name in ("ended", "whole"))
    at, began, best = len(scores), plateau_of(all_scores), int(np.argmin(scores)) + 1
    saved = 1 - at / BUDGET
    gap, error = difference(tmp_path / ended["checkpoint"], tmp_path / whole["checkpoint"])
    last = np.mean(all_scores[-BUDGET // 4 :])
    print(
        f"\nseed {seed}: plateau from iteration {began}, stopped in {at} of {BUDGET}: {saved:.0%} "
        f"saved; best score {min(scores):.3f} in iteration {best}, of the whole budget "
        f"{min(all_scores):.3f} (its last quarter: {last:.3f}); excess risk of the kept model on "
        f"fresh seeds less that of the whole run's: {gap:+.4f} ({error:.4f})"
    )
    assert ended["end_reason"] == "plateau"
    assert scores == all_scores[:at], "both are the same run"
    assert 0 <= at - began <= 25
    assert saved >= 0.8
    assert iteration_of(tmp_path, ended["checkpoint"]) == best
    assert gap <= 2 * error


def run(*words, cwd):
    done = rungwise("train", "job.yaml", *words, "--json", cwd=cwd, timeout=900)
    assert done.returncode == 0, done.stderr
    return answer(done)


def scores_of(directory):
    rows = [r for r in read_event_log(directory / "events.jsonl") if isinstance(r, ResultRow)]
    return [float("nan") if row.score is None else row.score for row in rows]


def iteration_of(root, checkpoint):
    """The iteration after which a checkpoint was written."""
    rows = read_event_log(root / Path(checkpoint).parts[0] / "events.jsonl")
    written = [r for r in rows if isinstance(r, CheckpointRow)]
    return next(r.iteration for r in written if Path(r.path).name == Path(checkpoint).name)


def plateau_of(scores, window=10):
    """The iteration after which no ten scores in a row are better than the ten up to it.

    Better by more than three standard errors: less is found somewhere among so many by luck.
    """
    windows = np.lib.stride_tricks.sliding_window_view(np.array(scores), window)
    means, variances = windows.mean(axis=1), windows.var(axis=1, ddof=1) / window
    for k in range(len(windows)):
        later = slice(k + window, None)
        noise = 3 * np.sqrt(variances[k] + variances[later])
        if not np.any(means[later] < means[k] - noise):
            return k + window
    return len(scores)


def difference(checkpoint, other, episodes=256):
    """How much more excess risk a checkpoint leaves than another, and the standard error of it."""
    risks = []
    for path in (checkpoint, other):
        policy, generator = Policy.load(path), torch.Generator().manual_seed(0)
        world: Any = make_world(policy.metadata["env"], policy.metadata["env_kwargs"])

        def act(state, observations, keys, policy=policy, generator=generator):
            return policy.act_batch(observations, greedy=False, generator=generator)

        # Without the baselines, whose designs take minutes for episodes of 25 interventions.
        risks.append(play_world_episodes(world, act, episodes, 0).metrics["excess_risk"])
    gap = risks[0] - risks[1]
    return gap.mean(), gap.std() / len(gap) ** 0.5
