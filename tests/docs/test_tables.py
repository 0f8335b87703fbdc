# pyright: basic
"""Generated tables against the data that they show."""

import re

from docs.tables import DOCS, format_presets_table
from tune_jobs.jobs.job_yaml import list_presets, load_job
from tune_jobs.jobs.preset_scores import load_preset_scores


def test_the_presets_table_states_the_budgets_of_the_jobs():
    cells = [
        [cell.strip() for cell in row.split("|")] for row in format_presets_table().split("\n")
    ]
    sizes = {row[1].strip("`"): row[4] for row in cells[2:]}
    jobs = {name: load_job(name) for name in list_presets()}
    assert sizes == {name: f"{job.trials} x {job.iterations}" for name, job in jobs.items()}


def test_the_presets_of_the_zoo_have_the_scores_of_their_data():
    """Both hold the same runs: the page pairs of drawn and most likely actions, the data the first.

    Figures are rounded in either place, so they agree to half a unit of the shorter one.
    """
    lines = (DOCS / "environments.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:3] == "| `"]
    scores = load_preset_scores()
    checked = 0
    for row in rows:
        name = row[0].strip("`")
        if name not in scores or not re.match(r"-?\d", row[2]):
            continue
        drawn = [pair.split(" / ")[0] for pair in row[2].split(", ")]
        for text, score in zip(drawn, scores[name].scores, strict=True):
            places = len(text.partition(".")[2])
            assert abs(float(text) - score) <= 0.5 * 10.0**-places + 1e-9, name
        checked += 1
    assert checked >= 5
