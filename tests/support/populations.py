# pyright: basic, reportArgumentType=false
"""Event rows of a population of trials."""

from synthetic_sweep import job_row, result

from rungwise.run_log.events import ExploitRow, TrialRow


def make_exploit(trial, donor, iteration, **changed):
    """A trial that continues from a donor, with another learning rate."""
    fields = dict(score=0.5, donor_score=0.1, before={"lr": 0.01}, donated={"lr": 0.001})
    fields |= dict(after={"lr": 0.0012}, checkpoint=f"{donor}/{iteration}")
    return ExploitRow(trial=trial, donor=donor, iteration=iteration, **fields | changed)


def make_population_rows():
    """Trial 02 continued from 01 at 9, which had continued from 00 at 3."""
    rows = [
        job_row(trials=3),
        *(TrialRow(trial=t, config={"lr": 0.01}) for t in ("00", "01", "02")),
    ]
    rows += [make_exploit("01", "00", 3), make_exploit("02", "01", 9)]
    return [*rows, *(result(t, 27, s) for t, s in (("00", 0.3), ("01", 0.2), ("02", 0.1)))]
