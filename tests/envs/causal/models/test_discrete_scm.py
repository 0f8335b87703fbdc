# pyright: basic
"""Discrete Bayesian networks: the probabilities of their rows are those of the file."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from causal_files import MODELS, rows

from envs.causal.models import named


@pytest.mark.system
def test_a_discrete_network_has_the_probabilities_of_its_file():
    pytest.importorskip("pgmpy")
    model = named.load_model(str(MODELS / "sprinkler.bif"))
    assert model.names == ("rain", "sprinkler", "grass")
    np.testing.assert_array_equal(model.scm.high[0], [2, 1, 1])
    (rain, sprinkler, grass), _ = rows(model, 40_000)
    np.testing.assert_allclose(np.bincount(rain.astype(int)) / 40_000, [0.5, 0.3, 0.2], atol=0.01)
    for states, expected in [((0, 0), 0.0), ((0, 1), 0.8), ((1, 0), 0.7), ((2, 0), 0.95)]:
        here = (rain == states[0]) & (sprinkler == states[1])
        assert grass[here].mean() == pytest.approx(expected, abs=0.015)
    # The mechanism is the expected state, and a setting means the nearest one.
    x = np.array([[[0.0, 1.0, 0.0], [1.2, 0.1, 0.0], [-4.0, 4.0, 0.0]]])
    np.testing.assert_allclose(model.scm.mechanism(np.array([2]), x), [[0.8, 0.7, 0.8]])
    (rain, _, grass), _ = rows(model, 4000, {"rain": 1.7, "sprinkler": -3})
    assert (rain == 2).all() and grass.mean() == pytest.approx(0.95, abs=0.02)
    assert set(model.scm.domain_value(np.zeros(9, int), np.linspace(-1, 1, 9))) == {0, 1, 2}


def test_a_network_of_pgmpy_is_sampled_as_pgmpy_does(tmp_path):
    """Asia, with a node that has two parents: the chance of each state follows by enumeration."""
    pgmpy = pytest.importorskip("pgmpy")
    packed = Path(pgmpy.__file__).parent / "utils" / "example_models" / "asia.bif.gz"
    (tmp_path / "asia.bif").write_bytes(gzip.decompress(packed.read_bytes()))
    model = named.load_model(str(tmp_path / "asia.bif"))
    drawn = dict(zip(model.names, rows(model, 100_000)[0], strict=True))
    lung = 0.5 * 0.1 + 0.5 * 0.01
    tub = 0.01 * 0.05 + 0.99 * 0.01
    assert 1 - drawn["lung"].mean() == pytest.approx(lung, abs=0.004)
    assert 1 - drawn["either"].mean() == pytest.approx(lung + tub - lung * tub, abs=0.004)
