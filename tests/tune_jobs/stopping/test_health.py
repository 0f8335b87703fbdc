# pyright: basic, reportArgumentType=false, reportOptionalMemberAccess=false
"""A finding of severity stop ends a trial."""

from types import SimpleNamespace

import pytest

from tune_jobs.health import Finding
from tune_jobs.stopping.health import stop_unhealthy_trial

WARNING = Finding("dead_units", "warn", 2, "half of them")
STOP = Finding("not_finite", "stop", 3, "3 losses")


def judge(*findings, comparison=""):
    observation = SimpleNamespace(findings=findings, compare_with_siblings=lambda _: comparison)
    return stop_unhealthy_trial(observation)


@pytest.mark.parametrize("findings", [(), (WARNING,)])
def test_a_warning_ends_no_trial(findings):
    assert judge(*findings) is None


def test_a_stop_ends_a_trial_with_its_evidence():
    verdict = judge(WARNING, STOP)
    assert (verdict.reason, verdict.sentence) == ("health", "not_finite: 3 losses")
    assert judge(STOP, comparison="all 3 trials").sentence == "not_finite: 3 losses; all 3 trials"
