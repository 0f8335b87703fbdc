# pyright: basic
"""Parts of an action and terms of a loss without a gradient are found."""

import pytest
import torch
from checks import check, get_only_evidence, get_severities
from sick_objectives import replace_hooks, replace_terms

from algos import ALGORITHMS, get_algorithm_class
from algos.actions.kinds import ProductDistribution
from algos.grpo import GRPO
from algos.ppo import PPO
from algos.reinforce import Reinforce
from tune_jobs.check import gradient_probe
from tune_jobs.check.check_target import CheckTarget, load_check_target, randomise_weights

CAUSAL = "envs:CausalLearning-v0"


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
    return ProductDistribution(first).logp


def without_mean(dist):
    detached = type(dist)(dist.mean.detach(), dist.log_std)
    return detached.logp


@pytest.mark.parametrize("base", [PPO, Reinforce, GRPO])
def test_a_loss_that_leaves_out_the_choices_value_is_found(base):
    sick = partial(base, choice_only)
    algo = next(name for name in ALGORITHMS if get_algorithm_class(name) is base)
    evidence = get_only_evidence(
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
    evidence = get_only_evidence(check(target, "gradients"), "action_part_without_gradient")
    assert missing in evidence


@pytest.mark.parametrize("env", ["SickLevers-v0", "SickForced-v0", "Pendulum-v1"])
def test_a_part_with_one_option_or_held_fixed_is_not_reported(env, monkeypatch):
    def fixed(module, size):
        module = randomise_weights(module, size)
        if module.log_std is not None:
            module.log_std.requires_grad_(False)
        return module

    monkeypatch.setattr(gradient_probe, "randomise_weights", fixed)
    answer = check(env, "gradients")
    assert answer["judged"] == ["gradients"]
    assert "action_part_without_gradient" not in get_severities(answer)


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


def with_term(name, change):
    return replace_terms(PPO, lambda terms, _: {name: change(terms[name])})


@pytest.mark.parametrize(
    ("term", "severity"), [("entropy", "warn"), ("value", "warn"), ("policy", "stop")]
)
def test_a_term_of_the_loss_that_is_detached_is_found(term, severity):
    sick = with_term(term, lambda loss: loss.detach())
    answer = check(CheckTarget("SickTargets-v0", algorithm=sick), "gradients")
    assert get_severities(answer) == {f"{term}_without_gradient": severity}
    assert answer["figures"]["gradients"][f"norm_{term}"] == 0


def test_terms_with_a_coefficient_of_zero_are_measured_too():
    figures = check("SickTargets-v0", "gradients")["figures"]["gradients"]
    for term in ("policy", "value", "entropy", "kl", "diversity"):
        assert figures[f"norm_{term}"] > 0
