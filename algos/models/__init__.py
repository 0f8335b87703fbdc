"""Policy networks by name. To add one: subclass :class:`~algos.models.base.Policy`, list it here."""

from __future__ import annotations

from algos.models.base import Policy
from algos.models.mlp import MLP
from algos.models.set import SetPolicy

MODELS: dict[str, type[Policy]] = {"mlp": MLP, "set": SetPolicy}
