"""The winner of a run: replay the best trials on fresh seeds, then compare the best of them.

The best of many scores is partly luck, and the more trials there are, the more of it. So each
finalist plays the same episodes, on seeds that neither training nor the comparison with baselines
uses: the choice of the winner does not flatter the comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from algos.policy import Policy
from rungwise.formatting import first_sentence
from rungwise.metrics import HELD_OUT
from rungwise.run_log.evaluation_status import EvaluationStatus
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import EvaluationRow, FinalRow, Row, VideoRow
from rungwise.run_log.outcome import Outcome
from rungwise.validation import InputError
from tune_jobs.evaluation.best_checkpoint import find_best_checkpoint
from tune_jobs.evaluation.episode_budget import SHARE, count_training_steps, limit_episode_steps
from tune_jobs.evaluation.evaluate import ProgressCallback, compute_standard_error, evaluate
from tune_jobs.evaluation.final_evaluation import evaluate_checkpoint
from tune_jobs.evaluation.players import PLAIN_SCORE
from tune_jobs.evaluation.scoring import FEWEST
from tune_jobs.evaluation.videos import record_checkpoint
from tune_jobs.jobs.job import Job


def name_winner(
    job: Job,
    directory: Path,
    write: Callable[[Row], None],
    show: Callable[[EvaluationStatus], None],
) -> None:
    """Play the finals, and compare their winner with random and simple rules.

    Unless the job sets a number of episodes, both together take at most a fifth of the training's
    steps, the finals half of it; where that allows a finalist fewer than 20 episodes there are no
    finals, and the scores of training decide. What an earlier session has evaluated is not
    evaluated again. An error in either ends neither the run nor its result: it is a row, too.

    Args:
        job: the job.
        directory: the run directory.
        write: called with each row of the finals and of the comparison.
        show: called with the progress of both.
    """
    path = directory / "events.jsonl"
    outcome = Outcome.from_rows(rows := read_event_log(path))
    steps = math.inf if job.evaluation_episodes is not None else SHARE * count_training_steps(rows)
    paths = {trial.id: find_best_checkpoint(directory, trial) for trial in outcome.candidates}
    checkpoints = {
        trial: path.relative_to(directory).as_posix() for trial, path in paths.items() if path
    }
    finalists = list(checkpoints.items())[: job.finalists]
    if len(finalists) > 1:
        steps /= 2
        _play_finals(job, directory, finalists, outcome.finals, steps, write, show)
    best = Outcome.from_rows(read_event_log(path)).best
    checkpoint = best and checkpoints.get(best.id)
    if best and checkpoint and all(row.checkpoint != checkpoint for row in outcome.evaluations):
        on_progress = _begin_progress(show, best.id, job.most_evaluated, "evaluating")
        try:
            row = evaluate_checkpoint(job, directory, best.id, checkpoint, steps, on_progress)
        except Exception as error:
            row = _make_failure(best.id, checkpoint, error)
        write(row)


def _play_finals(
    job: Job,
    directory: Path,
    finalists: Sequence[tuple[str, str]],
    earlier: Sequence[FinalRow],
    steps: float,
    write: Callable[[Row], None],
    show: Callable[[EvaluationStatus], None],
) -> None:
    """Play the finals: trials with their checkpoints, but for those that have played earlier."""
    played = {(row.trial, row.checkpoint): row.episodes for row in earlier}
    # The first finalist measures how long an episode takes; the others play exactly as many.
    episodes = next(iter(played.values()), None)
    for number, (trial, checkpoint) in enumerate(finalists, 1):
        if (trial, checkpoint) in played:
            continue
        limit = steps / len(finalists) if episodes is None else math.inf
        max_episodes = job.most_evaluated if episodes is None else episodes
        activity = f"final {number} of {len(finalists)}"
        on_progress = _begin_progress(show, trial, max_episodes, activity)
        try:
            row = play_final(job, directory, trial, checkpoint, max_episodes, limit, on_progress)
        except Exception as error:
            # Training is done, and its scores can decide as well.
            write(_make_failure(trial, checkpoint, error))
            return
        if job.evaluation_episodes is None and row.episodes < FEWEST:
            # Fewer episodes than a score of training pools would choose by luck.
            return
        write(row)
        episodes = row.episodes


def _make_failure(trial: str, checkpoint: str, error: Exception) -> EvaluationRow:
    """Return the row of a final or a comparison that could not be played."""
    readable = isinstance(error, InputError)  # written for people, others are of libraries
    failure = str(error) if readable else f"{type(error).__name__}: {first_sentence(error)}"
    return EvaluationRow(
        trial=trial, checkpoint=checkpoint, episodes=0, seed=0, policy={}, failure=failure
    )


def _begin_progress(
    show: Callable[[EvaluationStatus], None], trial: str, episodes: int, activity: str
) -> ProgressCallback:
    """Show what begins, as the first episode may end late; return the callback of what follows."""

    def on_progress(player: str, done: int, of: int, steps: int) -> None:
        show(EvaluationStatus(trial, player, done, of, steps, activity))

    on_progress("policy", 0, episodes, 0)
    return on_progress


def record_winner(
    job: Job,
    directory: Path,
    write: Callable[[Row], None],
    show: Callable[[EvaluationStatus], None],
) -> None:
    """Record episodes of the winner, unless an earlier session has done so.

    They show its most likely actions where these have scored better in the comparison.

    Args:
        job: the job.
        directory: the run directory.
        write: called with the row of each video; of a failure too, which ends no run.
        show: called with the progress.
    """
    outcome = Outcome.from_rows(read_event_log(directory / "events.jsonl"))
    best = outcome.best
    checkpoint = best and find_best_checkpoint(directory, best)
    if not best or not checkpoint:
        return
    name = checkpoint.relative_to(directory).as_posix()
    if any(row.checkpoint == name and row.path for row in outcome.videos):
        return
    on_progress = _begin_progress(show, best.id, job.videos, "recording")
    try:
        policy = Policy.load(checkpoint, device="auto")
        for row in record_checkpoint(
            policy,
            directory,
            best.id,
            checkpoint,
            job.videos,
            on_progress=on_progress,
            greedy=outcome.evaluation is not None and outcome.evaluation.shown == "greedy",
        ):
            write(row)
    except Exception as error:
        # The training and its comparison are worth more than a video that an encoder or a graphics
        # driver refuses in the end.
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        failure = f"{kind}{first_sentence(error)}"
        write(VideoRow(trial=best.id, checkpoint=name, failure=failure))


def play_final(
    job: Job,
    directory: Path,
    trial: str,
    checkpoint: str,
    episodes: int,
    steps: float = math.inf,
    on_progress: ProgressCallback | None = None,
) -> FinalRow:
    """Play a finalist's checkpoint on the seeds of the finals; return the event row.

    The metric of the job decides; where single episodes do not have it (a loss, say), the
    environment's own score does.

    Args:
        job: the job.
        directory: the run directory.
        trial: the finalist.
        checkpoint: its path, relative to the run directory.
        episodes: the most that are played.
        steps: limit of the steps, which may leave fewer.
        on_progress: called as episodes finish.
    """
    seed = job.most_evaluated  # the comparison at the end takes those below
    policy = Policy.load(directory / checkpoint, device="auto")
    evaluation = evaluate(
        policy,
        episodes,
        seed,
        with_baselines=False,
        steps=steps,
        # The limit of the job, not of these episodes and steps: returns until different steps do
        # not compare, whether of several finalists or of several sessions.
        longest=limit_episode_steps(math.inf, players=1, episodes=job.most_evaluated),
        on_progress=on_progress,
    )
    metrics = evaluation.episodes["policy"].metrics
    metric, mode = job.metric.removeprefix(HELD_OUT), job.mode
    # A mean return over an iteration is, for a single episode, its return.
    episode_metric = PLAIN_SCORE if metric == "return_mean" else metric
    if episode_metric not in metrics:
        metric = episode_metric = evaluation.metric
        mode = evaluation.mode
    scores = metrics[episode_metric]
    error = compute_standard_error(scores) if len(scores) > 1 else 0.0
    return FinalRow(
        trial=trial,
        checkpoint=checkpoint,
        metric=metric,
        mode=mode,
        score=float(scores.mean()),
        error=error,
        episodes=len(scores),
        seed=seed,
    )
