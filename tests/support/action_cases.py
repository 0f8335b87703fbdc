# pyright: basic
"""Action spaces of every kind, with random parameters of their distributions."""

from typing import Any

import torch
from gymnasium import spaces

from algos.actions.kinds import make_action_head

CHOICE_WITH_VALUE = spaces.Dict(choice=spaces.Discrete(4), value=spaces.Box(-1, 1, ()))
SPACES = {
    "discrete": spaces.Discrete(5),
    "one choice": spaces.Discrete(1),
    "multi-discrete": spaces.MultiDiscrete([2, 3, 4]),
    "multi-binary": spaces.MultiBinary(3),
    "box": spaces.Box(-1, 1, (3,)),
    "choice with value": CHOICE_WITH_VALUE,
    "dict": spaces.Dict(a=spaces.Discrete(3), b=spaces.Box(-1, 1, (2,)), c=spaces.Box(0, 9, (1,))),
    "nested": spaces.Tuple([spaces.Dict(x=spaces.MultiDiscrete([2, 2])), spaces.Discrete(3)]),
}


def case(space, rows=7, seed=0, masked=False) -> tuple[Any, Any, Any, Any, Any]:
    """A head, and random outputs, log standard deviations, mask and actions as tensors."""
    generator = torch.Generator().manual_seed(seed)
    head = make_action_head(space)
    outputs = 2 * torch.randn(rows, head.size, generator=generator)
    log_std = 0.3 * torch.randn(head.num_log_stds, generator=generator)
    mask = None
    if masked:
        mask = torch.rand(rows, head.mask_size, generator=generator) < 0.6
        mask[:, 0] = True
        if isinstance(space, spaces.MultiDiscrete):
            mask[:, [0, 2, 5]] = True  # the first of each choice
    action = head.dist(outputs, log_std, mask).sample(generator)
    return head, outputs, log_std, mask, action
