# pyright: basic
"""The fields of every answer about a run that a program may read: none may go or change its name.

They were recorded from runs before the answers had one source; fields may be added.
"""

from dataclasses import asdict

import pytest
from dashboard_app import write
from synthetic_sweep import synthetic_rows

from cluster.commands.train_answer import make_train_answer
from rungwise.run_log.outcome import Outcome

FINDING = {"symptom", "severity", "since", "evidence", "remedy"}
RECORDED = {
    "tune": {
        *("run", "trials", "best", "compute_saved", "siblings", "rung_agreement"),
        *("videos", "report"),
    },
    "tune.trials": {"id", "repeats", "score", "iterations", "end_reason", "checkpoint"},
    "tune.best": {
        *("id", "score", "score_from", "metric", "training_score", "later_mean", "iteration"),
        "config",
        "checkpoint",
    },
    "train": {
        *("run", "checkpoint", "end_reason", "metrics", "evaluation", "findings", "videos"),
        "report",
    },
    "train.evaluation": {
        *("checkpoint", "episodes", "most", "seed", "policy", "baselines", "standard_errors"),
        *("cut_off", "better_than_random", "better_than_greedy"),
    },
    "train.findings": FINDING,
    "api": {"job", "metric", "mode", "best", "compute_saved", "trials"},
    "api.job": {"name", "state", "message", "priority", "env", "algo", "trials"},
    "api.trials": {
        *("id", "score", "iterations", "budget", "end_reason", "status_text", "config"),
        "checkpoint",
    },
    "api.findings": {*FINDING, "trial", "iteration", "siblings", "withdrawn", "time"},
    "api.metrics": {"trial", "metric", "iterations", "values"},
}


@pytest.fixture
def answers(idle):
    root, client = idle
    write(root / "sweep", synthetic_rows())
    outcome = Outcome.from_rows(synthetic_rows())
    return {
        "tune": outcome.as_dict(root / "sweep"),
        "train": make_train_answer(outcome, root / "sweep"),
        "api": asdict(client.get_job("sweep"))
        | {
            "findings": [asdict(row) for row in client.list_findings("sweep")],
            "metrics": [asdict(curve) for curve in client.get_curves("sweep")],
        },
    }


def test_no_field_of_an_answer_goes_or_changes_its_name(answers):
    for name, fields in RECORDED.items():
        answer, _, part = name.partition(".")
        given = answers[answer][part] if part else answers[answer]
        given = given[0] if isinstance(given, list) else given
        assert fields <= given.keys(), name
