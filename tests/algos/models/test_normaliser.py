# pyright: basic
"""Running statistics: numpy's own, however the rows are cut, and of which columns."""

import copy

import numpy as np
import pytest
import small
import torch
from gymnasium import spaces

from algos.models.normaliser import (
    LIMIT,
    ObservationNormaliser,
    RunningMoments,
    make_observation_normaliser,
)
from rungwise.validation import InputError

ALONE = torch.Tensor.clone
"""The sum over learners, of one learner."""
FREE = spaces.Box(-np.inf, np.inf, (3,), np.float32)
UNIT = spaces.Box(-1, 1, (2,), np.float32)
FLOAT_IMAGE = spaces.Box(0, 255, (8, 8, 3), np.float32)
IMAGE = spaces.Box(0, 255, (8, 8, 3), np.uint8)


def naive_merge(first, second):
    """Count, mean and variance of two sets of numbers, each given by the same three."""
    (n, mean, variance), (m, other, spread) = first, second
    merged = (n * mean + m * other) / (n + m)
    squares = n * (variance + mean**2) + m * (spread + other**2)
    return n + m, merged, squares / (n + m) - merged**2


def rows(seed=0, count=700, shape=(3,)):
    rng = np.random.default_rng(seed)
    scale = np.array([1e-3, 1.0, 1e4]) if shape == (3,) else 2.0
    return (rng.normal(size=(count, *shape)) * scale + 5 * scale).astype(np.float32)


@pytest.mark.parametrize("cuts", [[], [1], [699], [3, 3, 50, 400]])
@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_the_moments_are_numpys_however_rows_are_cut(cuts, shape):
    x, moments = rows(shape=shape), RunningMoments(shape)
    for part in np.split(x, cuts):
        if len(part):
            moments.update(torch.from_numpy(part), ALONE)
    assert moments.count == len(x)
    np.testing.assert_allclose(moments.mean, x.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(moments.variance, x.var(0, dtype=np.float64), rtol=1e-10)


def test_two_updates_are_the_naive_merge():
    first, second, moments = rows(1, 20), rows(2, 90) * 3, RunningMoments((3,))
    for part in (first, second):
        moments.update(torch.from_numpy(part), ALONE)
    each = [(len(x), x.mean(0, dtype=float), x.var(0, dtype=float)) for x in (first, second)]
    count, mean, variance = naive_merge(*each)
    assert moments.count == count
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(moments.variance, variance, rtol=1e-8)


def test_small_deviations_of_large_numbers_are_kept():
    x = 1e8 + np.random.default_rng(0).normal(size=(3000, 1))
    moments = RunningMoments((1,))
    moments.update(torch.from_numpy(x), ALONE)
    assert moments.variance.item() == pytest.approx(x.var(), rel=1e-6)


def test_rows_of_several_learners_are_merged_as_of_one():
    parts = [torch.from_numpy(part) for part in np.split(rows(), 2)]
    whole, shared = RunningMoments((3,)), RunningMoments((3,))
    whole.update(torch.cat(parts), ALONE)
    # What the other learner would add to each of the three sums, in their order.
    other = iter(
        [
            parts[1].double().sum(0),
            torch.tensor(350.0, dtype=torch.float64),
            (parts[1].double() - whole.mean).square().sum(0),
        ]
    )
    shared.update(parts[0], lambda own: own + next(other))
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], value, rtol=1e-12, atol=0)


def test_without_rows_nothing_but_the_clip_changes():
    normaliser = ObservationNormaliser({"obs": (3,)})
    x = np.array([[0.1, -7.7, 9.9], [1e30, -1e30, 0]], np.float32)
    found = normaliser.normalise({"obs": x, "n": x})
    assert normaliser.is_empty and found["n"] is x
    np.testing.assert_array_equal(found["obs"], x.clip(-LIMIT, LIMIT))


def test_constant_entries_are_those_whose_rows_were_alike():
    normaliser = ObservationNormaliser({"obs.a": (3,), "obs.b": ()})
    assert normaliser.compute_constant_fraction() == 1  # nothing seen
    a = np.tile([7e7, 0.1, 0], (50, 1))
    a[:, 2] = np.linspace(0, 3e-9, 50)
    b = np.linspace(0, 3e-6, 50)
    seen = {"obs.a": torch.from_numpy(a), "obs.b": torch.from_numpy(b)}
    for _ in range(3):
        normaliser.update(seen, ALONE)
    assert normaliser.compute_constant_fraction() == 0.75
    deviations = normaliser.normalise({n: c.numpy() for n, c in seen.items()})
    assert deviations["obs.a"].std(0).max() < 0.01 < deviations["obs.b"].std()
    seen["obs.a"][:, 0] += 1
    normaliser.update(seen, ALONE)
    assert normaliser.compute_constant_fraction() == 0.5


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numpy_and_torch_normalise_to_the_same_bits(dtype):
    normaliser = ObservationNormaliser({"obs.a": (3,), "obs.b": ()})
    x = rows(3)
    columns = {"obs.a": x, "obs.b": x[:, 1], "obs.c": x}
    normaliser.update({n: torch.from_numpy(c) for n, c in columns.items()}, ALONE)
    given = {name: (c % 100).astype(dtype) for name, c in columns.items()}
    found = normaliser.normalise(given)
    again = normaliser.normalise({n: torch.from_numpy(c) for n, c in given.items()})
    for name in ("obs.a", "obs.b"):
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], again[name].numpy())
    assert found["obs.c"] is given["obs.c"]
    assert abs(normaliser.normalise(columns)["obs.a"].mean(0)).max() < 1e-4
    assert normaliser.normalise(columns)["obs.a"].std(0) == pytest.approx(1, abs=1e-4)


def test_changed_copied_and_loaded_statistics_are_used_at_once():
    def seen(normaliser):
        return normaliser.normalise({"obs": np.ones((1, 3), np.float32)})["obs"]

    normaliser, x = ObservationNormaliser({"obs": (3,)}), torch.from_numpy(rows())
    before = seen(normaliser)
    normaliser.update({"obs": x}, ALONE)
    copied = copy.deepcopy(normaliser)
    first = seen(normaliser)
    assert (first != before).any() and (seen(copied) == first).all()
    copied.update({"obs": 3 * x}, ALONE)
    assert (seen(copied) != first).any() and (seen(normaliser) == first).all()
    normaliser.load_state_dict(copied.state_dict())
    assert (seen(normaliser) == seen(copied)).all()


def test_a_constant_column_is_zero_and_its_change_is_clipped():
    normaliser = ObservationNormaliser({"obs": (1,)})
    normaliser.update({"obs": torch.full((50, 1), 3e6)}, ALONE)
    found = normaliser.normalise({"obs": np.array([[3e6], [4e6], [0]], np.float32)})["obs"]
    assert found[:, 0].tolist() == [0, LIMIT, -LIMIT]


def test_float64_keeps_small_deviations_of_large_numbers():
    normaliser = ObservationNormaliser({"obs": (2,)})
    small_ones = np.random.default_rng(0).normal(size=500)
    x = np.stack([np.full(len(small_ones), 1000.1), 1e7 + 1e-2 * small_ones], 1)
    normaliser.update({"obs": torch.from_numpy(x)}, ALONE)
    found = normaliser.normalise({"obs": x})["obs"]
    assert abs(found[:, 0]).max() < 1e-3
    expected = (small_ones - small_ones.mean()) / small_ones.std()
    np.testing.assert_allclose(found[:, 1], expected.clip(-LIMIT, LIMIT), atol=1e-3)


def test_values_are_restored_from_standardised_ones():
    moments, x = RunningMoments(), rows(count=100)[:, 2]
    moments.update(torch.from_numpy(x), ALONE)
    np.testing.assert_allclose(moments.restore(moments.standardise(x)), x, rtol=1e-5)
    standardised = moments.standardise(torch.from_numpy(x))
    assert standardised.std(unbiased=False).item() == pytest.approx(1, rel=1e-4)
    assert standardised.dtype == torch.float32


PARTS = {"obs.free": FREE, "obs.unit": UNIT, "obs.image": IMAGE, "obs.kind": spaces.Discrete(3)}
BOUNDED = spaces.Box(np.array([-1, -8], np.float32), np.array([1, 8], np.float32))


@pytest.mark.parametrize(
    ("wanted", "columns", "names"),
    [
        ("auto", PARTS, ["obs.free"]),
        (True, PARTS, ["obs.free", "obs.unit"]),
        (False, PARTS, None),
        ("auto", {"obs": BOUNDED}, ["obs"]),
        ("auto", {"obs": UNIT}, None),
        ("auto", {"obs": IMAGE}, None),
        ("auto", {"obs": FLOAT_IMAGE}, None),
        (True, {"obs": FLOAT_IMAGE}, ["obs"]),
    ],
)
def test_the_setting_selects_float_parts_by_their_range(wanted, columns, names):
    found = make_observation_normaliser(wanted, columns, any_size=False)
    assert names == (found and list(found.names))


@pytest.mark.parametrize("shape", [(), (3,), (3, 2)], ids=str)
def test_stacks_of_what_is_normalised_are_normalised(shape):
    observed = spaces.Box(-np.inf, np.inf, shape, np.float32)
    for depth, stack in ((1, ()), (4, (4,))):
        chosen = {"frame_stack": depth, "normalise_observations": "auto"}
        found = small.module(observed, spaces.Discrete(2), **chosen).observation_normaliser
        assert found.moments["obs"].mean.shape == (*stack, *shape)


def test_asking_for_what_cannot_be_normalised_is_refused():
    with pytest.raises(InputError, match="no part of it is a float Box"):
        make_observation_normaliser(True, {"obs": IMAGE}, any_size=False)
    with pytest.raises(InputError, match="a set of any size"):
        make_observation_normaliser(True, {"obs": FREE}, any_size=True)
    assert make_observation_normaliser("auto", {"obs": FREE}, any_size=True) is None


def test_a_mask_is_never_normalised():
    space = spaces.Dict(x=FREE, mask=spaces.Box(0, 5, (4,), np.float32))
    module = small.module(space, spaces.Discrete(4), normalise_observations=True)
    assert list(module.observation_normaliser.names) == ["obs.x"]


def test_parts_whose_names_hold_slashes_have_moments_of_their_own():
    columns = {"obs.a.b": torch.full((4, 1), 2.0), "obs.a/b": torch.full((4, 1), 3.0)}
    normaliser = ObservationNormaliser(dict.fromkeys(columns, (1,)))
    normaliser.update(columns, ALONE)
    means = {name: float(moments.mean) for name, moments in normaliser._by_column().items()}
    assert means == {"obs.a.b": 2, "obs.a/b": 3}
