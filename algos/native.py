"""The same lines of arithmetic on numpy arrays (CPU) and on torch tensors (elsewhere).

A call of numpy costs a fraction of a call of torch, and small networks on a CPU are all calls.
Code inside hand-written autograd nodes computes with ``lib = library(x)`` on ``native`` arrays.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

Array: TypeAlias = Any
"""A numpy array on a CPU, a torch tensor elsewhere."""


def native(x: Tensor) -> Array:
    """The tensor without its history, as a numpy array sharing its memory where it can be one."""
    return x.detach().numpy() if x.device.type == "cpu" else x.detach()


def library(x: Array) -> Any:
    """The module whose functions compute with ``x``."""
    return np if isinstance(x, np.ndarray) else torch
