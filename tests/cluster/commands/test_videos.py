# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
"""`--video` of the commands: into the run and its report."""

import dataclasses
import errno
import shutil

import gymnasium
import pytest
from finished_run import silent

from cluster.commands.evaluate import Evaluate
from cluster.commands.jobs import Train
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.outcome import Outcome
from rungwise.validation import InputError, InputWarning
from tune_jobs.evaluation import videos


@pytest.fixture
def recorded(monkeypatch):
    """A recorder without an encoder and without a picture; returns the seeds asked for."""
    seeds = []

    def record(policy, env, directory, row, generator, report):
        seeds.append(row.seed)
        (directory / row.path).write_bytes(b"frames")
        return dataclasses.replace(row, steps=9, episode_return=9.0)

    monkeypatch.setattr(videos, "_record_episode", record)
    monkeypatch.setattr(videos, "make_rendering_env", lambda env_id, _: gymnasium.make(env_id))
    monkeypatch.setattr(videos, "check_recording", lambda env_id, env_kwargs: None)
    return seeds


def test_evaluate_adds_videos_to_the_run_and_its_report(run, recorded):
    console = silent()
    found = Evaluate(checkpoint=run, episodes=2, seed=7, videos=2)(console)
    names = [f"videos/01-checkpoint_4-seed-{seed}.mp4" for seed in (7, 8)]
    assert found["videos"] == [str(run / name) for name in names] and recorded == [7, 8]
    assert all(path in console.file.getvalue() for path in found["videos"])
    outcome = Outcome.from_rows(read_event_log(run / "events.jsonl"))
    assert [(row.trial, row.path) for row in outcome.videos] == [("01", name) for name in names]
    assert (run / "report.html").read_text().count("<video") == 2
    assert outcome.as_dict(run)["videos"] == found["videos"]


def test_evaluate_records_a_checkpoint_of_no_run_next_to_it(run, recorded, tmp_path):
    copy = tmp_path / "elsewhere" / "copied"
    shutil.copytree(run / "trials/02/checkpoint_4", copy)
    found = Evaluate(checkpoint=copy, episodes=2, videos=1)(silent())
    assert found["videos"] == [str(tmp_path / "elsewhere/videos/copied-seed-0.mp4")]
    assert not (run / "videos").exists()


def test_evaluate_answers_where_not_all_videos_can_be_written(run, recorded, monkeypatch):
    record = videos._record_episode

    def record_one(*arguments):
        if recorded:
            raise OSError(errno.ENOSPC, "No space left on device")
        return record(*arguments)

    monkeypatch.setattr(videos, "_record_episode", record_one)
    with pytest.warns(InputWarning, match=r"videos cannot be written \(No space left") as said:
        found = Evaluate(checkpoint=run, episodes=2, videos=2)(silent())
    assert len(said) == 1 and found["episodes"] == 2 and len(found["videos"]) == 1
    assert (run / "report.html").read_text().count("<video") == 1


def test_evaluate_answers_where_a_run_cannot_be_written(run, recorded):
    (run / "report.html").mkdir()
    with pytest.warns(InputWarning, match=r"report\.html cannot be written \(Is a directory\)"):
        found = Evaluate(checkpoint=run, episodes=2, videos=1)(silent())
    assert len(found["videos"]) == 1


def test_evaluate_records_nothing_unless_asked(run, recorded):
    assert Evaluate(checkpoint=run, episodes=2)(silent())["videos"] == [] and not recorded


def test_evaluate_refuses_before_it_plays(run, monkeypatch):
    def refuse(env_id, env_kwargs):
        raise InputError(f"{env_id} cannot be recorded")

    monkeypatch.setattr(videos, "check_recording", refuse)
    monkeypatch.setattr("tune_jobs.evaluation.evaluate.evaluate", lambda *a, **k: pytest.fail())
    with pytest.raises(InputError, match="CartPole-v1 cannot be recorded"):
        Evaluate(checkpoint=run, episodes=2, videos=1)(silent())


@pytest.mark.parametrize("flag", ["--video", "--videos"])
def test_train_and_evaluate_take_the_same_flag(flag):
    assert Train.parse(["--env", "CartPole-v1", flag, "3"]).job.videos == 3
    assert Evaluate.parse(["checkpoint", flag, "3"]).videos == 3
