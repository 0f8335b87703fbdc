# pyright: basic
"""Two learners do together what one does alone, and neither ever waits for the other."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import small
import torch

import algos
from algos.learning.learner import PROGRESS
from algos.models.normaliser import ObservationNormaliser, RunningMoments
from algos.rollouts.columns import Columns

pytestmark = pytest.mark.system

ENV = "toy_worlds:Bandit-v0"
LEARNT = {"epochs": 1, "lr": 0.01, "num_envs": 8}


@pytest.fixture(scope="module")
def both(local_ray):
    """An algorithm with two learners, and one that learns in this process."""
    with (
        small.algorithm(ENV, algo="grpo", num_learners=2, **LEARNT) as two,
        small.algorithm(ENV, algo="grpo", **LEARNT) as one,
    ):
        yield two, one, one.learner_group.get_state()


def each_learner(algorithm, call):
    """The results of a call on each learner."""
    group = algorithm.learner_group
    if group.is_local:
        return [call(group._learner)]
    return [result.get() for result in group.foreach_learner(call)]


def become(both, algo, **changed):
    """Have both algorithms' learners learn by another algorithm, from the same weights."""
    two, one, state = both
    for algorithm in (two, one):
        chosen = small.settings(algo, **LEARNT | changed)
        chosen = replace(chosen, num_learners=algorithm.settings.num_learners)

        def change(learner, chosen=chosen):
            learner.objective = algos.get_algorithm_class(algo).objective_class(chosen)
            learner.coefficients = learner.objective.initialise_coefficients()
            learner.reference, learner.updates = None, 0

        algorithm.learner_group.set_state(state)
        each_learner(algorithm, change)


def updated(algorithm, *batches):
    """The metrics of the last of some updates, and the weights after it."""
    told = [algorithm._update_learners(rows, {PROGRESS: 0.1}) for rows in batches][-1]
    return told, small.learner_weights(algorithm)


def rows(algo, seed=0, **changed):
    """What a runner brings, as the learners see it."""
    built = small.runner(ENV, algo=algo, seed=seed, **LEARNT | changed)
    found, _ = built.objective.preprocess_batch(built.sample()[0])
    return found.select(np.arange(len(found) - len(found) % 2))


CASES = {
    "ppo": {},
    "reinforce": {"reference_kl_coef": 0.2},
    "grpo": {"reference_kl_coef": 0.2, "group_size": 4},
    "dpo": {"group_size": 4},
    "astar_po": {},
}


@pytest.mark.parametrize("algo", CASES)
def test_two_learners_make_the_update_of_one(both, algo):
    # A whole batch at a time: how rows are shuffled into minibatches differs by learner.
    changed = CASES[algo]
    if algo == "astar_po":
        first = _episodes(seed=1)
        second = _episodes(seed=2)
    else:
        first, second = (rows(algo, seed, **changed) for seed in (1, 2))
    least = min(len(first), len(second))
    changed = changed | {"minibatch_size": 4096, "num_envs": 4096}
    become(both, algo, **changed)
    two, one, state = both
    # The second update begins away from the reference.
    (told, weights), (expected_told, expected) = (updated(a, first, second) for a in (two, one))
    assert least > 1 and expected_told["updates"] == told["updates"] == 1
    start = state["learner"]["rl_module"]["default_policy"]
    assert max(np.abs(expected[name] - start[name]).max() for name in expected) > 1e-3
    for name, weight in expected.items():
        np.testing.assert_allclose(weights[name], weight, atol=1e-5, err_msg=name)
    for name in ("grad_norm", "policy_loss", "reference_kl", "pair_accuracy", "kl"):
        if name in expected_told:
            assert told[name] == pytest.approx(expected_told[name], abs=1e-5), name
    if "reference_kl" in expected_told:
        assert abs(expected_told["reference_kl"]) > 1e-5


def _episodes(seed):
    built = small.runner(ENV, algo="astar_po", seed=seed, **LEARNT)
    found = built.sample()[0]
    known = np.full(len(found), 2, np.float32)
    prepared, _ = built.objective.preprocess_batch(found.with_columns(v_star=known))
    return prepared


def synchronised(algorithm):
    """What both learners hold: their weights and coefficients."""

    def held(learner):
        weights = learner.module["default_policy"].unwrapped().get_state()
        return weights, dict(learner.coefficients), learner.updates

    (a, *rest), (b, *others) = each_learner(algorithm, held)
    assert small.same_weights(a, b) and rest == others
    return rest[0]


def normalise(learner, on=True):
    """Give the policy of a learner statistics without any rows, or take them away."""
    module = learner.module["default_policy"]
    module = getattr(module, "module", module).unwrapped()
    module.observation_normaliser = ObservationNormaliser({"obs": (2,)}) if on else None
    module.return_moments = RunningMoments() if on else None


def test_two_learners_end_with_the_statistics_of_one(both):
    become(both, "ppo", minibatch_size=8)
    two, one, _ = both
    steps = [rows("ppo", seed) for seed in (1, 2, 3)]
    held = []
    for algorithm in (two, one):
        each_learner(algorithm, normalise)
        held.append(updated(algorithm, *steps)[1])
    synchronised(two)
    for algorithm in (two, one):  # the others' networks have none
        each_learner(algorithm, partial(normalise, on=False))
    kept = {n for n in held[0] if n.startswith(("observation_normaliser.", "return_moments."))}
    assert len(kept) == 6 and held[0]["return_moments.count"] == sum(map(len, steps))
    for name in kept:
        np.testing.assert_allclose(held[0][name], held[1][name], rtol=1e-12)


def test_two_learners_average_the_returns_of_all_rows(both):
    become(both, "reinforce", baseline="moving_average", minibatch_size=16)
    two, one, _ = both
    steps = rows("reinforce", baseline="moving_average").select(np.arange(40))
    # Minibatches of 16, 16 and 8 rows: half of each on each of two learners.
    steps = steps.with_columns(returns=np.arange(40, dtype=np.float32) ** 2)
    for algorithm in (two, one):
        updated(algorithm, steps)
        for found in each_learner(algorithm, lambda learner: dict(learner.coefficients)):
            mean = found["average_return"] / found["average_weight"]
            assert mean == pytest.approx(steps["returns"].mean(), rel=1e-5)


def test_an_odd_number_of_rows_hangs_no_learner(both):
    become(both, "ppo", minibatch_size=4, epochs=3)
    two, *_ = both
    steps = rows("ppo")
    for count in (63, 17, 3, 2):
        told, _ = updated(two, steps.select(np.arange(count)))
        assert np.isfinite(told["grad_norm"]) and told["epochs_run"] == 3
        synchronised(two)


def test_fewer_rows_than_learners_are_not_learnt_from(both):
    become(both, "grpo")
    two, *_ = both
    one_row = rows("grpo", group_size=4).select(np.arange(1)).with_columns(signal=np.ones(1, bool))
    before = small.learner_weights(two)
    assert two._learn(one_row)["updates"] == 0
    assert small.same_weights(before, small.learner_weights(two))


def test_both_learners_stop_after_the_same_epoch_and_adapt_alike(both):
    # Of the rows that one learner has, the policy moves far; of the other's it hardly moves.
    steps = rows("ppo")
    half = len(steps) // 2
    loud = np.where(np.arange(len(steps)) < half, 5, 0.001).astype(np.float32)
    sign = np.where(steps["choice"] == 0, 1, -1).astype(np.float32)
    lopsided = steps.with_columns(advantages=loud * sign)
    chosen = {"epochs": 20, "kl_limit": 0.02, "lr": 0.02, "minibatch_size": 8}
    adaptive = {"entropy_coef": 0.1, "entropy_target": 0.4}
    become(both, "ppo", **chosen, **adaptive)
    two, *_ = both
    stopped = []
    for _ in range(3):
        told, _ = updated(two, lopsided)
        stopped.append(told["epochs_run"])
        coefficients = synchronised(two)
    assert all(1 <= epochs < 20 for epochs in stopped)
    assert coefficients["entropy_coef"] != 0.1


def test_a_nonfinite_gradient_of_one_learner_is_skipped_by_both(both):
    become(both, "ppo", minibatch_size=64)
    two, *_ = both
    steps = rows("ppo")
    advantages = np.array(steps["advantages"])
    advantages[0] = np.nan
    before = small.learner_weights(two)
    told, after = updated(two, steps.with_columns(advantages=advantages))
    assert told["updates_skipped"] == told["updates"] and small.same_weights(before, after)
    synchronised(two)


def test_shards_of_a_batch_are_equal_and_hold_its_rows():
    table = Columns({"a": np.arange(11), "b": torch.arange(11).numpy()})
    parts = table.shard(2)
    assert [part["a"].tolist() for part in parts] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
