"""The temperature of choices: how far a policy strays from what it finds most likely.

The logits of a choice are divided by it: above 1 the odds draw nearer to each other, below 1 they
part. The policy that collects, that is learnt and that is judged by sampling is the same tempered
one, so that a stored log-probability is that of what was drawn.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from torch import Tensor

from algos.actions.action_heads import ActionHead, BoxHead, ProductHead
from algos.actions.distributions import Categorical, ChoiceWithValue, MultiCategorical, Product
from algos.actions.topk import TopK


def apply_temperature(dist: Any, temperature: Tensor) -> Any:
    """Return the distribution with the odds of its choices raised to 1 / temperature [1].

    Values stay as they are: how far they stray is a number of its own.
    """
    if isinstance(dist, Categorical):
        # These are log-probabilities; Categorical normalises again, which gives p^(1/T) /
        # Z.
        return Categorical(dist.logits / temperature, dist.mask)
    if isinstance(dist, TopK):
        return TopK(dist.logits / temperature, dist.mask, dist.k)
    if isinstance(dist, MultiCategorical):
        return MultiCategorical([apply_temperature(part, temperature) for part in dist.parts])
    if isinstance(dist, Product):
        return Product(
            {name: apply_temperature(part, temperature) for name, part in dist.parts.items()}
        )
    if isinstance(dist, ChoiceWithValue):
        # Shallow: the parameters of the values are shared, only the choice is replaced.
        changed = copy(dist)
        changed.choice = apply_temperature(dist.choice, temperature)
        return changed
    return dist


def has_choices(head: ActionHead) -> bool:
    """Whether a temperature would change anything about such actions."""
    if isinstance(head, ProductHead):
        return any(map(has_choices, head.parts.values()))
    return not isinstance(head, BoxHead)
