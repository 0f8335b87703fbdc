# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""A whole sweep as a user runs it: its answer, its files, and what a killed driver costs."""

import json
import os
import re
import signal
import subprocess

import pyarrow.parquet as pq
import pytest
from command_line import answer, call, rungwise
from dashboard_app import TOKEN, bearer, get, served_app
from live_runs import read_rows, start
from waiting import find_free_port, wait_until

from cluster.web.auth import load_or_create_token
from cluster.web.client import Client
from cluster.web.server import make_app
from rungwise.logs.discovery import find_readers
from rungwise.run_log.driver_lock import has_driver
from rungwise.run_log.events import (
    CheckpointRow,
    DecisionRow,
    EndRow,
    JobEndRow,
    JobRow,
    ResultRow,
)
from rungwise.run_log.outcome import Outcome

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sweep")
    done = rungwise("tune", "causal-quick", "--out", "run", "--json", cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory / "run", answer(done), done


def test_every_trial_ends_with_a_reason(sweep):
    _, said, _ = sweep
    assert len(said["trials"]) == 6
    assert {t["end_reason"] for t in said["trials"]} <= {"budget", "asha", "health"}
    assert all(t["iterations"] >= 1 and t["checkpoint"] for t in said["trials"])


def test_compute_saved_adds_up_from_the_event_rows(sweep):
    run, said, _ = sweep
    rows = read_rows(run)
    last = {row.trial: row.iteration for row in rows if isinstance(row, ResultRow)}
    assert said["compute_saved"] == pytest.approx(1 - sum(last.values()) / (6 * 9))
    assert 0 < said["compute_saved"] < 1
    ledger = pq.read_table(run / "ledger.parquet").to_pylist()
    ended = [row for row in ledger if row["kind"] == "end"]
    assert sum(row["iterations_run"] for row in ended) == sum(last.values())


def test_the_best_trial_is_evaluated_again_on_fresh_seeds(sweep):
    run, said, _ = sweep
    evaluation = Outcome.from_rows(read_rows(run)).evaluation
    words = ("evaluate", said["best"]["checkpoint"], "--episodes", 64, "--json")
    told = answer(call(*words, cwd=run.parent))
    assert told["policy"] == pytest.approx(evaluation.policy)
    assert set(told["baselines"]) >= {"random", "round_robin", "parents_first"}
    assert set(told["policy"]) == {"median", "mean", "q90", "geometric_mean", "to_round_robin"}


def test_the_winner_is_the_best_of_three_on_unused_seeds(sweep):
    run, said, _ = sweep
    outcome = Outcome.from_rows(read_rows(run))
    ranked = [trial.id for trial in outcome.ranked]
    assert {row.trial for row in outcome.finals} == set(ranked[:3])
    assert said["best"]["id"] == min(outcome.finals, key=lambda row: row.score or 0.0).trial
    assert outcome.evaluation.trial == said["best"]["id"]
    for row in outcome.finals:
        assert row.seed >= outcome.evaluation.seed + outcome.evaluation.episodes


def test_every_trial_has_its_curves_for_tensorboard(sweep):
    run, said, _ = sweep
    for trial in said["trials"]:
        (file,) = run.glob(f"tensorboard/{trial['id']}/events.out.tfevents.*")
        rows = find_readers(file)[0].read(final=True)
        assert len(rows) == trial["iterations"]
        assert {"rollout/excess_risk", "score"} <= rows[-1].values.keys()


def test_the_report_opens_offline(sweep):
    run, _, _ = sweep
    page = (run / "report.html").read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?(https?:)?//", page)
    for trial in Outcome.from_rows(read_rows(run)).trials:
        assert trial.id in page


def test_progress_goes_to_stderr_only(sweep):
    _, _, done = sweep
    assert "of 6 ended" in done.stderr
    assert done.stdout.count("\n") == 1


def test_a_used_directory_is_refused(sweep):
    run, _, _ = sweep
    done = call("tune", "causal-quick", "--out", run, cwd=run.parent)
    assert done.returncode == 2
    assert "rungwise resume" in done.stderr


def test_resuming_a_finished_run_runs_nothing_again(sweep):
    run, said, _ = sweep
    before = read_rows(run, ResultRow)
    done = rungwise("resume", "run", "--json", cwd=run.parent)
    assert done.returncode == 0, done.stderr
    assert answer(done)["trials"] == said["trials"]
    assert read_rows(run, ResultRow) == before


ENDLESS = ["--iterations", 4000, "--checkpoint-interval", 2]
LONG = ["--iterations", 40, "--grace", 2, "--checkpoint-interval", 2, "--evaluation-episodes", 0]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_a_stopped_driver_costs_at_most_one_checkpoint_interval(tmp_path, how):
    run = tmp_path / "run"
    process = start(
        "tune", "causal-quick", "--out", run, *LONG, cwd=tmp_path, start_new_session=True
    )
    wait_until(lambda: is_in_the_middle(run))
    os.killpg(process.pid, how) if how == signal.SIGINT else process.kill()
    status = process.wait()
    assert status == (130 if how == signal.SIGINT else -signal.SIGKILL)
    rows = read_rows(run)
    ended = {r.trial: r for r in rows if isinstance(r, EndRow) and r.reason != "interrupted"}
    saved = {r.trial: r.iteration for r in rows if isinstance(r, CheckpointRow)}
    reached = {r.trial: r.iteration for r in rows if isinstance(r, ResultRow)}

    done = rungwise("resume", run, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {t["end_reason"] for t in answer(done)["trials"]} <= {"budget", "asha", "health"}
    new = [row for row in read_rows(run)[len(rows) :] if isinstance(row, ResultRow)]
    assert not {r.trial for r in new} & set(ended), "a finished trial ran again"
    for trial in {r.trial for r in new}:
        first = next(r for r in new if r.trial == trial)
        assert first.iteration == saved.get(trial, 0) + 1
        assert reached.get(trial, 0) - saved.get(trial, 0) <= 2


def test_a_terminated_run_is_resumed_by_one_of_two(tmp_path):
    run = tmp_path / "run"
    own = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    first = start("tune", "causal-quick", "--out", run, *ENDLESS, cwd=tmp_path, **own)
    wait_until(lambda: has_driver(run))  # before Ray has started
    os.killpg(first.pid, signal.SIGTERM)
    said = first.communicate()[1]
    assert first.returncode == 143, said
    assert "rungwise resume" in said and "SIGTERM received" not in said
    second = start("resume", run, cwd=tmp_path, **own)
    wait_until(lambda: read_rows(run, CheckpointRow))
    refused = rungwise("resume", run, cwd=tmp_path)
    assert refused.returncode == 2 and f"process {second.pid}" in refused.stderr
    # To all of its processes, as SLURM and `timeout` send it: Ray ends at the same time.
    os.killpg(second.pid, signal.SIGTERM)
    said = second.communicate()[1]
    assert second.returncode == 143, said
    assert "rungwise resume" in said and "SIGTERM received" not in said
    assert "Traceback" not in said
    rows = read_rows(run)
    assert isinstance(rows[-1], JobEndRow) and rows[-1].reason == "interrupted"
    assert sum(isinstance(row, JobRow) for row in rows) == 1
    assert {r.reason for r in rows if isinstance(r, EndRow)} >= {"interrupted"}


def test_a_trial_waiting_at_a_rung_is_stopped_from_the_page(tmp_path):
    run = tmp_path / "run"
    words = ("tune", "causal-quick", "--out", run, *LONG, "--json")
    process = start(*words, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        first = wait_until(lambda: find_waiting(run))
        with served_app(make_app(run, TOKEN)) as url:
            Client(url, TOKEN).control_trial("run", first.trial, "stop")
        said, _ = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 0
    rows = read_rows(run)
    (end,) = [row for row in rows if isinstance(row, EndRow) and row.trial == first.trial]
    assert (end.reason, end.iteration) == ("stopped", first.rung)
    # At once: nobody else came to a rung meanwhile, and it took up no training again.
    between = rows[rows.index(first) + 1 : rows.index(end)]
    assert len([row for row in between if isinstance(row, DecisionRow)]) <= 1
    results = [r.iteration for r in rows if isinstance(r, ResultRow) and r.trial == first.trial]
    assert results == list(range(1, first.rung + 1))
    reasons = {t["id"]: t["end_reason"] for t in json.loads(said)["trials"]}
    assert reasons.pop(first.trial) == "stopped"
    assert len(reasons) == 5 and set(reasons.values()) <= {"budget", "asha", "health"}


def test_a_driver_serves_its_own_metrics_while_it_runs(tmp_path):
    run, port = tmp_path / "run", find_free_port()
    words = ("tune", "causal-quick", "--out", run, *LONG, "--metrics", f"127.0.0.1:{port}")
    url, headers = f"http://127.0.0.1:{port}/", bearer(load_or_create_token())

    def scrape():
        try:
            return get(url, "metrics", **headers)[2]
        except OSError:
            return ""

    process = start(*words, cwd=tmp_path)
    try:
        alive = 'rungwise_run_driver_alive{run="run"} 1.0'
        iterations = re.compile(r'rungwise_run_iterations\{run="run"\} [1-9]')
        wait_until(lambda: alive in (text := scrape()) and iterations.search(text))
        assert get(url, "healthz")[0] == 200 and get(url, "metrics")[0] == 401
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    finally:
        process.kill()
    assert scrape() == "" and read_rows(run)[-1].reason == "interrupted"


def is_in_the_middle(run):
    """Whether one trial has ended and another one has a checkpoint."""
    ended = {row.trial for row in read_rows(run, EndRow)}
    return bool(ended and {row.trial for row in read_rows(run, CheckpointRow)} - ended)


def find_waiting(run):
    """The first decision by which a trial waits at a rung; None if there is none."""
    return next((row for row in read_rows(run, DecisionRow) if row.waits), None)
