"""The health rules by theme. To add one, copy a short one and list it in ``_ALL``."""

from __future__ import annotations

from collections.abc import Mapping

from tune_jobs.health.rule import Rule
from tune_jobs.health.rules.choices import (
    ChoiceConcentration,
    GammaTooLow,
    Theatre,
)
from tune_jobs.health.rules.entropy import (
    EntropyCollapse,
    EntropyStuckAtMax,
    NoExploration,
    StdBlowup,
)
from tune_jobs.health.rules.policy_steps import (
    ClipRangeTooSmall,
    FrozenPolicy,
    HeadStarves,
    KlRunaway,
    UpdateRatio,
)
from tune_jobs.health.rules.rewards import (
    ConstantReward,
    NoSuccess,
    RewardHacking,
    ZeroReward,
)
from tune_jobs.health.rules.scores import (
    FellFromBest,
    NoImprovement,
    PerformanceCollapse,
)
from tune_jobs.health.rules.thresholds_of_rollouts import (
    ActionClipping,
    AlwaysTruncated,
    ExplorationNeverDecays,
    GroupsWithoutSignal,
    NoProgressInEpisode,
    NormaliserWithoutSpread,
    ObservationConstant,
    ObservationScale,
    RangeUnused,
)
from tune_jobs.health.rules.thresholds_of_updates import (
    AdvantageClipping,
    DeadUnits,
    EncoderConstant,
    EntropyWithoutGradient,
    GradientsAlwaysClipped,
    MemoryUnused,
    PolicyWithoutGradient,
    ValueWithoutGradient,
)
from tune_jobs.health.rules.training_faults import (
    Hung,
    NoEpisodeEnds,
    NotFinite,
    NoUpdates,
)
from tune_jobs.health.rules.v_star import (
    AdvantagesFlat,
    VStarFewSamples,
    VStarOptimistic,
    VStarPessimistic,
    VStarWithoutSuccess,
)
from tune_jobs.health.rules.values import (
    LowExplainedVariance,
    RewardScale,
    ValueDivergence,
)

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
