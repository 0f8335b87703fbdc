# pyright: basic
"""Conformance to the Gymnasium interface, and determinism."""

from checks import get_severities

from tune_jobs.check import examine, load_check_target


def test_timings_in_info_are_a_note():
    answer = examine(load_check_target("SickInformal-v0"), 0.1, only=("conformance", "determinism"))
    assert get_severities(answer) == {"info_differs": "note"}
    assert answer["figures"]["conformance"]["violations"] == 0
