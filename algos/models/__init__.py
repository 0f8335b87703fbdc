"""Policy networks by name. A new one subclasses ``base.PolicyModule`` and is listed here."""

from __future__ import annotations

from algos.models.base import PolicyModule
from algos.models.candidate_scorer import CandidateScorer
from algos.models.encoder_policy import AutoPolicy
from algos.models.graph import GinPolicy, GraphPolicy
from algos.models.hf_candidate_lm import CandidateLMPolicy
from algos.models.mlp import MLPPolicy
from algos.models.quiet_star import QuietStarPolicy
from algos.models.set_attention import SetPolicy
from algos.models.token_policy import TokenPolicy

MODELS: dict[str, type[PolicyModule]] = {
    "auto": AutoPolicy,
    "mlp": MLPPolicy,
    "set": SetPolicy,
    "graph": GraphPolicy,
    "gin": GinPolicy,
    "scorer": CandidateScorer,
    "language": TokenPolicy,
    "thinker": QuietStarPolicy,
    "lm": CandidateLMPolicy,
}
