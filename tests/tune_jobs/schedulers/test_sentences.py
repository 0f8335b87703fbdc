# pyright: basic
"""The sentences of decisions."""

import math

import numpy as np
import pytest

from rungwise.run_log.events import ExploitRow
from tune_jobs.schedulers.sentences import describe_exploit, describe_verdict
from tune_jobs.schedulers.verdict import Entry, Verdict


def make_verdict(kind, score=1.0, error=None, cut=None, rank=3, of=4, allowed=2, **changed):
    """A decision at rung 5 about a score and its cut, each as (score, error, stage)."""
    about = {"iteration": 5, "stage": 0.0, "bracket": 0, "expected": 0} | changed
    entry = Entry((0.0, 0.0, 0), "00", about["iteration"], score, error, about["stage"])
    last = cut and Entry((0.0, 0.0, 0), "01", 5, *cut)
    return Verdict(kind, about["bracket"], 5, rank, of, about["expected"], allowed, entry, last)


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (
            make_verdict("stop", -53.81, 1.3, (-51.3, 1.0, 0), 6, 6, 4, expected=3),
            "stopped at iteration 5: -53.8 ± 1.3, cut-off -51.3 ± 1.0 (top 4 of 9 continue)",
        ),
        (
            make_verdict("stop", 1.014, None, (1.006, 0.996, 0), allowed=1),
            "stopped at iteration 5: 1.014, cut-off 1.0 ± 1.0 (top 1 of 4 continues)",
        ),
        (
            make_verdict("stop", 12345.6, 210.0, (2e9, 1e7, 0), iteration=8),
            "stopped at iteration 8 (rung 5): 12,346 ± 210, cut-off 2e+09 ± 1e+07 "
            "(top 2 of 4 continue)",
        ),
        (
            make_verdict("stop", 0.9, 0.1, (0.2, 0.1, 1.0)),
            "stopped at iteration 5: stage 0, cut-off stage 1 (top 2 of 4 continue)",
        ),
        (
            make_verdict("stop", math.nan, allowed=0),
            "stopped at iteration 5: the score is nan, which cannot be compared",
        ),
        (make_verdict("pause"), "paused at rung 5: 3rd of 4; the top 2 continue"),
        (
            make_verdict("pause", rank=1, of=1, allowed=0),
            "paused at rung 5: 1st of 1; too few to compare",
        ),
        (
            make_verdict("pause", rank=12, of=22, allowed=1, bracket=2, iteration=8),
            "paused at rung 5 (bracket 2, entered at iteration 8): 12th of 22; the top 1 continues",
        ),
        (
            make_verdict("reopen", rank=2, expected=4),
            "paused again at rung 5: 2nd of 4; trials have joined, of which 4 may come",
        ),
        (
            make_verdict("promote", 2.0, None, (1.0, None, 0), rank=1),
            "promoted at rung 5: 1st of 4; the top 2 continue",
        ),
        (
            make_verdict("promote", -31.2, 1.9, (-29.1, 1.8, 0), 5, 8, 4),
            "promoted at rung 5: -31.2 ± 1.9 is within the noise of the cut-off -29.1 ± 1.8 "
            "(top 4 of 8)",
        ),
        (
            make_verdict("promote", 0.5, None, (0.5, None, 0)),
            "promoted at rung 5: 0.5 equals the cut-off (top 2 of 4)",
        ),
    ],
)  # fmt: skip
def test_verdict_has_its_sentence(verdict, sentence):
    assert describe_verdict(verdict) == sentence


def make_exploit(**values):
    return ExploitRow(
        trial="01", iteration=9, donor="03", score=0.5, donor_score=0.1, before={"lr": 0.01},
        donated={"lr": 0.001}, after=values, checkpoint="checkpoints/03/9",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "applied", "end"),
    [
        (0.0012, 0.0012, "continues from trial 03, 0.100 to its 0.500, with lr 0.0012 (was 0.01)"),
        (0.0012, 0.001, "; but its learner uses lr 0.001"),
        (3e-4, float(np.float32(3e-4)), "lr 3e-4 (was 0.01)"),
        (3e-4, 3.001e-4, "; but its learner uses lr 3e-4"),
    ],
)
def test_exploit_names_what_the_learner_really_uses(asked, applied, end):
    assert describe_exploit(make_exploit(lr=asked), {"lr": applied}).endswith(end)
