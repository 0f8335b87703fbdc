# pyright: basic
"""What the presets reach, by the commands a user calls: each figure of a preset against its bar.

One training seed by default; ``--seeds 3`` takes seeds 0, 1 and 2. Figures are printed (``-s``).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
import torch
from command_line import answer, rungwise
from presets import skip_if_not_installed

from algos.policy import Policy
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import ResultRow
from tune_jobs.evaluation.evaluation_world import make_world
from tune_jobs.evaluation.players import play_world_episodes
from tune_jobs.jobs.job_yaml import list_presets


@dataclass(frozen=True)
class Bar:
    """A bound of one figure in the answer of ``rungwise evaluate --json``."""

    figure: str
    """Path such as ``policy.median``; ``rules.median`` is that of the best simple rule."""
    direction: Literal["at least", "at most"]
    value: float
    of: str = ""
    """Another figure, of which ``value`` is a multiple."""

    def measure(self, evaluation: dict[str, Any]) -> tuple[float, float]:
        """Return the figure and its bound."""
        scale = self._read(evaluation, self.of) if self.of else 1.0
        return self._read(evaluation, self.figure), self.value * scale

    def is_met(self, evaluation: dict[str, Any]) -> bool:
        """Return whether the figure keeps the bound."""
        figure, bound = self.measure(evaluation)
        return figure >= bound if self.direction == "at least" else figure <= bound

    def _read(self, evaluation: dict[str, Any], path: str) -> float:
        first, *names = path.split(".")
        if first == "rules":
            rules = [f for name, f in evaluation["baselines"].items() if name != "greedy"]
            best = max if self.direction == "at least" else min
            return best(figures[names[0]] for figures in rules)
        found: Any = evaluation[first]
        for name in names:
            found = found[name]
        return float(found)


def at_least(figure: str, value: float, of: str = "") -> Bar:
    return Bar(figure, "at least", value, of)


def at_most(figure: str, value: float, of: str = "") -> Bar:
    return Bar(figure, "at most", value, of)


@dataclass(frozen=True)
class Case:
    """What a preset must reach, and how long that may take."""

    bars: tuple[Bar, ...]
    episodes: int = 256
    limit_s: int = 600
    """Longest time of the training; the evaluation may take as long."""


def thinks(log_p: float, accuracy: float) -> Case:
    """Thoughts that are proved, where there was something to learn."""
    return Case(
        (
            at_least("policy.log_p_with", log_p),
            at_least("policy.accuracy", accuracy),
            at_least("policy.proved", 1),
            at_most("policy.log_p_without", -1.5),  # chance: -1.61
            at_most("baselines.baked.accuracy", 0.9),
            at_most("baselines.baked.proved", 0),
        ),
        episodes=2000,
        limit_s=800,
    )


def shops(score: float, success: float) -> Case:
    """Goals for families of products that were never trained on, as in docs/shopping.md."""
    bars = at_least("baselines.greedy.score", score), at_least("baselines.greedy.success", success)
    return Case(bars, episodes=500, limit_s=2400)


def solves_faster_than(other: str, ratio: float) -> Case:
    """Less work than another choice of edges on 30 matrices that were not trained on."""
    work = f"baselines.{other}.work_ratio"
    return Case((at_most("baselines.greedy.work_ratio", ratio, of=work),), episodes=30, limit_s=900)


def plays(least: float) -> Case:
    """A return in an environment of the zoo, as in docs/environments.md."""
    return Case((at_least("policy.return_mean", least),), episodes=100, limit_s=900)


CASES = {
    "acbo": Case(
        (at_least("policy.episode_mean", 0.75), at_least("policy.gain_over_ols", 0.25)),
        limit_s=1800,
    ),
    "acbo-curriculum": Case(
        (at_least("policy.episode_mean", 0.72), at_least("policy.gain_over_ols", 0.25)),
        limit_s=1800,
    ),
    "acrobot": plays(-90),
    "acbo-ppo": Case(
        (at_least("policy.episode_mean", 0.77), at_least("policy.gain_over_ols", 0.25)),
        limit_s=1800,
    ),
    "cartpole": Case((at_least("policy.return_mean", 475),), episodes=100),
    "causal": Case(
        (
            at_most("policy.median", 0.10),
            at_most("policy.median", 1.0, of="rules.median"),
            at_least("better_than_random", 0.9),
        )
    ),
    "causal-families": Case((at_most("policy.to_round_robin", 0.28),), limit_s=1800),
    "cbo-toy": Case((at_most("policy.incumbent", 0.98 * -2.1718),), episodes=100),
    "edges": solves_faster_than("sa_evolution", 1.03),  # the best rule that its solver has
    "edges-rootnode": solves_faster_than("root_node_evolution", 0.98),
    "edges-variable": solves_faster_than("sa_evolution", 0.99),
    "fsai": solves_faster_than("by_paths", 1.0),
    "lunarlander": plays(220),
    "minigrid-doorkey": plays(0.9),
    "minigrid-empty": plays(0.9),
    "minigrid-memory": plays(0.9),
    "mountaincar": plays(-110),
    "mountaincar-continuous": plays(90),
    "pendulum": plays(-190),
    "repeat-previous": plays(0.95),
    "shop": shops(76, 0.44),
    "shop-astar": shops(70, 0.28),
    "shop-clipped": shops(69, 0.30),
    "sparsifier": Case((at_most("baselines.greedy.iterations", 29),), episodes=30),
    "thoughts": thinks(-0.05, 0.99),
    "thoughts-hard": thinks(-0.2, 0.9),
    "thoughts-shared": thinks(-0.05, 0.99),
}
"""Preset -> its bars, a little below the figures of the documentation."""

WITHOUT_BAR = {
    "acbo-quick": "a first look, too short to learn",
    "causal-ace": "tested below by more than its figures",
    "causal-quick": "a first look, too short to learn",
    "edges-postmortem": "shows what cannot be learnt",
    "edges-sweep": "searches what cannot be learnt",
    "simple-spread": "tested in test_agents_learn.py against rules",
    "shop-lm-tiny": "tested in test_shop_lm.py by its rise",
    "shop-quick": "a first look, too short to learn",
    "shop-qwen": "needs a model that the user names",
    "thoughts-lm": "needs a model that the user names",
}


def test_every_preset_has_a_bar_or_a_reason():
    assert set(CASES) | set(WITHOUT_BAR) == set(list_presets())
    assert not set(CASES) & set(WITHOUT_BAR)


def test_bars_compare_figures_with_numbers_and_other_figures():
    evaluation = {
        "policy": {"median": 0.1},
        "baselines": {
            "greedy": {"median": 0.05},
            "random": {"median": 1.0},
            "rule": {"median": 0.2},
        },
        "better_than_random": 0.9,
    }
    assert at_most("policy.median", 0.1).is_met(evaluation)
    assert not at_most("policy.median", 0.09).is_met(evaluation)
    assert at_least("better_than_random", 0.9).is_met(evaluation)
    assert at_most("policy.median", 1.0, of="rules.median").measure(evaluation) == (0.1, 0.2)
    twice = at_least("policy.median", 2.0, of="baselines.greedy.median")
    assert twice.measure(evaluation) == (0.1, 0.1) and twice.is_met(evaluation)


def train(preset, seed, cwd, limit_s, *words):
    done = rungwise(
        *("train", preset, "--seed", seed, "--evaluation-episodes", 0, "--json", *words),
        cwd=cwd,
        timeout=limit_s,
    )
    assert done.returncode == 0, done.stderr
    return answer(done)


@pytest.mark.slow
@pytest.mark.parametrize(
    "preset",
    [pytest.param(p, marks=pytest.mark.timeout(2 * c.limit_s + 60)) for p, c in CASES.items()],
)
def test_a_preset_reaches_its_bars(preset, training_seed, tmp_path):
    case = CASES[preset]
    skip_if_not_installed(preset)
    checkpoint = train(preset, training_seed, tmp_path, case.limit_s)["checkpoint"]
    done = rungwise(
        *("evaluate", checkpoint, "--episodes", case.episodes, "--json"),
        cwd=tmp_path,
        timeout=case.limit_s,
    )
    assert done.returncode == 0, done.stderr
    evaluation = answer(done)
    print(f"\n{preset}, seed {training_seed}: {evaluation['policy']}")
    for bar in case.bars:
        figure, bound = bar.measure(evaluation)
        print(f"  {bar.figure} {figure:.4g}, {bar.direction} {bound:.4g}")
    assert [bar for bar in case.bars if not bar.is_met(evaluation)] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_causal_ace_preset_keeps_its_interventions_diverse(training_seed, tmp_path):
    trained = train("causal-ace", training_seed, tmp_path, 500, "--out", "run")
    policy = Policy.load(tmp_path / trained["checkpoint"])
    generator = torch.Generator().manual_seed(0)
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
        f"\nseed {training_seed}: X2 {x2:.1%}, X4 {x4:.1%}, X5 {x5:.1%}, "
        f"useful {np.mean(useful):.1%}, {saved:.0%} saved, median excess risk {median:.3f}"
    )
    assert trained["end_reason"] == "plateau"
    assert x2 < 0.5 and x4 > 0.1 and x5 > 0.1  # of X4 15 % are asked, 13 to 19 come
    assert np.mean(useful) > 0.5
    assert saved > 0.8
    assert median <= 0.1
