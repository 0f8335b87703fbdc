# pyright: basic
"""Every planted fault is found by its name, and healthy environments are left in peace."""

import json

import numpy as np
import pytest
import sick_worlds
import torch
from sick_objectives import replace_terms

from algos.actions.action_heads import DiscreteHead
from algos.actions.distributions import Categorical
from algos.ppo import PPO
from envs.validation import InputError
from tune_jobs.check import PROBES, CheckTarget, examine, load_check_target
from tune_jobs.check.paired_rollouts import LEVEL

HURRIED = 0.1
"""Share of the seconds that the probes may take otherwise."""
HEALTHY = (
    "CausalLearning-v0",
    "CartPole-v1",
    "Acrobot-v1",
    "Pendulum-v1",
    "FrozenLake-v1",
    "Blackjack-v1",
    "SickTargets-v0",
    "SickNoisy-v0",
    "SickMasked-v0",
)
UNTRAINED = tuple(name for name in PROBES if name != "overfit")


def check(target, *only, share=HURRIED):
    if isinstance(target, str):
        target = load_check_target(target)
    answer = examine(target, share, only=only)
    json.dumps(answer, allow_nan=False)
    return answer


def found(answer):
    return {finding["symptom"]: finding["severity"] for finding in answer["findings"]}


def serious(answer):
    return [f for f in answer["findings"] if f["severity"] != "note"]


@pytest.mark.parametrize("env", HEALTHY)
def test_a_healthy_environment_is_left_in_peace(env):
    answer = check(env, *UNTRAINED)
    assert serious(answer) == []
    assert answer["judged"] == list(UNTRAINED)


@pytest.mark.parametrize(
    ("world", "symptom", "severity"),
    [
        ("BrokenSampler", "reward_blind_to_action", "stop"),
        ("PaidByTheClock", "reward_blind_to_action", "stop"),
        ("Endless", "no_episode_ends", "warn"),
        ("Unseeded", "same_seed", "stop"),
        ("Blindfolded", "observation_constant", "warn"),
        ("Millions", "reward_scale", "warn"),
        ("Broke", "zero_reward", "warn"),
        ("Always", "constant_reward", "warn"),
    ],
)
def test_a_planted_fault_is_found_and_nothing_else_is(world, symptom, severity):
    answer = check(f"Sick{world}-v0", *UNTRAINED)
    told = {f["symptom"]: f["severity"] for f in serious(answer)}
    assert told.pop(symptom) == severity
    assert told.keys() <= {"gymnasium_check"}  # which notices missing seeds as well


def test_unseeded_dice_differ_from_a_reward_of_the_action(monkeypatch):
    monkeypatch.setattr(sick_worlds, "DICE", np.random.default_rng(2))
    answer = check("SickOwnDice-v0", "rewards", "dependence", share=0.5)
    assert found(answer) == {"reward_blind_to_action": "stop"}
    assert "of its variance, p = " in answer["findings"][0]["evidence"]
    figures = answer["figures"]["dependence"]["repeated"]
    # How many throws fit into the time depends on the machine, so p is any number above the level.
    assert figures["p"] > LEVEL
    assert figures["detectable_fraction"] < 0.3
    # How often the dice were thrown until here depends on the machine.
    monkeypatch.setattr(sick_worlds, "DICE", np.random.default_rng(1))
    assert found(check("SickUnseeded-v0", "dependence")) == {}


def test_a_coin_tossed_after_the_action_is_not_taken_for_a_reward_of_the_action():
    answer = check("SickCoinToss-v0", "rewards", "dependence", share=1)
    assert found(answer) == {"reward_blind_to_action": "warn"}
    assert answer["figures"]["dependence"]["repeated"]["variance_fraction"] == 1
    assert answer["figures"]["dependence"]["fresh_noise"]["variance_fraction"] < 0.05


def test_rewards_that_were_never_met_are_not_called_blind():
    for world in ("Broke", "Always"):
        answer = check(f"Sick{world}-v0", "dependence")
        assert found(answer) == {}
        assert "no reward but" in answer["not_judged"]["reward_blind_to_action"]


def test_in_our_worlds_several_actions_are_tried_from_the_same_state():
    figures = check("CausalLearning-v0", "dependence")["figures"]["dependence"]
    assert figures["step"]["variance_fraction"] == 1
    assert figures["step"]["starts"] > 300
    assert 0.5 < figures["step_fresh_noise"]["variance_fraction"] < 1


def test_the_evidence_says_whether_the_action_reaches_the_observations():
    evidence = check("SickBrokenSampler-v0", "dependence")["findings"][0]["evidence"]
    assert "exactly the same" in evidence
    assert "nor do the observations" in evidence


# Policy heads and losses of the product itself, with faults planted by stand-ins.


class Unmasked(DiscreteHead):
    def dist(self, outputs, free=None, mask=None):
        return Categorical(outputs)


class Uniform(Categorical):
    def sample(self, generator=None):
        shape = self.logits.shape
        return {"choice": torch.randint(shape[-1], shape[:-1], generator=generator)}


class WronglyDrawn(DiscreteHead):
    def dist(self, outputs, free=None, mask=None):
        return Uniform(outputs)


class OffByOne(DiscreteHead):
    def to_env_action(self, action):
        return (action["choice"] + 1) % self.choices


@pytest.mark.parametrize(
    ("head", "world", "symptom"),
    [
        (Unmasked, "Masked", "mask_not_honoured"),
        (WronglyDrawn, "Targets", "sampler_mismatch"),
        (OffByOne, "Targets", "action_altered"),
    ],
)
def test_a_faulty_head_is_found_by_drawing_from_it(head, world, symptom):
    target = load_check_target(f"Sick{world}-v0")
    target.module.head = head(target.module.head.space)
    assert found(check(target, "sampler")) == {symptom: "stop"}


def with_term(name, change):
    return replace_terms(PPO, lambda terms, _: {name: change(terms[name])})


@pytest.mark.parametrize(
    ("term", "severity"), [("entropy", "warn"), ("value", "warn"), ("policy", "stop")]
)
def test_a_term_of_the_loss_that_is_detached_is_found(term, severity):
    sick = with_term(term, lambda loss: loss.detach())
    answer = check(CheckTarget("SickTargets-v0", algorithm=sick), "gradients")
    assert found(answer) == {f"{term}_without_gradient": severity}
    assert answer["figures"]["gradients"][f"norm_{term}"] == 0


def test_terms_whose_coefficient_is_zero_by_default_are_looked_at_too():
    figures = check("SickTargets-v0", "gradients")["figures"]["gradients"]
    for term in ("policy", "value", "entropy", "kl", "diversity"):
        assert figures[f"norm_{term}"] > 0


@pytest.mark.parametrize("algo", ["reinforce", "grpo", "dpo", "astar_po"])
def test_every_algorithm_can_be_checked(algo):
    answer = check(
        load_check_target("SickTargets-v0", algo), "sampler", "actions", "gradients", "overfit"
    )
    assert serious(answer) == []
    assert set(answer["judged"]) == {"sampler", "actions", "gradients", "overfit"}
    if algo == "astar_po":
        assert "learns in stages" in answer["not_judged"]["gradients"]


def test_a_tiny_problem_is_learnt_within_seconds_and_an_unlearnable_one_gets_a_note():
    # It ends as soon as the case is clear, which takes a fraction of a second on a quiet machine.
    figures = check("SickTargets-v0", "overfit", share=0.4)["figures"]["overfit"]
    assert figures["standard_errors"] > 3
    assert figures["return_last"] > figures["return_random"]
    assert found(check("SickPaidByTheClock-v0", "overfit")) == {"not_learnt_quickly": "note"}


def test_a_rule_that_always_does_the_same_is_named_if_it_beats_random_play():
    assert "constant_action_beats_random" in found(check("Blackjack-v1", "headroom"))
    figures = check("CausalLearning-v0", "headroom", share=1)["figures"]["headroom"]
    assert figures["best"] == "posterior_variance_design"


def test_a_probe_that_fails_does_not_hide_what_the_others_found(monkeypatch):
    monkeypatch.setitem(PROBES, "observations", (divmod, 1.0, "what is seen"))
    answer = check("SickMillions-v0", "observations", "rewards")
    assert answer["judged"] == ["rewards"]
    assert answer["not_judged"]["observations"].startswith("TypeError: unsupported operand")
    assert "reward_scale" in found(answer)


def test_an_environment_that_raises_later_on_is_shown_with_its_own_line():
    answer = check("SickLate-v0", *UNTRAINED)
    (finding,) = serious(answer)
    assert (finding["symptom"], finding["severity"]) == ("raises", "stop")
    assert "LookupError: no shelf 9" in finding["evidence"]
    assert "sick_worlds.py:" in finding["evidence"]
    assert "the environment is broken" in answer["not_judged"]["headroom"]


def test_spaces_that_no_policy_can_read_are_a_reason_to_stop():
    answer = check("SickProverbs-v0")
    assert found(answer)["cannot_start"] == "stop"
    assert "overfit" in answer["not_judged"]
    assert "dependence" in answer["judged"]


def test_a_target_is_named_by_a_preset_a_family_or_an_id():
    preset = load_check_target("causal")
    assert preset.settings is not None
    assert preset.settings.hidden == (128, 128)
    assert preset.env == load_check_target("CausalLearning-v0").env == "envs:CausalLearning-v0"
    with pytest.raises(InputError, match="NoSuch"):
        load_check_target("NoSuch-v0")
    with pytest.raises(InputError, match="did you mean ppo"):
        load_check_target("CartPole-v1", "pop")
