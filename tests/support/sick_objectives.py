# pyright: basic
"""Algorithms whose objective has one fault, made from healthy ones."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor


def replace_hooks(base, name="Sick", **hooks) -> Any:
    """``base`` with other hooks of its objective: functions of the objective and its arguments."""
    objective = type(name, (base.objective_class,), hooks)
    return type(name, (base,), {"objective_class": objective})


def replace_terms(
    base, change: Callable[[dict[str, Tensor], Any], Mapping[str, Tensor]], name="Sick"
) -> Any:
    """``base`` whose loss has the terms ``change(terms, batch)`` in place of its own."""

    def loss(self, forward, batch, coefficients):
        healthy = base.objective_class.loss(self, forward, batch, coefficients)
        return replace(healthy, terms={**healthy.terms, **change(healthy.terms, batch)})

    return replace_hooks(base, name, loss=loss)
