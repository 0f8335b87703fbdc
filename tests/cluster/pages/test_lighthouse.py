# pyright: basic
"""The accessibility of every page by Lighthouse, where it is installed."""

import json
import os
import shutil
import subprocess

import pytest
from chromium import BROWSER, needs_browser
from dashboard_app import shown, write
from sick_sweep import write_sick_sweep
from synthetic_sweep import synthetic_rows

LIGHTHOUSE = shutil.which("lighthouse") or ""
PAGES = [
    "",
    "run/sweep?tab=Trials",
    "run/sick?tab=Findings",
    "run/sick?tab=Result",
    "run/sick/trial/01",
    "compare?runs=sweep,sick",
]


@needs_browser
@pytest.mark.slow
@pytest.mark.skipif(not LIGHTHOUSE, reason="no Lighthouse here (npm install -g lighthouse)")
def test_lighthouse_finds_nothing_that_shuts_anybody_out(tmp_path):
    write(tmp_path / "runs" / "sweep", synthetic_rows())
    write_sick_sweep(tmp_path / "runs" / "sick")
    chromium = "--chrome-flags=--headless=new --no-sandbox --disable-dev-shm-usage"
    scores = {}
    with shown(tmp_path / "runs") as (url, address):
        token = address.partition("?")[2]
        for page in PAGES:
            path = f"{url}{page}{'&' if '?' in page else '?'}{token}"
            words = [LIGHTHOUSE, path, "--only-categories=accessibility", "--output=json"]
            found = subprocess.run(
                [*words, "--quiet", chromium],
                env=os.environ | {"CHROME_PATH": BROWSER},
                stdout=subprocess.PIPE,
                check=True,
            )
            scores[page] = json.loads(found.stdout)["categories"]["accessibility"]["score"]
    assert scores == dict.fromkeys(PAGES, 1)
