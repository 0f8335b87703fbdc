"""The page that compares runs: what differs between them, what they scored and what they cost."""

from __future__ import annotations

from starlette.exceptions import HTTPException

from cluster.pages.frame import Desk, begin_page, heading, show_parts
from cluster.web.run_view import RunView
from rungwise.run_log.outcome import Outcome
from tune_jobs.report.comparison import (
    list_compared_tables,
    plot_compared_curves,
    render_compared_table,
)
from tune_jobs.report.html_parts import draw


async def show_comparison(desk: Desk, names: list[str]) -> None:
    """Show the comparison of some runs.

    Args:
        desk: what the pages read.
        names: the runs; one with commas is an older link, as in runs=a,b.

    Raises:
        HTTPException: there is no such run, or fewer than two are named.
    """
    if len(names) == 1:
        names = names[0].split(",")
    names = list(dict.fromkeys(filter(None, names)))
    if len(names) < 2:
        raise HTTPException(
            422, "Name two runs or more, as in /compare?runs=a&runs=b, or choose them in the list."
        )
    outcomes: dict[str, Outcome] = {}
    for name in names:
        desk.find_run(name)
        await desk.runs.find_view(name).read()
        outcome = await desk.runs.query_run(name, _read_best)
        if outcome is None:
            raise HTTPException(422, f"{name} has not started, so there is nothing to compare.")
        outcomes[name] = outcome
    begin_page("Comparison", ("All runs", "/"))
    heading(" and ".join(outcomes))
    scores, *others = map(render_compared_table, list_compared_tables(outcomes))
    curves = draw("curves", "", plot_compared_curves(outcomes))
    show_parts([scores, "<h2>Learning curves</h2>", curves, *others])


def _read_best(view: RunView) -> Outcome | None:
    return view.build_outcome_of_best() if view.job else None
