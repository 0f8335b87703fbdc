# pyright: basic
"""Every page by the rules of axe, light and dark."""

from pathlib import Path

import axe_core_python
import pytest
from chromium import browser, needs_browser
from dashboard_app import shown, write
from sick_sweep import write_sick_sweep
from synthetic_sweep import synthetic_rows

pytestmark = pytest.mark.system

RULES = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
FOUND = """axe.run(document, {resultTypes: ['violations']}).then(
answer => answer.violations.map(v => `${v.id}: ${v.nodes[0].html}`))"""
TABS = ["Trials", "Curves", "Settings", "Findings", "Result", "Ledger", "Events", "Logs"]
PAGES = {
    "": "document.querySelectorAll('.ag-row').length",
    **{f"run/a?tab={tab}": "document.querySelector('.cards strong')" for tab in TABS},
    "run/a/trial/08": "document.querySelector('.js-plotly-plot .xtick')",
    "run/sick?tab=Findings": "document.querySelector('.js-plotly-plot .xtick')",
    "run/sick?tab=Result": "document.querySelector('.q-tab-panel h2')",
    "run/sick/trial/01": "document.querySelector('.js-plotly-plot .xtick')",
    "compare?runs=a,b": "document.querySelector('.js-plotly-plot .xtick')",
    "run/none": "document.querySelector('h1')",
}
"""Each page, and what is there once it is drawn."""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    root = tmp_path_factory.mktemp("axe") / "runs"
    for name in ("a", "b"):
        write(root / name, synthetic_rows())
    write_sick_sweep(root / "sick")
    with shown(root) as (url, address), browser(root.parent / "profile") as tab:
        tab.open(address)
        tab.wait("document.querySelectorAll('h1').length")
        yield url, tab


@needs_browser
@pytest.mark.parametrize("page", PAGES)
def test_everybody_can_use_the_page(tab, page):
    url, tab = tab
    for dark in (False, True):
        tab.dark(dark)
        tab.open("about:blank")
        tab.open(url + page)
        tab.wait(f"!!({PAGES[page]})")
        tab.ask(RULES + "; 0")
        assert tab.ask(FOUND) == [], "dark" if dark else "light"
