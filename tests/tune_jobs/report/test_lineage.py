# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
"""The lineage of the trials of a population."""

from populations import make_population_rows
from synthetic_sweep import job_row, result

from rungwise.run_log.outcome import Outcome
from tune_jobs.report.lineage import plot_lineage, trace_ancestry


def test_lineage_reaches_the_first_ancestor_of_the_winner():
    outcome = Outcome.from_rows(make_population_rows())
    assert trace_ancestry(outcome, "02") == [("00", 0, 3), ("01", 3, 9), ("02", 9, 27)]
    blue = plot_lineage(outcome).data[-1]
    assert list(blue.x) == [0, 3, 3, 9, 9, 27] and list(blue.y) == [0, 0, -1, -1, -2, -2]
    assert outcome.best.config == {"lr": 0.0012}


def test_a_population_without_exploits_has_no_lineage():
    outcome = Outcome.from_rows([job_row(), result("00", 3, 0.5)])
    assert plot_lineage(outcome) == "No trial continued from another one."
