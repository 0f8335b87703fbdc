"""The finals: the best few trials play again on fresh seeds before one is named the winner.

The best of many scores is partly luck, and the more trials there are, the more of it. Here each
finalist plays the same episodes, on seeds that neither training nor the comparison of the winner
with other rules uses, so that the comparison is not flattered by the choice.
"""

from __future__ import annotations

from pathlib import Path

from algos.policy import Policy
from tune_jobs.evaluate import HELD_OUT, PLAIN_SCORE, evaluate
from tune_jobs.events import FinalRow
from tune_jobs.job import Job


def play_final(job: Job, directory: Path, trial: str, checkpoint: str) -> FinalRow:
    """A finalist's checkpoint on the seeds of the finals, judged by the job's metric.

    Where no single episode has that metric, the environment's own score decides.
    """
    seed = job.evaluation_seed + job.evaluation_episodes
    policy = Policy.load(directory / checkpoint)
    found, _, own = evaluate(policy, job.evaluation_episodes, seed, beside=False)
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
        episodes=job.evaluation_episodes,
        seed=seed,
    )
