"""Policy networks by name. A new one subclasses ``base.PolicyModule`` and is listed here."""

from __future__ import annotations

from algos.models.base import PolicyModule
from algos.models.graph import GinPolicy, GraphPolicy
from algos.models.language import LanguagePolicy
from algos.models.lm import LMPolicy
from algos.models.mlp import MLP
from algos.models.scorer import Scorer
from algos.models.set import SetPolicy
from algos.models.thinker import Thinker

MODELS: dict[str, type[PolicyModule]] = {
    "mlp": MLP,
    "set": SetPolicy,
    "graph": GraphPolicy,
    "gin": GinPolicy,
    "scorer": Scorer,
    "language": LanguagePolicy,
    "thinker": Thinker,
    "lm": LMPolicy,
}
