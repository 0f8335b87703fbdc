"""The health rules by theme. To add one, copy a short one and list it in ``_ALL``."""

from __future__ import annotations

from collections.abc import Mapping

from tune_jobs.health.rule import Rule
from tune_jobs.health.rules import (
    entropy,
    episodes,
    kl_divergence,
    policy_choices,
    policy_steps,
    reward_hacking,
    rewards,
    scores,
    thresholds_of_rollouts,
    thresholds_of_updates,
    training_faults,
    v_star,
    value_function,
)

_ALL: tuple[Rule, ...] = (
    training_faults.NotFinite(),
    training_faults.Hung(),
    training_faults.NoEpisodeEnds(),
    training_faults.NoUpdates(),
    policy_steps.FrozenPolicy(),
    policy_steps.ClipRangeTooSmall(),
    thresholds_of_updates.PolicyWithoutGradient(),
    policy_steps.HeadStarves(),
    policy_steps.UpdateRatio(),
    kl_divergence.KlRunaway(),
    kl_divergence.ReferenceKlRunaway(),
    thresholds_of_rollouts.ObservationConstant(),
    thresholds_of_rollouts.ObservationScale(),
    thresholds_of_rollouts.NormaliserWithoutSpread(),
    thresholds_of_updates.DeadUnits(),
    thresholds_of_updates.EncoderConstant(),
    thresholds_of_updates.MemoryUnused(),
    rewards.ZeroReward(),
    episodes.AlwaysTruncated(),
    rewards.ConstantReward(),
    rewards.NoSuccess(),
    reward_hacking.RewardHacking(),
    policy_choices.Theatre(),
    episodes.GroupsWithoutSignal(),
    v_star.VStarFewSamples(),
    v_star.VStarWithoutSuccess(),
    v_star.AdvantagesFlat(),
    v_star.VStarOptimistic(),
    v_star.VStarPessimistic(),
    thresholds_of_updates.AdvantageClipping(),
    entropy.NoExploration(),
    thresholds_of_rollouts.ExplorationNeverDecays(),
    thresholds_of_updates.EntropyWithoutGradient(),
    entropy.EntropyCollapse(),
    entropy.EntropyStuckAtMax(),
    entropy.StdBlowup(),
    policy_choices.GammaTooLow(),
    thresholds_of_rollouts.ActionClipping(),
    policy_choices.ChoiceConcentration(),
    thresholds_of_rollouts.RangeUnused(),
    thresholds_of_rollouts.NoProgressInEpisode(),
    value_function.RewardScale(),
    thresholds_of_updates.ValueWithoutGradient(),
    value_function.ValueDivergence(),
    value_function.LowExplainedVariance(),
    thresholds_of_updates.GradientsAlwaysClipped(),
    scores.PerformanceCollapse(),
    scores.Overfitting(),
    scores.FellFromBest(),
    training_faults.SlowerIterations(),
    scores.NoImprovement(),
)

RULES: Mapping[str, Rule] = {rule.symptom: rule for rule in _ALL}
"""Every rule by its symptom; ``no_improvement``, the consequence of others, comes last."""
