# pyright: basic
"""The same numbers as other libraries: RLlib, Stable-Baselines3 and TRL (where installed).

TRL keeps its formulas inside trainers. They are called there, as they are, on a stand-in for the
trainer that has only the settings they read: checked with TRL 1.16.
"""

from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.rllib.utils.postprocessing.value_predictions import compute_value_targets

from algos.losses import clipped_surrogate, dpo_loss, kl_estimate
from algos.rollouts.advantages import compute_next_values, gae, group_advantages, leave_one_out

EXAMPLES = settings(derandomize=True, max_examples=40)
BETA, CLIP = 0.3, 0.2


@st.composite
def rollouts(draw):
    """Rewards, values, last values, terminated, truncated, final values, what is bootstrapped."""
    T, B = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    rewards, values, final = rng.normal(size=(3, T, B)).astype(np.float32)
    last = rng.normal(size=B).astype(np.float32)
    terminated = rng.random((T, B)) < 0.25
    truncated = (rng.random((T, B)) < 0.25) & ~terminated
    following = compute_next_values(values, last, terminated, truncated, final)
    return rewards, values, last, terminated, truncated, final, following


@EXAMPLES
@given(rollouts(), st.floats(0, 1), st.floats(0, 1))
def test_gae_agrees_with_rllib(rollout, gamma, lam):
    rewards, values, last, terminated, truncated, _, following = rollout
    found = gae(rewards, values, following, terminated | truncated, gamma, lam)
    for b in range(len(last)):
        # RLlib finds the value after a cut in an extra row that it puts there.
        rows, real = [], []
        for t in range(len(rewards)):
            cut = truncated[t, b] or (t == len(rewards) - 1 and not terminated[t, b])
            real.append(len(rows))
            rows.append((values[t, b], rewards[t, b], terminated[t, b], cut))
            if cut:
                rows.append((following[t, b], 0.0, True, False))
        columns = (np.array(c, np.float32) for c in zip(*rows, strict=True))
        targets = compute_value_targets(*columns, gamma=gamma, lambda_=lam)
        np.testing.assert_allclose(found[:, b] + values[:, b], targets[real], rtol=1e-4, atol=1e-5)


@EXAMPLES
@given(rollouts(), st.floats(0, 1), st.floats(0, 1))
def test_gae_agrees_with_stable_baselines3(rollout, gamma, lam):
    buffers = pytest.importorskip("stable_baselines3.common.buffers")
    rewards, values, last, terminated, truncated, final, following = rollout
    done = terminated | truncated
    one = Box(-1, 1, (1,))
    buffer = buffers.RolloutBuffer(
        len(rewards), one, one, "cpu", gae_lambda=lam, gamma=gamma, n_envs=len(last)
    )
    # It knows one kind of end only: what a time limit cut off is paid out in the last reward.
    buffer.rewards = rewards + np.float32(gamma) * np.where(truncated, final, np.float32(0))
    buffer.values = values
    buffer.episode_starts[1:] = done[:-1]
    buffer.compute_returns_and_advantage(torch.from_numpy(last), done[-1])
    found = gae(rewards, values, following, done, gamma, lam)
    np.testing.assert_allclose(found, buffer.advantages, rtol=1e-4, atol=1e-5)


# TRL.

ALONE = SimpleNamespace(  # an accelerator for one process
    device=torch.device("cpu"),
    process_index=0,
    gather=lambda x: x,
    gather_for_metrics=lambda x: x,
    reduce=lambda x, reduction: x,
)


def trainer(**options):
    """What the methods of TRL's trainers read when nothing special is switched on."""
    return SimpleNamespace(
        accelerator=ALONE,
        model=SimpleNamespace(training=True, is_gradient_checkpointing=False),
        aux_loss_enabled=False,
        _metrics={"train": defaultdict(list)},
        **options,
    )


def trl_advantages(kind, returns, **options):
    """TRL's advantages [groups, G] of episodes with the returns [groups, G]."""
    trl = pytest.importorskip("trl")
    count, G = returns.size, returns.shape[-1]
    ids = [[1]] * count
    generated = {
        "GRPOTrainer": (ids, ids, None, ids, None, {}, None, None),
        "RLOOTrainer": (ids, ids, ids),
    }
    itself = trainer(
        args=SimpleNamespace(
            per_device_train_batch_size=count,
            gradient_checkpointing_kwargs=None,
            steps_per_generation=1,
            gradient_accumulation_steps=1,
        ),
        beta=0.0,
        environment_factories=None,
        environments=None,
        tools=None,
        pad_to_multiple_of=None,
        mask_truncated_completions=False,
        num_iterations=1,
        num_generations=G,
        use_vllm=False,
        reward_weights=torch.ones(1),
        reward_func_names=["reward"],
        multi_objective_aggregation="sum_then_normalize",
        _tokenizer=SimpleNamespace(pad_token_id=0),
        _generate=lambda prompts: generated[kind],
        _get_per_token_logps_and_entropies=lambda *_, **__: (torch.zeros(count, 1), None, None),
        _calculate_rewards=lambda *_: torch.from_numpy(returns).reshape(-1, 1),
        _logs=defaultdict(list, rewards=defaultdict(list)),
        _pending_extra_logs={},
        _pending_metrics={},
        **options,
    )
    method = getattr(trl, kind)._generate_and_score_completions
    return method(itself, [{"prompt": "start"}] * count)["advantages"].reshape(-1, G).numpy()


RETURNS = np.array([[1, 0, 0, 1], [0.5, -2, 3, 7], [0, 0, 0, 1e-3], [2, 2, 2, 2]], np.float32)


@pytest.mark.parametrize(("scale", "trl_scale"), [(True, "group"), (False, "none")])
def test_group_advantages_agree_with_trl(scale, trl_scale):
    expected = trl_advantages("GRPOTrainer", RETURNS, scale_rewards=trl_scale)
    np.testing.assert_allclose(group_advantages(RETURNS, scale=scale), expected, rtol=1e-5)


def test_leave_one_out_agrees_with_trl():
    expected = trl_advantages(
        "RLOOTrainer", RETURNS, reward_clip_range=None, normalize_advantages=False
    )
    np.testing.assert_allclose(leave_one_out(RETURNS), expected, rtol=1e-5)


def episodes(rows, steps, seed):
    """Log-probabilities [3][rows, steps] of three policies that are close, and a ragged mask."""
    generator = torch.Generator().manual_seed(seed)
    logp = -torch.rand(rows, steps, generator=generator) - 0.5
    logps = [logp + 0.3 * torch.randn(rows, steps, generator=generator) for _ in range(3)]
    lengths = torch.randint(1, steps + 1, (rows, 1), generator=generator)
    return *logps, (torch.arange(steps) < lengths).long()


@pytest.mark.parametrize("normalised_by", ["grpo", "dr_grpo"])
def test_surrogate_and_kl_of_grpo_agree_with_trl(normalised_by):
    trl = pytest.importorskip("trl")
    steps = 5
    advantages = torch.from_numpy(group_advantages(RETURNS, scale=True)).flatten()
    logp, old, reference, mask = episodes(len(advantages), steps, seed=0)

    def theirs(logp):
        itself = trainer(
            args=SimpleNamespace(use_bias_correction_kl=False, delta=None),
            beta=BETA,
            current_gradient_accumulation_steps=1,
            epsilon_high=CLIP,
            epsilon_low=CLIP,
            importance_sampling_level="token",
            loss_type=normalised_by,
            max_completion_length=steps,
            off_policy_mask_threshold=None,
            top_entropy_quantile=1.0,
            use_vllm=False,
            _entropy_bonus_enabled=False,
            _get_per_token_logps_and_entropies=lambda *_, **__: (logp, torch.zeros(logp.shape), 0),
        )
        inputs = {
            "prompt_ids": mask[:, :1],
            "prompt_mask": mask[:, :1],
            "completion_ids": mask,
            "completion_mask": mask,
            "advantages": advantages,
            "old_per_token_logps": old,
            "ref_per_token_logps": reference,
        }
        return trl.GRPOTrainer._compute_loss(itself, None, inputs)

    def ours(logp):
        rows = clipped_surrogate(logp, old, advantages[:, None].expand_as(logp), CLIP)
        rows = (rows + BETA * kl_estimate(reference, logp)) * mask
        if normalised_by == "grpo":
            return (rows.sum(-1) / mask.sum(-1)).mean()
        return rows.sum() / (len(rows) * steps)

    assert_same_value_and_gradient(ours, theirs, logp)
    ratio = ((logp - old).exp() * mask)[mask.bool()]
    assert (ratio > 1 + CLIP).any() and (ratio < 1 - CLIP).any(), "no row was clipped"


def test_the_dpo_loss_agrees_with_trl_in_value_and_gradient():
    trl = pytest.importorskip("trl")
    pairs, steps = 4, 5
    logp, _, reference, mask = episodes(2 * pairs, steps, seed=1)
    reference_chosen, reference_rejected = (reference * mask).sum(-1).chunk(2)

    def theirs(logp):
        nothing = torch.zeros(logp.shape)
        outputs = SimpleNamespace(
            log_probs=logp * mask, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool()
        )
        itself = trainer(
            beta=BETA,
            f_divergence_type="reverse_kl",
            ld_alpha=None,
            loss_types=["sigmoid"],
            loss_weights=[1.0],
            precompute_ref_logps=True,
            use_weighting=False,
            _total_train_tokens=0,
            _tp_size=1,
        )
        whole = torch.cat([torch.zeros(2 * pairs, 1, dtype=torch.long), mask], 1)
        inputs = {
            "input_ids": whole,
            "attention_mask": torch.ones_like(whole),
            "completion_mask": whole,
            "ref_chosen_logps": reference_chosen,
            "ref_rejected_logps": reference_rejected,
        }
        return trl.DPOTrainer._compute_loss(itself, lambda **_: outputs, inputs, False)

    def ours(logp):
        chosen, rejected = (logp * mask).sum(-1).chunk(2)
        return dpo_loss(chosen, rejected, reference_chosen, reference_rejected, BETA).mean()

    assert_same_value_and_gradient(ours, theirs, logp)


def assert_same_value_and_gradient(ours, theirs, logp):
    results = []
    for loss_of in (ours, theirs):
        x = logp.clone().requires_grad_()
        loss = loss_of(x)
        loss.backward()
        results.append((loss.detach(), x.grad))
    torch.testing.assert_close(*results)
    assert results[0][1].abs().max() > 1e-3, "no gradient to compare"
