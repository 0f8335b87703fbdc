# pyright: basic
"""An update of several trials in a pack ends at the weights of each one's own learner."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import small
import torch
from action_cases import SPACES
from packs import CARTPOLE, CAUSAL, CHOSEN, PENDULUM, LocalPack, make_learner, sample
from ray.rllib.core import DEFAULT_MODULE_ID

from algos.actions.kinds import make_action_head
from algos.learning.packed_update import PackedNetwork
from algos.models.fused_mlp import Layout
from envs.validation import InputError

ROWS = (("logp", ()), ("advantages", ()), ("returns", ()))
CASES = {
    "ppo": (CARTPOLE, "ppo", {}, [{}, {"lr": 3e-3}, {"clip": 0.01}]),
    "ppo, entropy": (CARTPOLE, "ppo", {}, [{"entropy_coef": 0.1}, {"entropy_coef": 0.01}]),
    "ppo, kl and no entropy": (CARTPOLE, "ppo", {"kl_coef": 0.5, "entropy_coef": 0.0}, [{}, {}]),
    "ppo, some end early": (CARTPOLE, "ppo", {"lr": 3e-3}, [{"kl_limit": 1e-9}, {}]),
    "ppo, clipped gradients": (CARTPOLE, "ppo", {}, [{"grad_clip": 1e-3}, {"grad_clip": 0.0}]),
    "ppo, relu and two depths": (CARTPOLE, "ppo",
        {"activation": "relu", "hidden": (8, 8), "value_hidden": (8,)}, [{}, {"value_coef": 2.0}]),
    "ppo, normalised": (PENDULUM, "ppo",
        {"normalise_observations": True, "normalise_values": True}, [{}, {"gamma": 0.5}]),
    "ppo, spread that is not learnt": (PENDULUM, "ppo", {"log_std_schedule": "linear"}, [{}, {}]),
    "ppo, tempered": (CARTPOLE, "ppo",
        {"temperature_schedule": "linear"}, [{"temperature": 3.0}, {"temperature": 0.5}]),
    "ppo, diversity": (CARTPOLE, "ppo", {"diversity_coef": 0.1}, [{}, {}]),
    "ppo, masked": ("toy_worlds:Masked-v0", "ppo", {}, [{}, {}]),
    "ppo, choice with value": (CAUSAL, "ppo", {"model": "mlp", "bins": 5}, [{}, {"clip": 0.1}]),
    "ppo, beta": (CAUSAL, "ppo", {"model": "mlp", "value_distribution": "beta"}, [{}, {}]),
    "ppo, normal": (CAUSAL, "ppo", {"model": "mlp", "value_distribution": "normal"}, [{}, {}]),
    "ppo, adamw": (CARTPOLE, "ppo", {"optimiser": "adamw"},
        [{"weight_decay": 0.1}, {"weight_decay": 0.0}]),
    "ppo, decay": (CARTPOLE, "ppo", {}, [{"weight_decay": 0.1}, {"weight_decay": 0.0}]),
    "reinforce": (PENDULUM, "reinforce", {"reference_kl_coef": 0.3}, [{}, {"lr": 1e-2}]),
    "reinforce, leave one out": (CARTPOLE, "reinforce", {"baseline": "leave_one_out"}, [{}]),
    "grpo": (CARTPOLE, "grpo", {"reference_kl_coef": 0.5, "rollout_length": 64}, [{}]),
}  # fmt: skip


def get_weights(learner):
    return learner.module[DEFAULT_MODULE_ID].get_state()


@pytest.mark.parametrize("name", CASES)
def test_packed_updates_are_those_of_learners_of_their_own(name):
    env, algo, common, each = CASES[name]
    each = [CHOSEN | common | own for own in each]
    # A slot more than trials: it must change nothing.
    pack = LocalPack(len(each), len(each) + 1)
    alone = [make_learner(env, algo, i, **own) for i, own in enumerate(each)]
    packed = [make_learner(env, algo, i, pack, **own) for i, own in enumerate(each)]
    for seed in range(2):  # the second continues from moments and random numbers of the first
        rows = [sample(env, algo, 10 * seed + i, **own) for i, own in enumerate(each)]
        # Each trial has a minibatch fewer than the one before.
        rows = [own.select(np.arange(len(own) - 12 * i)) for i, own in enumerate(rows)]
        expected = [small.updated(learner, own) for learner, own in zip(alone, rows, strict=True)]
        with ThreadPoolExecutor(len(each)) as threads:
            found = list(threads.map(small.updated, packed, rows))
    for own, other, wanted, metrics in zip(alone, packed, expected, found, strict=True):
        for weight, value in get_weights(own).items():
            given = get_weights(other)[weight]
            np.testing.assert_allclose(given, value, 1e-4, 1e-5, err_msg=weight)
        assert metrics.keys() == wanted.keys()
        for metric in wanted.keys() - own.diagnostics.keys():
            assert metrics[metric] == pytest.approx(wanted[metric], rel=1e-3, abs=1e-4), metric
        assert torch.equal(own.generator.get_state(), other.generator.get_state())
        assert own.updates == other.updates


@pytest.mark.parametrize("name", SPACES)
def test_packed_gradients_of_all_actions_are_those_of_each_trial(name):
    torch.manual_seed(0)
    head = make_action_head(SPACES[name], "bins", 5)
    layout = Layout(4, (8,), head.size)
    network = PackedNetwork(layout, head, small.objective("ppo"), head.num_log_stds > 0, False)
    weights = 0.5 * torch.randn(3, layout.size + head.num_log_stds)
    rows = {n: torch.randn(3, 6, *shape) for n, shape in (("observations", (4,)), *ROWS)}
    outputs, spread = torch.randn(18, head.size), torch.zeros(head.num_log_stds)
    actions = head.dist(outputs, spread).sample(torch.Generator().manual_seed(0))
    rows |= {n: torch.as_tensor(part).view(3, 6, *part.shape[1:]) for n, part in actions.items()}
    vectors = {"clip": torch.tensor([0.1, 0.2, 0.3]), "entropy_coef": torch.tensor([0.0, 0.1, 1.0])}
    compute = partial(network.compute_loss, {"kl_coef": 0.1}, measure=True)

    def differentiate(losses, metrics, by):
        return torch.autograd.grad(losses.sum(), by)[0], metrics

    together = weights.clone().requires_grad_()
    gradients, metrics = differentiate(*torch.vmap(compute)(together, {}, rows, vectors), together)
    for trial in range(3):
        own = weights[trial].clone().requires_grad_()
        given = ({n: part[trial] for n, part in of.items()} for of in (rows, vectors))
        gradient, measured = differentiate(*compute(own, {}, *given), own)
        torch.testing.assert_close(gradients[trial], gradient, rtol=1e-4, atol=1e-6)
        assert gradient.abs().sum() > 0
        for metric, value in measured.items():
            torch.testing.assert_close(metrics[metric][trial], value, rtol=1e-4, atol=1e-5)


def test_a_packed_trial_continues_as_one_that_learns_by_itself():
    """It moves from a pack to a learner of its own, and back."""
    pack = LocalPack(1, 1)
    alone, other = (make_learner(PENDULUM, "ppo", 0, given, **CHOSEN) for given in (None, pack))
    for number in range(4):
        rows = sample(PENDULUM, "ppo", number, **CHOSEN)
        small.updated(alone, rows)
        small.updated(other, rows)
        moved = make_learner(PENDULUM, "ppo", 9, None if number % 2 == 0 else pack, **CHOSEN)
        moved.set_state(other.get_state())
        other = moved
    for weight, value in get_weights(alone).items():
        np.testing.assert_allclose(get_weights(other)[weight], value, 1e-4, 1e-5, err_msg=weight)


def test_a_trial_whose_gradient_is_not_finite_ruins_no_other():
    pack = LocalPack(2, 2)
    both = [make_learner(CARTPOLE, "ppo", i, pack, **CHOSEN) for i in range(2)]
    rows = [sample(CARTPOLE, "ppo", i, **CHOSEN) for i in range(2)]
    rows[0]["advantages"][:] = np.nan
    before = get_weights(both[0])
    with ThreadPoolExecutor(2) as threads:
        broken, healthy = threads.map(small.updated, both, rows)
    assert broken["updates_skipped"] == broken["updates"] > 0 == healthy["updates_skipped"]
    assert all(np.array_equal(before[n], value) for n, value in get_weights(both[0]).items())
    assert all(np.isfinite(value).all() for value in get_weights(both[1]).values())


@pytest.mark.parametrize(
    ("env", "algo", "chosen", "said"),
    [
        ("toy_worlds:Counting-v0", "ppo", {"memory": "gru", "sequence_length": 4}, "EncoderPolicy"),
        (CARTPOLE, "ppo", {"accumulate": 2}, "accumulate is 2: it needs num_learners 0"),
        (CARTPOLE, "reinforce", {"baseline": "moving_average"}, "ReinforceObjective does not"),
        (CAUSAL, "dpo", {"model": "mlp", "rollout_length": 64}, "DPOObjective does not learn"),
    ],
)
def test_what_no_pack_can_update_is_refused(env, algo, chosen, said):
    with pytest.raises(InputError, match=said):
        make_learner(env, algo, 0, LocalPack(1, 1), **CHOSEN | chosen)
