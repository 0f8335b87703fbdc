# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
# pyright: reportAttributeAccessIssue=false
"""What is done with the winner: its job, and the commands and lines that take it on."""

from finished_run import job, write_finished_run
from synthetic_sweep import job_row, result

from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import (
    PROGRAM,
    CheckpointRow,
    EvaluationRow,
    JobEndRow,
    TrialRow,
)
from rungwise.run_log.outcome import Outcome
from tune_jobs.jobs.job_yaml import dump_job, parse_job
from tune_jobs.report.report import write_report
from tune_jobs.report.result_score import explain_missing_finals
from tune_jobs.report.trial_job import make_trial_job
from tune_jobs.report.winner_section import (
    WINNER,
    dump_winner_job,
    list_commands,
    list_load_lines,
    render_winner,
)


def outcome_of(*rows, config=None, **about):
    trial = TrialRow(trial="00", config=config or {"lr": 0.005})
    return Outcome.from_rows([job_row(trials=1, **about), trial, result("00", 27, 0.5), *rows])


def test_the_winners_job_has_its_settings_and_no_search():
    sweep = job(settings={"epochs": 3}, search={"lr": {"loguniform": [1e-4, 1e-2]}}, seed=4)
    text = dump_winner_job(dump_job(sweep), outcome_of())
    assert "search" not in text and "clip" not in text and "iterations: 4" in text
    read = parse_job(text, "winner")
    assert read == make_trial_job(sweep, {"lr": 0.005})
    assert (read.settings.lr, read.settings.epochs, read.seed) == (0.005, 3, 4)
    assert (read.trials, read.scheduler) == (1, "none")


def test_a_job_that_cannot_be_read_has_no_winner_file():
    assert dump_winner_job("env: x\nold_field: 1\n", outcome_of()) == ""
    assert dump_winner_job(dump_job(job()), Outcome.from_rows([job_row()])) == ""


def test_only_an_unfinished_run_is_resumed(tmp_path):
    whole = outcome_of(JobEndRow(reason="done", seconds=1.0))
    assert not any("resume" in words for words in list_commands(whole, tmp_path).values())
    part = outcome_of(iterations=30)
    assert list_commands(part, tmp_path)["finish the run (3 iterations left)"]
    assert "--steps 400" in str(list_commands(outcome_of(steps=200), tmp_path))


def test_the_winner_among_programs_is_loaded_and_served_by_none(tmp_path):
    (tmp_path / "c").mkdir()
    saved = [CheckpointRow(trial=t, iteration=27, path="c") for t in ("00", "01")]
    rows = [TrialRow(trial="01", config={}), result("01", 27, 0.6), *saved]
    outcome = outcome_of(*rows, JobEndRow(reason="done", seconds=1.0), algo=PROGRAM)
    assert outcome.best.checkpoint is None and outcome.find_result(tmp_path) is None
    page = "".join(render_winner(outcome, "x", tmp_path))
    assert not any(word in page for word in ("Policy", "serve", "export", "twice as long"))
    assert explain_missing_finals(outcome) == ""


def test_a_run_without_a_score_can_only_be_finished(tmp_path):
    (section,) = render_winner(Outcome.from_rows([job_row()]), "", tmp_path)
    assert "rungwise resume" in section and "rungwise train" not in section


def test_lines_of_python_sample_where_that_is_better(tmp_path):
    row = EvaluationRow(
        trial="00", checkpoint="c", episodes=40, seed=0, policy={}, better_than_greedy=0.9
    )
    assert list_load_lines(outcome_of(), tmp_path)[-1] == "action = policy.act(observation)"
    assert list_load_lines(outcome_of(row), tmp_path)[-1].endswith("greedy=False)")
    remembers = outcome_of(changes={"settings": {"memory": "lstm"}})
    assert "state" in list_load_lines(remembers, tmp_path)[-1]


def test_the_lines_of_the_page_load_the_winner(tmp_path):
    run = write_finished_run(tmp_path / "run")
    rows = read_event_log(run / "events.jsonl")
    write_report(rows, (run / "job.yaml").read_text(), run / "report.html")
    assert parse_job((run / WINNER).read_text(), "winner").trials == 1
    outcome = Outcome.from_rows(rows)
    names = {"observation": [0.0] * 4}
    exec("\n".join(list_load_lines(outcome, outcome.find_result(run))), names)
    assert names["action"] in (0, 1)
