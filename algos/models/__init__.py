"""Policy networks by name. To add one: subclass :class:`~algos.models.base.PolicyModule`, list it here."""

from __future__ import annotations

from algos.models.base import PolicyModule
from algos.models.mlp import MLP
from algos.models.set import SetPolicy

MODELS: dict[str, type[PolicyModule]] = {"mlp": MLP, "set": SetPolicy}
