# pyright: basic
"""Is it a bug or the settings? What the other trials of a sweep say."""

from typing import Any

from rungwise.run_log.cross_trial import (
    NAMED,
    Sibling,
    compare_trials_on_all_symptoms,
    compare_trials_on_symptom,
)
from rungwise.run_log.event_log import read_event_log


def trials(*found, iterations=20, **settings):
    """Trials of 20 iterations; each with a symptom found at this iteration, or None."""
    return [
        Sibling(
            f"{i:02d}",
            iterations,
            {} if at is None else {"kl_runaway": at},
            {name: values[i] for name, values in settings.items()},
        )
        for i, at in enumerate(found)
    ]


def said(siblings):
    return compare_trials_on_all_symptoms(siblings).get("kl_runaway", "")


def test_a_symptom_of_all_points_at_what_they_share():
    assert said(trials(5, 9, 12)).startswith("all 3 trials that came as far, so it comes from")


def test_symptom_of_one_trial_points_at_its_setting():
    lr, clip = [1e-3, 0.05, 2e-4, 3e-4], [0.1, 0.2, 0.3, 0.2]
    assert said(trials(None, 5, None, None, lr=lr, clip=clip)) == (
        "only trial 01 of 4: perhaps by its setting (its lr=0.05 is the highest) or its seed"
    )
    assert said(trials(None, 5, None, None, clip=clip)) == (
        "only trial 01 of 4: perhaps by its seed"
    )
    layers = ["tanh", "relu", "tanh", "tanh"]
    assert "(its activation=relu is no other's)" in said(
        trials(None, 5, None, None, activation=layers)
    )


def test_symptom_of_some_trials_points_at_their_common_setting():
    lr = [1e-3, 0.05, 2e-4, 0.01, 3e-4]
    found = trials(None, 5, None, 7, None, lr=lr)
    both = "2 of 5 trials (01, 03): those of the highest lr (0.01 or more)"
    assert said(found) == f"{both}, perhaps by chance"
    many = trials(None, 5, None, 7, *[None] * 4, lr=[*lr, 1e-4, 4e-4, 5e-4])
    assert said(many) == both.replace("of 5", "of 8")
    assert said(trials(5, None, None, 7, None, lr=lr)) == "2 of 5 trials (00, 03)"


def test_trial_that_ended_before_the_symptom_is_not_compared():
    short = [t._replace(iterations=3) for t in trials(None, None, None, None)]
    assert said([*trials(9), *short]) == ""
    grown = trials(None, None, None)
    assert said([*trials(9), *short[:1], *grown[1:]]).startswith("only trial 00 of 3")


def test_fewer_than_three_trials_conclude_nothing():
    assert said(trials(5, 5)) == "" == said(trials(5, None))
    assert compare_trials_on_all_symptoms([]) == {}


def test_findings_of_an_older_log_are_read(tmp_path):
    line = (
        '{"kind": "finding", "trial": "00", "iteration": 3, "symptom": "hung", "severity": "warn", '
        '"since": 3, "evidence": "e", "remedy": "r", "time": 1.0}\n'
    )
    (tmp_path / "events.jsonl").write_text(line)
    row: Any = read_event_log(tmp_path / "events.jsonl")[0]
    assert row.siblings == ""


def test_only_the_first_sick_trials_are_named():
    assert said(trials(*[5] * (NAMED + 2), None)).startswith(
        f"{NAMED + 2} of {NAMED + 3} trials (00, "
    )
    assert " and 2 others)" in said(trials(*[5] * (NAMED + 2), None))
    assert "others" not in said(trials(*[5] * NAMED, None))


def test_small_learning_rates_are_compared_by_their_ratio():
    # By their differences, clip would separate the sick trials from the others more clearly.
    lr, clip = [1e-4, 2e-4, 3e-3, 0.5], [0.1, 0.15, 0.2, 0.5]
    assert "lr" in said(trials(5, 5, None, None, lr=lr, clip=clip))
    assert "clip" in said(trials(5, 5, None, None, lr=[1e-4, 2.9e-3, 3e-3, 0.5], clip=clip))


def test_a_symptom_of_few_trials_has_an_empty_sentence():
    assert compare_trials_on_symptom("kl_runaway", trials(5, None)) == ""
