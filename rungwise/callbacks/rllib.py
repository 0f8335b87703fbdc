"""A callback of RLlib, for all algorithms of its new API stack."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.callbacks.callbacks import RLlibCallback

from rungwise.judging.watch import Watch


class HealthCallback(RLlibCallback):
    """Judges each result of an algorithm, and marks the one that ends it as ``done``.

    Tune ends a trial at such a result; a loop over ``algorithm.train()`` has to look at it. The
    callback is one of ``algorithm.callbacks``.

    Args:
        options: those of :class:`Watch`, with ``functools.partial(HealthCallback, budget=1e6)``.
    """

    def __init__(self, **options: Any) -> None:
        self.watch = Watch(**options)

    def on_train_result(
        self, *, algorithm: Algorithm, result: dict[str, Any], **kwargs: object
    ) -> None:
        """Judge a result."""
        self.watch.feed(result)
        if self.watch.should_stop:
            result["done"] = True
