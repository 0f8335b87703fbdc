"""Rule ``v_star_few_samples``: too few samples per start, and too few starts."""

import pytest
from health_runs import Metrics

from tune_jobs.health import History, diagnose
from tune_jobs.health.rules.v_star import VStarFewSamples

RULE = VStarFewSamples()


def make_history(**settings: int) -> History:
    """The first report of stage 1 of a job with these settings."""
    row = {"iteration": 0, "v_star_starts": 2, "v_star_starts_left": 30}
    return History([row], 100, settings={"reference_samples": 8, "starts": 1000} | settings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"reference_samples": 4}, None),
        ({"reference_samples": 3}, ("warn", "3 of 4 samples")),
        ({"starts": 256}, None),
        ({"starts": 255}, ("note", "255 starts")),
        ({"starts": 32}, ("note", "32 starts")),
        ({"starts": 31}, ("warn", "31 of 32 starts")),
    ],
)
def test_each_of_the_two_numbers_has_limits(settings: Metrics, expected: tuple[str, str] | None):
    finding = RULE(make_history(**settings))
    assert (finding is not None) == (expected is not None)
    if finding and expected:
        assert (finding.severity, finding.since) == (expected[0], 0)
        assert expected[1] in finding.evidence


def test_both_are_named_where_both_are_low():
    finding = RULE(make_history(reference_samples=1, starts=2))
    assert finding
    assert "1 of 4 samples" in finding.evidence
    assert "2 of 32 starts" in finding.evidence


def test_other_algorithms_are_not_judged():
    history = History([{"iteration": 1, "kl": 0.1}], 100, settings={"starts": 2})
    assert "v_star_few_samples" in diagnose(history).not_judged
