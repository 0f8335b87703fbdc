# pyright: basic
"""Every planted fault is found by its name, and healthy environments are left in peace."""

import dataclasses
import time

import pytest
import sick_worlds
from checks import UNTRAINED, check, get_only_evidence, get_severities, list_serious
from masked_games import FORMS
from stepping_clock import SteppingClock

from algos import ALGORITHMS
from algos.ppo import PPO
from envs.contract.violations import TimeUpError
from tune_jobs.check import run_probes
from tune_jobs.check.check_target import CheckTarget, load_check_target
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.run_probes import PROBES, examine

pytestmark = pytest.mark.system

HEALTHY = (
    "CausalLearning-v0",
    "CartPole-v1",
    "Acrobot-v1",
    "Pendulum-v1",
    "FrozenLake-v1",
    "Blackjack-v1",
    "SickTargets-v0",
    "SickNoisy-v0",
    "SickMasked-v0",
)


@pytest.mark.parametrize("env", HEALTHY)
def test_a_healthy_environment_is_left_in_peace(env):
    answer = check(env, *UNTRAINED)
    assert list_serious(answer) == []
    assert answer["judged"] == list(UNTRAINED)


@pytest.mark.parametrize(
    ("world", "symptom", "severity"),
    [
        ("Unseeded", "same_seed", "warn"),
        ("Blindfolded", "observation_constant", "warn"),
        ("Broke", "zero_reward", "warn"),
        ("Always", "constant_reward", "warn"),
    ],
)
def test_a_planted_fault_is_found_and_nothing_else_is(world, symptom, severity):
    answer = check(f"Sick{world}-v0", *UNTRAINED)
    told = {f["symptom"]: f["severity"] for f in list_serious(answer)}
    assert told.pop(symptom) == severity
    assert told.keys() <= {"gymnasium_check"}  # which notices missing seeds as well


def test_an_environment_that_ignores_its_seed_is_trained_all_the_same():
    answer = check("SickUnseededSight-v0", "conformance", "determinism", "overfit", share=1)
    assert set(get_severities(answer)) == {"same_seed", "gymnasium_check"}
    assert answer["judged"] == ["conformance", "determinism", "overfit"]
    assert "stop" not in get_severities(answer).values()


@pytest.mark.parametrize("world", ["BrokenSampler", "PaidByTheClock"])
def test_rewards_blind_to_actions_are_found_and_nothing_else_is(world):
    others = [name for name in UNTRAINED if name != "dependence"]
    assert list_serious(check(f"Sick{world}-v0", *others)) == []
    answer = check(f"Sick{world}-v0", "dependence", share=1)
    get_only_evidence(answer, "reward_blind_to_action")


@pytest.mark.parametrize("algo", ["reinforce", "grpo", "dpo", "astar_po"])
def test_every_algorithm_can_be_checked(algo):
    answer = check(
        load_check_target("SickTargets-v0", algo), "sampler", "actions", "gradients", "overfit"
    )
    assert list_serious(answer) == []
    assert set(answer["judged"]) == {"sampler", "actions", "gradients", "overfit"}
    if algo == "astar_po":
        assert "learns in stages" in answer["not_judged"]["gradients"]


def test_a_probe_that_fails_does_not_hide_what_the_others_found(monkeypatch):
    monkeypatch.setitem(PROBES, "observations", (divmod, 1.0, "what is seen"))
    answer = check("SickMillions-v0", "observations", "rewards")
    assert answer["judged"] == ["rewards"]
    assert answer["not_judged"]["observations"].startswith("TypeError: unsupported operand")
    assert answer["not_judged"].keys() == {"observations"}


def test_an_environment_that_raises_is_shown_with_its_line():
    answer = check("SickLate-v0", *UNTRAINED)
    (finding,) = list_serious(answer)
    assert (finding["symptom"], finding["severity"]) == ("raises", "stop")
    assert "LookupError: no shelf 9" in finding["evidence"]
    assert "sick_worlds.py:" in finding["evidence"]
    assert "the environment is broken" in answer["not_judged"]["headroom"]


def test_spaces_that_no_policy_can_read_are_a_reason_to_stop():
    answer = check("SickProverbs-v0")
    assert get_severities(answer)["cannot_start"] == "stop"
    assert "overfit" in answer["not_judged"]
    assert "dependence" in answer["judged"]


def test_the_evidence_is_the_sentence_with_which_training_is_refused():
    answer = check("bad_worlds:Odd-text-v0", "conformance", "observations", "sampler")
    words = "The part 'note' of the observation is Text"
    assert words in get_only_evidence(answer, "cannot_start")


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize(
    "env", ["envs:CausalLearning-v0", "SickLevers-v0", "Pendulum-v1", "SickMasked-v0"]
)
def test_algorithms_have_no_finding_in_credit_and_gradients(env, algo):
    answer = check(load_check_target(env, algo), "credit", "gradients", share=0.25)
    assert get_severities(answer) == {}
    assert set(answer["judged"]) == {"credit", "gradients"}
    assert answer["figures"]["credit"]["tried"] > 20
    assert ("gradients" in answer["not_judged"]) == (algo == "astar_po")


@pytest.mark.parametrize("form", FORMS)
def test_masks_of_every_form_are_obeyed_by_every_probe(form):
    # The game raises at every illegal move.
    answer = check(f"masked_games:Game-{form}-v0", *PROBES)
    assert list_serious(answer) == []
    assert answer["judged"] == list(PROBES)
    assert "not_learnt_quickly" not in get_severities(answer)


def test_several_masked_choices_pass_the_sampler():
    target = load_check_target("masked_games:Game-info-v0", env_kwargs={"kind": "several"})
    answer = check(target, "sampler", "actions", "gradients")
    assert get_severities(answer) == {}
    assert answer["figures"]["sampler"]["illegal"] == 0


def test_a_mask_that_allows_nothing_is_a_reason_to_stop():
    answer = check("masked_games:Game-wrong-v0")
    assert get_severities(answer) == {"mask_invalid": "stop"}
    assert answer["not_judged"]["overfit"] == "the environment is broken: mask_invalid"


def test_a_step_that_never_returns_is_cut_off_and_placed(monkeypatch):
    monkeypatch.setattr(run_probes, "STUCK_S", 0.0)
    answer = check("SickWaiting-v0")
    assert get_severities(answer) == {"does_not_return": "stop"}
    assert "sick_worlds.py:" in answer["not_judged"]["conformance"]
    assert answer["not_judged"]["headroom"] == "calls of the environment take too long"


def test_a_slow_environment_is_not_called_stuck(monkeypatch):
    clock = SteppingClock()
    monkeypatch.setattr(sick_worlds.Tortoise, "clock", clock)
    monkeypatch.setattr(run_probes, "TOTAL_S", 4.0)
    target = load_check_target("SickTortoise-v0")
    answer = examine(dataclasses.replace(target, clock=clock), 0.05)
    assert "does_not_return" not in get_severities(answer)
    assert "conformance" in answer["judged"]
    assert answer["not_judged"]["random_play"] == "there was time for only 1 of its steps"
    assert "no time" in answer["not_judged"]["same_seed"]


def test_probes_share_the_time_of_a_check(monkeypatch):
    monkeypatch.setattr(run_probes, "TOTAL_S", -1.0)
    answer = check("CartPole-v1", *PROBES)
    assert answer["judged"] == []
    assert set(answer["not_judged"]) == set(PROBES)


@pytest.mark.parametrize(
    ("algorithm", "left_out"),
    [(None, set(run_probes.OF_CODE)), (type("Mine", (PPO,), {"__module__": "mine"}), set())],
)
def test_only_code_that_is_not_ours_is_examined_unasked(algorithm, left_out, monkeypatch):
    for name in PROBES:
        monkeypatch.setitem(PROBES, name, (lambda *_: ProbeResult(), 1.0, name))
    answer = check(CheckTarget("CartPole-v1", algorithm=algorithm))
    assert set(PROBES) - set(answer["judged"]) == left_out
    assert answer["not_judged"] == {}


def test_a_time_limit_outlasts_code_that_swallows_exceptions():
    def stubborn():
        while True:
            try:
                time.sleep(60)
            except Exception:
                continue

    with pytest.raises(TimeUpError), run_probes.time_limit(0.2):
        stubborn()
    with run_probes.time_limit(60.0):
        pass
