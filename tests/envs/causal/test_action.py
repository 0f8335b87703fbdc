# pyright: basic
"""The action of the causal families is checked before it is used."""

import numpy as np
import pytest

from envs.causal.action import validate_action
from rungwise.validation import InputError


def test_a_position_is_clipped_to_its_domain():
    action = {"choice": np.array([0, 2]), "value": np.array([0.5, 3.0])}
    node, position = validate_action(action, copies=2, nodes=3)
    assert node.tolist() == [0, 2] and position.tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ({"choice": [0], "value": [0.0]}, "2 choices and 2 values"),
        ({"choice": [0, 3], "value": [0.0, 0.0]}, "from 0 to 2, but it is 3"),
        ({"choice": [0, 1], "value": [0.0, np.nan]}, "NaN"),
    ],
)
def test_a_wrong_action_is_refused(action, message):
    with pytest.raises(InputError, match=message):
        validate_action(action, copies=2, nodes=3)
