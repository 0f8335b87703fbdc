# pyright: basic
"""How soon the page shows a run of a million results, how soon what is new, and at what cost."""

import statistics
import time

import psutil
import pytest
from chromium import browser, needs_browser
from dashboard_app import shown, write
from synthetic_sweep import job_row, result, synthetic_rows

from rungwise.run_log.event_log import EventLog, encode_row
from rungwise.run_log.events import TrialRow

TRIALS, RESULTS, UPDATES, READERS = 1000, 1000, 9, 10
RUNS, OPENED = 1000, 5
PAINT_S, LAG_S, CORE_SHARE, LIST_S = 1.0, 1.0, 0.3, 1.0
"""What is promised on a machine that does nothing else."""
BUSY = 10
"""How many times slower a machine may be that runs other tests."""
METRICS = {"kl": 0.01, "return_mean": 1.25, "entropy_normalised": 0.5, "grad_norm": 0.75}
FIRST = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
CELL = 'document.querySelector(\'.ag-row[row-id="0000"] [col-id="iterations"]\')?.textContent'


def large(directory):
    """The run, every trial still under way."""
    trials = [f"{number:04d}" for number in range(TRIALS)]
    rows = [job_row(trials=TRIALS, iterations=2 * RESULTS)]
    rows += [TrialRow(trial=trial, config={"lr": 1e-3}) for trial in trials]
    write(directory, rows)
    line = encode_row(result("TRIAL", 4711, 0.875, metrics=METRICS)) + "\n"
    with (directory / "events.jsonl").open("a") as file:
        for at in range(1, RESULTS + 1):
            now = line.replace('"iteration": 4711', f'"iteration": {at}')
            now = now.replace("0.875", f"{1 / at:.6f}", 1)
            file.write("".join(now.replace("TRIAL", trial) for trial in trials))
    return directory


@needs_browser
@pytest.mark.slow
def test_a_run_of_a_million_results_is_painted_and_followed(tmp_path):
    run = large(tmp_path / "runs" / "sweep")
    log = EventLog(run / "events.jsonl")
    with shown(tmp_path / "runs") as (url, address), browser(tmp_path / "profile") as tab:

        def seconds(true):
            """From the call of the page until this is true in it, by the page's own clock."""
            return tab.wait(f"({true}) && performance.now()") / 1000

        tab.open(address)
        tab.wait("document.querySelectorAll('h1').length")
        tab.open(f"{url}run/sweep")
        rows = seconds("document.querySelectorAll('.ag-row').length > 5")
        paint = tab.ask(FIRST) / 1000
        tab.open("about:blank")
        tab.open(f"{url}run/sweep?tab=Curves")
        drawn = "(document.querySelector('.js-plotly-plot')?.data?.[0]?.x?.length ?? 0)"
        curves = seconds(f"{drawn} >= {10 * TRIALS}")
        again = tab.ask(FIRST) / 1000
        tab.open("about:blank")
        tab.open(f"{url}run/sweep")
        tab.wait(CELL)
        lags = []
        for update in range(1, UPDATES + 1):
            time.sleep(0.61)  # at another moment between two looks each time
            log.append(result("0000", RESULTS + update, 1e-4, metrics=METRICS))
            written = time.monotonic()
            tab.wait(f"{CELL} === '{RESULTS + update:,}'")
            lags.append(time.monotonic() - written)
        for _ in range(READERS - 1):
            tab.call("Target.createTarget", url=f"{url}run/sweep?tab=Curves")
        time.sleep(20)
        (server,) = (p for p in psutil.process_iter(["cmdline"])
                     if str(tmp_path / "runs") in (p.info["cmdline"] or [])
                     and "rungwise" in p.info["cmdline"])  # fmt: skip
        before, begun = sum(server.cpu_times()[:2]), time.monotonic()
        for update in range(10):
            log.append(result("0001", RESULTS + 1 + update, 1e-4, metrics=METRICS))
            time.sleep(1)
        share = (sum(server.cpu_times()[:2]) - before) / (time.monotonic() - begun)
        memory = server.memory_info().rss / 2**20
        assert tab.errors == []
    print(
        f"\n{TRIALS} trials, {RESULTS:,} results each: first paint after {paint:.2f} s and, opened"
        f" again, {again:.2f} s; all of the log in the table after {rows:.2f} s,"
        f" curves after {curves:.2f} s; a new result after {statistics.median(lags):.2f} s"
        f" (median), {max(lags):.2f} s (longest); {READERS} pages take {share:.2f} of a core and"
        f" {memory:.0f} MiB"
    )
    assert max(paint, again) < BUSY * PAINT_S
    assert statistics.median(lags) < BUSY * LAG_S
    assert share < BUSY * CORE_SHARE


@needs_browser
@pytest.mark.slow
def test_a_thousand_runs_are_listed(tmp_path):
    rows = list(synthetic_rows())
    for number in range(RUNS):
        write(tmp_path / "runs" / f"sweep-{number:04d}", rows)
    listed = []
    with shown(tmp_path / "runs") as (url, address), browser(tmp_path / "profile") as tab:
        for page in (address, *[url] * OPENED):
            tab.open("about:blank")
            tab.open(page)
            listed.append(
                tab.wait("document.querySelectorAll('.ag-row').length > 10 && performance.now()")
            )
            time.sleep(10)  # until the figures of all runs are known
        assert tab.errors == []
    first, *later = (number / 1000 for number in listed)
    print(
        f"\n{RUNS:,} runs: rows after {first:.2f} s in a browser that has just started, later after"
        f" {statistics.median(later):.2f} s (median), {max(later):.2f} s (longest)"
    )
    assert statistics.median(later) < BUSY * LIST_S
