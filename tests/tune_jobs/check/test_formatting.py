"""The lines of a check's answer."""

from typing import Any

from tune_jobs.check.formatting import GAP, SHOWN_FIGURES, STYLES, format_answer
from tune_jobs.check.random_play import RewardSummary
from tune_jobs.check.rollouts import Episode
from tune_jobs.check.run_probes import PROBES

FINDING = {
    "symptom": "reward_scale",
    "severity": "warn",
    "since": 7,
    "evidence": "e",
    "remedy": "r",
}


def format_lines(**changed: Any) -> list[tuple[str, str]]:
    answer = {"figures": {}, "not_judged": {}, "findings": [], "judged": ["a", "b"]}
    return list(format_answer(answer | changed, 80))


def test_figures_of_every_probe_can_be_shown():
    assert SHOWN_FIGURES.keys() == PROBES.keys()
    assert format_lines(figures={"memory": {"rows": 9, "variance_fraction": 0.25}})[0][0] == (
        f"{'memory':{GAP}}steps 9, variance by what was seen earlier 0.25"
    )


def test_an_answer_without_findings_counts_its_probes():
    assert format_lines() == [("2 probes found no fault", "bold green")]


def test_a_finding_has_its_step_evidence_and_remedy():
    assert format_lines(findings=[FINDING]) == [
        (f"{'warn':{GAP}}reward_scale at step 7", STYLES["warn"]),
        (" " * GAP + "e", ""),
        (" " * GAP + "r", STYLES["dim"]),
    ]
    assert format_lines(findings=[FINDING | {"since": 0}])[0][0].endswith("reward_scale")


def test_symptoms_that_share_a_reason_share_a_line():
    lines = format_lines(not_judged={"a": "no time", "b": "no mask", "c": "no time"})
    assert [text for text, _ in lines[:2]] == [
        f"{'not judged':{GAP}}a, c: no time",
        f"{'not judged':{GAP}}b: no mask",
    ]


def test_figures_have_labels_and_three_digits():
    figures = {
        "dependence": {"repeated": {"variance_fraction": 0.12345, "p": 1e-9}, "fresh_noise": None},
        "gradients": {"norm_policy": 2.0, "loss": 1.0},
        "headroom": {"episodes": 9, "always_left": {"return_mean": 12.345}},
        "sampler": {},
    }
    assert [text for text, _ in format_lines(figures=figures)[:-1]] == [
        f"{'dependence':{GAP}}variance by actions, same randomness 0.123, p 1e-09",
        f"{'gradients':{GAP}}policy 2",
        f"{'headroom':{GAP}}seeds 9, always left 12.3",
    ]


def test_the_return_of_random_play_is_shown_for_the_starts_of_each_probe():
    figures = {
        "rewards": RewardSummary([Episode([1.0, -3.0]), Episode([-2.0])]).summarise(),
        "headroom": {"episodes": 64, "random": {"return_mean": -109.2, "return_std": 64.0}},
        "overfit": {
            "starts": 4,
            "return_random": -113.0,
            "return_last": -50.0,
            "iterations": 9,
        },
    }
    assert [text for text, _ in format_lines(figures=figures)[:-1]] == [
        f"{'rewards':{GAP}}from -3, to 1, zero 0",
        f"{'headroom':{GAP}}seeds 64, random -109 ± 8",
        f"{'overfit':{GAP}}starts 4, random -113, learnt -50, iterations 9",
    ]


def test_a_return_that_is_not_finite_is_not_shown():
    unknown = {"return_mean": None, "return_std": None}
    figures = {"headroom": {"episodes": 9, "random": unknown, "always_left": {"return_mean": 2.0}}}
    assert format_lines(figures=figures)[0][0] == f"{'headroom':{GAP}}seeds 9, always left 2"
    half = {"return_mean": 1e308, "return_std": None}
    assert format_lines(figures={"headroom": {"episodes": 9, "random": half}})[0][0].endswith(
        "random 1e+308"
    )


def test_long_lines_are_wrapped_within_the_width():
    lines = format_lines(findings=[FINDING | {"evidence": "word " * 40}])
    assert len(lines) > 4
    assert all(len(text) <= 80 for text, _ in lines)
