"""The tab with the result, and the winner's settings to be copied."""

from __future__ import annotations

from cluster.pages.frame import dump_trial_settings, offer_settings, show_parts
from cluster.pages.parts_tab import PartsTab
from cluster.pages.run_context import RunContext
from cluster.web.run_view import RunView
from rungwise.run_log.evaluation_status import COMPARED
from tune_jobs.report import report, run_sections, shared_sections, winner_section
from tune_jobs.report.html_parts import Part, section


class ResultTab(PartsTab):
    """The result, drawn when the tab is opened and by a button."""

    def __init__(self, run: RunContext) -> None:
        super().__init__(run, build_result)

    def fill(self, built: tuple[list[Part], str, str]) -> None:
        """Draw the result."""
        parts, trial, settings = built
        offer_settings(trial, settings)
        show_parts(parts)


def build_result(view: RunView) -> tuple[list[Part], str, str]:
    """Build the sections of the result, with the id of the best trial and its settings as a job."""
    # Only the best trial gets all stored results, for its choices over time: each of them is read
    # from the log.
    outcome, directory = view.build_outcome_of_best(), view.directory
    best = outcome.best
    settings = dump_trial_settings(directory, best.config) if best else ""
    has_job = (directory / "job.yaml").is_file()
    comparison = report.render_comparison(outcome.evaluation, outcome.evaluation_failure)
    parts = [
        section(COMPARED, comparison),
        *(winner_section.render_winner(outcome, settings, directory) if has_job else []),
        *run_sections.render_winner_sections(outcome),
        *shared_sections.list_choice_parts(outcome),
        *shared_sections.list_node_parts(outcome),
        *shared_sections.list_episode_parts(outcome),
        *run_sections.render_video_section(outcome, directory),
    ]
    return parts, best.id if best else "", settings
