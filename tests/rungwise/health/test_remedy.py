"""Remedies advise what is not so already."""

import pytest
from health_runs import make_rows

from algos.ppo import PPOSettings
from rungwise.health import RULES, History, diagnose
from rungwise.health.remedy import (
    SCALED_REWARDS,
    WARM_START,
    OtherLibrary,
    at_least,
    at_most,
    increase,
    limit,
    list_remedy_changes,
    lower,
    put,
    use,
    worded,
)


def test_a_step_names_its_setting_with_the_value_to_try():
    remedy = (lower("lr", 1e-4), put("normalise_values", True), "look again")
    assert worded(remedy) == "Lower `lr=1e-4`; set `normalise_values=true`; look again."


@pytest.mark.parametrize("used", [3e-4, 3.0000000001e-4])
def test_a_value_in_use_is_not_advised(used: float):
    assert worded((put("lr", 3e-4), "look"), {"lr": used}) == "Look."
    assert worded((put("activation", "tanh"), "look"), {"activation": "tanh"}) == "Look."
    assert worded((put("clip", 0.2), "look"), {"clip": 0.1}) == "Set `clip=0.2`; look."


def test_the_changes_of_a_remedy_are_what_its_sentence_sets():
    used = {"lr": 1e-3, "clip": 0.2, "normalise_values": False, "warm_start": "none", "epochs": 4}
    remedy = (
        lower("lr", 1e-4),
        "look",
        at_least("clip", 0.2),
        at_most("minibatches", 2, without=put("epochs", 2)),
        SCALED_REWARDS,
        WARM_START,
        use("normalise_values", "switch on {}"),
    )
    changes = list_remedy_changes(remedy, used)
    assert list(changes.items()) == [("lr", 1e-4), ("epochs", 2), ("normalise_values", True)]
    assert list_remedy_changes(remedy, {"lr": 5e-5}) == {}


def test_a_setting_beyond_the_value_is_to_go_further_or_left_out():
    used = {"lr": 5e-5, "clip": 0.3, "entropy_coef": 0.03}
    assert worded((lower("lr", 1e-4),), used) == "Lower `lr` further (it is 5e-5)."
    assert worded((increase("entropy_coef", 0.03),), used).endswith("further (it is 0.03).")
    assert worded((at_least("clip", 0.2), at_most("lr", 1e-4), "look"), used) == "Look."
    assert worded((at_least("clip", 0.2),), {"clip": 0.1}) == "Raise `clip=0.2`."


def test_a_bound_that_is_tighter_and_a_schedule_that_falls_are_left_alone():
    remedy = (
        limit("kl_limit", 0.02, "stop at {}"),
        use("lr_schedule", "let it fall: {}", value="linear"),
        "look",
    )
    off = {"kl_limit": 0.0, "lr_schedule": "constant"}
    changes = {"kl_limit": 0.02, "lr_schedule": "linear"}
    assert (
        worded(remedy, off) == "Stop at `kl_limit=0.02`; let it fall: `lr_schedule=linear`; look."
    )
    assert list_remedy_changes(remedy, off) == changes
    for used in ({"kl_limit": 0.01, "lr_schedule": "cosine"}, changes):
        assert worded(remedy, used) == "Look."
        assert list_remedy_changes(remedy, used) == {}


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (0.5, "Lower `lr=3e-4`; check the size of the rewards and of the observations."),
        (1e-8, "Raise `lr` further (it is 0.01); raise `epochs=4`; check that the gradient"),
    ],
)
def test_the_remedy_of_the_update_ratio_has_its_direction(ratio: float, said: str):
    rows = make_rows(40, score=1.0, update_ratio=ratio, clip_fraction=0.1, kl=0.01)
    settings = vars(PPOSettings(lr=1e-2, epochs=2, grad_clip=0.1))
    findings = diagnose(History(rows, 40, settings=settings)).findings
    (remedy,) = [f.remedy for f in findings if f.symptom == "update_ratio"]
    assert remedy.startswith(said)


def test_settings_that_the_algorithm_lacks_are_not_named():
    remedy = (SCALED_REWARDS, put("group_size", 0), "look")
    assert "group_size" in worded(remedy, {"lr": 1e-3})
    said = worded(remedy, {"lr": 1e-3}, complete=True)
    assert said.startswith("Multiply the rewards")
    assert "group_size" not in said
    assert worded(remedy, {"normalise_values": True, "group_size": 0}) == "Look."


def test_settings_of_another_library_have_its_names():
    remedy = (lower("lr", 1e-4), SCALED_REWARDS, increase("entropy_coef", 0.03), WARM_START)
    other = OtherLibrary({"lr": "learning_rate"}, {"lr": 3e-4})
    assert worded(remedy, other.values, other=other) == (
        "Set `learning_rate` to at most 1e-4; multiply the rewards by a constant so that returns "
        "are between 1 and 100; shape the reward."
    )
    used = worded(remedy, {"lr": 1e-5}, other=other)
    assert used.startswith("Lower `learning_rate` further (it is 1e-5)")


@pytest.mark.parametrize("symptom", ["no_improvement", "frozen_policy", "not_finite", "kl_runaway"])
def test_a_language_model_is_told_no_rate_check_or_scale_of_other_policies(symptom: str):
    said = worded(RULES[symptom].remedy, {"lr": 2e-6}, other=OtherLibrary({"lr": "rate"}, {}, True))
    assert "`rate`" in said and "e-4" not in said
    assert "check ENV" not in said and "rewards by" not in said


def test_a_learning_rate_of_a_language_model_changes_by_a_factor():
    steps = (lower("lr", 1e-4), at_least("lr", 3e-4), put("lr", 3e-4, "try {}"), SCALED_REWARDS)
    assert worded(steps, other=OtherLibrary(chooses_tokens=True)) == (
        "Lower `lr` by a factor of 3; raise `lr` by a factor of 3; try `lr` larger or smaller by a "
        "factor of 3."
    )
    assert worded(steps[:1], {"lr": 1e-6}, other=OtherLibrary(chooses_tokens=True)) == (
        "Lower `lr` further (it is 1e-6)."
    )


@pytest.mark.parametrize(
    ("used", "named"), [("", True), (False, True), ("auto", False), (True, False), ("gru", False)]
)
def test_what_is_in_use_is_not_switched_on(used: object, named: bool):
    said = worded((use("memory", "switch on {}"), "look"), {"memory": used}, complete=True)
    assert said == ("Switch on `memory`; look." if named else "Look.")
    assert worded((use("memory", "use {}", "stack"),), {"lr": 1.0}, complete=True) == "Stack."


@pytest.mark.parametrize("symptom", RULES)
def test_every_remedy_leaves_something_to_try_at_the_defaults(symptom: str):
    settings = vars(PPOSettings(gamma=0.1))  # the default is never too low
    assert len(worded(RULES[symptom].remedy, settings, complete=True)) > len("Look.")


def test_a_diagnosis_words_its_remedies_for_the_settings_in_use():
    rows = make_rows(30, score=1.0, episodes=50)
    (found,) = diagnose(History(rows, 30)).findings
    assert "`lr=3e-4`" in found.remedy
    (found,) = diagnose(
        History(rows, 30, settings=vars(PPOSettings(lr=3e-4, normalise_values=False)))
    ).findings
    assert "lr=" not in found.remedy
    assert "entropy_coef=" not in found.remedy
    assert found.remedy.index("normalise_values=true") < found.remedy.index("multiply")


def test_a_log_of_another_tool_has_the_settings_that_it_says():
    logged = make_rows(30, score=1.0, episodes=50, lr=3e-4)
    (found,) = diagnose(History(logged, 30)).findings
    assert "lr=" not in found.remedy
    assert "`entropy_coef=0.01`" in found.remedy


def test_an_unknown_library_gets_no_setting_that_only_we_have():
    rows = make_rows(30, score=1.0, episodes=50, kl=1.0, entropy=1e-3)
    said = " ".join(found.remedy for found in diagnose(History(rows, 30)).findings)
    assert "`lr`" in said and "`epochs`" in said
    for name in ("kl_limit", "normalise_values", "normalise_observations", "warmup", "target"):
        assert name not in said
