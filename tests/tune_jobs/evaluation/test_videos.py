# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
"""Videos: what is recorded is what was played, and what cannot be recorded is refused."""

import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from algos import get_algorithm_class
from algos.models import MODELS
from algos.policy import Policy
from rungwise.validation import InputError
from tune_jobs.evaluation import videos
from tune_jobs.evaluation.videos import check_recording, record_checkpoint
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.session.prepare import prepare_job


class Swatch(gymnasium.Env):
    """Ends after seed + 3 steps, pays their number, and renders a frame that gets lighter."""

    observation_space = gymnasium.spaces.Box(0, 99, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, render_mode=None, frame="colour"):
        self.render_mode, self.frame = render_mode, frame

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.length = 0, 3 + (seed or 0)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        over = self.steps == self.length
        return np.full(1, self.steps, np.float32), float(self.steps), over, False, {}

    def render(self):
        if self.frame == "broken":
            raise RuntimeError("no display")
        if self.frame == "none":
            return None
        shape = (65, 90, 3)  # odd: players need even sides
        return np.full(shape, 20 * self.steps, np.uint8 if self.frame == "colour" else float)


class Window(Swatch):
    metadata = {"render_modes": ["human"]}  # noqa: RUF012


class Blind(gymnasium.Env):
    observation_space, action_space = Swatch.observation_space, Swatch.action_space


for kind in (Swatch, Window, Blind):
    gymnasium.register(f"{kind.__name__}-v0", kind)


@pytest.fixture
def ffmpeg():
    return pytest.importorskip("imageio_ffmpeg", reason="videos need the extra video")


@pytest.fixture
def no_encoder(monkeypatch):
    """Refusals that do not depend on the encoder are tested without it."""
    monkeypatch.setattr(videos, "_get_encoder", lambda: None)


def policy():
    settings = get_algorithm_class("ppo").settings_class(hidden=(8,))
    module = MODELS["mlp"](
        observation_space=Swatch.observation_space,
        action_space=Swatch.action_space,
        model_config=settings.model_config,
    )
    return Policy(module.eval(), {"env": "Swatch-v0", "env_kwargs": {}})


def test_an_older_video_stays_where_a_new_one_is_not_finished(tmp_path, ffmpeg, monkeypatch):
    [found] = record_checkpoint(policy(), tmp_path, "", tmp_path / "a", 1)
    before = (tmp_path / found.path).read_bytes()

    class FullDisk:
        """An encoder that is cut off before the index at the end."""

        def write_frames(self, path, *_, **__):
            yield
            while True:
                Path(path).write_bytes(before[:100])
                yield

        read_frames = staticmethod(ffmpeg.read_frames)

    monkeypatch.setattr(videos, "_get_encoder", FullDisk)
    with pytest.raises(OSError, match="the encoder has failed"):
        list(record_checkpoint(policy(), tmp_path, "", tmp_path / "a", 1))
    monkeypatch.setattr(videos, "FULL_BYTES", 2**70)
    with pytest.raises(OSError, match="No space left"):
        list(record_checkpoint(policy(), tmp_path, "", tmp_path / "a", 1))
    assert [path.read_bytes() for path in (tmp_path / "videos").iterdir()] == [before]


def test_a_video_has_the_frames_of_its_episode(tmp_path, ffmpeg):
    found = list(record_checkpoint(policy(), tmp_path, "", tmp_path / "a", 2, seed=1))
    assert [(r.seed, r.steps, r.episode_return) for r in found] == [(1, 4, 10.0), (2, 5, 15.0)]
    assert [r.path for r in found] == ["videos/a-seed-1.mp4", "videos/a-seed-2.mp4"]
    for recording in found:
        assert recording.is_complete
        path = tmp_path / recording.path
        frames = ffmpeg.read_frames(path)
        about = next(frames)
        assert about["size"] == (90, 66) and about["fps"] == 10 and about["codec"] == "h264"
        # The state after the reset comes first, the one at the end last.
        light = [np.frombuffer(frame, np.uint8).mean() for frame in frames]
        assert len(light) == recording.steps + 1 == ffmpeg.count_frames_and_secs(path)[0]
        assert light == pytest.approx(20 * np.arange(len(light)), abs=4)


def test_an_episode_without_an_end_is_cut_off(tmp_path, ffmpeg, monkeypatch):
    monkeypatch.setattr(videos, "MOST_STEPS", 7)
    reports = []
    monkeypatch.setattr(videos, "REPORT_INTERVAL", 3)
    (found,) = record_checkpoint(
        *(policy(), tmp_path, "", tmp_path / "a", 1),
        seed=50,
        on_progress=lambda *report: reports.append(report),
    )
    assert (found.steps, found.is_complete) == (7, False)
    assert ffmpeg.count_frames_and_secs(tmp_path / found.path)[0] == 8
    assert reports == [("policy", 0, 1, 3), ("policy", 0, 1, 6)]


def test_a_recorded_checkpoint_names_its_trial_and_file(tmp_path, ffmpeg):
    checkpoint = tmp_path / "trials" / "03" / "checkpoint_4"
    (row,) = record_checkpoint(policy(), tmp_path, "03", checkpoint, 1)
    assert (row.trial, row.checkpoint) == ("03", "trials/03/checkpoint_4")
    assert row.path == "videos/03-checkpoint_4-seed-0.mp4" and (tmp_path / row.path).is_file()
    assert (row.seed, row.steps, row.episode_return) == (0, 3, 6.0)


@pytest.mark.usefixtures("no_encoder")
@pytest.mark.parametrize(
    ("env", "kwargs", "words"),
    [
        ("Blind-v0", {}, "render modes are none"),
        ("Window-v0", {}, "render modes are human, and a video needs rgb_array"),
        ("envs:CausalLearning-v0", {}, "render modes are none"),
        ("Swatch-v0", {"frame": "broken"}, "RuntimeError: no display"),
        ("Swatch-v0", {"frame": "none"}, "render\\(\\) returned None"),
        ("Swatch-v0", {"frame": "grey"}, "float64 \\(65, 90, 3\\)"),
        ("Swatch-v0", {"colour": 1}, "no argument colour"),
    ],
)
def test_what_cannot_be_recorded_is_refused(env, kwargs, words):
    with pytest.raises(InputError, match=words) as refused:
        check_recording(env, kwargs)
    assert env in str(refused.value)


@pytest.mark.usefixtures("no_encoder")
def test_an_environment_that_opens_a_window_is_asked_for_arrays():
    check_recording("Swatch-v0", {"render_mode": "human"})


def test_a_missing_encoder_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"imageio_ffmpeg.*rungwise\[video\]"):
        check_recording("Swatch-v0", {})


@pytest.mark.usefixtures("no_encoder")
def test_a_run_with_videos_is_refused_before_its_directory_exists(tmp_path):
    fields = {"env": "CausalLearning-v0", "videos": 2}
    with pytest.raises(InputError, match="cannot be recorded"):
        prepare_job(make_job(fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()
