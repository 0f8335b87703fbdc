# pyright: basic
"""Models of dowhy.gcm: the same means and spreads as dowhy draws, from keyed numbers."""

import numpy as np
import pytest

from envs import counter_rng
from envs.validation import InputError

gcm = pytest.importorskip("dowhy.gcm")


class Doubled(gcm.PredictionModel):
    """2 * B - A, of the parents in alphabetical order."""

    def fit(self, X, Y):
        pass

    def predict(self, X):
        return (2 * X[:, 1] - X[:, 0])[:, None]

    def clone(self):
        return self


def fitted(noise):
    import networkx
    from scipy import stats

    model = gcm.StructuralCausalModel(networkx.DiGraph([("B", "C"), ("A", "C")]))
    model.set_causal_mechanism("A", gcm.ScipyDistribution(stats.norm, loc=1, scale=2))
    model.set_causal_mechanism("B", gcm.ScipyDistribution(stats.uniform, loc=3, scale=1))
    model.set_causal_mechanism("C", noise)
    for node in "ABC":
        model.graph.nodes[node]["parents_during_fit"] = sorted(model.graph.predecessors(node))
    return model


def test_a_model_of_dowhy_is_sampled_as_dowhy_does():
    from scipy import stats

    from envs.causal.models.gcm import from_gcm

    noise = gcm.ScipyDistribution(stats.norm, loc=0, scale=0.5)
    theirs = fitted(gcm.AdditiveNoiseModel(Doubled(), noise))
    ours = from_gcm(theirs, {"A": (-3, 3), "B": (0, 9)}, target="C")
    assert ours.settable == tuple(name != "C" for name in ours.names)
    z = counter_rng.normal(counter_rng.make_keys(0, 1), (20_000, 3)).astype(float)
    nothing = np.zeros((1, 3), bool)
    x = dict(zip(ours.names, ours.scm.sample(z, nothing, nothing * 1.0)[0].T, strict=True))
    np.random.seed(0)
    drawn = gcm.draw_samples(theirs, 20_000)
    for name in "ABC":
        assert x[name].mean() == pytest.approx(drawn[name].mean(), abs=0.06)
        assert x[name].std() == pytest.approx(drawn[name].std(), rel=0.03)
    place = ours.names.index("A")
    chosen = (np.arange(3) == place)[None]
    x = ours.scm.sample(z, chosen, chosen * 2.0)[0].T[ours.names.index("C")]
    drawn = gcm.interventional_samples(theirs, {"A": lambda _: 2.0}, num_samples_to_draw=20_000)
    assert x.mean() == pytest.approx(drawn["C"].mean(), abs=0.03)


def test_what_cannot_be_taken_over_is_refused():
    from envs.causal.models.gcm import from_gcm

    with pytest.raises(InputError, match="mechanism of the node C is a ClassifierFCM"):
        from_gcm(fitted(gcm.ClassifierFCM()), {"A": (-1, 1)})
    with pytest.raises(InputError, match=r"no node 'a' in the model of dowhy.gcm"):
        from_gcm(fitted(gcm.ClassifierFCM()), {"a": (-1, 1)})
