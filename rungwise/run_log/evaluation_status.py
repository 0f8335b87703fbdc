"""An evaluation in words: its progress, which is never logged, and what its row shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from rungwise.formatting import count, format_percent
from rungwise.run_log.events import EvaluationRow, Row


@dataclasses.dataclass(frozen=True)
class EvaluationStatus:
    """Episodes that one player has finished so far."""

    trial: str
    player: str
    """``policy`` (sampled), ``greedy``, ``random``, or a simple rule."""
    episodes: int
    of: int
    """The most that are played; time may end it sooner."""
    steps: int = 0
    """Steps that the episodes in progress have advanced."""
    activity: str = "evaluating"

    def __str__(self) -> str:
        steps = f", step {self.steps:,} of the next" if self.steps else ""
        player = format_player(self.player)
        return f"{self.activity}: {player} {self.episodes} of {self.of} episodes{steps}"


def format_player(name: str) -> str:
    """Return a player's name for people: the log calls the most likely actions ``greedy``."""
    return "most likely action" if name == "greedy" else name


COMPARED = "Episodes with the same seeds"
"""Heading of a comparison; an environment may ignore its seed, and its episodes then differ."""
FEWEST_STEPS = 5_000
"""Steps after which an episode is cut off at the earliest, in an environment without a limit."""
SAMPLED_IS_BETTER, FEWEST_SEEDS = 0.75, 20
"""Share of the seeds, and their number, from which sampled actions are recommended: by chance so
large a share of 20 seeds comes about in 2 % of all cases."""
FEWEST_COMPARED = 8
"""Episodes from which means are compared."""

Listener = Callable[[Row | EvaluationStatus], None]
"""Called with every row of a run, and with the progress of its evaluation."""


def format_episode_count(row: EvaluationRow, what: str) -> str:
    """Format the number of played episodes and, where steps were limited, of those planned."""
    played = count(row.episodes, what)
    if row.episodes >= row.most:
        return played
    return f"{played} (--episodes {row.most} for more)"


def list_remarks(
    policy: Mapping[str, float],
    baselines: Mapping[str, Mapping[str, float]],
    episodes: int,
    cut_off: Mapping[str, int],
    better_than_random: float | None,
    better_than_greedy: float | None,
) -> list[str]:
    """Return what is to be said of a comparison, a sentence or two each."""
    said = [
        describe_indifference(policy, baselines, better_than_random),
        caution_of_few(episodes),
        describe_cut_off(cut_off),
        recommend_sampling(better_than_greedy, episodes),
    ]
    return list(filter(None, said))


def describe_indifference(
    policy: Mapping[str, float],
    baselines: Mapping[str, Mapping[str, float]],
    better_than_random: float | None,
) -> str:
    """Return that random actions have brought exactly the same; empty where they have not.

    Equal means, and no seed with a better score, are equal scores on every seed. Without a spread
    nothing is said: where no player finds a rare reward, all returns are 0.
    """
    if better_than_random != 0 or not policy.get("return_std", 0.0):
        return ""
    if any(baselines.get(name) != policy for name in ("greedy", "random")):
        return ""
    return (
        "Random actions bring exactly the same: what the policy does seems to make no difference. "
        "`rungwise check` looks for the cause."
    )


def caution_of_few(episodes: int) -> str:
    """Return that so few episodes have a standard error that says little; empty for more."""
    if episodes >= FEWEST_COMPARED:
        return ""
    return (
        f"{count(episodes, 'episode')} of each are too few to compare by: a ± of so few may be far "
        "too small. `rungwise evaluate CHECKPOINT --episodes 20` plays more."
    )


def describe_cut_off(cut_off: Mapping[str, int]) -> str:
    """Describe the episodes of each player that were cut off; empty where all had an end."""
    if not cut_off:
        return ""
    whose = ", ".join(f"{number} of {format_player(player)}" for player, number in cut_off.items())
    said = (
        f"Episodes were cut off after {FEWEST_STEPS:,} steps or more without an end: {whose}. "
        "Their returns are those until then. Where the environment has no time limit, give it one: "
        "`max_episode_steps` among its arguments."
    )
    if "greedy" in cut_off and "policy" not in cut_off:
        said += (
            " Every episode of sampled actions had an end: act by Policy.act(..., greedy=False)."
        )
    return said


def recommend_sampling(better_than_greedy: float | None, episodes: int) -> str:
    """Return the advice to sample actions; empty where the most likely ones score as well.

    The most likely actions are those of another policy than the trained one: while it is far from
    deterministic, they may repeat a single action, and an experiment that is repeated shows
    nothing new.
    """
    if better_than_greedy is None or episodes < FEWEST_SEEDS:
        return ""
    if better_than_greedy < SAMPLED_IS_BETTER:
        return ""
    return (
        "Sample the actions (Policy.act(..., greedy=False)): they score better than the most "
        f"likely ones on {format_percent(better_than_greedy)} of the seeds."
    )
