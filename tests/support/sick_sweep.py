# pyright: basic, reportArgumentType=false
"""A finished sweep of two trials whose job can be read: KL runs away in one of them."""

from dashboard_app import write
from finished_run import job
from synthetic_sweep import START, end, finding, job_row, result

from rungwise.run_log.events import JobEndRow, TrialRow
from tune_jobs.jobs.job_yaml import dump_job

ONSET = 3
REMEDY = "Lower `lr=1e-4`; lower `epochs=4`."


def write_sick_sweep(directory):
    """Trial 00 is healthy and the best; trial 01 has a KL runaway since iteration 3."""
    about = {"env": "CartPole-v1", "metric": "return_mean", "mode": "max", "choice_names": []}
    rows = [job_row(**about, trials=2, iterations=9, searched=["lr"], scheduler={"kind": "none"})]
    for trial, lr, kl in (("00", 1e-3, 0.01), ("01", 0.05, 2.0)):
        rows.append(TrialRow(trial=trial, config={"lr": lr}))
        for at in range(1, 10):
            metrics = {"kl": kl if at >= ONSET else 0.01 + at / 1000}
            rows.append(result(trial, at, 10.0 * at - 200 * lr, metrics=metrics))
    rows.append(finding("01", severity="stop", since=ONSET, iteration=4, remedy=REMEDY))
    rows += [end(trial, 9, "budget", time=START + 9) for trial in ("00", "01")]
    rows.append(JobEndRow(reason="done", seconds=9.0, time=START + 10))
    write(directory, rows)
    sweep = job(trials=2, iterations=9, scheduler="none", settings={"epochs": 8})
    (directory / "job.yaml").write_text(dump_job(sweep))
    return directory
