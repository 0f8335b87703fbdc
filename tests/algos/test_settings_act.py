# pyright: basic
"""A setting that does nothing is a bug: each one is changed here, and something must follow.

Settings of what is learnt from are changed over a fixed rollout (credit, preparation, updates),
those of how it is collected over rollouts of a small environment.
"""

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID

from algos import ALGORITHMS, get_algorithm_class
from algos.settings.training import TrainingSettings
from rungwise.validation import get_fields

T, B, K = 6, 8, 3
BASE: dict[str, Any] = {"num_envs": B, "epochs": 2, "lr": 0.01, "kl_limit": 0.0, "hidden": (8,)}
OWN = {"ppo": {}, "astar_po": {"group_size": 2, "minibatch_size": 4}}
BANDIT, CAUSAL = "toy_worlds:Bandit-v0", "envs:CausalLearning-v0"

STRUCTURE = {
    *("num_envs", "rollout_length", "num_env_runners", "num_learners", "hang_limit_s"),
    *("warm_start", "warm_start_episodes", "warm_start_epochs", "warm_start_interval"),
    *("record", "acting_device"),
    *("model", "hidden", "value_hidden", "activation", "value_distribution", "bins"),
    *("initial_log_std", "language_model", "lora_rank"),
    *("frame_stack", "memory", "sequence_length"),
    "v_star_cache",
}
"""Settings that say how much is collected, where it is learnt and by which network, and what comes
before or beside training."""

LATER = {"baseline_momentum", "likelihood_coef"}
"""Settings that tell only once updates differ from each other (see test_reinforce), or to a model
that reads (see test_thoughts_shared)."""

SHARED: dict[str, tuple[dict[str, Any], Any]] = {
    "gamma": ({}, 0.5),
    "entropy_coef": ({}, 0.3),
    "entropy_schedule": ({"entropy_coef": 0.3}, "linear"),
    "entropy_end": ({"entropy_coef": 0.3, "entropy_schedule": "linear"}, 0.2),
    "entropy_decay": ({"entropy_coef": 0.3, "entropy_schedule": "decay"}, 0.5),
    "entropy_target": ({"entropy_coef": 0.3}, 0.99),
    "diversity_coef": ({}, 0.5),
    "lr": ({}, 0.003),
    "lr_schedule": ({}, "cosine"),
    "lr_end": ({"lr_schedule": "linear"}, 0.009),
    "warmup": ({}, 0.9),
    "epochs": ({}, 3),
    "kl_limit": ({"epochs": 3}, 1e-4),
    "minibatch_size": ({}, 3),
    "accumulate": ({"minibatch_size": 2}, 2),
    "temperature": ({}, 0.5),
    "temperature_schedule": ({"temperature": 2.0}, "linear"),
    "temperature_end": ({"temperature": 2.0, "temperature_schedule": "linear"}, 0.2),
    "grad_clip": ({}, 0.001),
    "weight_decay": ({}, 0.3),
    "normalise_observations": ({}, True),
    "optimiser": ({"weight_decay": 0.3}, "adamw"),
}
REFERENCED = {"reference_kl_coef": 1.0}

LEARNING: dict[str, dict[str, tuple[dict[str, Any], Any]]] = {
    "ppo": {
        "lam": ({}, 0.2),
        "clip": ({}, 0.05),
        "normalise_rewards": ({}, True),
        "normalise_advantages": ({}, False),
        "normalise_values": ({}, True),
        "value_coef": ({}, 2.0),
        "kl_coef": ({}, 1.0),
    },
    "reinforce": {
        "baseline": ({}, "group_mean"),
        "lam": ({}, 0.2),
        "normalise_rewards": ({}, True),
        "normalise_advantages": ({}, False),
        "normalise_values": ({}, True),
        "value_coef": ({}, 2.0),
        "reference_kl_coef": ({}, 1.0),
        "group_size": ({"baseline": "group_mean"}, 4),
    },
    "grpo": {
        "clip": ({}, 0.05),
        "supervision": ({}, "process"),
        "reference_kl_coef": ({}, 1.0),
        "reference_interval": (REFERENCED, 1),
        "group_size": ({}, 4),
    },
    "dpo": {
        "gamma": ({"weights": "gap"}, 0.5),
        "pairs": ({}, "candidates"),
        "beta": ({}, 0.5),
        "weights": ({}, "gap"),
        "reference_interval": ({}, 1),
    },
    "astar_po": {"loss": ({}, "clipped_pg"), "beta": ({}, 0.5)},
}
"""Setting -> the settings in which it has a meaning, and another value; SHARED holds for all."""

COLLECTING: dict[str, dict[str, tuple[dict[str, Any], Any]]] = {
    "ppo": {},
    "reinforce": {"starts": ({"baseline": "leave_one_out"}, 3)},
    "grpo": {"starts": ({}, 3)},
    "dpo": {
        "group_size": ({}, 4),
        "starts": ({}, 3),
        "candidates": ({"pairs": "candidates"}, 3),
    },
    "astar_po": {"group_size": ({}, 4)},
}
"""The same, of settings that act while a runner collects."""

SPREAD: dict[str, tuple[dict[str, Any], Any]] = {
    "log_std_schedule": ({}, "constant"),
    "log_std_end": ({"log_std_schedule": "linear"}, -3.0),
    "log_std_scores": ({"log_std_schedule": "performance"}, (0.0, 0.5)),
}
"""The same, of settings that move the spread of values, where actions have any."""

V_STAR = {"v_star": "max", "v_star_beta": 5.0, "reference_samples": 4, "starts": 5}
"""Setting of A*-PO's first stage -> another value."""

EVERY = [(algo, name) for algo in ALGORITHMS for name in SHARED | LEARNING[algo]]
COLLECTED = [(algo, name) for algo in ALGORITHMS for name in COLLECTING[algo]]


def rollout(*, whole):
    """Fixed steps [T, B], or an episode of each copy, neighbours from the same start."""
    rng = np.random.default_rng(1)
    shape = (T, B, K)
    found = small.rollout((T, B), whole=whole)
    found.reward_unit = 2.0
    found.columns |= {
        "candidates.choice": rng.integers(0, 2, shape),
        "candidates.logp": np.full(shape, np.log(0.5), np.float32),
        "judged": rng.normal(size=shape).astype(np.float32),
        "start": np.broadcast_to(np.arange(B) // 2, (T, B)),
    }
    return found


def prepared(algo, settings):
    """The fixed steps with the credit that these settings give them."""
    objective = get_algorithm_class(algo).objective_class(settings)
    rows = objective.compute_advantages(rollout(whole="starts" in objective.needs))
    if algo == "astar_po":  # the driver adds V*
        rows = rows.with_columns(v_star=np.linspace(-1, 1, len(rows), dtype=np.float32))
    return objective.preprocess_batch(rows)[0]


def base(algo):
    return BASE | OWN.get(algo, {"group_size": 2})


def parameters(learner):
    return torch.cat([p.detach().flatten() for p in learner.module[DEFAULT_MODULE_ID].parameters()])


def learnt(algo, **changed: Any):
    """The parameters [P] after two updates on the fixed steps."""
    learner = small.learner(BANDIT, algo=algo, **base(algo) | changed)
    for _ in range(2):
        small.updated(learner, prepared(algo, learner.objective.settings), progress=0.5)
    return parameters(learner)


@cache
def usually(algo, meaningful):
    return learnt(algo, **dict(meaningful))


@cache
def usually_collected(algo, meaningful):
    return collected(algo, **dict(meaningful))


def collected(algo, **changed: Any):
    """The parameters [P] after an update on what a runner collected."""
    env, changed = BANDIT, base(algo) | changed
    if changed.get("pairs") == "candidates":  # that takes a world of ours, whose steps are slower
        env, changed = CAUSAL, changed | {"num_envs": 4, "rollout_length": 4}
    runner = small.runner(env, algo=algo, **changed)
    rows = runner.sample()[0]
    if algo == "astar_po":
        rows = rows.with_columns(v_star=np.zeros(len(rows), np.float32))
    learner = small.learner(env, algo=algo, **changed)
    small.updated(learner, runner.objective.preprocess_batch(rows)[0], progress=0.5)
    return parameters(learner)


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_every_setting_is_structural_or_tested_here(algo):
    names = {field.name for field in dataclasses.fields(get_algorithm_class(algo).settings_class)}
    tested = set(SHARED) | set(LEARNING[algo]) | set(COLLECTING[algo]) | set(SPREAD)
    if algo == "astar_po":
        tested |= set(V_STAR)
    assert names - STRUCTURE - LATER == tested
    shared = {name for name in STRUCTURE if name != "v_star_cache"}
    assert shared <= names


@pytest.mark.parametrize(("algo", "name"), EVERY)
def test_changing_the_setting_changes_what_is_learnt(algo, name):
    meaningful, other = (SHARED | LEARNING[algo])[name]
    before = usually(algo, tuple(meaningful.items()))
    after = learnt(algo, **meaningful | {name: other})
    assert (after - before).abs().max() > 1e-5


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_the_same_settings_learn_the_same_bit_for_bit(algo):
    # So that a difference is the setting's: in every combination that these tests begin with.
    for meaningful in {tuple(m.items()) for m, _ in (SHARED | LEARNING[algo]).values()}:
        assert torch.equal(learnt(algo, **dict(meaningful)), usually(algo, meaningful))
    for meaningful in {tuple(m.items()) for m, _ in COLLECTING[algo].values()}:
        again = collected(algo, **dict(meaningful))
        assert torch.equal(again, usually_collected(algo, meaningful))


@pytest.mark.parametrize(("algo", "name"), COLLECTED)
def test_changing_how_it_is_collected_changes_what_is_learnt(algo, name):
    meaningful, other = COLLECTING[algo][name]
    before = usually_collected(algo, tuple(meaningful.items()))
    after = collected(algo, **meaningful | {name: other})
    assert (after - before).abs().max() > 1e-5


@pytest.mark.parametrize("env", [CAUSAL, "Pendulum-v1"])
@pytest.mark.parametrize("name", SPREAD)
def test_changing_how_values_spread_changes_the_spread(env, name):
    def spread(**changed):
        normal = BASE | {"num_envs": 2, "rollout_length": 4, "value_distribution": "normal"}
        rows = small.runner(env, **normal).sample()[0]
        learner = small.learner(env, **normal | changed)
        before = learner.module[DEFAULT_MODULE_ID].log_std.clone()
        found = small.updated(learner, rows, progress=0.5, score=0.4)
        after = learner.module[DEFAULT_MODULE_ID].log_std.detach()
        assert found["value_spread"] == pytest.approx(float(after.exp().mean()))
        return before, after

    meaningful, other = SPREAD[name]
    before, usual = spread(**meaningful)
    assert (spread(**meaningful | {name: other})[1] - usual).abs().max() > 1e-3
    assert (usual != before).all()


@pytest.mark.usefixtures("local_ray")
def test_the_settings_of_the_first_stage_change_v_star():
    def table(**changed):
        chosen = {"num_envs": 4, "starts": 4, "reference_samples": 2} | changed
        with small.algorithm(BANDIT, algo="astar_po", **chosen) as algorithm:
            algorithm.prepare()
            return algorithm.v_star.values

    before = table()
    assert before == table()
    for name, other in V_STAR.items():
        assert table(**{name: other}) != before, name


@pytest.mark.parametrize(
    ("algo", "changed", "sentence"),
    [
        ("reinforce", {"epochs": 0}, "epochs must be at least 1, but it is 0"),
        ("reinforce", {"rollout_length": 0}, "rollout_length must be at least 1"),
        ("grpo", {"gamma": 1.5}, r"gamma must be in \[0, 1\], but it is 1.5"),
        ("dpo", {"gamma": -0.1}, r"gamma must be in \[0, 1\], but it is -0.1"),
        ("astar_po", {"gamma": 2.0}, r"gamma must be in \[0, 1\], but it is 2.0"),
        ("grpo", {"group_size": 1}, "group_size must be at least 2"),
        ("reinforce", {"group_size": 1, "baseline": "group_mean"}, "at least 2 for baseline="),
        ("dpo", {"group_size": 1}, "group_size must be at least 2"),
        ("grpo", {"num_envs": 3}, r"num_envs must be a multiple of group_size \(2\)"),
        ("astar_po", {"num_envs": 3}, r"a multiple of reference_samples \(2\)"),
        ("astar_po", {"minibatch_size": 3}, "minibatch_size must be at most the 2 episodes"),
        ("reinforce", {"normalise_values": True, "baseline": "group_mean"}, "would do nothing"),
        ("ppo", {"accumulate": 3}, "accumulate must be at most 2, which is how many minibatches"),
        ("ppo", {"optimiser": "muon"}, "is for networks made of matrices, and model='mlp'"),
        ("ppo", {"frame_stack": 2, "model": "set"}, "model='set' reads one observation"),
        ("ppo", {"frame_stack": 2, "warm_start": "random"}, "warm_start imitates single steps"),
        ("ppo", {"frame_stack": 0}, "settings.frame_stack must be at least 1, but it is 0"),
        ("grpo", {"memory": "gru"}, "only ppo and reinforce learn from sequences"),
        ("dpo", {"memory": "lstm"}, "only ppo and reinforce learn from sequences"),
        ("astar_po", {"memory": "gru"}, "only ppo and reinforce learn from sequences"),
        (
            "reinforce",
            {"memory": "gru", "sequence_length": 8, "reference_kl_coef": 0.1},
            "what the initial policy would have remembered",
        ),
        ("ppo", {"memory": "gru", "model": "mlp"}, "model='mlp' has no place for it"),
        ("ppo", {"memory": "gru"}, r"must hold a sequence of 32 steps .* 32 rows, but it is 8"),
        ("ppo", {"temperature": 0.0}, "temperature must be greater than 0, but it is 0"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_a_sentence(algo, changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        small.settings(algo, **changed)


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_overridden_defaults_keep_the_bounds_of_the_setting(algo):
    own = get_fields(get_algorithm_class(algo).settings_class)
    from_budget = {"rollout_length"} if algo == "ppo" else set()  # its 0 follows from the budget
    for name, (hint, bounds) in get_fields(TrainingSettings).items():
        assert own[name] == (hint, bounds) or name in from_budget, name
