"""Array backend: run the same code on numpy arrays (CPU) or torch tensors (GPU).

A call of numpy costs a fraction of a call of torch, and a small network on a CPU spends its time in
calls. Hand-written autograd nodes compute with ``lib = get_array_module(x)`` on arrays of
``to_native_array``.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

Array: TypeAlias = Any
"""A numpy array on a CPU, a torch tensor elsewhere."""


def to_native_array(x: Tensor) -> Array:
    """Return the tensor without its graph, as a numpy array sharing its memory if on the CPU."""
    return x.detach().numpy() if x.device.type == "cpu" else x.detach()


def to_float32(x: Array) -> Array:
    """Return the array in float32."""
    return x.astype(np.float32, copy=False) if isinstance(x, np.ndarray) else x.float()


def to_array_like(constant: np.ndarray[Any, Any], x: Array) -> Array:
    """Return a constant as an array of the kind, and on the device, of ``x``."""
    return torch.as_tensor(constant, device=x.device) if isinstance(x, Tensor) else constant


def to_dtype(x: Array, dtype: np.dtype[Any]) -> Array:
    """Return the array in a type of numpy."""
    return x.to(getattr(torch, dtype.name)) if isinstance(x, Tensor) else x.astype(dtype)


def log_softmax(x: Array) -> Array:
    """Return the log-probabilities of logits [..., A]."""
    if isinstance(x, Tensor):
        return torch.log_softmax(x, -1)
    # Below the maximum exp cannot overflow.
    below = x - x.max(-1, keepdims=True)
    below -= np.log(np.exp(below).sum(-1, keepdims=True))
    return below


# A generator of torch belongs to one device, and its state cannot move to another. All generators
# here live on the CPU, and what they draw is moved: a policy draws the same numbers wherever it
# acts, and a run on a GPU can be resumed without one.


def draw_exponential(like: Array, generator: torch.Generator | None) -> Array:
    """Draw from the exponential distribution of mean 1; both backends draw the same numbers."""
    if isinstance(like, Tensor):
        drawn = torch.empty_like(like, device="cpu").exponential_(generator=generator)
        return drawn.to(like.device)
    return torch.empty(like.shape).exponential_(generator=generator).numpy()


def draw_normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw standard normal numbers of the same shape and on the same device."""
    return torch.randn(like.shape, generator=generator).to(like.device)


def draw_uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw numbers from [0, 1) of the same shape and on the same device."""
    return torch.rand(like.shape, generator=generator).to(like.device)


def draw_gamma(shapes: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw from Gamma distributions of these shape parameters."""
    # torch.distributions itself offers no generator; this is the function that it calls.
    gamma: Any = torch._standard_gamma  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
    return gamma(shapes.cpu(), generator=generator).to(shapes.device)


def take_at_index(x: Array, index: Array) -> Array:
    """Return the entry of x [..., A] at each index [...]."""
    if isinstance(x, Tensor):
        return x.gather(-1, index[..., None]).squeeze(-1)
    rows = x.reshape(-1, x.shape[-1])  # take_along_axis takes five times as long
    return rows[np.arange(len(rows)), index.reshape(-1)].reshape(index.shape)


def get_array_module(x: Array) -> Any:
    """Return the module (numpy or torch) that computes with ``x``."""
    return np if isinstance(x, np.ndarray) else torch
