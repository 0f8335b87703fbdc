"""The health rules by theme. To add one, copy a short one and list it in ``RULES``."""

from __future__ import annotations

from collections.abc import Mapping

from rungwise.health.rule import Rule
from rungwise.health.rules import (
    entropy,
    episodes,
    gradients,
    kl_divergence,
    no_improvement,
    observations,
    policy_choices,
    policy_steps,
    reward_hacking,
    rewards,
    scores,
    slowdowns,
    training_faults,
    v_star,
    value_function,
)

RULES: Mapping[str, Rule] = {
    rule.symptom: rule
    for rule in (
        training_faults.NotFinite(),
        slowdowns.Hung(),
        training_faults.NoEpisodeEnds(),
        training_faults.NoUpdates(),
        policy_steps.FrozenPolicy(),
        policy_steps.ClipRangeTooSmall(),
        gradients.PolicyWithoutGradient(),
        policy_steps.HeadStarves(),
        policy_steps.UpdateRatio(),
        kl_divergence.KlRunaway(),
        kl_divergence.ReferenceKlRunaway(),
        observations.ObservationConstant(),
        observations.ObservationScale(),
        observations.NormaliserWithoutSpread(),
        observations.DeadUnits(),
        observations.EncoderConstant(),
        observations.MemoryUnused(),
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
        v_star.AdvantageClipping(),
        entropy.NoExploration(),
        entropy.ExplorationNeverDecays(),
        gradients.EntropyWithoutGradient(),
        entropy.EntropyCollapse(),
        entropy.EntropyStuckAtMax(),
        entropy.StdBlowup(),
        policy_choices.GammaTooLow(),
        policy_choices.ActionClipping(),
        policy_choices.ChoiceConcentration(),
        policy_choices.RangeUnused(),
        episodes.NoProgressInEpisode(),
        value_function.RewardScale(),
        gradients.ValueWithoutGradient(),
        value_function.ValueDivergence(),
        value_function.LowExplainedVariance(),
        gradients.GradientsAlwaysClipped(),
        scores.PerformanceCollapse(),
        scores.Overfitting(),
        scores.FellFromBest(),
        slowdowns.SlowerIterations(),
        no_improvement.NoImprovement(),
    )
}
"""Every rule by its symptom. The order is priority: of equally severe findings that of the first
rule comes first, likely causes before their consequences, and ``no_improvement`` last."""
