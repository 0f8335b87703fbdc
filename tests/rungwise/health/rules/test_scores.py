"""Rules that judge the score alone: sick and healthy courses, each threshold, warm-up and NaN."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from health_runs import Case, case, flat, history, rising, scores_with_tau

from rungwise.health import RULES, History
from rungwise.health.improvement import is_at_ceiling

RISE = [*np.linspace(20.0, 500.0, 44), *[500.0] * 6]
SOLVED = [*np.linspace(0.05, 0.92, 12), *flat(48, 0.957, 0.003)]


def course(symptom: str, expected: Any, score: Sequence[float], budget: int | None = None) -> Case:
    """A run that has only this score, one of each row."""
    return case(symptom, expected, {}, len(score), budget, score)


def spiked(n: int, row: int, size: float = 1.0) -> list[float]:
    """A constant score with one higher value."""
    return [1.0 + size * (i == row) for i in range(1, n + 1)]


def fallen(before: float, after: float, rows: int = 60, late: int = 30, noise: float = 0.0):
    """One level, then another, with a noise that alternates."""
    levels = [before] * (rows - late) + [after] * late
    return [level + noise * (-1) ** i for i, level in enumerate(levels)]


def stuck(rows: int, level: float = 5.0) -> list[float]:
    """A score that rises with noise, and is one number from the row after on."""
    return [*(2.0 + 8.0 * i / rows + 1.5 * (-1) ** i for i in range(rows)), *[level] * (60 - rows)]


LATE_START = [*flat(41, 1.0, 0.02), *np.linspace(1.0, 5.0, 59).tolist()]
"""Flat for 41 % of the run, as one healthy DQN run was."""
FALLS_FOR_A_WHILE = [*SOLVED, *flat(10, 0.0, 0.003), *flat(27, 0.957, 0.003)]
BELOW_ITS_START = [20.0, 19.5, 16.0, 13.0, *flat(40, 9.0, 0.2)]
AT_ITS_PATIENCE = [20.0, 20.1, 19.9, *([2.0] * 6)]
"""Of a budget of 60 the patience is six rows, and three define the start."""
DIP = [*rising(30, 60, 230, 3), *flat(5, 70.0, 3.0), *flat(25, 208.0, 3.0)]
LUCKY = [2.0 if i == 45 else s for i, s in enumerate(flat(60, 1.0, 0.1, seed=1))]

CASES = [
    *(
        case("no_improvement", (severity, 2), {}, n, budget, [1.1, 1.12, *([1.1] * budget)])
        for budget in (40, 100, 300)
        for n, severity in ((math.ceil(budget * 0.75), "note"), (math.ceil(budget * 0.8), "stop"))
    ),
    # Converged, slowly rising, late and record-breaking runs are healthy.
    course("no_improvement", None, [*rising(50), *([1.0] * 250)]),
    course("no_improvement", None, np.linspace(1.0, 1.04, 100).tolist()),
    *(course("no_improvement", None, LATE_START[:n], 100) for n in range(60, 101)),
    course("no_improvement", None, [*([1.0] * 50), 1.5, *([1.0] * 9)], 100),
    # A lucky iteration of few episodes is no best; with as many as the others have it is one.
    case(
        "no_improvement", ("warn", 2), {"episodes": lambda i: 1 if i == 46 else 10}, 60, None, LUCKY
    ),
    case("no_improvement", None, {"episodes": 20}, 60, None, LUCKY),
    # Nothing is said before any score has enough episodes.
    case("no_improvement", None, {"episodes": lambda i: float(i % 4 == 0)}, 40, 100, 1.0),
    # Few long episodes say too little: 200 are ten pools.
    case("no_improvement", None, {"episodes": 1}, 60, 60, 1.0),
    case("no_improvement", None, {"episodes": 4}, 49, 49, 1.0),
    case("no_improvement", ("warn", 5), {"episodes": 4}, 50, 50, 1.0),
    course("no_improvement", ("warn", 2), [math.nan if i % 3 == 0 else 1.0 for i in range(60)]),
    # A best of twenty episodes counts; fewer are pooled with the next row.
    *(
        case(
            "no_improvement",
            ("warn", since),
            {"episodes": lambda i, e=episodes: e if i == 30 else 100},
            *(60, None, spiked(60, 30)),
        )
        for episodes, since in ((20, 30), (19, 31))
    ),
    # A best is beaten by more than one percent, and must stand for the patience.
    course("no_improvement", ("stop", 30), spiked(60, 30, 0.0105)),
    course("no_improvement", ("stop", 1), spiked(60, 30, 0.0095)),
    course("no_improvement", "note", spiked(90, 70), 100),
    course("no_improvement", None, spiked(90, 71), 100),
    course("no_improvement", "warn", spiked(30, 21), 30),
    course("no_improvement", None, spiked(30, 22), 30),
    course("no_improvement", "warn", scores_with_tau(60, 0.19)),
    # Not in a dip, after which a run that has no more than noise has risen.
    course("no_improvement", "note", [1.1, 1.12, *[1.1] * 78, *[1.09] * 14], 100),
    course("no_improvement", "stop", [1.1, 1.12, *[1.1] * 78, *[1.09] * 5, *[1.1] * 10], 100),
    # Nor where the later half rises.
    course("no_improvement", "note", [*np.linspace(3, 1, 60), *np.linspace(1, 2, 30)], 100),
    course("no_improvement", None, scores_with_tau(60, 0.21)),
    # What is constant may be found late: that is for constant_reward.
    course("no_improvement", "note", [1.0] * 99, 100),
    course("no_improvement", "stop", [1.001, *[1.0] * 79], 100),
    # The best by 5 % in a late row is within the noise.
    course("no_improvement", "warn", [*flat(34), 1.2, *flat(5, seed=1)]),
    course("no_improvement", None, [*flat(34), *flat(6, 2.0)]),
    # A gain inflates the noise, within which nothing later can beat the best.
    course(
        "no_improvement",
        None,
        [*flat(20, 0.0, 0.05), *flat(20, 1.0, 0.05), *flat(40, 0.4, 0.05)],
        100,
    ),
    *(course("no_improvement", None, FALLS_FOR_A_WHILE[:n], 97) for n in range(40, 98)),
    # A score far below its start is noted early, and warned about after half of the budget.
    course("performance_collapse", None, BELOW_ITS_START[:9], 60),
    course("performance_collapse", ("note", 5), BELOW_ITS_START[:10], 60),
    course("performance_collapse", ("note", 5), BELOW_ITS_START[:33], 60),
    course("performance_collapse", ("warn", 5), BELOW_ITS_START[:34], 60),
    course("performance_collapse", None, AT_ITS_PATIENCE[:8], 60),
    course("performance_collapse", ("note", 4), AT_ITS_PATIENCE, 60),
    # A dip of most of the gain that recovers is healthy, and so is half of it.
    *(course("performance_collapse", None, DIP[:n], 60) for n in range(1, 61)),
    course("performance_collapse", None, [*rising(30, 20, 200, 3), *flat(30, 110.0, 10.0)]),
    course("performance_collapse", None, [20.0, 20.0, 1.0, 1.0, 1.0], 60),
    course("performance_collapse", None, [math.nan] * 30),
    # Four standard deviations are 8.4.
    course("performance_collapse", "warn", fallen(20, 20 - 9.3, noise=1)),
    course("performance_collapse", None, fallen(20, 20 - 8.8, noise=1)),
    course("performance_collapse", "warn", fallen(20, 13.9)),
    course("performance_collapse", None, fallen(20, 14.1)),
    course("performance_collapse", "warn", [20.0] * 10 + [100.0] * 20 + [35.0] * 30),
    course("performance_collapse", None, [20.0] * 10 + [100.0] * 20 + [37.0] * 30),
    course("performance_collapse", "warn", fallen(20, 9, late=6)),
    course("performance_collapse", None, fallen(20, 9, late=5)),
    course("performance_collapse", "warn", fallen(20, 9, rows=10, late=3)),
    course("performance_collapse", None, fallen(20, 9, rows=10, late=2)),
    # A score of one number for half of the scores, where many of those before were better.
    course("performance_collapse", ("warn", 31), stuck(30)),
    course("performance_collapse", ("note", 31), stuck(30), 200),
    course("performance_collapse", None, stuck(30)[:49], 60),
    course("performance_collapse", None, [*stuck(30)[:59], 5.1]),
    course("performance_collapse", None, stuck(31)),
    # Not at its ceiling, where it has converged, at zero, or of few values.
    course("performance_collapse", None, stuck(30, 12.0)),
    course("performance_collapse", None, stuck(30, 8.0)),
    course("performance_collapse", None, [s - 5.0 for s in stuck(30)]),
    course("performance_collapse", None, [*[4.0, 8.0, 6.0, 8.0] * 7, *[5.0] * 32]),
    course("performance_collapse", None, [500.0] * 60),
    # A tenth of the gain must be lost: 480 less the mean of the first three scores.
    course("fell_from_best", "note", [*RISE, *[300.0] * 3]),
    course("fell_from_best", "note", [*RISE, *[450.0] * 3]),
    course("fell_from_best", None, [*RISE, *[455.0] * 3]),
    course("fell_from_best", None, [*RISE, *[500.0] * 3]),
    # A fall that no digit shows, one that may recover, and a collapse, which has a rule of its own.
    course("fell_from_best", None, [1000 + 1e-3 * value for value in [*RISE, *[300.0] * 3]]),
    course("fell_from_best", None, [*RISE, *[300.0] * 10], 61),
    course("fell_from_best", None, [*RISE, *[21.0] * 10]),
    # Without a gain there is nothing to lose, and few scores say nothing.
    course("fell_from_best", None, [*flat(30, 20.0, 1.0), *flat(30, 18.0, 1.0)]),
    course("fell_from_best", None, [1.0, 9.0, 9.0, 9.0, 1.0]),
    course("fell_from_best", None, [math.nan] * 10),
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


@pytest.mark.parametrize(
    ("symptom", "make_score", "seeds", "ends"),
    [
        ("performance_collapse", lambda seed: flat(60, 20.0, 6.0, seed), 20, range(1, 61)),
        (
            "fell_from_best",
            lambda seed: [*rising(20, 20, 480, 3), *flat(60, 480.0, 40.0, seed)],
            100,
            [80],
        ),
    ],
)
def test_noise_is_no_fall(symptom: str, make_score: Any, seeds: int, ends: Sequence[int]):
    for seed in range(seeds):
        score = make_score(seed)
        for n in ends:
            assert RULES[symptom](history(n, len(score), score=score)) is None


def test_a_fall_is_left_alone_for_the_sake_of_earlier_checks():
    # Without a look at these the run would be ended.
    assert history(90, 97, score=FALLS_FOR_A_WHILE).progress.improved is False


COSTS = [3.0, 2.5, *([3.0] * 28)]


@pytest.mark.parametrize(
    ("symptom", "run", "words"),
    [
        (
            "no_improvement",
            History(history(30, cost=COSTS).rows, 30, "cost", "min"),
            "the last clear record of cost (2.5, iteration 2)",
        ),
        # The square of this best overflows.
        (
            "no_improvement",
            history(30, score=[-1e300, 1e300] * 15),
            "the last clear record of score (1e+300, iteration 2)",
        ),
        # Sums of these overflow.
        (
            "no_improvement",
            history(30, score=[-1.7e308, 1.7e308, *[-1.6e308] * 28]),
            "the last clear record of score (1e+300, iteration 2)",
        ),
        (
            # The level of 1.22 lies 1.7 % above the record of 1.2, less than the noise.
            "no_improvement",
            history(30, score=[1.0, 1.2, *[1.1, 1.22] * 14]),
            "1.2, iteration 2) has not been beaten by 1% and one standard deviation of the scores "
            "for 28 iterations",
        ),
        (
            "performance_collapse",
            history(40, 60, score=[*rising(30, 20, 200, 3), *flat(30, 25.0, 3.0)]),
            "score went from 201 at its best to 24.7 and has stayed there since iteration 31",
        ),
        (
            "fell_from_best",
            history(60, score=[*RISE, *np.linspace(485.0, 348.0, 10)]),
            "score ended at 363.2, worse than its best, 500 at iteration 46 (means of 3 scores)",
        ),
    ],
)
def test_the_evidence_has_the_scores_as_the_user_knows_them(symptom: str, run: History, words: str):
    finding = RULES[symptom](run)
    assert finding and words in finding.evidence


def test_of_a_cost_a_fall_is_a_gain():
    collapse, fell = RULES["performance_collapse"], RULES["fell_from_best"]
    cost = [{"score": -score} for score in rising(60, -50, -10)]
    assert collapse(History(cost, 60, mode="min")) is None
    finding = collapse(History(cost[::-1], 60, mode="min"))
    assert (
        finding and "went from 10" in finding.evidence and "at its start to 4" in finding.evidence
    )
    risen = History([{"score": -value} for value in [*RISE, *[300.0] * 3]], 53, mode="min")
    found = fell(risen)
    assert found and found.severity == "note"
    assert fell(History([{"score": value} for value in reversed(RISE)], 50, mode="min")) is None


def survivors(levels: Sequence[float], lengths: Sequence[float], **columns: Any) -> History:
    """A run of one return in each row, and its first rows, which are of other episodes."""
    rows = [
        {"return_mean": level, "episode_length": length, "env_steps": 4096.0 * i}
        for i, (level, length) in enumerate(zip(levels, lengths, strict=True), start=1)
    ]
    for row in rows:
        row["episodes"] = 4096 / row["episode_length"]
        row |= {name: value for name, value in columns.items() if row["env_steps"] < 4096 * 6}
    return History(rows, len(rows), "return_mean", has_ended=True)


FIRST = [9.0, 9.0, 8.7, 7.2, 4.0]
SHORT = [25.0, 70.0, 140.0, 260.0, 300.0]
LEVEL = flat(55, 2.5, 0.2)


def test_episodes_that_ended_at_once_are_no_start():
    lengths = [*SHORT, *[460.0] * 55]
    collapse = RULES["performance_collapse"]
    counted = survivors([*FIRST, *LEVEL], lengths, episodes=3.0)
    no_lengths = [{**row, "episode_length": math.nan} for row in counted.rows]
    for run in (
        survivors([*FIRST, *LEVEL], lengths),
        counted,
        History(no_lengths, 60, "return_mean", has_ended=True),
    ):
        assert run.progress.settled_rows[0] == 5
        assert collapse(run) is None
        assert RULES["fell_from_best"](run) is None
    rise = [*FIRST, *np.linspace(2.5, 7.5, 55)]
    assert survivors(rise, lengths).progress.improved
    assert survivors(rise, [100.0] * 60).progress.improved is False


def test_a_mean_of_few_episodes_is_no_start_where_others_are_of_100():
    # 4 episodes more in each row: the first was lucky, and the means forget it.
    score = [11.0, *np.linspace(-1.0, -20.0, 19), *flat(120, -20.0, 0.2)]
    rows = [{"return_mean_100": value, "episodes": 4.0} for value in score]
    run = History(rows, len(rows), "return_mean_100", has_ended=True, is_smoothed=True)
    assert run.progress.settled_rows[0] == 18
    assert RULES["performance_collapse"](run) is None
    assert RULES["performance_collapse"](History(rows, len(rows), run.score, has_ended=True))


def test_a_fall_from_the_start_is_found_as_before():
    collapse = RULES["performance_collapse"]
    # Nearly all steps are those of episodes that ended, or the episodes are no longer later on.
    counted = survivors([*FIRST, *LEVEL], [*SHORT, *[460.0] * 55], episodes=14.0)
    for run in (counted, survivors([*FIRST, *LEVEL], [200.0] * 60)):
        found = collapse(run)
        assert found and found.severity == "warn" and "at its start" in found.evidence
        assert run.progress.settled_rows[0] == 0
    # At most a fifth of the rows is left out, and a better policy's first rows are its start.
    slow = survivors(np.linspace(9.0, 2.0, 60).tolist(), np.linspace(20.0, 500.0, 60).tolist())
    assert slow.progress.settled_rows[0] == 12
    assert collapse(slow)
    assert (
        survivors(
            np.linspace(2.0, 9.0, 60).tolist(), np.linspace(20.0, 500.0, 60).tolist()
        ).progress.settled_rows[0]
        == 0
    )


def test_the_scatter_of_few_episodes_is_no_fall():
    score = [*RISE, *[400.0] * 3]
    for std, is_fall in ((200.0, False), (20.0, True)):
        rows = [{"episodes": 4, "return_std": std, "return_mean": value} for value in score]
        found = RULES["fell_from_best"](History(rows, 53, "return_mean"))
        assert (found is not None) == is_fall


AT_CEILING = [1000.0] * 9 + [940.0]
"""A task that is solved from the start, but for an evaluation now and then."""


@pytest.mark.parametrize(
    ("scores", "is_solved"),
    [
        (AT_CEILING * 10, True),
        ([1000.0] * 19 + [900.0, *[1000.0] * 80], False),  # fewer than 5 % are worse
        ([-200.0] * 100, False),  # equal all the time: a reward that is never found
        ([-200.0] * 90 + [-150.0] * 10, False),  # the most frequent score is not the best
        ([1.0, 0.0] * 50, False),  # two scores by chance
        ([1000.0] * 60 + [500.0 + i for i in range(40)], False),  # lost since then
    ],
)
def test_a_ceiling_is_the_most_frequent_and_best_score(scores: list[float], is_solved: bool):
    assert is_at_ceiling(np.array(scores)) is is_solved
    run = history(100, score=scores)
    assert bool(run.progress.improved) is is_solved


def evaluate_every(rows: int, held_out: Any, training: Any = lambda t: t, seed: int = 0) -> History:
    """100 iterations with noise, in which some rows have an evaluation; curves over 0 to 1."""
    draw = np.random.default_rng(seed).normal
    return history(
        100,
        return_mean=lambda i: training(i / 100) + draw(0, 0.05),
        held_out_return_mean=lambda i: None if i % rows else held_out(i / 100) + draw(0, 0.05),
    )


@pytest.mark.parametrize(
    ("rows", "held_out", "training", "since"),
    [
        (5, lambda t: 1 - 2 * abs(t - 0.5), lambda t: t, range(40, 71)),
        (1, lambda t: 0.6 - 0.5 * t, lambda t: t, range(1, 21)),
        # Both rise, or fall; the fall is small, or noise; the return in training is level.
        (5, lambda t: t, lambda t: t, ()),
        (5, lambda t: 1 - t, lambda t: 1 - t, ()),
        (5, lambda t: min(2 * t, 1.1 - 0.2 * t), lambda t: t, ()),
        (5, lambda t: 0.5, lambda t: t, ()),
        (5, lambda t: 1 - 2 * abs(t - 0.5), lambda t: min(4 * t, 1), ()),
        # Eleven evaluations are too few.
        (9, lambda t: 0.6 - 0.5 * t, lambda t: t, ()),
    ],
)
def test_training_that_rises_while_held_out_returns_fall(
    rows: int, held_out: Any, training: Any, since: Sequence[int]
):
    for seed in range(5):
        finding = RULES["overfitting"](evaluate_every(rows, held_out, training, seed))
        assert bool(finding) == bool(since)
        assert not finding or (finding.severity == "warn" and finding.since in since)
