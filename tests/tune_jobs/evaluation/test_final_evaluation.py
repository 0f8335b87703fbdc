# pyright: basic
"""Examples of an evaluation's episodes, and the median one step by step."""

from typing import Any

import numpy as np
import pytest

from envs.contract import counter_rng
from envs.thoughts.params import Params
from envs.thoughts.reader import Baking
from envs.thoughts.world import QuietThoughts
from tune_jobs.evaluation.evaluate import Evaluation
from tune_jobs.evaluation.evaluation_world import make_world
from tune_jobs.evaluation.final_evaluation import (
    choose_shown_player,
    collect_examples,
    record_median_episode,
)
from tune_jobs.evaluation.players import EvaluatedEpisodes, play_world_episodes


def test_the_episode_with_the_median_score_is_shown():
    world: Any = make_world("envs:CausalLearning-v0", {})
    rule = world.baselines["random"]
    played = play_world_episodes(world, lambda s, o, k: rule(world, s, k), 5, 3)
    experiment = record_median_episode(world, played, 3)
    median = int(np.argsort(played.metrics["excess_risk"])[2])
    assert experiment["seed"] == 3 + median
    assert len(experiment["frames"]) == played.lengths[median] + 1


def test_a_world_without_traces_shows_no_episode():
    world: Any = make_world("staged_world:Ladder-v0", {})
    played = play_world_episodes(world, lambda s, o, k: np.zeros(3, int), 3, 0)
    assert record_median_episode(world, played, 0) == {}


SMALL: Any = {"modulus": 3, "terms": 3, "longest": 2}


@pytest.fixture(scope="module")
def world():
    return QuietThoughts(Params(**SMALL, reader=Baking(width=16, steps=2, passages=4)))


def test_example_has_the_thought_and_its_effect(world):
    done = play_world_episodes(world, lambda s, o, k: world.baselines["oracle"](world, s, k), 20, 7)
    found = collect_examples(world, counter_rng.make_keys(7, 20), done.actions)
    assert len(found) == 8
    for place, row in enumerate(found):
        told, untold = map(float, row["log p with, without"].split(", "))
        assert told == pytest.approx(done.metrics["log_p_with"][place], abs=1e-3)
        assert untold == pytest.approx(done.metrics["log_p_without"][place], abs=1e-3)
        *terms, mark = row["read"].split()
        sums = np.cumsum([int(term) for term in terms]) % 3
        assert mark == "=" and row["thought"] == " ".join(map(str, sums[1:].tolist()))
        assert row["what follows"] == str(sums[-1])


def test_a_world_that_shows_nothing_has_no_examples():
    assert collect_examples(None, counter_rng.make_keys(0, 2), []) == []


@pytest.mark.parametrize(
    ("mode", "sampled", "greedy", "shown"),
    [
        ("max", [1.0, 2.0], [2.0, 2.0], "greedy"),
        ("min", [1.0, 2.0], [2.0, 2.0], "policy"),
        ("max", [1.0, 2.0], [2.0, 1.0], "policy"),
        ("max", [1.0, 2.0], [9.0], "policy"),
    ],
)
def test_the_better_of_sampled_and_most_likely_actions_is_shown(mode, sampled, greedy, shown):
    players = {"policy": sampled, "greedy": greedy}
    episodes = {name: EvaluatedEpisodes({"x": np.array(v)}) for name, v in players.items()}
    assert choose_shown_player(Evaluation(episodes, "x", mode, None)) == shown
