"""Videos of a policy's episodes, in Gymnasium environments that render to arrays.

Frames go straight to the encoder, one at a time. Gymnasium's own ``RecordVideo`` holds those of a
whole episode in memory, and needs moviepy with six packages of its own for what one can do.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from algos.policy import Policy
from algos.rollouts.env_factory import check_arguments, find_env_spec, make_mask_wrapper
from algos.rollouts.episodes import REPORT_INTERVAL, play_episodes, start_env, step_env
from envs.adapters.closing import guard_close
from rungwise.optional_imports import import_extra
from rungwise.run_log.events import VideoRow
from rungwise.user_frames import find_user_frame
from rungwise.validation import InputError
from tune_jobs.disk_space import FULL_BYTES

Frame = np.ndarray[Any, Any]
"""Height x width x 3 bytes of red, green and blue."""

MODE, EXTRA = "rgb_array", "video"
VIDEOS = "videos"
"""Folder of a run directory."""
FPS = 30
"""Frames per second of environments that name no ``render_fps``."""
MOST_STEPS = 10_000
"""Steps after which a video ends: an episode without a time limit may have no end."""
QUIET = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "PYGAME_HIDE_SUPPORT_PROMPT": "1"}
"""Variables with which pygame, that most environments draw with, opens no window, looks for no
sound card and prints no greeting."""


def check_recording(env_id: str, env_kwargs: Mapping[str, Any]) -> None:
    """Check that videos of an environment can be made here, by rendering its first state.

    Raises:
        InputError: the encoder is missing, or the environment cannot render to arrays.
    """
    _get_encoder()
    with closing(make_rendering_env(env_id, env_kwargs)) as env:
        env.reset(seed=0)
        _render(env, env_id)


def make_rendering_env(env_id: str, env_kwargs: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """Make one copy of an environment that renders to arrays and opens no window.

    Raises:
        InputError: it cannot do so, or cannot be made.
    """
    check_arguments(env_id, env_kwargs)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    spec = find_env_spec(env_id)
    arguments = {name: value for name, value in env_kwargs.items() if name != "render_mode"}
    try:
        # Asked without a mode first: constructors fail in many ways with one they do not have.
        plain = guard_close(gymnasium.make(spec, **arguments))
        modes: list[Any] = [*(plain.metadata.get("render_modes") or ())]
        plain.close()
        if MODE in modes:
            return make_mask_wrapper()(gymnasium.make(spec, render_mode=MODE, **arguments))
    except InputError:
        raise
    except Exception as error:
        raise _make_error(env_id, error) from error
    known = ", ".join(map(str, modes)) or "none"
    raise InputError(
        f"{env_id} cannot be recorded: its render modes are {known}, and a video needs {MODE}. "
        "Leave out the videos, or add this mode to the environment."
    )


def record_checkpoint(
    policy: Policy,
    directory: Path,
    trial: str,
    checkpoint: Path,
    episodes: int,
    seed: int = 0,
    env_kwargs_overrides: Mapping[str, Any] | None = None,
    on_progress: Callable[[str, int, int, int], None] | None = None,
    greedy: bool = False,
) -> Iterator[VideoRow]:
    """Record episodes of a run's checkpoint into the run; yield the event row of each.

    Args:
        policy: the policy of the checkpoint.
        directory: the run directory.
        trial: the checkpoint's trial; empty for one outside of a run.
        checkpoint: its directory, inside of ``directory``.
        episodes: the number of episodes, one a seed.
        seed: the first of these seeds.
        env_kwargs_overrides: environment arguments that replace those of the policy's evaluation.
        on_progress: called with the player, the finished episodes, their number, and the steps of
            the one in progress.
        greedy: whether to take the most likely actions; otherwise they are sampled, as in training.

    Raises:
        InputError: the environment cannot be recorded.
        OSError: a video cannot be written.
    """
    name = f"{trial}-{checkpoint.name}" if trial else checkpoint.name
    # A path may be relative to another directory than that of the run.
    inside = checkpoint.resolve().relative_to(directory.resolve()).as_posix()
    env_kwargs = policy.full_evaluation_env_kwargs | dict(env_kwargs_overrides or {})
    (directory / VIDEOS).mkdir(parents=True, exist_ok=True)
    # A generator of its own: a second recording of these seeds shows the same episodes.
    generator = torch.Generator().manual_seed(seed)
    with closing(make_rendering_env(policy.metadata["env"], env_kwargs)) as env:
        for done in range(episodes):
            path = f"{VIDEOS}/{name}-seed-{seed + done}.mp4"
            row = VideoRow(
                trial=trial, checkpoint=inside, path=path, seed=seed + done, greedy=greedy
            )

            def report(steps: int, done: int = done) -> None:
                if on_progress:
                    on_progress("policy", done, episodes, steps)

            yield _record_episode(policy, env, directory, row, generator, report)


def _record_episode(
    policy: Policy,
    env: gymnasium.Env[Any, Any],
    directory: Path,
    row: VideoRow,
    generator: torch.Generator,
    report: Callable[[int], None],
) -> VideoRow:
    """Play the episode of a row, write what it renders, and return the row with its figures."""
    env_id, memory = policy.metadata["env"], policy.initial_state()

    def act(state: None, observation: object, number: int) -> Any:
        nonlocal memory
        action, memory = policy.act(observation, memory, greedy=row.greedy, generator=generator)
        return action

    start = start_env(env, row.seed)
    first, total = _render(env, env_id), 0.0
    fps = env.metadata.get("render_fps") or FPS
    with _open_video(directory / row.path, first, fps) as write:
        write(first)
        for step in play_episodes(start, step_env(env), act, MOST_STEPS):
            write(_render(env, env_id))
            total, steps = total + float(step.moved.reward), step.number + 1
            row = replace(row, steps=steps, episode_return=total, is_complete=not step.left)
            if steps % REPORT_INTERVAL == 0:
                report(steps)
    return row


@contextmanager
def _open_video(path: Path, first: Frame, fps: float) -> Generator[Callable[[Frame], None]]:
    """Open an H.264 video, which every browser plays, and yield what writes a frame into it.

    An older video of that name is replaced in one step, and stays where this one is not finished.

    Raises:
        OSError: it cannot be written.
    """
    height, width = first.shape[:2]
    # With colours at half the resolution (yuv420p, the one that all browsers play) both sides are
    # even: a row or column is repeated where they are not.
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    size = (width + width % 2, height + height % 2)
    unfinished = path.with_name(f".{path.name}")
    unfinished.touch()  # says why it cannot be written, which the encoder's errors do not
    frames = _get_encoder().write_frames(str(unfinished), size, fps=fps, macro_block_size=1)
    frames.send(None)

    def write(frame: Frame) -> None:
        if frame.shape != first.shape:
            raise InputError(
                f"The frames of a video have one size, but they went from {first.shape} to "
                f"{frame.shape}."
            )
        with _explain_encoder_failure(path):
            frames.send(np.ascontiguousarray(np.pad(frame, odd, mode="edge")))

    try:
        with closing(frames):
            yield write
        # A full disk cuts off the last frames and the index, and the encoder's status is not known.
        with (
            _explain_encoder_failure(path),
            closing(_get_encoder().read_frames(str(unfinished))) as written,
        ):
            next(written)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _explain_encoder_failure(path: Path) -> Generator[None]:
    """Replace an error of the encoder, a command and its output, by a cause in words."""
    try:
        yield
    except OSError as error:
        if shutil.disk_usage(path.parent).free < FULL_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise OSError("the encoder has failed, and its message is above") from error


def _render(env: gymnasium.Env[Any, Any], env_id: str) -> Frame:
    """Return the frame of the current state.

    Raises:
        InputError: rendering fails, or gives something else than a picture.
    """
    try:
        frame: Any = env.render()
    except Exception as error:
        raise _make_error(env_id, error) from error
    if isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.shape[2:] == (3,):
        return frame
    about = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else repr(frame)[:80]
    raise InputError(
        f"{env_id} cannot be recorded: render() returned {about}, and a frame is an array of uint8 "
        "with the shape (height, width, 3)."
    )


def _make_error(env_id: str, error: Exception) -> InputError:
    frame = find_user_frame(error)
    where = f" ({frame})" if frame else ""
    return InputError(f"{env_id} cannot be recorded: {type(error).__name__}: {error}{where}")


def _get_encoder() -> Any:
    """Return the module that encodes frames.

    Raises:
        InputError: it is not installed.
    """
    return import_extra("imageio_ffmpeg", EXTRA)
