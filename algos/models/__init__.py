"""Policy networks by name. A new one subclasses ``base.PolicyModule`` and is listed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from algos.models.base import PolicyModule
from algos.models.candidate_scorer import CandidateScorer
from algos.models.encoder_policy import make_auto_policy
from algos.models.graph import GinPolicy, GraphPolicy
from algos.models.hf_candidate_lm import CandidateLMPolicy
from algos.models.mlp import MLPPolicy
from algos.models.quiet_star import QuietStarPolicy
from algos.models.set_attention import SetPolicy
from algos.models.token_policy import TokenPolicy

MODELS: Mapping[str, Callable[..., PolicyModule]] = {
    "auto": make_auto_policy,
    "mlp": MLPPolicy,
    "set": SetPolicy,
    "graph": GraphPolicy,
    "gin": GinPolicy,
    "scorer": CandidateScorer,
    "language": TokenPolicy,
    "thinker": QuietStarPolicy,
    "lm": CandidateLMPolicy,
}
"""Name -> what makes the network of an observation and an action space and a ``model_config``."""
