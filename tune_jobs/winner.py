"""The finals: the best few trials play again on fresh seeds before one is named the winner.

The best of many scores is partly luck, and the more trials there are, the more of it. Here each
finalist plays the same episodes, on seeds that neither training nor the comparison of the winner
with other rules uses, so that the comparison is not flattered by the choice.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from algos.policy import Policy
from tune_jobs.evaluation.episode_budget import SHARE, sum_training_seconds
from tune_jobs.evaluation.evaluate import HELD_OUT, Tell, evaluate, evaluate_checkpoint
from tune_jobs.evaluation.evaluation_status import EvaluationStatus
from tune_jobs.evaluation.players import PLAIN_SCORE
from tune_jobs.jobs.job import Job
from tune_jobs.run_log.best_checkpoint import find_best_checkpoint
from tune_jobs.run_log.events import FinalRow, Row, read_event_log
from tune_jobs.run_log.outcome import Outcome


def name_winner(
    job: Job,
    directory: Path,
    write: Callable[[Row], None],
    show: Callable[[EvaluationStatus], None],
) -> None:
    """Let the best few play for the win, and compare the winner with random and simple rules.

    Unless the job names a number of episodes, both together take at most a tenth of the training's
    time, the finals half of it. What an earlier session has done is not done again.
    """
    path, started = directory / "events.jsonl", time.perf_counter()
    outcome = Outcome.from_rows(rows := read_event_log(path))
    exact = job.evaluation_episodes is not None
    seconds = math.inf if exact else SHARE * sum_training_seconds(rows)
    kept = {
        t.id: found for t in outcome.ranked if (found := find_best_checkpoint(directory, t, rows))
    }
    paths = {trial: found.relative_to(directory).as_posix() for trial, found in kept.items()}
    finalists = list(paths.items())[: job.finalists]
    played = {(row.trial, row.checkpoint): row for row in outcome.finals}
    # The first finalist measures what an episode takes; the others play exactly as many.
    episodes = next((row.episodes for row in played.values()), None)
    for trial, checkpoint in finalists if len(finalists) > 1 else []:
        if (trial, checkpoint) not in played:
            limit = seconds / 2 / len(finalists) if episodes is None else math.inf
            most = job.most_evaluated if episodes is None else episodes
            row = play_final(
                job, directory, trial, checkpoint, most, limit, _make_progress_callback(show, trial)
            )
            write(row)
            episodes = row.episodes
    best = Outcome.from_rows(read_event_log(path)).best
    checkpoint = best and paths.get(best.id)
    if best and checkpoint and all(row.checkpoint != checkpoint for row in outcome.evaluations):
        left = max(seconds - (time.perf_counter() - started), 0.0)
        tell = _make_progress_callback(show, best.id)
        write(evaluate_checkpoint(job, directory, best.id, checkpoint, left, tell))


def _make_progress_callback(show: Callable[[EvaluationStatus], None], trial: str) -> Tell:
    return lambda player, done, of: show(EvaluationStatus(trial, player, done, of))


def play_final(
    job: Job,
    directory: Path,
    trial: str,
    checkpoint: str,
    episodes: int,
    seconds: float = math.inf,
    tell: Tell | None = None,
) -> FinalRow:
    """A finalist's checkpoint on the seeds of the finals, judged by the job's metric.

    Where no single episode has that metric, the environment's own score decides. Within a limit of
    time fewer episodes are played.
    """
    seed = job.evaluation_seed + job.most_evaluated
    policy = Policy.load(directory / checkpoint)
    found, _, own = evaluate(
        policy, episodes, seed, with_baselines=False, seconds=seconds, tell=tell
    )
    metric, mode = job.metric.removeprefix(HELD_OUT), job.mode
    of_episodes = PLAIN_SCORE if metric == "return_mean" else metric
    if of_episodes not in found["policy"].metrics:
        metric = of_episodes = own.removeprefix("-")
        mode = "min" if own.startswith("-") else "max"
    scores = found["policy"].metrics[of_episodes]
    error = float(scores.std(ddof=1) / len(scores) ** 0.5) if len(scores) > 1 else 0.0
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
