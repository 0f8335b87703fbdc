# pyright: basic
"""A policy head that draws other actions than its probabilities say is found."""

import pytest
import torch
from checks import check, get_severities

from algos.actions.choices import Categorical, DiscreteHead
from tune_jobs.check.check_target import load_check_target


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
    assert get_severities(check(target, "sampler")) == {symptom: "stop"}
