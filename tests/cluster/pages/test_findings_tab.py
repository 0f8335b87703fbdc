# pyright: basic, reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportAttributeAccessIssue=false
"""The findings of a run by symptom: evidence, trials, remedies, and changed commands."""

import json

import pytest
from dashboard_app import read_whole, write
from finished_run import job
from sick_sweep import ONSET, REMEDY, write_sick_sweep
from synthetic_sweep import finding, job_row, result, synthetic_rows

from cluster.pages.findings_tab import list_symptoms
from rungwise.health.remedy import SCALED_OBSERVATIONS, worded
from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import TrialRow
from tune_jobs.jobs.job_yaml import dump_job, parse_job


@pytest.fixture
def sick(tmp_path):
    return write_sick_sweep(tmp_path / "sweep")


def test_the_metric_of_the_rule_is_plotted_with_its_onset(sick):
    (found,) = list_symptoms(read_whole(sick))
    assert found.title.startswith("kl runaway: ") and len(found.title) > 30
    traces = {trace["name"]: trace for trace in found.plot["data"]}
    assert set(traces) == {"trial 01", "trial 00, the best", "onset"}
    assert traces["trial 01"]["y"][-1] == 2.0
    assert (traces["onset"]["x"], traces["onset"]["y"]) == ([ONSET], [2.0])
    json.dumps(found.plot, allow_nan=False)


def test_each_change_of_the_remedy_is_a_job_of_the_trial(sick):
    (found,) = list_symptoms(read_whole(sick))
    assert found.remedies == (REMEDY,)
    changed = {}
    for words, command in found.commands.items():
        assert words.startswith("Copy the command for trial 01 with ")
        text = command.partition("<<'END'\n")[2].partition("END\n")[0]
        changed[words.split()[-2]] = parse_job(text, "changed").settings
    assert (changed["lr"].lr, changed["lr"].epochs) == (1e-4, 8)
    assert (changed["epochs"].lr, changed["epochs"].epochs) == (0.05, 4)


def test_what_a_remedy_switches_on_has_a_command_and_what_it_does_not_name_has_none(sick):
    off = job(trials=2, iterations=9, scheduler="none", settings={"normalise_observations": False})
    (sick / "job.yaml").write_text(dump_job(off))
    remedy = worded((SCALED_OBSERVATIONS,), vars(off.training))
    EventLog(sick / "events.jsonl").append(finding("01", "dead_units", "warn", remedy=remedy))
    (found,) = [found for found in list_symptoms(read_whole(sick)) if "dead" in found.title]
    (words,) = found.commands
    assert words.endswith("with normalise_observations True")


def test_a_withdrawn_finding_comes_last_and_has_no_remedy(sick):
    log = EventLog(sick / "events.jsonl")
    log.append(finding("01", withdrawn=7))
    log.append(finding("00", "dead_units", "note"))
    dead, withdrawn = list_symptoms(read_whole(sick))
    assert dead.title.startswith("dead units") and withdrawn.rows[-1].withdrawn
    assert withdrawn.remedies == () and withdrawn.commands == {}
    # The first metric that its rule reads is not in this log, so the next one is drawn.
    assert withdrawn.plot and dead.plot["layout"]["yaxis"]["title"]["text"] == "return mean"


def test_trials_with_other_remedies_are_told_apart(tmp_path):
    rows = [job_row(trials=3), *(TrialRow(trial=f"0{i}", config={}) for i in range(3))]
    rows += [result(f"0{i}", 3, 1.0) for i in range(3)]
    rows += [finding("00"), finding("01"), finding("02", remedy="Look again.")]
    (found,) = list_symptoms(read_whole(write(tmp_path, rows)))
    assert found.remedies == ("Trial 00, 01: mend it", "Trial 02: Look again.")
    assert found.commands == {}  # there is no job to change


def test_severe_symptoms_and_a_rule_that_is_gone_are_shown(tmp_path):
    rows = synthetic_rows()
    found = list_symptoms(read_whole(write(tmp_path / "a", rows)))
    assert [one.title.partition(":")[0] for one in found] == ["kl runaway", "not finite"]
    rows = [job_row(trials=1), TrialRow(trial="00", config={}), result("00", 3, 1.0)]
    rows.append(finding("00", "rule_of_old"))
    (old,) = list_symptoms(read_whole(write(tmp_path / "b", rows)))
    assert old.title == "rule of old" and old.plot is None
    assert list_symptoms(read_whole(write(tmp_path / "c", []))) == []
