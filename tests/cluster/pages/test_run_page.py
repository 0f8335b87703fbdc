# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The page of a run in a browser: what a reader does with it."""

import json

import pytest
from chromium import browser, needs_browser
from dashboard_app import shown, write
from dashboard_tab import choose, fill, press, read_column, read_traces, sort_by, wait_for_rows
from synthetic_sweep import end, job_row, result, synthetic_rows
from waiting import wait_until

from cluster.pages.frame import DRAW
from cluster.queue.orders import Order, read_order, write_order
from rungwise.run_log.driver_lock import LOCK, file_lock
from rungwise.run_log.event_log import EventLog, read_event_log
from rungwise.run_log.events import EndRow, JobEndRow, TrialRow
from rungwise.run_log.stop_requests import is_stop_requested
from tune_jobs.jobs.job_yaml import dump_job, load_job, make_job

pytestmark = [pytest.mark.system, needs_browser]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A tab, and the function that opens a page of the sweep in it."""
    root = tmp_path_factory.mktemp("page") / "runs"
    write(root / "sweep", synthetic_rows())
    with shown(root) as (url, address), browser(root.parent / "profile") as tab:
        tab.open(address)
        tab.wait("document.querySelectorAll('h1').length")

        def open_page(query=""):
            tab.open("about:blank")
            tab.open(f"{url}run/sweep{query}")
            tab.wait("document.querySelector('.cards')?.textContent.includes('time taken')")
            return tab

        yield open_page


def test_the_table_is_sorted_filtered_and_its_columns_are_chosen(opened):
    tab = opened()
    wait_for_rows(tab, 10)
    assert read_column(tab, "trial")[0] == "08"
    sort_by(tab, "setting:lr")
    tab.wait("document.querySelector('[col-id=\"setting:lr\"].ag-header-cell').ariaSort")
    values = [float(text) for text in read_column(tab, "setting:lr")]
    assert values == sorted(values) and len(values) > 9
    press(tab, "Columns")
    press(tab, "steps")
    tab.wait("!!document.querySelector('.ag-header-cell[col-id=\"steps\"]')")
    press(tab, "clip")
    tab.wait("!document.querySelector('.ag-header-cell[col-id=\"setting:clip\"]')")
    tab.press("Escape", 27)
    tab.wait("!document.querySelector('.q-menu')")
    fill(tab, "Search Trials", "health")
    tab.wait("document.querySelectorAll('.ag-center-cols-container .ag-row').length < 6")
    assert set(read_column(tab, "state")) == {"stopped by health"}
    assert tab.errors == []


def test_a_trial_is_selected_in_the_table_and_stands_out_in_the_curves(opened):
    tab = opened()
    wait_for_rows(tab, 10)
    tab.ask('document.querySelector(\'.ag-row[row-id="04"] .ag-cell[col-id="state"]\').click()')
    tab.wait("location.search.includes('trials=04')")
    tab.wait("document.body.textContent.includes('Page of trial 04')")
    press(tab, "Curves")
    tab.wait("document.querySelector('.js-plotly-plot')?.data?.length > 3")
    names = [trace["name"] for trace in read_traces(tab)]
    assert names[:3] == ["other trials", "trial 08, the best", "trial 04"]
    tab = opened("?tab=Curves&trials=10")  # the address keeps what is looked at
    tab.wait("document.querySelector('.js-plotly-plot')?.data?.some(t => t.name === 'trial 10')")
    assert tab.errors == []


def test_curves_are_drawn_over_steps_smoothed_and_by_group(opened):
    tab = opened("?tab=Curves")
    plot = "document.querySelector('.js-plotly-plot')"
    tab.wait(f"{plot}?.data?.length > 3")
    before = read_traces(tab)[1]
    choose(tab, "Over", "environment steps")
    tab.wait(f"{plot}.data[1].x.at(-1) > 1000")
    assert read_traces(tab)[1]["y"] == before["y"]
    tab.ask("document.querySelector('.q-slider [tabindex]').focus()")
    for _ in range(6):
        tab.press("ArrowRight", 39)
    tab.wait(f"{plot}.data[1].y.at(-1) !== {before['y'][-1]}")
    choose(tab, "Curves", "mean and band by clip")
    tab.wait(f"{plot}.data.some(t => t.fill === 'tonexty')")
    assert any((t.get("name") or "").startswith("clip 0.2 (") for t in read_traces(tab))
    press(tab, "policy")
    tab.wait("document.querySelectorAll('.js-plotly-plot').length > 1")
    assert tab.errors == []


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("Settings", "Each line is a trial"),
        ("Findings", "kl runaway"),
        ("Result", "random"),
        ("Ledger", "saved by"),
        ("Events", "the job ended"),
        ("Logs", "Nothing was written"),
    ],
)
def test_every_tab_says_what_it_is_for(opened, title, said):
    tab = opened(f"?tab={title}")
    tab.wait(f"document.querySelector('.q-tab-panel')?.textContent.includes({said!r})")
    assert tab.errors == []


def test_a_figure_that_comes_before_its_plot_is_drawn_and_the_newest_last(opened):
    tab = opened("?tab=Curves")
    tab.wait("document.querySelector('.js-plotly-plot')?.data?.length > 3")
    number = tab.ask("document.querySelector('.js-plotly-plot').id").removeprefix("c")
    tab.ask("window.made = window.getElement; window.getElement = () => undefined; 0")
    for points in ([1, 2], [1, 2, 3]):
        figure = json.dumps({"data": [{"x": points, "y": points}], "layout": {}, "config": {}})
        tab.ask(f"({DRAW})({number}, {figure}); 0")
    tab.ask("window.getElement = window.made; 0")
    tab.wait("document.querySelector('.js-plotly-plot').data[0].x.length === 3")
    assert tab.ask("Object.keys(window.newestFigures).length") == 0
    assert tab.errors == []


def test_a_growing_run_is_followed(tmp_path):
    rows = synthetic_rows()
    half = len(rows) // 2
    run = write(tmp_path / "runs" / "sweep", rows[:half])
    with shown(tmp_path / "runs") as (url, address), browser(tmp_path / "profile") as tab:
        tab.open(address)
        tab.wait("document.querySelectorAll('h1').length")
        tab.open(f"{url}run/sweep?tab=Curves")
        plot = "document.querySelector('.js-plotly-plot')"
        points = f"({plot}?.data || []).reduce((n, t) => n + t.x.length, 0)"
        before = tab.wait(points)
        log = EventLog(run / "events.jsonl")
        for row in rows[half:]:
            log.append(row)
        tab.wait("document.querySelector('.cards').textContent.includes('time taken')")
        tab.wait(f"{points} > {before}")
        press(tab, "Trials")
        wait_for_rows(tab, 10)
        assert tab.errors == []


def test_a_trial_and_the_job_are_stopped_and_resumed_by_buttons(tmp_path):
    rows = [job_row(trials=2), TrialRow(trial="00", config={}), TrialRow(trial="01", config={})]
    rows += [result("00", 3, 0.5), result("01", 3, 0.4), end("01", 3, "stopped", "by hand")]
    run = write(tmp_path / "runs" / "sweep", rows)
    site = shown(tmp_path / "runs", "service")
    with site as (url, address), browser(tmp_path / "profile") as tab:
        tab.open(address)
        tab.wait("document.querySelectorAll('h1').length")
        tab.open(f"{url}run/sweep?trials=00,01", width=390, height=844)
        with file_lock(run / LOCK):
            press(tab, "Stop trial 00")
            wait_until(lambda: is_stop_requested(run, "00"))
            press(tab, "Stop this job")
            wait_until(lambda: is_stop_requested(run))
        # A button stays while the page follows the run, so that no press on it is lost.
        resume = """[...document.querySelectorAll('button')]
        .find(e => e.textContent.trim() === 'Resume trial 01')"""
        tab.ask(f"{resume}.dataset.kept = 'yes'")
        EventLog(run / "events.jsonl").append(JobEndRow(reason="interrupted", seconds=1.0))
        tab.wait("document.body.innerText.includes('Resume this job')")
        assert tab.ask(f"{resume}.dataset.kept") == "yes"
        press(tab, "Resume trial 01")
        wait_until(lambda: read_order(run) is not None)
        ends = [row for row in read_event_log(run / "events.jsonl") if isinstance(row, EndRow)]
        assert ends[-1].sentence == "resumed by request"
        assert tab.ask("document.documentElement.scrollWidth <= innerWidth")
        assert tab.errors == []


def test_a_finished_run_is_extended_by_a_form(tmp_path):
    about = {"env": "CartPole-v1", "iterations": 4, "trials": 2, "grace": 2}
    about |= {"search": {"lr": {"loguniform": [1e-4, 1e-2]}}}
    rows = [job_row(env="CartPole-v1", trials=2, iterations=4), TrialRow(trial="00", config={})]
    rows += [result("00", 4, 0.5), end("00", 4, "budget"), JobEndRow(reason="done", seconds=1.0)]
    run = write(tmp_path / "runs" / "sweep", rows)
    (run / "job.yaml").write_text(dump_job(make_job(about)))
    # A run that seems to be driven keeps the queue from starting another one.
    other = write(tmp_path / "runs" / "other", [job_row()])
    write_order(other, Order())
    site = shown(tmp_path / "runs", "service")
    with file_lock(other / LOCK), site as (url, address), browser(tmp_path / "profile") as tab:

        def enter(label, number):
            field = f"document.querySelector('input[aria-label={label}]')"
            tab.wait(f"!!{field}")
            tab.ask(f"({field}.focus(), {field}.select())")
            tab.call("Input.insertText", text=str(number))
            tab.press("Tab", 9)

        tab.open(address)
        tab.wait("document.querySelectorAll('h1').length")
        tab.open(f"{url}run/sweep", width=390, height=844)
        press(tab, "Extend")
        tab.wait("document.body.textContent.includes('give more trials or iterations')")
        enter("Iterations", 3)
        press(tab, "Extend")
        tab.wait("document.body.textContent.includes('but a trial has run 4 already')")
        enter("Trials", 4)
        enter("Iterations", 8)
        press(tab, "Extend")
        wait_until(lambda: read_order(run) is not None)
        job = load_job(run / "job.yaml")
        assert (job.trials, job.iterations, job.rungs) == (4, 8, [2, 4])
        assert tab.ask("document.documentElement.scrollWidth <= innerWidth")
        assert tab.errors == []


def test_a_brush_on_an_axis_selects_trials(opened):
    tab = opened("?tab=Settings")
    tab.wait("!!document.querySelector('.parcoords .axis-brush .background')")
    plot = (
        "[...document.querySelectorAll('.js-plotly-plot')].find(e => e.querySelector('.parcoords'))"
    )
    axis = f"{plot}.querySelector('.axis-brush .background')"
    box = tab.ask(f"""(e => {{ e.scrollIntoView({{block: 'center'}});
    const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y, r.height]; }})({axis})""")
    x, top, height = box
    steps = [("mouseMoved", 0.3), ("mousePressed", 0.3), ("mouseMoved", 0.5), ("mouseMoved", 0.7)]
    for kind, place in [*steps, ("mouseReleased", 0.7)]:
        about = {"type": kind, "x": x, "y": top + place * height, "button": "left"}
        tab.call("Input.dispatchMouseEvent", **about, buttons=1, clickCount=1)
    tab.wait(f"{plot}.data[0].dimensions.some(d => d.constraintrange)")
    assert tab.errors == []
