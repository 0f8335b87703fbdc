# pyright: basic
"""Actions that reach the environment other than they were stored are found."""

import numpy as np
import pytest
from checks import check, get_only_evidence, get_severities

from tune_jobs.check.check_target import load_check_target


@pytest.mark.parametrize("env", ["SickTargets-v0", "CausalLearning-v0"])
def test_actions_that_arrive_as_stored_are_left_alone(env):
    answer = check(env, "actions")
    assert get_severities(answer) == {}
    assert answer["figures"]["actions"]["steps"] > 0


def test_an_action_altered_on_its_way_is_found(monkeypatch):
    target = load_check_target("SickTargets-v0")
    make_runner = target.make_runner

    def make_altering_runner(config):
        runner = make_runner(config)
        step = runner.env.step
        runner.env.step = lambda actions: step(1 - np.asarray(actions))
        return runner

    monkeypatch.setattr(target, "make_runner", make_altering_runner)
    evidence = get_only_evidence(check(target, "actions"), "action_altered")
    figures = check(target, "actions")["figures"]["actions"]
    assert figures["altered"] == figures["steps"]
    assert f"in {figures['steps']} of" in evidence
