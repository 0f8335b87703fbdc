# pyright: basic
"""``rungwise check`` as a user calls it, on a simulated clock."""

from functools import partial

import pytest
import sick_worlds  # noqa: F401 (registers its worlds)
from checks import DAY_S
from command_line import answer, call
from stepping_clock import SteppingClock

from tune_jobs.check import check_target, run_probes
from tune_jobs.check.check_target import load_check_target
from tune_jobs.check.run_probes import examine


@pytest.fixture(autouse=True)
def simulated_clock(monkeypatch):
    def load(*words, **cases):
        target = load_check_target(*words, **cases)
        target.clock = SteppingClock(look_s=0.002)
        return target

    monkeypatch.setattr(check_target, "load_check_target", load)
    monkeypatch.setattr(run_probes, "examine", partial(examine, overrun_s=DAY_S))


def test_a_broken_environment_fails_with_a_remedy(tmp_path):
    done = call("check", "SickBrokenSampler-v0", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "cannot be trained on as it is: reward_blind_to_action." in done.stderr
    assert "whether the reward depends on the actions (up to 16 s)" in done.stderr
    told = answer(done)
    first = told["findings"][0]
    assert first.keys() == {"symptom", "severity", "since", "evidence", "remedy"}
    assert (first["symptom"], first["severity"]) == ("reward_blind_to_action", "stop")
    assert {"conformance", "dependence", "headroom"} <= set(told["judged"])
    assert "before reward_blind_to_action is fixed" in told["not_judged"]["overfit"]
    assert told["figures"]["conformance"]["violations"] == 0


@pytest.mark.system
def test_a_healthy_environment_is_shown_probe_by_probe(tmp_path):
    done = call("check", "CartPole-v1", "--algo", "reinforce", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "variance by actions, same randomness 1" in " ".join(done.stdout.split())
    assert "probes found no fault" in done.stdout
    assert not any(line.endswith(" ") for line in done.stdout.splitlines())
