# pyright: basic
"""Algorithms with one fault each are found by their credit and their gradients; ours are clean."""

import numpy as np
import pytest
import sick_worlds  # noqa: F401 (registers its worlds)
import torch
from sick_objectives import replace_hooks

from algos import ALGORITHMS, get_algorithm_class
from algos.actions.distributions import Product
from algos.advantages import gae, group_advantages, normalise, returns_to_go
from algos.dpo import DPOSettings
from algos.grpo import GRPO
from algos.ppo import PPO
from algos.reinforce import Reinforce
from tune_jobs.check import CheckTarget, examine, gradients, load_check_target
from tune_jobs.check.check_target import randomise_weights

CAUSAL = "envs:CausalLearning-v0"


def check(target, *only):
    target = load_check_target(target) if isinstance(target, str) else target
    return examine(target, 0.5 if "credit" in only else 0.1, only=only)


def found(answer):
    return {finding["symptom"]: finding["severity"] for finding in answer["findings"]}


def only_finding(answer, symptom):
    assert found(answer) == {symptom: "stop"}
    return answer["findings"][0]["evidence"]


# A part of the action that is never learnt.


class Partial:
    """A distribution whose log-probability leaves something out."""

    def __init__(self, dist, logp):
        self.dist, self.logp = dist, logp

    def __getattr__(self, name):
        return getattr(self.dist, name)


def partial(base, part):
    """``base`` with a loss that takes ``part(dist)`` for the action's log-probability."""

    def loss(self, forward, batch, coefficients):
        dist = Partial(forward["dist"], part(forward["dist"]))
        return base.objective_class.loss(self, forward | {"dist": dist}, batch, coefficients)

    return replace_hooks(base, loss=loss)


def choice_only(dist):
    return lambda action: dist.choice.logp(action)


def first_of_parts(dist):
    first = dict(list(dist.parts.items())[:2])
    return Product(first).logp


def without_mean(dist):
    detached = type(dist)(dist.mean.detach(), dist.log_std)
    return detached.logp


def first_value_only(dist):
    return type(dist)(dist.mean[:, :1], dist.log_std[:1]).logp


@pytest.mark.parametrize("base", [PPO, Reinforce, GRPO])
def test_a_loss_of_the_choice_alone_is_found_to_leave_out_its_value(base):
    sick = partial(base, choice_only)
    algo = next(name for name in ALGORITHMS if get_algorithm_class(name) is base)
    evidence = only_finding(
        check(CheckTarget(CAUSAL, algo=algo, algorithm=sick), "gradients"),
        "action_part_without_gradient",
    )
    assert "but not for its value:" in evidence


@pytest.mark.parametrize(
    ("env", "settings", "part", "missing"),
    [
        (CAUSAL, {"value_distribution": "beta"}, choice_only, " value:"),
        ("SickLevers-v0", {}, first_of_parts, "push.value.1 (spread) and 2 more:"),
        ("Pendulum-v1", {}, without_mean, " value.0 (mean):"),
    ],
)
def test_every_kind_of_part_can_be_found_missing(env, settings, part, missing):
    target = CheckTarget(env, settings=PPO.settings_class(**settings), algorithm=partial(PPO, part))
    evidence = only_finding(check(target, "gradients"), "action_part_without_gradient")
    assert missing in evidence


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize("env", [CAUSAL, "SickLevers-v0", "Pendulum-v1", "SickMasked-v0"])
def test_every_part_of_an_action_is_heard_and_credit_stays_where_it_belongs(env, algo):
    answer = check(load_check_target(env, algo), "credit", "gradients")
    assert found(answer) == {}
    assert set(answer["judged"]) == {"credit", "gradients"}
    assert answer["figures"]["credit"]["tried"] > 20
    assert ("gradients" in answer["not_judged"]) == (algo == "astar_po")


@pytest.mark.parametrize("env", ["SickLevers-v0", "SickForced-v0", "Pendulum-v1"])
def test_what_has_a_single_option_or_is_held_fixed_is_not_called_unlearnt(env, monkeypatch):
    def fixed(module, size):
        module = randomise_weights(module, size)
        if module.log_std is not None:
            module.log_std.requires_grad_(False)
        return module

    monkeypatch.setattr(gradients, "randomise_weights", fixed)
    answer = check(env, "gradients")
    assert answer["judged"] == ["gradients"]
    assert "action_part_without_gradient" not in found(answer)


@pytest.mark.parametrize(
    ("env", "parts"),
    [
        ("SickLevers-v0", {"only.choice", "pair.choices.1", "push.value.1 (mean)", "aim.value"}),
        (CAUSAL, {"choice", "value"}),
        ("Pendulum-v1", {"value.0 (mean)", "value.0 (spread)"}),
    ],
)
def test_every_number_of_a_head_has_a_part_that_it_is_for(env, parts):
    head = load_check_target(env).module.head
    outputs, free = torch.arange(head.size)[None], torch.arange(head.num_log_stds) + head.size
    named = head.label_outputs(outputs, free)
    assert parts <= named.keys()
    every = torch.cat([part.reshape(-1) for part in named.values()])
    assert every.sort().values.tolist() == list(range(head.size + head.num_log_stds))


# Credit that goes astray.


def with_credit(base, credit):
    return replace_hooks(
        base, compute_advantages=lambda self, rollout: credit(rollout, self.settings)
    )


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
    target = CheckTarget("CartPole-v1", algo=algo, algorithm=with_credit(base, credit))
    evidence = only_finding(check(target, "credit"), "credit_leaks")
    assert evidence.startswith("the reward of copy ")
    assert told in evidence


def test_a_bootstrap_from_beyond_the_end_of_an_episode_is_found():
    def beyond(values, last_values, terminated, truncated, final_values):
        return np.concatenate([values[1:], last_values[None]])

    sick = replace_hooks(PPO, bootstrap=staticmethod(beyond))
    evidence = only_finding(
        check(CheckTarget("CartPole-v1", algorithm=sick), "credit"), "credit_leaks"
    )
    assert evidence.startswith("the value of the state ")
    assert "1 other episode of its own" in evidence


def test_a_reward_that_nothing_is_learnt_from_is_found():
    sick = with_credit(PPO, last_reward_left_out)
    answer = check(CheckTarget("CartPole-v1", algorithm=sick), "credit")
    assert "changed nothing" in only_finding(answer, "reward_without_credit")


@pytest.mark.parametrize("credit", [healthy, healthy_and_normalised])
def test_rows_that_share_a_mean_and_a_scale_are_no_leak(credit):
    assert (
        found(check(CheckTarget("CartPole-v1", algorithm=with_credit(PPO, credit)), "credit")) == {}
    )


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
def test_every_form_of_an_algorithm_gives_credit_where_it_belongs(algo, settings):
    kind = get_algorithm_class(algo).settings_class
    answer = check(CheckTarget(CAUSAL, algo=algo, settings=kind(**settings)), "credit")
    assert found(answer) == {}
    assert answer["not_judged"] == {}


def test_an_algorithm_that_takes_nothing_from_its_rewards_is_not_judged():
    answer = check(CheckTarget(CAUSAL, algo="dpo", settings=DPOSettings(pairs="there")), "credit")
    assert answer["judged"] == ["credit"]
    assert "adds no column to the collected steps" in answer["not_judged"]["credit_leaks"]
