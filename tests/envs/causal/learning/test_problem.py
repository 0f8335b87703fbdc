# pyright: basic
"""The problem of an episode: its length, and models that cannot be learnt."""

import numpy as np
import pytest
from causal_families import actions, world

from envs.causal.learning.params import Params
from envs.causal.learning.world import CausalLearning
from envs.contract import counter_rng
from rungwise.validation import InputError


def test_each_copy_has_as_many_steps_as_its_nodes_ask_for():
    made, keys = world(interventions_per_node=3), counter_rng.make_keys(0, 40)
    state, observation = made.reset(keys)
    size = state.drawn.scm.real.sum(axis=1)
    assert set(size.tolist()) == {4, 5, 6, 7, 8}
    ended = np.zeros(40, np.int64)
    for t in range(24):
        step = made.step(state, actions(state, counter_rng.fold(keys, t)))
        assert not step.truncated.any()
        ended[step.terminated & (ended == 0)] = t + 1
        expected = np.minimum((t + 1) / (3 * size), 24)
        np.testing.assert_allclose(step.observation["context"][:, 0], expected, rtol=1e-6)
        state = step.state
    np.testing.assert_array_equal(ended, 3 * size)
    np.testing.assert_array_equal(observation["context"], [[0, 1]] * 40)


def test_a_single_model_may_count_its_interventions_by_nodes_too():
    made = CausalLearning(Params(interventions_per_node=2))
    assert made.get_problem(made.reset(counter_rng.make_keys(0, 1))[0]).horizon.tolist() == [10]


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        (
            # A is always above B, but a mechanism is judged where its parents go their own ways.
            "{A: {noise: {uniform: [1, 2]}, settable: false}, "
            "B: {expr: A - 0.5, noise: 0, settable: false}, Y: {expr: log(A - B)}}",
            r"mechanism of Y is nan where A is 1\.\d+ and B is .*, but .* four fifths .* clip",
        ),
        ("{X: {noise: 0}, Y: {parents: [X]}}", "The root X has noise 0, .*: give it noise"),
        ("{X: {}, Y: {parents: [X], hidden: true}}", "has hidden nodes, whose effects no student"),
    ],
)
def test_a_model_that_cannot_be_learnt_is_refused_in_a_sentence(nodes, sentence, tmp_path):
    (tmp_path / "own.yaml").write_text(f"domain: [-2, 2]\nnodes: {nodes}\n")
    with pytest.raises(InputError, match=sentence):
        CausalLearning(Params(scm=str(tmp_path / "own.yaml")))
