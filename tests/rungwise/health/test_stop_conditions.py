# pyright: basic, reportOptionalMemberAccess=false
"""When a stop that a rule asks for is granted."""

import math
from dataclasses import replace

import pytest
from health_runs import history, make_rows

from rungwise.health import RULES, History, diagnose
from rungwise.health.diagnosis import SHORTEST, StopConditions

SICK = {"entropy": 0.001, "entropy_normalised": 0.001}
CONDITIONS = StopConditions()


def flat(n, every=1):
    """A score without progress, measured in every so many rows."""
    return [math.sin(3.0 * i) if i % every == 0 else None for i in range(n)]


def stopped_at(n, every=1):
    """The first iteration at which a run with a budget of n iterations is ended."""
    rows = make_rows(n, score=flat(n, every), **SICK)
    stops = (i for i in range(1, n + 1) if diagnose(History(rows[:i], n)).stop)
    return next(stops, None)


def test_a_sick_run_is_stopped_from_the_shortest_budget_on():
    assert stopped_at(SHORTEST) is not None
    assert stopped_at(SHORTEST - 1) is None


def test_a_run_too_short_to_judge_is_warned_about():
    short = history(10, 10, score=flat(10), **SICK)
    found = {f.symptom: f.severity for f in diagnose(short).findings}
    assert found["no_improvement"] == "warn" and "stop" not in found.values()


def test_a_short_run_that_is_not_finite_is_stopped():
    short = history(3, 9, score=1.0, nonfinite=[0.0, 0.0, 1.0])
    assert diagnose(short).stop


def test_copies_of_one_score_confirm_nothing():
    # Eight scores in 80 rows: the rule asks for a stop at the eighth, and again in the rows up to
    # the ninth, which have measured nothing new.
    known = history(90, 90, score=flat(90, every=10), **SICK)
    rule = RULES["entropy_collapse"]
    eighth = known.without_last(10)
    assert eighth.progress.improved is False and rule(eighth).severity == "stop"
    assert not CONDITIONS.allows_stop(rule, eighth)
    assert CONDITIONS.allows_stop(rule, known)
    assert stopped_at(90, every=10) == 81


@pytest.mark.parametrize("every", [20, 50])
def test_too_few_scores_stop_nothing(every):
    # A healthy run at its optimum from the first of five held-out scores on is not called sick.
    assert stopped_at(100, every) is None


@pytest.mark.parametrize(("every", "severity"), [(5, "stop"), (6, "warn")])
def test_few_scores_alone_stop_nothing_in_a_long_budget(every, severity):
    # 31 scores in 151 iterations, or 26.
    scores = [101.0 - (i % 2) for i in range(151)]
    known = history(151, score=[None if i % every else score for i, score in enumerate(scores)])
    assert [(f.symptom, f.severity) for f in diagnose(known).findings] == [
        ("no_improvement", severity)
    ]


def test_the_shortest_budget_can_be_changed():
    rule, short = RULES["entropy_collapse"], history(15, 15, score=flat(15), **SICK)
    assert not CONDITIONS.allows_stop(rule, short)
    assert replace(CONDITIONS, shortest=10).allows_stop(rule, short)


def test_a_stop_by_the_score_alone_is_a_note_while_the_score_rises():
    """A rule that reads other metrics, too, still warns."""
    rising = [1.0] * 60 + [1.0 + 0.01 * i for i in range(40)]
    run = history(100, 100, score=rising, **SICK)
    asks = {"__call__": lambda rule, _: rule.report("stop", 1, "")}
    for symptom, severity in (("no_improvement", "note"), ("entropy_collapse", "warn")):
        always = type("Always", (type(RULES[symptom]),), asks)()
        (found,) = diagnose(run, rules={symptom: always}).findings
        assert run.progress.rising and found.severity == severity
