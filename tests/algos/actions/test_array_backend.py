# pyright: basic
"""The array backend: NumPy and torch compute the same numbers."""

import numpy as np
import torch

from algos.actions.array_backend import (
    draw_exponential,
    get_array_module,
    log_softmax,
    take_at_index,
    to_float32,
    to_native_array,
)


def test_both_libraries_compute_alike():
    x = np.array([[0.0, 1.0, 3.0], [5.0, 5.0, 5.0]], np.float32)
    tensor = torch.as_tensor(x)
    np.testing.assert_allclose(log_softmax(x), log_softmax(tensor).numpy(), rtol=1e-6)
    np.testing.assert_allclose(np.exp(log_softmax(x)).sum(-1), 1, rtol=1e-6)
    assert get_array_module(x) is np and get_array_module(tensor) is torch
    index = np.array([2, 0])
    assert take_at_index(x, index).tolist() == [3, 5]
    assert take_at_index(tensor, torch.as_tensor(index)).tolist() == [3, 5]
    draws = [draw_exponential(like, torch.Generator().manual_seed(0)) for like in (x, tensor)]
    np.testing.assert_array_equal(draws[0], draws[1].numpy())
    assert draws[0].shape == x.shape and (draws[0] > 0).all()
    assert to_float32(x.astype(np.float64)).dtype == np.float32
    assert to_float32(tensor.double()).dtype == torch.float32
    assert to_float32(x) is x


def test_a_native_array_shares_memory_without_the_graph():
    tensor = torch.ones(2, requires_grad=True)
    shared = to_native_array(tensor)
    assert isinstance(shared, np.ndarray)
    shared[0] = 5
    assert tensor.tolist() == [5, 1]


def test_log_softmax_of_large_numbers_stays_finite():
    assert log_softmax(np.array([1000.0, 0.0])).tolist() == [0, -1000]
