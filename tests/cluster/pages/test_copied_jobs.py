# pyright: basic, reportAttributeAccessIssue=false
"""What is copied from the page: the settings of a trial, and commands that train them changed."""

import pytest
from chromium import browser, needs_browser
from dashboard_app import shown
from dashboard_tab import press
from sick_sweep import write_sick_sweep

from tune_jobs.jobs.job_yaml import parse_job

pytestmark = [pytest.mark.system, needs_browser]
CATCH = """if (navigator.clipboard)
navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve() }"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    root = tmp_path_factory.mktemp("copied") / "runs"
    write_sick_sweep(root / "sweep")
    with shown(root) as (url, address), browser(root.parent / "profile") as tab:
        # In every document: a page whose connection was slow loads itself once more.
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=CATCH)
        tab.open(address)
        tab.wait("document.querySelectorAll('h1').length")

        def open_page(path, words):
            tab.open("about:blank")
            tab.open(f"{url}run/sweep{path}")
            tab.wait(f"document.body?.textContent.includes({words!r})")
            return tab

        yield open_page


def read_command(text):
    """The settings of the job that copied lines write."""
    job = text.partition("<<'END'\n")[2].partition("END\n")[0]
    return parse_job(job, "copied").settings


def test_a_finding_shows_its_evidence_and_the_changed_command(opened):
    tab = opened("?tab=Findings", "Copy the command for trial 01 with lr")
    tab.wait("document.querySelector('.js-plotly-plot')?.data?.some(t => t.name === 'onset')")
    said = tab.ask("document.querySelector('.q-tab-panel').textContent")
    assert "Remedy: Lower `lr=1e-4`" in said
    press(tab, "Copy the command for trial 01 with lr")
    copied = tab.wait("window.copied")
    assert read_command(copied).lr == 1e-4 and read_command(copied).epochs == 8
    press(tab, "trial 01")
    tab.wait("location.pathname === '/run/sweep/trial/01'")
    assert tab.errors == []


def test_a_trial_is_cloned_and_stands_next_to_the_defaults(opened):
    tab = opened("/trial/01", "Copy the settings of trial 01")
    tables = [*tab.ask("[...document.querySelectorAll('table')].map(t => t.textContent)")]
    assert "epochs" in tables[0] and "gamma" not in tables[0] and "gamma" in tables[1]
    assert tab.ask("document.querySelector('details').open") is False
    marked = "getComputedStyle(document.querySelector('summary')).display"
    assert tab.ask(marked) == "list-item"  # with the triangle that says it opens
    # By the keyboard alone.
    tab.ask(
        "[...document.querySelectorAll('button')]"
        ".find(e => e.textContent.includes('as a job')).focus()"
    )
    tab.press("Enter", 13, "\r")
    job = parse_job(tab.wait("window.copied"), "copied")
    assert (job.settings.lr, job.trials, job.search) == (0.05, 1, {})
    tab.ask("window.copied = ''")
    press(tab, "Copy the command that trains them")
    assert read_command(tab.wait("window.copied")).lr == 0.05
    assert tab.errors == []


def test_the_winner_is_cloned_from_the_result(opened):
    tab = opened("?tab=Result", "Copy the settings of trial 00")
    press(tab, "Copy the settings of trial 00")
    assert parse_job(tab.wait("window.copied"), "copied").settings.lr == 1e-3
    assert tab.errors == []
