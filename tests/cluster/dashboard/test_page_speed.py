# pyright: basic
"""How soon the page shows a run of a million results, and how soon what is new in it."""

import statistics
import time

import pytest
from chromium import browser, needs_browser
from dashboard_app import TOKEN, read_whole, served, write
from synthetic_sweep import job_row, result, synthetic_rows

from cluster.dashboard import views
from tune_jobs.report.plots import ACCENT
from tune_jobs.run_log.event_log import EventLog, encode_row
from tune_jobs.run_log.events import TrialRow

TRIALS, RESULTS, UPDATES = 100, 10_000, 9
PAINT_S, LAG_S = 1.5, 1.0
"""What is promised on a machine that does nothing else."""
BUSY = 10
"""How many times slower a machine may be that runs other tests."""
METRICS = {"kl": 0.01, "return_mean": 1.25, "entropy_normalised": 0.5, "grad_norm": 0.75}
FIRST = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
CURVES = f"document.querySelectorAll('#plot .scatterlayer .trace').length >= {TRIALS}"
"""As Plotly draws them, which answers to the pointer; before it is there, they are sketched."""
SEEN = f"{CURVES} || document.querySelectorAll('#plot .sketch path').length >= {TRIALS}"
WHOLE = f"({CURVES}) && !document.getElementById('about').textContent.includes('% of its log')"


def large(directory):
    """The run, every trial still under way."""
    trials = [f"{number:02d}" for number in range(TRIALS)]
    rows = [job_row(trials=TRIALS, iterations=2 * RESULTS)]
    rows += [TrialRow(trial=trial, config={"lr": 1e-3}) for trial in trials]
    write(directory, rows)
    line = encode_row(result("TRIAL", 4711, 0.875, metrics=METRICS)) + "\n"
    with (directory / "events.jsonl").open("a") as file:
        for at in range(1, RESULTS + 1):
            now = line.replace("4711", str(at), 1).replace("0.875", f"{1 / at:.6f}", 1)
            file.write("".join(now.replace("TRIAL", trial) for trial in trials))
    return directory


@needs_browser
def test_the_curves_are_sketched_until_plotly_is_there(tmp_path):
    run = write(tmp_path / "sweep", synthetic_rows())
    curves = views.build_curves(read_whole(run), "")
    with served(run) as url, browser(tmp_path / "profile") as tab:
        tab.call("Network.setBlockedURLs", urls=["*plotly.js"])
        tab.open(f"{url}?token={TOKEN}")
        lines = "[...document.querySelectorAll('#plot .sketch path')].map(line => line.NAME)"
        drawn = tab.wait(lines.replace("NAME", "getAttribute('d').split('L').length"))
        known = [sum(y is not None for y in curve["y"]) for curve in curves.values()]
        assert sorted(drawn) == sorted(known)
        assert tab.ask(lines.replace("NAME", "getAttribute('stroke')")).count(ACCENT) == 1
        assert not tab.ask("document.querySelector('#plot').innerHTML.includes('NaN')")
        tab.call("Network.setBlockedURLs", urls=[])
        tab.open("about:blank")
        tab.open(url)
        tab.wait(f"document.querySelectorAll('#plot .scatterlayer .trace').length > {len(curves)}")
        assert tab.ask("document.querySelectorAll('.sketch').length") == 0


@needs_browser
@pytest.mark.slow
def test_a_run_of_a_million_results_is_painted_and_followed(tmp_path):
    run = large(tmp_path / "runs" / "sweep")
    with served(tmp_path / "runs") as url, browser(tmp_path / "profile") as tab:

        def seconds(true):
            """From the call of the page until this is true in it, by the page's own clock."""
            return tab.wait(f"({true}) && performance.now()") / 1000

        tab.open(f"{url}?token={TOKEN}#run=sweep")
        seen, curves, whole = seconds(SEEN), seconds(CURVES), seconds(WHOLE)
        paint = tab.ask(FIRST) / 1000
        tab.open("about:blank")
        tab.open(f"{url}#run=sweep")
        again = seconds(WHOLE)
        log, lags = EventLog(run / "events.jsonl"), []
        for update in range(1, UPDATES + 1):
            time.sleep(0.61)  # at another moment between two looks each time
            log.append(result("00", RESULTS + update, 0.5, metrics=METRICS))
            written = time.monotonic()
            last = "document.getElementById('plot').data.map(line => line.x.at(-1))"
            tab.wait(f"{last}.includes({RESULTS + update})")
            lags.append(time.monotonic() - written)
        assert tab.errors == []
    size = (run / "events.jsonl").stat().st_size / 2**20
    print(
        f"\n{TRIALS} trials, {RESULTS:,} results each, {size:.0f} MiB: first paint after"
        f" {paint:.2f} s, all curves after {seen:.2f} s, those that answer to the pointer after"
        f" {curves:.2f} s, all of the log after {whole:.1f} s; opened again after {again:.2f} s;"
        f" a new result after {statistics.median(lags):.2f} s (median), {max(lags):.2f} s (longest)"
    )
    assert max(curves, again) < BUSY * PAINT_S
    assert statistics.median(lags) < BUSY * LAG_S
