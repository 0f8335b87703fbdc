# pyright: basic
"""Families of models: what every model of a family has, and that a key decides all of it."""

import dataclasses

import numpy as np
import pytest
from causal_drawn import DRAWN, KEYS, SIZES, visible

from envs.causal.models import families
from envs.causal.models.families import FAMILIES, draw_family
from envs.contract import counter_rng
from envs.contract.pytree import take
from rungwise.validation import InputError

HARD = ["hard", "hard_offset"]
LEARNING = ["random", "chain", "fork", "collider", "erdos_renyi", "scale_free"]


def natural_rows(scm, count):
    """Rows [B, count, n] without an intervention."""
    shape = (len(scm.order), scm.nodes)
    noise = counter_rng.normal(counter_rng.fold(KEYS, 1), (count, scm.nodes)).astype(float)
    return scm.sample(noise, np.zeros(shape, bool), np.zeros(shape))


@pytest.mark.parametrize("family", FAMILIES)
def test_parents_come_before_children(family):
    scm = DRAWN[family].scm
    place = np.argsort(scm.order, axis=1)
    np.testing.assert_array_equal(np.sort(scm.order, axis=1)[0], np.arange(scm.nodes))
    copy, child, parent = np.nonzero(scm.parents)
    assert (place[copy, parent] < place[copy, child]).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_size_occurs_and_fillers_are_last_and_alone(family):
    parents, real = visible(family)
    sizes = real.sum(axis=1)
    assert set(sizes) == {4, 5, 6, 7, 8}
    assert (real == (np.arange(8) < sizes[:, None])).all()
    assert not parents[~real].any() and not parents.transpose(0, 2, 1)[~real].any()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_target_is_a_visible_node_with_parents(family):
    parents, _ = visible(family)
    target = DRAWN[family].target
    assert parents[np.arange(300), target].any(axis=1).all()
    if family in LEARNING:
        assert not parents[np.arange(300), :, target].any()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_key_draws_the_same_model_whatever_stands_beside_it(family):
    some = np.array([7, 250])
    alone, among = draw_family(family, KEYS[some], *SIZES), take(DRAWN[family], some)
    np.testing.assert_array_equal(alone.target, among.target)
    for field in dataclasses.fields(alone.scm):
        np.testing.assert_array_equal(
            getattr(alone.scm, field.name), getattr(among.scm, field.name), field.name
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_position_says_nothing_about_a_node(family):
    """Where nodes are shuffled, each position holds the target equally often."""
    drawn = draw_family(family, counter_rng.make_keys(1, 2000), 5, 5)
    np.testing.assert_allclose(np.bincount(drawn.target, minlength=5) / 2000, 0.2, atol=0.04)


@pytest.mark.parametrize("family", LEARNING)
def test_mechanisms_have_standard_deviation_2_where_judged(family):
    scm = DRAWN[family].scm
    x = 8 * counter_rng.uniform(counter_rng.fold(KEYS, 2), (500, scm.nodes)) - 4
    has_parents = np.asarray(scm.parents.any(axis=2))
    for node in range(scm.nodes):
        mine = scm.mechanism(np.full(300, node), x)[has_parents[:, node]]
        np.testing.assert_allclose(mine.std(axis=1), 2, atol=0.4)
        np.testing.assert_allclose(mine.mean(axis=1), 0, atol=0.4)
    natural = natural_rows(scm, 200)
    assert (np.abs(natural) < 5).mean() > 0.99  # what is seen lies in the domain
    np.testing.assert_allclose(scm.noise[scm.real & has_parents], 0.1)


def test_linear_models_have_the_specified_coefficients():
    scm = DRAWN["linear_random"].scm
    sizes = np.abs(scm.weights[scm.weights != 0])
    assert sizes.min() >= 0.5 and sizes.max() < 2 and abs(sizes.mean() - 1.25) < 0.03
    assert abs((scm.weights[scm.weights != 0] > 0).mean() - 0.5) < 0.05
    np.testing.assert_allclose(scm.noise[scm.real], 0.5)


@pytest.mark.parametrize("family", HARD)
def test_hard_models_have_decoys_after_the_target(family):
    parents, real = visible(family)
    target = DRAWN[family].target
    children = parents[np.arange(300), :, target]
    np.testing.assert_array_equal(children.sum(axis=1), real.sum(axis=1) // 4)
    assert (parents[children].sum(axis=1) == 1).all()


def test_the_observed_slope_on_the_confounded_parent_misleads():
    drawn = draw_family("hard", KEYS, 4, 4)
    scm, target = drawn.scm, drawn.target
    every, hidden = np.arange(300), scm.nodes - 1
    enters = (scm.outside != 0) & (scm.inputs == hidden)
    entered = enters.any(axis=2)
    assert (entered.sum(axis=1) == 2).all() and entered[every, target].all()
    entered[every, target] = False
    parent = entered.argmax(axis=1)
    assert scm.parents[every, target, parent].all()
    place = (scm.inputs[every, target] == parent[:, None]).argmax(axis=1)
    weight = scm.weights[every, target, place, 0]
    x = natural_rows(scm, 500)
    cause, effect = x[every, :, parent], x[every, :, target]
    slope = ((cause - cause.mean(axis=1, keepdims=True)) * effect).mean(axis=1)
    assert (slope * weight < 0).mean() > 0.6
    set_high, set_low = (
        with_value(scm, parent, value)[every, :, target].mean(axis=1) for value in (1.0, -1.0)
    )
    assert ((set_high - set_low) * weight > 0).mean() > 0.9  # which setting it sets right


def with_value(scm, node, value):
    """Rows [B, 500, n] where nodes [B] are set to a value."""
    noise = counter_rng.normal(counter_rng.fold(KEYS, 1), (500, scm.nodes)).astype(float)
    chosen = np.arange(scm.nodes) == node[:, None]
    return scm.sample(noise, chosen, np.where(chosen, value, 0.0))


def test_doing_nothing_gives_zero_only_without_offsets():
    means = {
        family: natural_rows(DRAWN[family].scm, 400)[np.arange(300), :, DRAWN[family].target].mean(
            axis=1
        )
        for family in HARD
    }
    assert np.abs(means["hard"]).mean() < 0.3 < 1 < np.abs(means["hard_offset"]).mean()


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(InputError, match="did you mean linear_chain"):
        draw_family("linear_chian", KEYS, 4, 8)
    with pytest.raises(
        InputError, match="random have 3 nodes or more, but the smallest is to have 2"
    ):
        draw_family("random", KEYS, 2, 8)
    with pytest.raises(InputError, match="smallest is to have 8 and the largest 4"):
        families.draw_family("chain", KEYS, 8, 4)
