# pyright: basic
"""Credit that goes astray is found, and ours stays where it belongs."""

import numpy as np
import pytest
from checks import check, get_only_evidence, get_severities
from sick_objectives import replace_hooks

from algos import get_algorithm_class
from algos.dpo import DPOSettings
from algos.grpo import GRPO
from algos.ppo import PPO
from algos.reinforce import Reinforce
from algos.rollouts.advantages import gae, group_advantages, normalise, returns_to_go
from tune_jobs.check.check_target import CheckTarget

CAUSAL = "envs:CausalLearning-v0"


def with_credit(base, credit):
    return replace_hooks(
        base, compute_advantages=lambda self, rollout: credit(rollout, self.settings)
    )


def check_credit(env="CartPole-v1", **fields):
    return check(CheckTarget(env, **fields), "credit", share=0.5)


def over_the_copies(r, s):
    never = np.zeros_like(r.done.T)
    return in_rows(r, gae(r.rewards.T, r.values.T, r.next_values.T, never, s.gamma, s.lam).T)


def over_the_ends(r, s):
    never = np.zeros_like(r.done)
    return in_rows(r, gae(r.rewards, r.values, r.next_values, never, s.gamma, s.lam))


def returns_over_the_ends(r, s):
    never = np.zeros_like(r.done)
    return in_rows(r, returns_to_go(r.rewards, r.next_values, never, s.gamma) - r.values)


def last_reward_left_out(r, s):
    rewards = np.where(r.done, 0, r.rewards)
    return in_rows(r, gae(rewards, r.values, r.next_values, r.done, s.gamma, s.lam))


def healthy(r, s):
    return in_rows(r, gae(r.rewards, r.values, r.next_values, r.done, s.gamma, s.lam))


def healthy_and_normalised(r, s):
    rows = healthy(r, s)
    return rows.with_columns(advantages=normalise(rows["advantages"]))


def in_rows(r, advantages):
    return r.to_rows(advantages=advantages, returns=advantages + r.values, values=r.values)


def groups_by_the_wrong_axis(r, s):
    groups = r.returns(s.gamma).reshape(s.group_size, -1)
    advantages = group_advantages(groups, scale=True).reshape(1, -1, s.group_size)
    return r.to_group_rows(advantages, np.ones(advantages.shape[:2], bool))


@pytest.mark.parametrize(
    ("base", "algo", "credit", "told"),
    [
        (PPO, "ppo", over_the_copies, "advantages and returns of 5 other copies"),
        (PPO, "ppo", over_the_ends, "other episodes of its own"),
        (Reinforce, "reinforce", returns_over_the_ends, "other episodes of its own"),
        (GRPO, "grpo", groups_by_the_wrong_axis, "other copies"),
    ],
)
def test_credit_that_reaches_other_episodes_is_found(base, algo, credit, told):
    answer = check_credit(algo=algo, algorithm=with_credit(base, credit))
    evidence = get_only_evidence(answer, "credit_leaks")
    assert evidence.startswith("the reward of copy ")
    assert told in evidence


def test_a_bootstrap_from_beyond_the_end_of_an_episode_is_found():
    def beyond(values, last_values, terminated, truncated, final_values):
        return np.concatenate([values[1:], last_values[None]])

    sick = replace_hooks(PPO, bootstrap=staticmethod(beyond))
    evidence = get_only_evidence(check_credit(algorithm=sick), "credit_leaks")
    assert evidence.startswith("the value of the state ")
    assert "1 other episode of its own" in evidence


def test_a_reward_that_nothing_is_learnt_from_is_found():
    answer = check_credit(algorithm=with_credit(PPO, last_reward_left_out))
    assert "changed nothing" in get_only_evidence(answer, "reward_without_credit")


@pytest.mark.parametrize("credit", [healthy, healthy_and_normalised])
def test_rows_that_share_a_mean_and_a_scale_are_no_leak(credit):
    assert get_severities(check_credit(algorithm=with_credit(PPO, credit))) == {}


@pytest.mark.parametrize(
    ("algo", "settings"),
    [
        ("reinforce", {"baseline": "leave_one_out"}),
        ("reinforce", {"baseline": "group_mean"}),
        ("grpo", {"group_size": 2}),
        ("astar_po", {"group_size": 2}),
        ("dpo", {"pairs": "candidates"}),
    ],
)
def test_every_form_of_an_algorithm_credits_the_right_steps(algo, settings):
    kind = get_algorithm_class(algo).settings_class
    answer = check_credit(CAUSAL, algo=algo, settings=kind(**settings))
    assert get_severities(answer) == {}
    assert answer["not_judged"] == {}


def test_an_algorithm_that_reads_no_rewards_is_not_judged():
    answer = check_credit(CAUSAL, algo="dpo", settings=DPOSettings(pairs="there"))
    assert answer["judged"] == ["credit"]
    assert "adds no column to the collected steps" in answer["not_judged"]["credit_leaks"]
