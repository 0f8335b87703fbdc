# pyright: basic, reportAttributeAccessIssue=false
"""The recorder writes an event row for everything that Tune reports."""

from types import SimpleNamespace

import pytest
from health_runs import flat
from ray.exceptions import ActorDiedError, RayActorError, RayTaskError
from ray.tune import TuneError
from ray.tune.experiment import Trial as TuneTrial
from sessions import make_session
from synthetic_sweep import finding, result

from algos.rollouts.environment_fault import EnvironmentFault
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import CheckpointRow, EndRow, FindingRow
from rungwise.run_log.stop_requests import list_stop_requests, request_stop
from tune_jobs.session.tune_recorder import _extract_error_message
from tune_jobs.stopping.stop_rules import StopVerdict


def make_trial(**last):
    return SimpleNamespace(config={"plan": {"trial": "00"}}, last_result=last)


class FailedTrial(TuneTrial):
    """A trial of Tune that has written its errors where its driver keeps them."""

    def __init__(self, folder, *errors, **last):
        super().__init__("rungwise", stub=True, config={"plan": {"trial": "00"}})
        self.storage = SimpleNamespace(trial_driver_staging_path=str(folder))
        self.update_last_result(last)
        for error in errors:
            self.handle_error(error)


@pytest.fixture
def recorder(tmp_path):
    return make_session(tmp_path, earlier=[result("00", 4, 1.0)]).recorder


def test_an_end_is_written_and_its_stop_request_cleared(recorder, tmp_path):
    request_stop(tmp_path, "00")
    recorder.write_end("00", 4, StopVerdict("target", "score 9"))
    (row,) = read_event_log(tmp_path / "events.jsonl")
    assert isinstance(row, EndRow)
    assert (row.trial, row.iteration, row.reason, row.sentence) == ("00", 4, "target", "score 9")
    assert list_stop_requests(tmp_path) == []


def test_an_end_at_a_rung_withdraws_what_the_trial_has_disproved(tmp_path):
    scores = [*flat(45, 0.0, 0.3), 20.0, 40.0, 60.0]
    rows = [
        result("00", i, score, metrics={"return_mean": score, "episodes": 20})
        for i, score in enumerate(scores, 1)
    ]
    earlier = [*rows, finding("00", "no_improvement", iteration=40)]
    recorder = make_session(tmp_path, earlier=earlier, iterations=100).recorder
    recorder.write(EndRow(trial="00", iteration=48, reason="asha"))
    withdrawn, end = read_event_log(tmp_path / "events.jsonl")
    assert isinstance(withdrawn, FindingRow) and isinstance(end, EndRow)
    assert (withdrawn.symptom, withdrawn.withdrawn) == ("no_improvement", 48)


def test_a_trial_that_ends_without_a_result_keeps_its_findings(tmp_path):
    """It was warned of before its first iteration, in an earlier session."""
    recorder = make_session(tmp_path, earlier=[finding("00", "crashed", iteration=0)]).recorder
    recorder.write_end("00", 0, StopVerdict("error", "it fell"))
    (row,) = read_event_log(tmp_path / "events.jsonl")
    assert isinstance(row, EndRow)


def test_a_checkpoint_is_written_relative_to_the_run(recorder, tmp_path):
    checkpoint = SimpleNamespace(path=str(tmp_path / "trials" / "00" / "checkpoint_4"))
    recorder.on_checkpoint(0, [], make_trial(iteration=4), checkpoint)
    (row,) = read_event_log(tmp_path / "events.jsonl")
    assert isinstance(row, CheckpointRow)
    assert (row.trial, row.iteration, row.path) == ("00", 4, "trials/00/checkpoint_4")


def test_a_trial_that_failed_for_good_ends_with_its_error(recorder, tmp_path):
    ended = RayTaskError("step", "Traceback\n  File x\nKeyError: 'lr'", KeyError("lr"))
    trial = FailedTrial(tmp_path, ended, TuneError("no shelf 9"), iteration=4)
    recorder.on_trial_error(0, [], trial)
    (row,) = read_event_log(tmp_path / "events.jsonl")
    assert (row.iteration, row.reason, row.sentence) == (4, "error", "no shelf 9")


def test_a_trial_whose_error_cannot_be_read_ends_with_a_sentence(recorder, tmp_path):
    recorder.on_trial_error(0, [], FailedTrial(tmp_path, iteration=4))
    (row,) = read_event_log(tmp_path / "events.jsonl")
    assert row.sentence.startswith("its process failed")


@pytest.mark.parametrize(
    ("reached", "words"), [(4, "continues it from its last"), (0, "starts the trial again")]
)
def test_an_environment_that_failed_for_good_says_how_often(recorder, tmp_path, reached, words):
    fault = EnvironmentFault("Lift-v0 failed in step()")
    raised = RayTaskError("step", "Traceback\nEnvironmentFault: Lift-v0 failed in step()", fault)
    trial = FailedTrial(tmp_path, *[raised] * 4, iteration=reached)
    recorder.on_trial_error(0, [], trial)
    (row,) = read_event_log(tmp_path / "events.jsonl")
    assert "Lift-v0 failed in step()" in row.sentence and "failed 4 times" in row.sentence
    assert f"rungwise resume {tmp_path}` {words}" in row.sentence


@pytest.mark.parametrize(("reached", "failures"), [(13, 1), (14, 0)])
def test_a_trial_far_beyond_its_last_failure_has_all_its_attempts(
    recorder, tmp_path, reached, failures
):
    trial = FailedTrial(tmp_path, RayActorError(), iteration=4)
    recorder.on_trial_recover(0, [], trial)
    recorder.on_trial_result(0, [], trial, {"iteration": reached})
    assert trial.num_failures == failures


AT_START = RayTaskError(
    "__init__",
    "Traceback\nInputError: No module named 'mine'",
    ValueError("No module named 'mine'"),
)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("", "its process failed"),
        (RayActorError(), "its process died"),
        (ActorDiedError(AT_START), "InputError: No module named 'mine'"),
        (RuntimeError("Traceback\n  File x\nKeyError: 'lr'"), "KeyError: 'lr'"),
        (OSError("write\n[Errno 28] No space left on device\nin x"), "the disk is full"),
        (ValueError(), "ValueError"),
    ],
)
def test_an_error_of_a_worker_is_shortened_to_its_message(error, message):
    assert _extract_error_message(error).startswith(message)
