# pyright: basic, reportOptionalMemberAccess=false
"""Which settings mattered: a forest finds what the scores were made from, and nothing in noise."""

import subprocess
import sys

import numpy as np
import pytest
from sampled_sweep import sweep

from tune_jobs.report.importance import measure_importance


def test_the_setting_that_decides_has_the_largest_share():
    found = measure_importance(sweep(lambda c, rng: np.log10(c["lr"]) + rng.normal() / 4))
    assert next(iter(found.shares)) == "lr" and found.shares["lr"] > 0.7
    assert found.explained > 0.5
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.sentence.startswith("Importance of settings: lr ")


def test_a_choice_may_decide():
    found = measure_importance(sweep(lambda c, rng: float(c["activation"] == "tanh")))
    assert next(iter(found.shares)) == "activation" and found.explained > 0.8


def test_noise_is_called_noise():
    found = measure_importance(sweep(lambda c, rng: rng.normal()))
    assert found.explained < 0.1 and "none differs from noise" in found.sentence


@pytest.mark.parametrize("trials", [0, 19])
def test_too_few_trials_say_nothing(trials):
    assert measure_importance(sweep(lambda c, rng: c["lr"], trials=trials)) is None


def test_equal_scores_no_scores_and_a_single_setting_say_nothing():
    assert measure_importance(sweep(lambda c, rng: 1.0)) is None
    assert measure_importance(sweep(lambda c, rng: np.nan)) is None
    assert measure_importance(sweep(lambda c, rng: c["lr"], searched=["lr"])) is None


@pytest.mark.parametrize(("trials", "imported"), [(19, "False"), (20, "True")])
def test_a_report_that_needs_a_forest_finds_it_imported(trials, imported):
    code = (
        "import sys, threading\n"
        "from tune_jobs.report.importance import import_forest_early\n"
        f"import_forest_early({trials})\n"
        "[t.join() for t in threading.enumerate() if t is not threading.main_thread()]\n"
        "print('sklearn.ensemble' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == imported
