# pyright: basic
"""The answer of `rungwise train`."""

from dataclasses import replace

from synthetic_sweep import end, finding, job_row, result

from cluster.commands.train_answer import make_train_answer
from rungwise.run_log.events import EvaluationRow
from rungwise.run_log.outcome import Outcome


def test_a_training_answers_with_its_evaluation_and_findings(tmp_path):
    rows = [job_row(trials=1), *(result("00", i, 0.5) for i in (1, 2)), end("00", 2, "health")]
    rows += [finding("00", "hung", "note", since=1), finding("00", since=1)]
    rows += [finding("00", severity="stop", since=2)]
    rows += [replace(finding("00", "no_improvement", since=1), withdrawn=2)]
    figures = {"policy": {"return_mean": 3.0}, "baselines": {"random": {"return_mean": 1.0}}}
    figures |= {"standard_errors": {"policy": {"return_mean": 0.5}}, "episodes": 8, "most": 256}
    figures |= {"seed": 0, "better_than_random": 0.5}
    rows.append(EvaluationRow(trial="00", checkpoint="trials/c", **figures))
    told = make_train_answer(Outcome.from_rows(rows), tmp_path)
    assert {"run", "checkpoint", "end_reason", "metrics"} <= told.keys()
    assert told["evaluation"] == figures | {
        "checkpoint": str(tmp_path / "trials/c"),
        "better_than_greedy": None,
        "cut_off": {},
    }
    said = [(f["symptom"], f["severity"], f["since"]) for f in told["findings"]]
    assert said == [("kl_runaway", "stop", 2), ("hung", "note", 1)]
    assert told["findings"][0].keys() == {"symptom", "severity", "since", "evidence", "remedy"}


def test_a_training_without_an_evaluation_says_so(tmp_path):
    rows = [job_row(trials=1), result("00", 1, 0.5), end("00", 1, "budget")]
    told = make_train_answer(Outcome.from_rows(rows), tmp_path)
    assert (told["evaluation"], told["findings"]) == (None, [])
