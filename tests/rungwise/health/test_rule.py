"""What every health rule declares."""

import dataclasses
from typing import Any

import pytest

from rungwise.health import RULES
from rungwise.validation import InputError


@pytest.mark.parametrize("symptom", RULES)
def test_a_threshold_out_of_range_is_refused(symptom: str):
    kind: Any = type(RULES[symptom])
    for field in dataclasses.fields(kind):
        with pytest.raises(InputError, match=rf"^{symptom}\.{field.name} must be .*-7"):
            kind(**{field.name: -7})


def test_every_rule_is_listed_under_its_own_symptom():
    assert all(rule.symptom == symptom for symptom, rule in RULES.items())
