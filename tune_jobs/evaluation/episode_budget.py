"""The episode budget of an evaluation: a requested number, or what a limit of steps allows.

Steps and not seconds: a number of episodes that followed from the clock would be another one on
each machine and in each repetition, and so would the figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from rungwise.run_log.evaluation_status import FEWEST_STEPS
from rungwise.run_log.events import ResultRow, Row

SHARE = 0.2
"""Steps of the evaluation at the end as a fraction of those of training, where no number of
episodes is requested. A step of training costs more: its policy learns from it."""
STEPS = 100_000
"""Steps that all players of a comparison may take by default: about a minute."""
SLOW_STEPS = 20
"""Steps that one of a slow baseline counts for (measured: 10 to 25 times the time of others)."""
LEAST = 20
"""Episodes that are always played in a batched world, where 20 take hardly longer than one."""
MOST_STEPS = 30_000
"""Steps after which an episode is cut off in an environment without a longer limit of its own. The
most likely actions may go in circles for ever. The longest episodes of Atari games are as long."""
LEAST_SINGLE = 2
"""The same in any other environment, where each copy takes its own time (20 episodes of 1,000 steps
of 2 ms by three players take two minutes): the fewest that have a standard error."""


def limit_episode_steps(steps: float, players: int, episodes: int) -> int:
    """Return the steps after which an episode is cut off where no longer limit is known.

    The episodes that are played in any case then hardly take more than the limit of steps: the
    fewest, or all where there is no such limit.

    Args:
        steps: limit of the steps of all players.
        players: their number.
        episodes: of each player, at most.
    """
    if math.isfinite(steps):
        episodes = min(episodes, LEAST_SINGLE)
    else:
        steps = STEPS
    return int(min(MOST_STEPS, max(FEWEST_STEPS, steps / players / episodes)))


def plan_batches(
    episodes: int,
    steps: float = math.inf,
    most: int | None = None,
    least: int = LEAST,
    count_steps: Callable[[], float] = lambda: 0.0,
) -> Iterator[tuple[int, int]]:
    """Yield the first episode and the size of each batch until episodes or steps are used up.

    With a limit of steps batches double: a whole number of small ones measures how long an episode
    is, and larger ones cost less an episode where copies advance together.

    Args:
        episodes: how many there are at most.
        steps: how many all batches together may take, ``least`` episodes apart.
        most: the largest batch.
        least: episodes that are always played, which the first batch is.
        count_steps: the steps that all batches so far have taken.
    """
    done = 0
    while done < episodes:
        count, spent = min(episodes - done, most or episodes), count_steps()
        if math.isfinite(steps):
            # As many as all batches before together: the size doubles from the least.
            count = min(count, max(done, least))
        affordable = (steps - spent) / spent * done if done and spent > 0 else math.inf
        if affordable < count:
            # The last one: batches of another size would be other episodes of a sampled policy.
            if affordable >= least:
                yield done, int(affordable)
            return
        yield done, count
        done += count


def count_training_steps(rows: Iterable[Row]) -> int:
    """Return the environment steps that the trials of a run have taken."""
    # Of an iteration that a restart has repeated the later row counts, which comes last.
    return sum({row.trial: row.env_steps for row in rows if isinstance(row, ResultRow)}.values())
