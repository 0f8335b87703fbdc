"""An observer of rl_games, and for its version 2 a ``stop_fn`` that a YAML file names."""

from __future__ import annotations

from typing import Any

from rl_games.common.algo_observer import DefaultAlgoObserver  # pyright: ignore

from rungwise.callbacks.scalars import copy_scalars, read_budget
from rungwise.judging.watch import Watch


class HealthObserver:
    """Judges each epoch of an algorithm, and makes one that a finding ends the last.

    Args:
        observer: another one to call; without, rl_games' own.
        options: those of :class:`Watch`; the budget is ``max_epochs``, or else ``max_frames``.
    """

    def __init__(self, observer: Any = None, **options: Any) -> None:
        self._options, self.watch, self._epoch = options, Watch(**options), 0
        self._observer = observer or DefaultAlgoObserver()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._observer, name)

    def after_init(self, algo: Any) -> None:
        """Judge an algorithm from here on."""
        defaults: dict[str, Any] = {"budget": read_budget(algo.max_epochs), "progress": "iteration"}
        defaults = defaults if defaults["budget"] else {"budget": read_budget(algo.max_frames)}
        self.algo, self.watch = algo, Watch(**defaults | self._options)
        # Only the first of several processes writes, and rl_games does what it decides.
        self._scalars = copy_scalars(algo.writer) if algo.writer else {}
        self._observer.after_init(algo)

    def after_print_stats(self, frame: int, epoch_num: int, total_time: float) -> None:
        """Judge an epoch."""
        self._observer.after_print_stats(frame, epoch_num, total_time)
        if epoch_num > self._epoch and self.judge(epoch_num):  # PPO may call it twice.
            self.algo.max_epochs = epoch_num

    def judge(self, epoch: int) -> bool:
        """Return whether to end the training after this epoch."""
        algo, self._epoch = self.algo, epoch
        row = {**self._scalars, "iteration": epoch, "env_steps": algo.frame // algo.num_agents}
        if algo.game_rewards.current_size:  # An observer is called before they are written.
            row["rewards/step"] = algo.game_rewards.get_mean().flat[0]
            row["episode_lengths/step"] = algo.game_lengths.get_mean()
        self._scalars.clear()
        self.watch.feed(row)
        return self.watch.should_stop


def stop_fn(algo: Any) -> bool:
    """Return whether to end a training; ``config.health`` may have options of :class:`Watch`."""
    if not hasattr(algo, "health"):
        algo.health = HealthObserver(**algo.config.get("health", {}))
        algo.health.after_init(algo)
    return algo.health.judge(algo.epoch_num)
