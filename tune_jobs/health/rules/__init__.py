"""The health rules, one per file. To add one, copy a short one and list it in ``_ALL``."""

from __future__ import annotations

from collections.abc import Mapping

from tune_jobs.health.rule import Rule
from tune_jobs.health.rules.action_clipping import ActionClipping
from tune_jobs.health.rules.advantage_clipping import AdvantageClipping
from tune_jobs.health.rules.advantages_flat import AdvantagesFlat
from tune_jobs.health.rules.always_truncated import AlwaysTruncated
from tune_jobs.health.rules.choice_concentration import ChoiceConcentration
from tune_jobs.health.rules.clip_range_too_small import ClipRangeTooSmall
from tune_jobs.health.rules.constant_reward import ConstantReward
from tune_jobs.health.rules.dead_units import DeadUnits
from tune_jobs.health.rules.encoder_constant import EncoderConstant
from tune_jobs.health.rules.entropy_collapse import EntropyCollapse
from tune_jobs.health.rules.entropy_stuck_at_max import EntropyStuckAtMax
from tune_jobs.health.rules.entropy_without_gradient import EntropyWithoutGradient
from tune_jobs.health.rules.exploration_never_decays import ExplorationNeverDecays
from tune_jobs.health.rules.fell_from_best import FellFromBest
from tune_jobs.health.rules.frozen_policy import FrozenPolicy
from tune_jobs.health.rules.gamma_too_low import GammaTooLow
from tune_jobs.health.rules.gradients_always_clipped import GradientsAlwaysClipped
from tune_jobs.health.rules.groups_without_signal import GroupsWithoutSignal
from tune_jobs.health.rules.head_starves import HeadStarves
from tune_jobs.health.rules.hung import Hung
from tune_jobs.health.rules.kl_runaway import KlRunaway
from tune_jobs.health.rules.low_explained_variance import LowExplainedVariance
from tune_jobs.health.rules.memory_unused import MemoryUnused
from tune_jobs.health.rules.no_episode_ends import NoEpisodeEnds
from tune_jobs.health.rules.no_exploration import NoExploration
from tune_jobs.health.rules.no_improvement import NoImprovement
from tune_jobs.health.rules.no_progress_in_episode import NoProgressInEpisode
from tune_jobs.health.rules.no_success import NoSuccess
from tune_jobs.health.rules.no_updates import NoUpdates
from tune_jobs.health.rules.normaliser_without_spread import NormaliserWithoutSpread
from tune_jobs.health.rules.not_finite import NotFinite
from tune_jobs.health.rules.observation_constant import ObservationConstant
from tune_jobs.health.rules.observation_scale import ObservationScale
from tune_jobs.health.rules.performance_collapse import PerformanceCollapse
from tune_jobs.health.rules.policy_without_gradient import PolicyWithoutGradient
from tune_jobs.health.rules.range_unused import RangeUnused
from tune_jobs.health.rules.reward_hacking import RewardHacking
from tune_jobs.health.rules.reward_scale import RewardScale
from tune_jobs.health.rules.std_blowup import StdBlowup
from tune_jobs.health.rules.theatre import Theatre
from tune_jobs.health.rules.update_ratio import UpdateRatio
from tune_jobs.health.rules.v_star_few_samples import VStarFewSamples
from tune_jobs.health.rules.v_star_optimistic import VStarOptimistic
from tune_jobs.health.rules.v_star_pessimistic import VStarPessimistic
from tune_jobs.health.rules.v_star_without_success import VStarWithoutSuccess
from tune_jobs.health.rules.value_divergence import ValueDivergence
from tune_jobs.health.rules.value_without_gradient import ValueWithoutGradient
from tune_jobs.health.rules.zero_reward import ZeroReward

_ALL: tuple[Rule, ...] = (
    NotFinite(),
    Hung(),
    NoEpisodeEnds(),
    NoUpdates(),
    FrozenPolicy(),
    ClipRangeTooSmall(),
    PolicyWithoutGradient(),
    HeadStarves(),
    UpdateRatio(),
    KlRunaway(),
    ObservationConstant(),
    ObservationScale(),
    NormaliserWithoutSpread(),
    DeadUnits(),
    EncoderConstant(),
    MemoryUnused(),
    ZeroReward(),
    ConstantReward(),
    NoSuccess(),
    RewardHacking(),
    Theatre(),
    GroupsWithoutSignal(),
    VStarFewSamples(),
    VStarWithoutSuccess(),
    AdvantagesFlat(),
    VStarOptimistic(),
    VStarPessimistic(),
    AdvantageClipping(),
    NoExploration(),
    ExplorationNeverDecays(),
    EntropyWithoutGradient(),
    EntropyCollapse(),
    EntropyStuckAtMax(),
    StdBlowup(),
    GammaTooLow(),
    ActionClipping(),
    ChoiceConcentration(),
    RangeUnused(),
    NoProgressInEpisode(),
    RewardScale(),
    ValueWithoutGradient(),
    ValueDivergence(),
    LowExplainedVariance(),
    GradientsAlwaysClipped(),
    AlwaysTruncated(),
    PerformanceCollapse(),
    FellFromBest(),
    NoImprovement(),
)

RULES: Mapping[str, Rule] = {rule.symptom: rule for rule in _ALL}
"""Every rule by its symptom; ``no_improvement``, the consequence of others, comes last."""
