"""The report is one page that needs nothing else and keeps nothing back."""

# pyright: basic
import dataclasses
import html
import math
import re
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs
from synthetic_sweep import NODES, end, finding, job_row, result

from rungwise.run_log.events import PROGRAM, EvaluationRow, FinalRow, JobEndRow, TrialRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.jobs.job_yaml import dump_job, make_job
from tune_jobs.report.report import write_report


def page_of(rows, tmp_path, job_yaml="env: x\n"):
    """The page without Plotly's own script."""
    write_report(rows, job_yaml, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count(get_plotlyjs()) == 1
    return page.replace(get_plotlyjs(), "")


@pytest.fixture(scope="module")
def page(sweep_rows, tmp_path_factory):
    return page_of(sweep_rows, tmp_path_factory.mktemp("report"), "env: causal\nlr: 0.001\n")


def test_it_loads_nothing_from_anywhere(page):
    assert not re.search(r"https?://|//cdn|@import|url\(|<link|<iframe|\bsrc=", page)
    assert "default-src 'none'" in page


def test_every_end_sentence_is_in_it(page, sweep_rows):
    sentences = [row.sentence for row in sweep_rows if row.kind == "end" and row.sentence]
    assert len(sentences) > 10
    assert all(html.escape(sentence) in page for sentence in sentences)


def test_it_has_the_headline_the_comparison_and_the_job(page, sweep_rows):
    outcome = Outcome.from_rows(sweep_rows)
    for text in ("69 %", f"{outcome.iterations_run} of 432 iterations run", "round robin", "q90"):
        assert text in page
    assert "Better than random on 98 % of the seeds" in page
    assert "env: causal\nlr: 0.001" in page and "rungwise report" in page and "2.60.0" in page


def test_values_of_environment_variables_are_in_the_files_and_not_on_the_page(tmp_path):
    text = dump_job(make_job({"command": "t.py", "environment": {"KEY": "s3cret"}}))
    page = page_of([job_row(algo=PROGRAM), result("00", 1, 0.5)], tmp_path, text)
    assert "s3cret" not in page and page.count("KEY: &#x27;***&#x27;") == 2
    assert "KEY: s3cret" in (tmp_path / "winner.yaml").read_text()


def test_means_come_with_their_standard_errors(tmp_path):
    about = {"trial": "00", "checkpoint": "c", "episodes": 9, "seed": 0}
    figures = {"policy": {"return_mean": 20.0}, "baselines": {"random": {"return_mean": 9.0}}}
    errors = {"policy": {"return_mean": 1.5}, "random": {"return_mean": 0.25}}
    rows = [job_row(trials=1), result("00", 1, 0.5)]
    page = page_of([*rows, EvaluationRow(**about, **figures, standard_errors=errors)], tmp_path)
    assert "<td>20.0 ± 1.50</td>" in page and "<td>9.00 ± 0.250</td>" in page
    assert "± is a standard error" in page
    plain = page_of([*rows, EvaluationRow(**about, **figures)], tmp_path)
    assert "±" not in plain


def test_every_plot_is_drawn_for_a_full_run(page):
    ids = set(re.findall(r'id="plot-([\w-]+)"', page))
    nodes = {f"node-{place}" for place in range(len(NODES))}
    others = {"learning", "over-time", "compared", "inside-0", "inside-1", "settings", "compute"}
    slices = {f"slice-{place}" for place in range(5)}
    assert ids == nodes | others | slices | {"contour"}


def test_what_users_wrote_cannot_become_markup(tmp_path):
    evil = "<script>alert(1)</script>\"'&"
    rows = [
        job_row(run=evil, env=evil, choice_names=[evil], searched=[evil], versions={evil: evil}),
        TrialRow(trial=evil, config={evil: evil}),
        *(result(evil, i, 0.1 * i, metrics={"choice_fractions": [1.0]}) for i in (1, 2)),
        finding(evil, evil, evidence=evil, remedy=evil),
        end(evil, 2, evil, evil),
    ]
    assert "<script>alert" not in page_of(rows, tmp_path, evil)


def test_findings_include_the_comparison_with_other_trials(tmp_path):
    rows = [job_row(trials=3), *(result(f"{i:02d}", 4, 1.0) for i in range(3))]
    for trial, siblings in (("00", ""), ("01", "only trial 01 of 3: perhaps by its setting")):
        rows.append(
            finding(trial, iteration=4, evidence="KL 14", remedy="Less.", siblings=siblings)
        )
    page = page_of(rows, tmp_path)
    assert "KL 14. only trial 01 of 3: perhaps by its setting. Less." in page
    assert "KL 14. Less." in page
    assert "2 of 3 trials (00, 01)" in page


def test_a_plot_without_data_is_a_sentence_instead(tmp_path):
    rows = [job_row(), result("01", 1, math.nan), end("01", 1, "health", "not finite")]
    page = page_of(rows, tmp_path)
    assert set(re.findall(r'id="plot-([\w-]+)"', page)) == {"compute"}
    assert "No trial has a finite score." in page
    assert "Inside the training" not in page and "Settings and score" not in page
    assert "The health rules found nothing." in page


def test_sections_that_an_environment_never_fills_are_left_out(tmp_path):
    titles = ("Choices", "Loss of each node by interventions", "One episode, step by step")
    evaluated = EvaluationRow(trial="00", checkpoint="c", episodes=9, seed=0, policy={})
    for rows, shown in (
        ([job_row(choice_names=[])], ()),
        ([job_row(choice_names=[]), evaluated], ()),
        ([job_row()], ()),
        ([job_row(), evaluated], ()),
    ):
        page = page_of(rows, tmp_path)
        assert tuple(title for title in titles if f"<h2>{title}</h2>" in page) == shown


def test_an_unfinished_run_is_said_to_be_unfinished(tmp_path):
    rows = [job_row(), result("01", 1, 0.4)]
    assert "The log of this run has no end" in page_of(rows, tmp_path)
    rows.append(JobEndRow(reason="interrupted", seconds=3.0))
    assert "This run was interrupted" in page_of(rows, tmp_path)


def test_odd_values_do_not_hinder_a_report(tmp_path, sweep_rows):
    rows = [
        dataclasses.replace(
            row, score=None, metrics={"grad_norm": math.inf, "choice_fractions": [None]}
        )
        if row.kind == "result"
        else row
        for row in sweep_rows
    ]
    assert "no trial has a finite score" in page_of(rows, tmp_path)


def test_headline_shows_the_final_score_where_finals_decide(tmp_path, sweep_rows):
    about = {"checkpoint": "c", "metric": "excess_risk", "mode": "min", "episodes": 256, "seed": 9}
    best, second = (trial.id for trial in Outcome.from_rows(sweep_rows).ranked[:2])
    finals = [FinalRow(trial=best, score=0.2, error=0.01, **about)]
    finals += [FinalRow(trial=second, score=0.1234, error=0.01, **about)]
    write_report([*sweep_rows, *finals], "", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    cards = page[page.index('class="cards"') : page.index("</header>")]
    assert "0.123" in cards
    assert f"trial {second}, by 256 fresh episodes of each of the best 2" in cards


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path, sweep_rows, monkeypatch):
    """Nobody opens half a page, and a full disk costs nothing that was there."""
    path = tmp_path / "report.html"
    path.write_text("the old one")
    write = Path.write_text

    def cut_off(self, text, **how):
        write(self, text[:100], **how)
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", cut_off)
    with pytest.raises(OSError, match="No space"):
        write_report(sweep_rows, "", path)
    assert path.read_text() == "the old one"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_what_differs_from_the_defaults_is_listed(tmp_path):
    changes = {"settings": {"lr": 0.003, "hidden": [32]}, "env_kwargs": {"name": "<b>"}}
    rows = [job_row(changes=changes), TrialRow(trial="00", config={}), result("00", 1, 0.5)]
    page = page_of(rows, tmp_path)
    assert "not default: settings" in page and "lr 0.003, hidden [32]" in page
    assert "name &lt;b&gt;" in page


def test_the_headline_shows_a_budget_in_steps(tmp_path):
    rows = [job_row(steps=9000), TrialRow(trial="00", config={})]
    rows.append(result("00", 1, 0.5, env_steps=1234))
    assert "1,234 steps (budget 9,000 a trial and seed)" in page_of(rows, tmp_path)


def test_gradients_of_head_and_backbone_are_plotted(tmp_path, page):
    assert "policy&#x27;s head" not in page
    norms = {"grad_norm_head": 0.1, "grad_norm_backbone": 2.0}
    rows = [job_row(), TrialRow(trial="00", config={}), result("00", 1, 0.5, metrics=norms)]
    drawn = page_of(rows, tmp_path)
    assert "policy&#x27;s head" in drawn and "policy&#x27;s backbone" in drawn
