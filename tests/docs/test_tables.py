# pyright: basic
"""Generated tables against the data that they show."""

from docs.tables import format_presets_table
from tune_jobs.jobs.job_yaml import list_presets, load_job


def test_the_presets_table_states_the_budgets_of_the_jobs():
    cells = [
        [cell.strip() for cell in row.split("|")] for row in format_presets_table().split("\n")
    ]
    sizes = {row[1].strip("`"): row[4] for row in cells[2:]}
    jobs = {name: load_job(name) for name in list_presets()}
    assert sizes == {name: f"{job.trials} x {job.iterations}" for name, job in jobs.items()}
