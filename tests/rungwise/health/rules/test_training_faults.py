"""Faults of training and environment: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Case, Metrics, case, cases, from_row, history, make_rows, rising
from rule_checks import assert_skips_nan, assert_starts_at

from rungwise.health import RULES, History, diagnose
from rungwise.health.remedy import worded
from rungwise.health.rules.training_faults import NoEpisodeEnds

NAN = math.nan
ENDLESS: Metrics = {
    "env_steps": lambda i: 2048.0 * i,
    "episodes": 0,
    "running_length_max": lambda i: 256.0 * i,
}
LIMITED: Metrics = {**ENDLESS, "time_limit": 60_000}
LONG: Metrics = {**ENDLESS, "running_length_max": 30_000, "time_limit": 1000}
FOREIGN: Metrics = {"env_steps": lambda i: 2048.0 * i, "value_loss": 1.0}
HOLDS_ON: Metrics = {
    "env_steps": lambda i: 2048.0 * i,
    "episodes": from_row(4, 0.0, 80.0),
    "episode_length": from_row(4, NAN, 24.0),
    "running_length_max": lambda i: 128.0 * i,
}


def worse(n: int) -> list[float]:
    """The score of a policy that is paid less the longer it holds on."""
    return [-15.0 - i for i in range(n)]


LOST: Metrics = {"runners_lost": lambda i: float(i == 9)}

CASES = [
    # Without a known limit it is noted and then warned about.
    case("no_episode_ends", ("note", 1), {**ENDLESS, "running_length_max": 900}, 10, 200, None),
    case("no_episode_ends", ("warn", 1), ENDLESS, 10, 200, None),
    case("no_episode_ends", ("warn", 1), {**ENDLESS, "running_length_max": 3e5}, 199, 200, None),
    *(
        case(
            "no_episode_ends",
            expected,
            {**ENDLESS, "running_length_max": longest, "time_limit": limit},
            *(110, 200, None),
        )
        for longest, limit, expected in (
            *((990, NAN, "note"), (1000, NAN, "warn"), (5000, 5000, "note"), (5001, 5000, "warn")),
            *((26_900, 1000, "warn"), (27_000, 1000, "stop")),
            *((39_999, 20_000, "warn"), (40_000, 20_000, "stop")),
        )
    ),
    # It stops only from a tenth of the budget.
    case("no_episode_ends", "warn", LONG, 19, 200, None),
    case("no_episode_ends", "stop", LONG, 20, 200, None),
    *cases(
        "no_episode_ends",
        {},
        # A log of others without any return; one without steps is judged by its losses.
        (("warn", 1), FOREIGN),
        (None, {**FOREIGN, "return_mean_100": 3.0}),
        (("warn", 1), {"value_loss": 1.0}),
        (("warn", 1), {"value_loss": 1.0, "env_steps": 0.0}),
        (None, {"policy_loss": 1.0, "env_steps": 0.0}),
        (None, {"value_loss": 1.0, "return_mean": 3.0}),
        n=20,
        score=None,
    ),
    # Early episodes ended by a failure, and the policy has learnt to hold on.
    *cases(
        "no_episode_ends",
        HOLDS_ON,
        (("warn", 4), {}),
        (None, {"time_limit": 60_000}),
        (None, {"running_length_max": 990}),
        (None, {"episode_length": from_row(4, NAN, 1000.0)}),
        (None, {"episodes": lambda i: 80.0 if i < 4 or i == 20 else 0.0}),
        n=29,
        score=worse,
    ),
    case("no_episode_ends", None, HOLDS_ON, 12, 29, score=worse),
    case("no_episode_ends", None, HOLDS_ON, 29, score=rising),
    # Episodes that are long but end, and a continuing task that improves, are healthy.
    case("no_episode_ends", None, {**ENDLESS, "episodes": lambda i: float(i == 9)}, 30, score=None),
    case("no_episode_ends", None, ENDLESS, 110, score=rising),
    case("no_episode_ends", None, {"env_steps": lambda i: 9.0 * i}, 30),
    case("no_episode_ends", None, {**ENDLESS, "env_steps": 5.0}, 30, score=None),
    case(
        "no_episode_ends",
        "warn",
        {**ENDLESS, "episodes": lambda i: NAN if i % 2 else 0.0},
        *(20, 200, None),
    ),
    # Logs without a count are judged by their metrics.
    *(
        case("not_finite", ("stop", 5), {name: from_row(5, value, 1.0)}, 5, score=1)
        for name in ("policy_loss", "value_loss", "entropy", "kl")
        for value in (NAN, math.inf)
    ),
    # Mixed precision skips updates whose gradients are too large, above all the first ones.
    *(
        case("not_finite", expected, {"grad_norm": rows}, n, score=1)
        for value in (NAN, math.inf)
        for rows, n, expected in (
            ([*[value] * 9, *[1.0] * 9], 18, None),
            ([*[1.0] * 9, value, *[1.0] * 9], 19, None),
            ([*[1.0] * 9, *[value] * 15], 24, None),
            ([*[1.0] * 9, *[value] * 16], 25, ("stop", 10)),
        )
    ),
    # NaN in the explained variance and an empty cell are healthy; a row that counted is believed.
    case("not_finite", None, {"explained_variance": NAN}, 37, score=rising),
    case("not_finite", None, {"policy_loss": from_row(2, 0.1, None)}, 9, score=1),
    case("not_finite", None, {"nonfinite": 0, "kl": NAN}, 9, score=None),
    # A return may be NaN only when no episode finished.
    *cases(
        "not_finite",
        {"return_mean": NAN},
        (None, {"episodes": 0}),
        (("stop", 1), {"episodes": 3}),
        (("stop", 1), {"return_mean": math.inf, "episodes": 0}),
        # Where episodes are not counted, those that finished have a mean length.
        (None, {}),
        (None, {"episode_length": NAN}),
        (("stop", 1), {"episode_length": 8.0}),
        n=9,
        score=None,
    ),
    # A lost worker is warned about; five losses in a row, one in every iteration, ask for a stop.
    case("hung", ("warn", 9), LOST, 9, score=None),
    case("hung", None, LOST, 10, score=None),
    case("hung", ("stop", 8), {"runners_lost": from_row(8, 1.0, 0.0)}, 12, score=None),
    case("hung", "warn", {"runners_lost": from_row(9, 1.0, 0.0)}, 12, score=None),
    case("hung", None, {"runners_lost": NAN}, 12, score=None),
    case("no_updates", ("warn", 1), {"updates": 0}, 49, 100, score=None),
    case("no_updates", ("stop", 1), {"updates": 0}, 50, 100, score=None),
    case("no_updates", None, {"updates": from_row(25, 1.0, 0.0)}, 30, score=None),
    # Twice as long for the same work, and for good: by environment steps, tokens or iterations.
    *cases(
        "slower_iterations",
        {"iteration_s": from_row(31, 2.1, 1.0)},
        (("note", 31), {}),
        (("note", 31), {"env_steps": lambda i: 512.0 * i}),
        (None, {"env_steps": [512.0 * (i + max(0, i - 30)) for i in range(1, 61)]}),
        (("note", 31), {"episode_length": 200.0}),
        (None, {"episode_length": from_row(31, 400.0, 200.0)}),
        (None, {"iteration_s": from_row(31, 1.9, 1.0)}),
        (None, {"iteration_s": lambda i: 9.0 if i % 4 == 0 else 1.0}),
        (None, {"iteration_s": lambda i: 9.0 if i < 10 or i in (40, 41, 55) else 1.0}),
        (None, {"iteration_s": NAN}),
        n=60,
        score=None,
    ),
    case("slower_iterations", None, {"iteration_s": from_row(31, 1.0, 2.1)}, 60, score=None),
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


def test_episodes_before_their_limit_are_healthy_however_long():
    for n in (10, 110, 200):
        diagnosis = diagnose(history(n, 240, **LIMITED))
        assert [f.severity for f in diagnosis.findings] == ["note"]
        assert "limit is 60,000" in diagnosis.findings[0].evidence


@pytest.mark.parametrize(
    ("pace", "advice"), [(256, "Wait until the limit of 60,000"), (200, "fewer copies")]
)
def test_the_remedy_knows_whether_the_limit_comes_before_the_end(pace: int, advice: str):
    run = history(110, 240, **{**LIMITED, "running_length_max": lambda i: float(pace * i)})
    assert advice in worded(NoEpisodeEnds().choose_remedy(run))


def test_a_limit_that_nothing_applies_is_a_reason_to_stop():
    long: Metrics = {**ENDLESS, "running_length_max": lambda i: 4096.0 * i, "time_limit": 1000}
    diagnosis = diagnose(history(30, 200, **long))
    assert diagnosis.stop
    assert diagnosis.stop.symptom == "no_episode_ends"
    assert "return terminated" in diagnosis.stop.remedy.lower()


def test_a_log_without_steps_and_losses_is_not_judged():
    assert diagnose(history(20, policy_loss=1.0)).not_judged["no_episode_ends"] == "env_steps"


def test_the_length_of_episodes_is_judged_from_ten_rows_on():
    assert_starts_at("no_episode_ends", 10, 200, **ENDLESS)


COUNTED: Metrics = {
    "nonfinite": from_row(3, 7.0, 0.0),
    "nonfinite_where": lambda i: "rewards" if i == 3 else None,
}
NAMED = [row | {"runners_lost_why": f"reason {row['iteration']}"} for row in make_rows(12)]


@pytest.mark.parametrize(
    ("symptom", "run", "words"),
    [
        ("no_episode_ends", history(110, 200, **ENDLESS), "one has lasted for 28,160 steps"),
        (
            "no_episode_ends",
            history(20, value_loss=1.0),
            "no episode has finished in 20 iterations",
        ),
        (
            "not_finite",
            history(5, 50, **COUNTED),
            "21 non-finite numbers, the first in rewards, in iteration 3",
        ),
        ("hung", History([row | {"runners_lost": 1.0} for row in NAMED], 12), ": reason 12"),
    ],
)
def test_the_evidence_has_the_values(symptom: str, run: History, words: str):
    finding = RULES[symptom](run)
    assert finding and words in finding.evidence


def test_a_number_that_is_not_finite_is_found_where_it_was_first_met():
    finding = RULES["not_finite"](history(5, 50, **COUNTED))
    assert finding and (finding.severity, finding.since) == ("stop", 3)


def test_a_rule_waits_for_rows_and_budget():
    assert_starts_at("no_updates", 8, 24, updates=0)
    assert_starts_at("no_updates", 20, 100, updates=0)


def test_rows_of_several_iterations_are_no_slower():
    """A long log is judged by ever more of its rows at a time, whose seconds are added up."""
    rows = [
        {"iteration": 2**k * (40 + i), "iteration_s": 2.0**k} for k in (0, 1) for i in range(1, 41)
    ]
    assert RULES["slower_iterations"](History(rows, 200)) is None


def test_iterations_are_compared_with_ten_before_the_last_ten():
    slower: Metrics = {"iteration_s": from_row(12, 3.0, 1.0)}
    assert_starts_at("slower_iterations", 21, 40, **slower)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan("no_updates", "updates", 0.0)
