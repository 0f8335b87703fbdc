# pyright: basic
"""What looks like a fault in a healthy environment is none."""

import healthy_worlds
import numpy as np
import pytest
import sick_worlds
from checks import UNTRAINED, check, get_severities

from tune_jobs.check import dependence
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.run_probes import PROBES


@pytest.mark.system
@pytest.mark.parametrize(
    "world",
    ["OldGenerator", "Bytes", "Commands", "Levels", "Rounded", "Dial", "Flag", "Scalar"],
)
def test_an_unusual_interface_is_no_fault(world):
    answer = check(f"Healthy{world}-v0", *UNTRAINED)
    assert "stop" not in get_severities(answer).values()
    assert answer["judged"] == list(UNTRAINED)


@pytest.mark.system
def test_rewards_for_the_state_are_found_in_noise_that_no_seed_reaches(monkeypatch):
    monkeypatch.setattr(sick_worlds, "DICE", np.random.default_rng(0))
    answer = check("HealthyStorm-v0", "dependence", share=1)
    assert "stop" not in get_severities(answer).values()
    assert answer["figures"]["dependence"]["fresh_noise"]["starts"] > 16


def test_a_reward_that_chance_never_meets_is_not_denied():
    answer = check("HealthyCombination-v0", "dependence", share=0.5)
    assert get_severities(answer) == {"reward_blind_to_action": "warn"}
    assert answer["findings"][0]["evidence"].startswith("no action that was tried changed")


@pytest.mark.parametrize("wage", [0.0, 1.0])
def test_episodes_that_were_left_do_not_show_that_no_reward_differs(monkeypatch, wage):
    monkeypatch.setattr(healthy_worlds.Patient, "wage", wage)
    answer = check("HealthyPatient-v0", "rewards", share=1)
    assert answer["findings"] == []
    symptom = "constant_reward" if wage else "zero_reward"
    assert (
        "only 0 episodes ended in the time and within 1000 steps" in answer["not_judged"][symptom]
    )


def test_a_cycle_in_step_with_the_sample_is_no_constant(monkeypatch):
    monkeypatch.setattr("tune_jobs.check.rollouts.MAX_OBSERVATIONS", 200)
    answer = check("HealthyTurns-v0", "observations", share=0.5)
    assert get_severities(answer) == {}
    assert answer["figures"]["observations"]["std_max"] is None  # the sample sees one turn of eight


def test_a_few_observations_are_not_called_constant():
    answer = check("HealthyGate-v0", "observations", share=1, look_s=0.5)
    assert get_severities(answer) == {}
    assert "steps of random play only" in answer["not_judged"]["observation_constant"]


def test_a_training_that_learns_refutes_that_nothing_can_be_learnt(monkeypatch):
    for name in PROBES:
        monkeypatch.setitem(PROBES, name, (lambda *_: ProbeResult(), 1.0, name))
    blind = ProbeResult()
    blind.add_finding("reward_blind_to_action", "warn", "no difference")
    monkeypatch.setitem(PROBES, "dependence", (lambda *_: blind, 1.0, "dependence"))
    assert set(get_severities(check("CartPole-v1"))) == {"reward_blind_to_action"}
    learnt = ProbeResult(figures={"standard_errors": 6.3, "starts": 4})
    monkeypatch.setitem(PROBES, "overfit", (lambda *_: learnt, 1.0, "overfit"))
    blind.add_finding("no_headroom_seen", "note", "no difference")
    assert get_severities(check("CartPole-v1")) == {}
    learnt.figures["fresh_errors"] = 1.2  # from other starts it is no better than random play
    assert get_severities(check("CartPole-v1")) == {"no_headroom_seen": "note"}


def test_a_hint_at_an_effect_is_no_absence_of_one(monkeypatch):
    monkeypatch.setattr(dependence, "NEGLIGIBLE", 1.0)
    monkeypatch.setattr(dependence, "HINT_P", 1.0)
    answer = check("SickCoinToss-v0", "dependence")
    assert get_severities(answer) == {}
    assert "starts with this much noise" in answer["not_judged"]["reward_blind_to_action"]


@pytest.mark.parametrize("fine", [0.0, -1.0])
def test_a_cost_of_the_end_alone_is_saved_by_no_length(monkeypatch, fine):
    monkeypatch.setattr(healthy_worlds.Fined, "fine", fine)
    assert get_severities(check("HealthyFined-v0", "episodes")) == {}


def test_an_attribute_that_ends_nothing_is_no_time_limit(monkeypatch):
    monkeypatch.setattr(sick_worlds.Endless, "max_steps", 500, raising=False)
    (finding,) = check("SickEndless-v0", "episodes")["findings"]
    assert "no limit is known" in finding["evidence"]
    assert "500" not in finding["remedy"]


def test_an_action_of_text_is_not_called_unbounded():
    answer = check("HealthySentences-v0", "headroom")
    assert get_severities(answer) == {}
    assert "an action of this kind" in answer["not_judged"]["no_headroom_seen"]


def test_the_smallest_rewards_are_compared_by_their_own_size():
    answer = check("HealthyPennies-v0", "headroom")
    assert "constant_action_beats_random" in get_severities(answer)
