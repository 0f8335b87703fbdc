"""Rule ``no_improvement``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import numpy as np
import pytest
from health_runs import (
    Metrics,
    assert_starts_at,
    flat,
    history,
    rising,
    scores_with_tau,
    seen,
    severity,
)

from tune_jobs.health import History
from tune_jobs.health.rules.scores import NoImprovement

RULE = NoImprovement()


@pytest.mark.parametrize("budget", [27, 100, 300])
def test_a_dead_run_is_found(budget: int):
    score = [1.0, 1.2, *([1.1] * budget)]
    warned, stopped = math.ceil(budget * 0.75), math.ceil(budget * 0.8)
    assert seen(RULE, warned, budget, score=score) == ("warn", 2)
    assert seen(RULE, stopped, budget, score=score) == ("stop", 2)


def test_the_evidence_names_the_best_score_as_the_user_knows_it():
    rows = history(30, cost=[3.0, 2.5, *([3.0] * 28)]).rows
    finding = RULE(History(rows, 30, "cost", "min"))
    assert finding
    assert "the best cost (2.5, iteration 2)" in finding.evidence


def test_a_best_whose_square_overflows_is_the_best():
    finding = RULE(History(history(30, score=[-1e300, 1e300] * 15).rows, 30))
    assert finding and "the best score (1e+300, iteration 2)" in finding.evidence


def test_a_converged_run_is_healthy():
    assert seen(RULE, 300, score=[*rising(50), *([1.0] * 250)]) is None


def test_a_slow_run_that_tends_upwards_is_healthy():
    assert seen(RULE, 100, score=np.linspace(1.0, 1.04, 100).tolist()) is None


def test_a_late_start_is_healthy():
    # Flat for 41 % of the run, as one healthy DQN run was.
    score = [*flat(41, 1.0, 0.02), *np.linspace(1.0, 5.0, 59).tolist()]
    for n in range(60, 101):
        assert seen(RULE, n, 100, score=score) is None


def test_a_record_of_late_puts_it_off():
    score = [1.0] * 60
    score[50] = 1.5
    assert seen(RULE, 60, 100, score=score) is None


def test_a_lucky_iteration_of_few_episodes_is_no_best():
    score = flat(60, 1.0, 0.1, seed=1)
    score[45] = 2.0
    few: Metrics = {"episodes": lambda i: 1 if i == 46 else 10}
    assert seen(RULE, 60, score=score, **few) == ("stop", 2)
    # With as many episodes as the others have it is a record, and it is too early to say.
    assert seen(RULE, 60, score=score, episodes=20) is None


def test_nothing_is_said_before_any_score_has_enough_episodes():
    assert seen(RULE, 40, 100, score=1.0, episodes=lambda i: float(i % 4 == 0)) is None
    assert seen(RULE, 60, 60, score=1.0, episodes=1) == ("stop", 20)


def test_rows_without_a_score_are_left_out():
    score = [math.nan if i % 3 == 0 else 1.0 for i in range(60)]
    assert seen(RULE, 60, score=score) == ("stop", 2)


def spiked(n: int, row: int, size: float = 1.0) -> list[float]:
    """A constant score with one higher value."""
    return [1.0 + size * (i == row) for i in range(1, n + 1)]


def test_a_best_of_twenty_episodes_counts():
    for episodes, since in ((20, 30), (19, 31)):  # fewer are pooled with the next row
        counts: Metrics = {"episodes": lambda i, e=episodes: e if i == 30 else 100}
        assert seen(RULE, 60, score=spiked(60, 30), **counts) == ("stop", since)


def test_a_best_is_beaten_by_more_than_one_percent():
    assert seen(RULE, 60, score=spiked(60, 30, 0.0105)) == ("stop", 30)
    assert seen(RULE, 60, score=spiked(60, 30, 0.0095)) == ("stop", 1)


def test_the_best_must_stand_for_the_patience():
    assert severity(RULE, 90, 100, score=spiked(90, 70)) == "stop"
    assert severity(RULE, 90, 100, score=spiked(90, 71)) is None
    assert severity(RULE, 30, 30, score=spiked(30, 21)) == "stop"
    assert severity(RULE, 30, 30, score=spiked(30, 22)) is None


@pytest.mark.parametrize(("tau", "expected"), [(0.19, "stop"), (0.21, None)])
def test_a_score_that_tends_upwards_clears_it(tau: float, expected: str | None):
    assert severity(RULE, 60, score=scores_with_tau(60, tau)) == expected


def test_it_waits_for_thirty_rows_and_two_fifths_of_the_budget():
    assert_starts_at(RULE, 30, 70, score=1.0)
    assert_starts_at(RULE, 40, 100, score=1.0)
    assert severity(RULE, 79, 100, score=1.0) == "warn"
    assert severity(RULE, 80, 100, score=1.0) == "stop"


def test_a_lucky_row_late_in_noise_is_no_improvement():
    late = [*flat(34), 1.2, *flat(5, seed=1)]  # the best by 5 %, within the noise
    assert seen(RULE, 40, score=late) is not None
    assert seen(RULE, 40, score=[*flat(34), *flat(6, 2.0)]) is None


def test_a_trend_equal_to_the_threshold_does_not_excuse():
    runs = history(30, score=[1.0, 1.2, *([1.1] * 28)])
    assert NoImprovement(tau=runs.trend)(runs)
    assert NoImprovement(tau=runs.trend - 1e-9)(runs) is None


def test_a_run_that_has_improved_and_fell_back_in_part_is_left_alone():
    """Its gain inflates the noise, within which nothing later can beat its best."""
    scores = [*flat(20, 0.0, 0.05), *flat(20, 1.0, 0.05), *flat(40, 0.4, 0.05)]
    assert seen(RULE, 80, 100, score=scores) is None


def test_a_solved_run_that_falls_to_its_start_for_a_while_is_left_alone():
    solved = [*np.linspace(0.05, 0.92, 12), *flat(48, 0.957, 0.003)]
    score = [*solved, *flat(10, 0.0, 0.003), *flat(27, 0.957, 0.003)]
    for n in range(40, 98):
        assert seen(RULE, n, 97, score=score) is None
    # Without a look at earlier checks it would be ended.
    assert history(90, 97, score=score).improved is False
