"""Optimisers by the name of the setting.

Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019), and Muon (Jordan et al. 2024), which
makes the update of every matrix orthogonal; AdamW updates the other weights.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import torch
from ray.rllib.core.learner.learner import DEFAULT_OPTIMIZER
from torch.nn import Parameter
from torch.optim import Optimizer

OptimiserKind: TypeAlias = Literal["adam", "adamw", "muon"]

ADAM_EPS = 1e-5
"""Adam's epsilon: with torch's 1e-8 the first steps along tiny gradients are as long as any."""

_KERNELS: Any = torch._fused_adam_, torch._fused_adamw_  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
"""Kernels of ``fused=True``: weight decay added to the gradient, and decoupled from it."""


def make_optimisers(
    kind: OptimiserKind, params: Sequence[Parameter], lr: float, weight_decay: float
) -> dict[str, tuple[Optimizer, list[Parameter]]]:
    """Create the optimisers; return each by name with the parameters that it updates.

    Args:
        kind: the setting.
        params: all trained parameters.
        lr: learning rate of all of them.
        weight_decay: added to the gradient by ``adam``, decoupled from it by the others.
    """
    matrices = [p for p in params if p.ndim == 2] if kind == "muon" else []
    others = [p for p in params if kind != "muon" or p.ndim != 2]
    optimisers: dict[str, tuple[Optimizer, list[Parameter]]] = {}
    if matrices:
        # Steps as long as AdamW's, so that one learning rate suits both.
        like = "match_rms_adamw"
        muon = torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn=like)
        optimisers["matrices"] = muon, matrices
    if others:
        adam = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
        optimiser = adam(others, lr=lr, eps=ADAM_EPS, weight_decay=weight_decay, fused=True)
        optimisers[DEFAULT_OPTIMIZER] = optimiser, others
    return optimisers


@contextmanager
def keep_settings(optimisers: Mapping[str, Optimizer]) -> Generator[None]:
    """Give optimisers their settings back after a state was loaded, which brings its own.

    Under PBT a state comes from a trial with other settings, such as another weight decay.
    """
    settings = {name: [dict(g) for g in o.param_groups] for name, o in optimisers.items()}
    yield
    for name, optimiser in optimisers.items():
        for group, group_settings in zip(optimiser.param_groups, settings[name], strict=True):
            group.update({key: value for key, value in group_settings.items() if key != "params"})


@contextmanager
def suspend_state(optimisers: Iterable[Optimizer]) -> Generator[None]:
    """Step without the moments of earlier steps, and give these back at the end.

    For imitation, which gives a critic gradients of 0. By its count of steps Adam would then take a
    second moment of 0 for a measured one, and the first steps of training would move the critic by
    several learning rates.
    """
    states = [(optimiser, optimiser.state) for optimiser in optimisers]
    for optimiser, _ in states:
        optimiser.state = defaultdict(dict)
    try:
        yield
    finally:
        for optimiser, state in states:
            optimiser.state = state


def select_loadable(
    optimisers: Mapping[str, Optimizer], states: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the states, as RLlib keeps them, of optimisers that move the same parameters.

    Of another kind (``optimiser`` is searched by PBT) an optimiser begins without a past.
    """

    def count(groups: Sequence[Mapping[str, Any]]) -> list[int]:
        return [len(group["params"]) for group in groups]

    return {
        name: state
        for name, state in states.items()
        if name in optimisers
        and count(state["state"]["param_groups"]) == count(optimisers[name].param_groups)
    }


@torch.no_grad()
def step_adam(optimiser: Optimizer) -> None:
    """Step as ``optimiser.step()``, of Adam or AdamW on the CPU, in a third of its time.

    With a few thousand weights most of a step is what torch does around its kernel.
    """
    for group in optimiser.param_groups:
        step, (beta1, beta2) = _KERNELS[group["decoupled_weight_decay"]], group["betas"]
        for p in (p for p in group["params"] if p.grad is not None):
            state = optimiser.state[p]
            if not state:
                state |= {name: torch.zeros_like(p) for name in ("exp_avg", "exp_avg_sq")}
                state["step"] = torch.zeros(())
            steps = state["step"].numpy()  # torch's own addition takes as long as the kernel
            steps += 1
            step(
                [p],
                [p.grad],
                [state["exp_avg"]],
                [state["exp_avg_sq"]],
                [],  # the largest squares, which only AMSGrad has
                [state["step"]],
                lr=group["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )
