"""torch's compiler, imported only by what compiles: it takes 1.2 s and 67 MB of a process."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import _C
from torch.optim import Optimizer

_COMPILER = "torch._inductor"


@contextmanager
def defer_compiler() -> Generator[None]:
    """Build runners and learners of RLlib without importing torch's compiler.

    Two of their calls import it. Seeding asks for deterministic algorithms, a switch that the
    compiler has, too. And methods of optimisers wrap themselves when they are first called, so that
    a program that is compiled leaves them out: here they are marked as wrapped.
    """
    for method in vars(Optimizer).values():
        function = getattr(method, "__wrapped__", None)
        if function is not None and _COMPILER not in sys.modules:
            setattr(function, "__dynamo_disable", function)  # read by torch/_compile.py
    switch = torch.use_deterministic_algorithms
    if _COMPILER not in sys.modules:
        torch.use_deterministic_algorithms = vars(_C)["_set_deterministic_algorithms"]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms = switch
