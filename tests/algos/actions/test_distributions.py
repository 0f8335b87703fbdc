# pyright: basic
"""Distributions over actions: each is a distribution, and what it says of itself is true."""

import itertools
import math

import naive
import numpy as np
import pytest
import torch

from algos.actions.choice_values import BetaValue, BinnedValue, NormalValue
from algos.actions.choice_with_value import ChoiceWithValue
from algos.actions.choices import Categorical, MultiCategorical
from algos.actions.values import Gaussian

DRAWS = 40_000
MASK = torch.tensor([True, False, True, True])
LOGITS = torch.tensor([0.5, 3.0, -1.0, 0.2])


def rows(tensor, count):
    return tensor.expand(count, *tensor.shape)


def masked(count=1):
    return Categorical(rows(LOGITS, count), rows(MASK, count))


def several(count=1):
    return MultiCategorical([masked(count), Categorical(rows(torch.tensor([0.3, -0.7]), count))])


def binned(count=1):
    return BinnedValue(rows(torch.tensor([1.0, -1, 0, 0.5, 2]), count))


def beta(count=1):
    return BetaValue(rows(torch.tensor([0.5, 1.5]), count))


def normal(count=1):
    # Its peak at 0.76, its spread 0.5: a third of it is cut off.
    return NormalValue(rows(torch.tensor([1.0, math.log(0.5)]), count))


def narrow(count=1):
    return NormalValue(rows(torch.tensor([-0.4, -3.0]), count))


def gaussian(count=1):
    return Gaussian(rows(torch.tensor([0.3]), count), rows(torch.tensor([-0.5]), count))


def choose(value, count=1):
    parameters = 5 if value is BinnedValue else 2
    generator = torch.Generator().manual_seed(3)
    outputs = torch.randn(4, 1 + parameters, generator=generator)
    return ChoiceWithValue(rows(outputs, count), rows(MASK, count), value)


def choose_binned(count=1):
    return choose(BinnedValue, count)


def choose_beta(count=1):
    return choose(BetaValue, count)


def choose_normal(count=1):
    return choose(NormalValue, count)


DENSITIES = [beta, normal, narrow]
CHOICES = [choose_beta, choose_normal]
ALL = [masked, several, gaussian, binned, *DENSITIES, choose_binned, *CHOICES]
VALUES = [BinnedValue, BetaValue, NormalValue]
GRID = torch.linspace(-1, 1, 5)
FINE = torch.linspace(-1 + 1e-6, 1 - 1e-6, 20_001, dtype=torch.float64).float()
"""Points of a quadrature over [-1, 1]."""


def every_action(name):
    """Every action of a discrete distribution, as columns with one row an action."""
    if name == "masked":
        return {"choice": torch.arange(4)}
    if name == "several":
        return {"choices": torch.tensor(list(itertools.product(range(4), range(2))))}
    if name == "binned":
        return {"value": GRID}
    pairs = list(itertools.product(range(4), range(5)))
    choice, place = torch.tensor(pairs).T
    return {"choice": choice, "value": GRID[place]}


DISCRETE = [masked, several, binned, choose_binned]


def enumerated(make):
    actions = every_action(make.__name__)
    count = len(next(iter(actions.values())))
    return actions, make(count).logp(actions).exp()


def surprising(counts, probabilities):
    """Whether frequencies lie further from their probabilities than five deviations of chi^2."""
    possible = probabilities > 1e-12
    if counts[~possible].sum():
        return True
    expected = probabilities[possible] * counts.sum()
    chi2 = float(((counts[possible] - expected) ** 2 / expected).sum())
    freedom = int(possible.sum()) - 1
    return chi2 > freedom + 5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("make", DISCRETE)
def test_probabilities_of_all_actions_sum_to_1(make):
    _, probabilities = enumerated(make)
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("make", DISCRETE)
def test_actions_are_drawn_as_often_as_their_probability_says(make):
    actions, probabilities = enumerated(make)
    drawn = make(DRAWS).sample(torch.Generator().manual_seed(0))
    matches = torch.ones(DRAWS, len(probabilities), dtype=torch.bool)
    for name, column in actions.items():
        same = drawn[name][:, None] == column
        matches &= same.all(-1) if same.ndim == 3 else same
    assert (matches.sum(1) == 1).all()
    counts, expected = matches.sum(0).numpy(), probabilities.double().numpy()
    assert not surprising(counts, expected)
    assert surprising(counts, np.roll(expected, 1))  # the bound can tell


@pytest.mark.parametrize("make", DISCRETE)
def test_the_entropy_is_that_of_the_enumeration(make):
    _, probabilities = enumerated(make)
    expected = naive.entropy(probabilities.tolist())
    assert make().entropy().item() == pytest.approx(expected, abs=1e-5)


def test_probabilities_of_a_categorical_worked_out_by_hand():
    # Odds 1 : 2 : 5, of which the second is illegal: 1/6 and 5/6.
    dist = Categorical(torch.tensor([[1.0, 2, 5]]).log(), torch.tensor([[True, False, True]]))
    assert dist.choice_probabilities()[0].tolist() == pytest.approx([1 / 6, 0, 5 / 6])
    assert dist.logp({"choice": torch.tensor([2])}).item() == pytest.approx(math.log(5 / 6))


@pytest.mark.parametrize(
    ("make", "points"), [*((make, FINE) for make in DENSITIES), (gaussian, 6 * FINE)]
)
def test_a_density_and_its_entropy_agree_with_quadrature(make, points):
    values = points[:, None] if make is gaussian else points
    logp = make(len(points)).logp({"value": values}).double()
    x = points.double()
    assert torch.trapezoid(logp.exp(), x).item() == pytest.approx(1, abs=1e-4)
    entropy = torch.trapezoid(-logp.exp() * logp, x).item()
    assert make().entropy().item() == pytest.approx(entropy, abs=1e-3)


@pytest.mark.parametrize(
    ("make", "points"), [*((make, FINE) for make in DENSITIES), (gaussian, 6 * FINE)]
)
def test_values_are_drawn_as_their_density_says(make, points):
    values = points[:, None] if make is gaussian else points
    density = make(len(points)).logp({"value": values}).double().exp()
    mass = torch.cumulative_trapezoid(density, points.double())
    inner = points[1:][torch.searchsorted(mass, torch.arange(1, 20) / 20)]
    edges = torch.tensor([-torch.inf, *inner.tolist(), torch.inf]).numpy()
    drawn = make(DRAWS).sample(torch.Generator().manual_seed(0))["value"].flatten()
    counts, _ = np.histogram(drawn.numpy(), edges)
    assert not surprising(counts, np.full(20, 1 / 20))


@pytest.mark.parametrize("make", CHOICES)
def test_a_choice_with_a_density_agrees_with_quadrature(make):
    total = entropy = 0.0
    for choice in range(4):
        action = {"choice": torch.full((len(FINE),), choice), "value": FINE}
        logp = make(len(FINE)).logp(action).double()
        total += torch.trapezoid(logp.exp(), FINE.double()).item()
        entropy += torch.trapezoid(-logp.exp() * logp.clamp_min(-1e4), FINE.double()).item()
    assert total == pytest.approx(1, abs=1e-4)
    assert make().entropy().item() == pytest.approx(entropy, abs=1e-3)


def test_a_choice_with_a_beta_value_is_drawn_by_its_density():
    drawn = choose_beta(DRAWS).sample(torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn["choice"], minlength=4).numpy()
    probabilities = choose_beta().choice_probabilities()[0].double().numpy()
    assert not surprising(counts, probabilities)
    # The values that go with a choice have that choice's own mean.
    dist = choose_beta()
    for choice in (0, 2, 3):
        own = BetaValue(dist.params[0, choice][None]).beta
        values = drawn["value"][drawn["choice"] == choice]
        error = float(own.stddev) * 2 / math.sqrt(len(values))
        assert abs(values.mean().item() - (2 * float(own.mean) - 1)) < 4 * error


@pytest.mark.parametrize("make", ALL)
def test_the_entropy_is_minus_the_mean_logp_of_the_samples(make):
    dist = make(DRAWS)
    logp = dist.logp(dist.sample(torch.Generator().manual_seed(1)))
    error = logp.std().item() / math.sqrt(DRAWS)
    assert make().entropy().item() == pytest.approx(-logp.mean().item(), abs=5 * error)


@pytest.mark.parametrize("make", ALL)
def test_the_same_generator_draws_the_same_actions(make):
    first, again, other = (
        make(50).sample(torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("make", ALL)
def test_stored_samples_have_the_same_log_probability_again(make):
    dist = make(200)
    action = dist.sample(torch.Generator().manual_seed(2))
    stored = {name: torch.from_numpy(part.numpy().copy()) for name, part in action.items()}
    assert torch.equal(make(200).logp(stored), dist.logp(action))


@pytest.mark.parametrize("make", ALL)
def test_the_mode_is_at_least_as_likely_as_any_sample(make):
    dist = make(500)
    if isinstance(dist, ChoiceWithValue):
        # The mode of each part: the likeliest choice, and the likeliest value for it.
        assert (dist.mode()["choice"] == dist.choice.mode()["choice"]).all()
        place = dist.mode()["choice"][0]
        own = dist.value(dist.params[:, place]).mode()["value"]
        assert torch.equal(dist.mode()["value"], own)
    else:
        samples = dist.logp(dist.sample(torch.Generator().manual_seed(4)))
        assert (dist.logp(dist.mode()) >= samples.max() - 1e-6).all()


# The largest entropy.


def uniform(name):
    mask = MASK[None]
    return {
        "masked": lambda: Categorical(torch.zeros(1, 4), mask),
        "several": lambda: MultiCategorical(
            [Categorical(torch.zeros(1, 4), mask), Categorical(torch.zeros(1, 2))]
        ),
        "binned": lambda: BinnedValue(torch.zeros(1, 5)),
        # A Beta of two ones is uniform; its parameters approach them from above.
        "beta": lambda: BetaValue(torch.full((1, 2), -30.0)),
        # A normal value is nearly uniform when its spread is far beyond the range.
        "normal": lambda: NormalValue(torch.tensor([[0.3, 3.0]])),
        "narrow": lambda: NormalValue(torch.tensor([[0.3, 3.0]])),
        "choose_normal": lambda: ChoiceWithValue(
            torch.tensor([0.0, 0.3, 3.0]).expand(1, 4, 3), mask, NormalValue
        ),
        "choose_binned": lambda: ChoiceWithValue(torch.zeros(1, 4, 6), mask, BinnedValue),
        "choose_beta": lambda: ChoiceWithValue(
            torch.tensor([0.0, -30, -30]).expand(1, 4, 3), mask, BetaValue
        ),
    }[name]()


HIGHEST = {
    "masked": math.log(3),
    "several": math.log(3) + math.log(2),
    "binned": math.log(5),
    "beta": math.log(2),
    "normal": math.log(2),
    "narrow": math.log(2),
    "choose_binned": math.log(3) + math.log(5),
    "choose_normal": math.log(3) + math.log(2),
    "choose_beta": math.log(3) + math.log(2),
}


@pytest.mark.parametrize("make", [make for make in ALL if make is not gaussian])
def test_the_largest_entropy_is_that_of_uniform_actions(make):
    highest = HIGHEST[make.__name__]
    assert make().max_entropy().item() == pytest.approx(highest, abs=1e-6)
    assert uniform(make.__name__).entropy().item() == pytest.approx(highest, abs=1e-4)
    assert make().entropy().item() < highest - 0.01


def test_a_normal_distribution_has_no_largest_entropy():
    assert gaussian().max_entropy() is None


# Masks.


@pytest.mark.parametrize("logits", [LOGITS, torch.tensor([-50.0, 100, -80, -60])])
@pytest.mark.parametrize("kind", ["plain", "bins", "beta", "normal"])
def test_masked_choices_are_never_drawn_nor_most_likely(logits, kind):
    outputs = logits[None, :, None].expand(20_000, 4, 6 if kind == "bins" else 3)
    mask = rows(MASK, 20_000)
    value = {"bins": BinnedValue, "normal": NormalValue}.get(kind, BetaValue)
    dist = (
        Categorical(outputs[..., 0], mask)
        if kind == "plain"
        else ChoiceWithValue(outputs, mask, value)
    )
    assert (dist.sample(torch.Generator().manual_seed(0))["choice"] != 1).all()
    assert (dist.mode()["choice"] != 1).all()
    probabilities = dist.choice_probabilities()
    assert (probabilities[:, 1] == 0).all()


@pytest.mark.parametrize("legal", [[True, False, True, True], [False, False, True, False]])
@pytest.mark.parametrize("value", VALUES)
def test_masks_make_no_nan_in_entropy_logp_or_gradient(legal, value):
    outputs = torch.randn(
        3, 4, 6 if value is BinnedValue else 3, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    dist = ChoiceWithValue(outputs, torch.tensor([legal] * 3), value)
    action = dist.sample(torch.Generator().manual_seed(0))
    loss = (dist.entropy() + dist.logp(action)).sum()
    loss.backward()
    assert outputs.grad is not None
    assert torch.isfinite(loss) and torch.isfinite(outputs.grad).all()
    forbidden = ~torch.tensor(legal)
    assert (outputs.grad[:, forbidden] == 0).all()
    assert dist.max_entropy()[0].item() == pytest.approx(
        math.log(sum(legal)) + math.log(5 if value is BinnedValue else 2)
    )


def test_masks_of_zeros_and_ones_in_any_type_mean_the_same():
    expected = masked().choice_probabilities()
    for dtype in (torch.int8, torch.int64, torch.float32):
        dist = Categorical(LOGITS[None], MASK[None].to(dtype))
        assert torch.equal(dist.choice_probabilities(), expected)
        assert dist.max_entropy().item() == pytest.approx(math.log(3))


def test_a_beta_density_of_nan_is_nan_and_no_error():
    # A diverged policy is reported by the health rules: its densities must not raise before.
    assert BetaValue(torch.full((1, 2), math.nan)).logp({"value": torch.zeros(1)}).isnan()


@pytest.mark.parametrize("end", [-1.0, 1.0])
def test_a_beta_that_is_certain_of_an_end_stays_inside(end):
    """Its ratio of Gamma variables rounds to exactly 0 or 1."""
    dist = BetaValue(torch.tensor([[1e9 * end, -1e9 * end]]).expand(64, 2))
    value = dist.sample(torch.Generator().manual_seed(0))["value"]
    assert (value * end <= 1 - 1e-6 + 1e-9).all() and dist.logp({"value": value}).isfinite().all()
