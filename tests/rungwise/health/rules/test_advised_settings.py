# pyright: basic
"""What each rule advises to set: people, and later programs, act on these values."""

import pytest

from rungwise.health import RULES
from rungwise.health.remedy import RemedyStep

ADVICE = {
    "not_finite": "lower lr 0.0001 or further; limit grad_clip 0.5",
    "hung": "raise hang_limit_s 120 or further",
    "no_episode_ends": "",
    "no_updates": "",
    "frozen_policy": (
        "raise lr 0.0003; raise grad_clip 0.5; raise clip 0.2; lower value_coef 0.1 or further"
    ),
    "clip_range_too_small": "raise clip 0.2",
    "policy_without_gradient": (
        "lower lr 0.0001 or further; raise entropy_coef 0.03 or further; lower epochs 4"
    ),
    "head_starves": (
        "set normalise_values True; lower value_coef 0.1 or further; "
        "raise entropy_coef 0.03 or further"
    ),
    "update_ratio": "lower lr 0.0003 or further; lower epochs 4; limit grad_clip 0.5",
    "kl_runaway": "lower lr 0.0001 or further; lower epochs 4; limit kl_limit 0.02",
    "observation_constant": "",
    "observation_scale": "use normalise_observations",
    "normaliser_without_spread": "set normalise_observations False",
    "dead_units": (
        "use normalise_observations; lower lr 0.0001 or further; limit grad_clip 0.5; "
        "set activation tanh"
    ),
    "encoder_constant": "lower lr 0.0001 or further; limit grad_clip 0.5",
    "memory_unused": "lower lr 0.0001 or further; set memory none",
    "zero_reward": "raise entropy_coef 0.03 or further; use warm_start",
    "constant_reward": "raise entropy_coef 0.03 or further; use warm_start",
    "no_success": "use warm_start; raise entropy_coef 0.03 or further",
    "reward_hacking": "",
    "theatre": "",
    "groups_without_signal": (
        "raise group_size 16 or further; raise num_envs 32; raise entropy_coef 0.03 or further"
    ),
    "v_star_few_samples": "raise reference_samples 8; raise num_envs 32; raise starts 256",
    "v_star_without_success": "raise reference_samples 16 or further; raise num_envs 32",
    "advantages_flat": "raise reference_samples 16 or further; raise num_envs 32",
    "v_star_optimistic": (
        "set v_star softmax; raise v_star_beta 1 or further; "
        "raise reference_samples 16 or further; raise num_envs 32"
    ),
    "v_star_pessimistic": (
        "raise reference_samples 16 or further; raise num_envs 32; set v_star softmax; "
        "lower v_star_beta 0.5 or further"
    ),
    "advantage_clipping": (
        "set normalise_advantages True | set loss regression; set normalise_values True"
    ),
    "no_exploration": (
        "use normalise_observations; "
        "raise warmup 0.05; lower lr 0.0001 or further; raise entropy_coef 0.03 or further"
    ),
    "exploration_never_decays": "",
    "entropy_without_gradient": "lower entropy_coef 0",
    "entropy_collapse": (
        "raise entropy_coef 0.03 or further; raise entropy_target 0.3; lower lr 0.0001 or further"
    ),
    "entropy_stuck_at_max": "lower entropy_coef 0.01",
    "std_blowup": "lower entropy_coef 0; set value_distribution beta",
    "gamma_too_low": "raise gamma 0.99",
    "action_clipping": "lower entropy_coef 0; set value_distribution beta",
    "choice_concentration": (
        "raise entropy_coef 0.03 or further; raise diversity_coef 0.1 or further"
    ),
    "range_unused": (
        "raise entropy_coef 0.03 or further; set value_distribution bins; raise bins 21"
    ),
    "no_progress_in_episode": "raise gamma 0.99; set model set",
    "reward_scale": "set normalise_values True; lower value_coef 0.01 or further",
    "value_without_gradient": "raise value_coef 0.5; set activation tanh",
    "value_divergence": "lower gamma 0.99; lower lr 0.0001 or further; set normalise_values True",
    "low_explained_variance": (
        "set normalise_values True; raise value_coef 1 or further; raise epochs 8 or further"
    ),
    "gradients_always_clipped": (
        "set normalise_values True; lower value_coef 0.1 or further; raise grad_clip 5 or further"
    ),
    "always_truncated": "raise entropy_coef 0.03 or further",
    "reference_kl_runaway": "lower lr 0.0001 or further; raise beta 0.1 or further",
    "overfitting": "lower lr 0.0001 or further | raise beta 0.1 or further",
    "slower_iterations": "",
    "performance_collapse": (
        "lower lr 0.0001 or further; lower clip 0.1 or further | raise beta 0.1 or further; "
        "limit kl_limit 0.02"
    ),
    "fell_from_best": (
        "lower lr 0.0001 or further; use lr_schedule; lower clip 0.1 or further | raise "
        "beta 0.1 or further; limit kl_limit 0.02"
    ),
    "no_improvement": "set normalise_values True; set lr 0.0003; set entropy_coef 0.01",
}
"""Rule -> its steps, in the order in which to try them; after a bar what stands in for a step."""


def describe(step):
    if not isinstance(step, RemedyStep):
        return ""
    further = " or further" if step.further else ""
    instead = f" | {describe(step.without)}" if isinstance(step.without, RemedyStep) else ""
    value = f" {step.value}" if step.change != "use" else ""
    return f"{step.change} {step.setting}{value}{further}{instead}"


@pytest.mark.parametrize("symptom", RULES)
def test_a_rule_advises_these_settings(symptom):
    steps = filter(None, map(describe, RULES[symptom].remedy))
    assert "; ".join(steps) == ADVICE[symptom]


@pytest.mark.parametrize("symptom", RULES)
def test_the_words_of_a_step_have_a_place_for_its_setting(symptom):
    steps = [step for step in RULES[symptom].remedy if isinstance(step, RemedyStep)]
    assert [step.words for step in steps if "{}" not in step.words] == []
