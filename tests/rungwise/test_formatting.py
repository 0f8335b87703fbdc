"""Numbers, fractions and durations as every output shows them."""

import math
import time
from pathlib import Path
from typing import Any

import pytest

from rungwise.formatting import (
    count,
    first_sentence,
    format_command,
    format_duration,
    format_end_reason,
    format_identifier,
    format_measurement,
    format_number,
    format_percent,
    format_time,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(None, "-"), (True, "yes"), (1240, "1,240"), (0.07123, "0.0712"), (8.1e-4, "8.1e-4")],
        *[(1234.5, "1,234"), (2.5e7, "2.5e7"), (0.0, "0"), (math.nan, "not finite")],
        *[((64, 0.5), "64, 0.5"), ("relu", "relu"), (-1e-4, "-1e-4")],
    ],
)
def test_numbers_have_three_significant_digits(value: Any, text: str):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[
            (0.08, "0.0800"),
            (123.0, "123"),
            (5.0, "5.00"),
            (-0.0, "0"),
            (4e-4, "4e-4"),
            (None, "-"),
        ],
        *[(999.4, "999"), (999.7, "1,000"), (-999.7, "-1,000"), (math.inf, "not finite")],
    ],
)
def test_measurements_keep_their_trailing_zeros(value: float | None, text: str):
    assert format_measurement(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(49.6, "50 s"), (99.0, "99 s"), (100.0, "2 min"), (5940.0, "99 min"), (7800.0, "2 h 10 min")],
)
def test_durations_change_their_unit_at_a_hundred(seconds: float, text: str):
    assert format_duration(seconds) == text


def test_what_is_not_finite_has_no_duration_and_no_percentage():
    assert format_duration(math.inf) == format_percent(math.nan) == "-"
    assert format_percent(0.726) == "73 %"


def test_nouns_are_in_the_plural_unless_there_is_one():
    assert [count(n, "trial") for n in (0, 1, 1200)] == ["0 trials", "1 trial", "1,200 trials"]
    assert count(2, "entry", "entries") == "2 entries"


def test_identifiers_become_words():
    assert format_identifier("excess_risk") == "excess risk"
    assert format_end_reason("asha") == "ASHA" and format_end_reason("my_reason") == "my reason"


def test_a_path_with_spaces_stays_one_word_of_a_command():
    assert format_command("rungwise", "resume", Path("my runs/a")) == "rungwise resume 'my runs/a'"
    assert format_command("rungwise", "resume", Path("runs/a")) == "rungwise resume runs/a"


def test_only_the_first_sentence_of_an_error_is_shown():
    assert first_sentence(ValueError("\n No route. See https://x\nstack")) == "No route"
    assert first_sentence(ValueError("x" * 400)) == "x" * 300
    assert first_sentence(KeyError()) == "KeyError"


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("UTC", "2026-11-25 12:40 UTC"),
        ("Europe/Berlin", "2026-11-25 13:40 UTC+1"),
        ("Asia/Kolkata", "2026-11-25 18:10 UTC+5:30"),
    ],
)
def test_times_are_local_with_their_zone(zone: str, text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert format_time(1_795_610_400.0) == text
    finally:
        monkeypatch.undo()
        time.tzset()
