# pyright: basic, reportArgumentType=false
"""A finished run is judged as it would have been while it ran."""

import os
import tarfile

import pytest
from finished_run import write_finished_run
from foreign_logs import write_columns
from health_runs import flat, rising
from paths import DATA

from rungwise.judging.watch import TimeLimit, Watch
from rungwise.logs.discovery import find_logs, find_readers
from tune_jobs.audit.replayed_run import JudgingOptions, replay_source

OPTIONS = JudgingOptions()


def replay(path, options=OPTIONS):
    (source,) = find_logs(path, options.rename)
    (run,) = replay_source(source, path.name, options)
    return run


def write_run(path, returns, steps=100):
    return write_columns(
        path, step=[(i + 1) * steps for i in range(len(returns))], **{"return": returns}
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The folder of recorded programs."""
    folder = tmp_path_factory.mktemp("logs")
    with tarfile.open(DATA / "program_logs.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.mark.system
def test_the_verdict_is_that_of_a_live_watch(recorded):
    readers, compared, stopped = find_readers(recorded)[::12], 0, 0
    for reader in readers:
        (run,) = replay_source(reader, "run", OPTIONS)
        if not run.is_judged:
            continue
        records = type(reader)(reader.files, None, reader.directory, reader.label).read(final=True)
        progress = "env_steps" if run.counts_steps else ""
        watch = Watch(budget=run.length, progress=progress, time_limit=TimeLimit(fraction=1e9))
        rows = 0
        while rows < len(records) and not watch.should_stop:
            watch.feed(records[rows].values)
            rows += 1
        live = watch.stop.symptom if watch.stop and rows / len(records) < 0.95 else None
        assert live == (run.stop.symptom if run.stop else None), reader.files
        assert run.stop is None or abs(rows / len(records) - run.stop.share) <= 0.02
        compared, stopped = compared + 1, stopped + (run.stop is not None)
    assert compared > 8 and stopped > 1


def test_a_run_that_never_learns_would_have_been_ended_and_a_healthy_one_not(tmp_path):
    doomed = replay(write_run(tmp_path / "a.csv", flat(100, noise=0.005, seed=3)))
    assert doomed.stop and doomed.stop.symptom == "no_improvement"
    assert 0.4 < doomed.stop.share < 0.95 and not doomed.rose
    assert doomed.length == 10_000 and doomed.counts_steps
    healthy = replay(write_run(tmp_path / "b.csv", rising(100)))
    assert healthy.stop is None and healthy.rose is None
    assert healthy.final_score == pytest.approx(0.95, abs=0.1)


def test_nothing_is_ended_before_a_live_run_would_have_been(tmp_path):
    """That a return is NaN since row 21 is known when it has been for 32 rows."""
    path = write_run(tmp_path / "a.csv", [*flat(20, noise=0.3), *[float("nan")] * 80])
    run = replay(path)
    assert run.stop and (run.stop.symptom, run.stop.share) == ("not_finite", 0.52)


def test_a_run_that_rises_after_its_stop_is_seen_to(tmp_path):
    late = [*flat(200, noise=0.005, seed=1), *rising(20, 1.0, 9.0)]
    run = replay(write_run(tmp_path / "a.csv", late))
    assert run.stop and run.rose


def test_a_longer_budget_postpones_the_stop(tmp_path):
    path = write_run(tmp_path / "a.csv", flat(100, noise=0.005, seed=3))
    assert replay(path, JudgingOptions(budget=100_000)).stop is None


def test_a_rule_that_may_only_warn_ends_nothing(tmp_path):
    path = write_run(tmp_path / "a.csv", flat(100, noise=0.005, seed=3))
    run = replay(path, JudgingOptions(limits={"no_improvement": "warn"}))
    assert run.stop is None and "no_improvement" in run.warned


def test_a_loss_is_judged_as_a_score_that_falls(tmp_path):
    path = write_columns(tmp_path / "a.csv", step=list(range(100)), loss=flat(100, seed=3))
    options = JudgingOptions(metric="loss", mode="min", rename={"loss": "return_mean"})
    run = replay(path, options)
    assert run.mode == "min" and run.final_score is not None


def test_the_environment_is_read_from_the_path(tmp_path):
    path = tmp_path / "Hopper-v5__ppo__1" / "progress.csv"
    assert replay(write_run(path, rising(30))).env == "Hopper-v5"


def test_a_trial_of_ours_is_judged_with_its_own_budget(tmp_path):
    run_directory = write_finished_run(tmp_path / "run")
    (source,) = find_logs(run_directory, {})
    runs = replay_source(source, "run", OPTIONS)
    assert [run.name for run in runs] == ["run/00", "run/01", "run/02"]
    assert {run.env for run in runs} == {"CartPole-v1"}
    assert all(run.is_judged and run.stop is None for run in runs)


def test_a_log_without_a_return_is_judged_by_what_it_has(tmp_path):
    path = write_columns(
        tmp_path / "a.csv", step=list(range(60)), entropy=[1.0] * 60, points=[1.0] * 60
    )
    run = replay(path)
    assert run.is_judged and run.final_score is None
    assert "--rename 'points=return_mean'" in run.note


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_a_note(tmp_path):
    path = write_run(tmp_path / "a.csv", rising(30))
    path.chmod(0)
    (source,) = find_logs(tmp_path, {})
    (run,) = replay_source(source, "a", OPTIONS)
    assert not run.is_judged and "cannot be read" in run.note


def test_a_log_that_is_still_written_is_judged_up_to_its_last_line(tmp_path):
    path = write_run(tmp_path / "a.csv", rising(50))
    path.write_text(path.read_text()[:-3])
    run = replay(path)
    assert run.is_judged and len(run.scores) >= 49


def test_steps_that_are_counted_anew_in_each_epoch_are_no_length(tmp_path):
    epochs = [10 * i for _ in range(10) for i in range(1, 41)]
    path = write_columns(tmp_path / "a.csv", step=epochs, **{"return": rising(400)})
    run = replay(path)
    assert not run.counts_steps and run.length == 400
    assert max(b - a for a, b in zip(run.shares, run.shares[1:], strict=False)) < 0.05
