# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The list of runs and the comparison of some, in a browser."""

import pytest
from chromium import browser, needs_browser
from dashboard_app import get, shown, write
from dashboard_tab import fill, press, read_column, sort_by, wait_for_rows
from synthetic_sweep import START, job_row, result, synthetic_rows

from rungwise.run_log.events import JobEndRow, TrialRow

pytestmark = [pytest.mark.system, needs_browser]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    root = tmp_path_factory.mktemp("overview") / "runs"
    write(root / "sweep", synthetic_rows())
    rows = [job_row(run="short,1", trials=1, env="CartPole-v1", seed=3, time=START + 9,
                    changes={"job": {"tags": "baseline, quick"}})]  # fmt: skip
    rows += [TrialRow(trial="00", config={"lr": 0.5}), *(result("00", i, 0.9) for i in (1, 2))]
    write(root / "short,1", [*rows, JobEndRow(reason="done", seconds=5.0)])
    with shown(root) as (url, address), browser(root.parent / "profile") as tab:
        tab.open(address)
        wait_for_rows(tab, 2)
        yield url, address.partition("token=")[2], tab


def test_runs_are_listed_sorted_searched_and_compared(site):
    url, _, tab = site
    tab.wait("document.body.textContent.includes('69 %')")  # figures follow the names
    assert read_column(tab, "run") == ["short,1", "sweep"]  # the newest first
    sort_by(tab, "trials")
    tab.wait("document.querySelector('.ag-header-cell[col-id=\"trials\"]').ariaSort !== 'none'")
    assert read_column(tab, "trials") == ["1", "16"]
    fill(tab, "Search Runs", "causal")
    tab.wait("document.querySelectorAll('.ag-center-cols-container .ag-row').length === 1")
    assert read_column(tab, "run") == ["sweep"]
    tab.open("about:blank")
    tab.open(url)
    wait_for_rows(tab, 2)
    fill(tab, "Search Runs", "baseline")
    tab.wait("document.querySelectorAll('.ag-center-cols-container .ag-row').length === 1")
    assert (read_column(tab, "run"), read_column(tab, "tags")) == (["short,1"], ["baseline, quick"])
    tab.open("about:blank")
    tab.open(url)
    wait_for_rows(tab, 2)
    for run in ("sweep", "short,1"):
        tab.click(f"document.querySelector('.ag-row[row-id=\"{run}\"] input[type=checkbox]')")
    tab.wait("!document.querySelector('button.q-btn[disabled]')")
    press(tab, "Compare")
    tab.wait("location.pathname === '/compare'")
    tab.wait("document.querySelector('.js-plotly-plot')?.data?.length >= 2")
    said = tab.ask("document.body.textContent")
    assert "Settings that differ" in said and "seed" in said and "sweep and short,1" in said
    assert tab.errors == []


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [("runs=sweep", 422, "Name two runs or more"), ("runs=sweep,shirt", 404, "nearest is short,1")],
)
def test_a_comparison_that_cannot_be_made_says_why(site, query, status, sentence):
    url, token, _ = site
    got, _, body = get(url, f"compare?{query}", Authorization=f"Bearer {token}")
    assert got == status and sentence in body
