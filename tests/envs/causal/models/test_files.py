# pyright: basic
"""Users' models: every format means the same, and every mistake gets its sentence."""

import numpy as np
import pytest
import yaml
from causal_files import MODELS, rows

from envs.causal.models import files, named
from envs.causal.models.expressions import normal_cdf
from rungwise.validation import InputError


def test_a_model_in_yaml_means_what_it_says():
    model = named.load_model(str(MODELS / "confounded.yaml"))
    assert model.names == ("age", "X", "Z", "Y", "U")
    assert model.target == "Y" and model.hidden == 1
    assert model.settable == (False, True, True, False, False)
    (age, X, Z, Y, U), e = rows(model)
    np.testing.assert_allclose(age, 55 + 20 * normal_cdf(e[0]))
    np.testing.assert_allclose(X, 1 + 0.5 * e[1])
    np.testing.assert_allclose(Z, 0.5 - 1.5 * np.tanh(X) + np.tanh(U) + 0.1 * e[2])
    np.testing.assert_allclose(Y, np.cos(Z) - np.exp(-Z / 20) + 0.1 * age - U)
    np.testing.assert_allclose(U, e[4])
    np.testing.assert_array_equal(model.scm.low[0, 1:3], [-5, -2])
    np.testing.assert_array_equal(model.scm.high[0, 1:3], [5, 2])


@pytest.mark.parametrize("ending", ["gml", "graphml", "dot"])
def test_a_model_in_a_graph_means_the_same_in_every_format(ending):
    if ending == "dot":
        pytest.importorskip("pydot")
    model = named.load_model(str(MODELS / f"effects.{ending}"))
    assert model.names == ("X", "Z", "Y") and model.target == "Y"
    (X, Z, Y), e = rows(model)
    np.testing.assert_allclose(X, 0.5 * e[0])
    np.testing.assert_allclose(Z, 1 + 0.5 * X**2 + e[1])
    np.testing.assert_allclose(Y, 2 * Z - X)
    np.testing.assert_array_equal(model.scm.low[0, :2], [-1, -5])


TABLE = """
target: Y
domain: [-5, 5]
nodes:
  X: {}
  Z: {parents: [X]}
  Y: {expr: Z - X}
"""


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"X": {"parents": ["Y"]}}, r"The graph has a cycle, (\w -> )+\w: remove one"),
        ({"Z": {"parents": ["W"]}}, "no node 'W' among the parents of Z: "),
        ({"Z": {"expr": "2*W"}}, r"no node 'W' for Z's expression '2\*W': "),
        ({"domain": None}, r"node X has no domain, .*: give it one, such as domain: \[-5, 5\]"),
        ({"Y": {"expr": "X.real"}}, "expression of Y, 'X.real', contains 'X.real', which may not"),
        ({"Y": {"expr": "Z -"}}, r"expression of Y, 'Z -', cannot be read"),
        ({"Y": {"expr": "log(Z - 99)"}}, "value of Y is nan where Z is "),
        ({"Z": {"nois": 1}}, "no entry 'nois' for the node Z: did you mean noise"),
        ({"goal": "Y"}, "no entry 'goal' at the top of the model"),
        ({"target": "W"}, "no node 'W' to be the target: "),
        ({"nodes": None}, "A model needs nodes, which have names, but they are None"),
        ({"Z": 3}, "node Z must have entries like noise: 1, but it is 3"),
        (
            {"Z": {"parents": "X"}},
            "The parents of the node Z must be list or names and values, but it is 'X'",
        ),
        ({"Z": {"parents": {"X": "big"}}}, "weight of X for the node Z must be a number, .*'big'"),
        ({"Z": {"parents": ["X"], "kind": "sinus"}}, "no kind 'sinus' for the node Z: .*sine"),
        ({"Z": {"noise": -1}}, "noise of the node Z is -1, but it must be a standard deviation"),
        ({"Z": {"noise": {"uniform": [2, 1]}}}, r"noise of the node Z is \{'uniform': \[2, 1\]\}"),
        ({"Z": {"domain": [5, -5]}}, r"domain of the node Z must be \[low, high\] with low < high"),
        ({"Z": {"domain": [0, float("inf")]}}, "domain of the node Z must be"),
        ({"Y": {"parents": ["X"], "expr": "Z"}}, "parents of Y are X, but its expression 'Z' "),
        ({True: {}}, "name of a node must be text, but it is True: put it in quotes"),
        ({"X": {"hidden": "perhaps"}}, "hidden of the node X must be true or false"),
    ],
)
def test_a_mistake_in_a_table_is_refused_with_its_node(changes, sentence):
    found = yaml.safe_load(TABLE)
    for key, value in changes.items():
        (found if key in ("target", "domain", "nodes", "goal") else found["nodes"])[key] = value
    with pytest.raises(InputError, match=sentence):
        files.from_table(found)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("m.yaml", "nodes: [", r"m.yaml cannot be used. It is no YAML"),
        ("m.yaml", "- X", r"m.yaml cannot be used. It must have entries"),
        ("m.yaml", TABLE.replace("- X", "- W"), r"m.yaml cannot be used. There is no node 'W'"),
        ("m.json", "{", "It is no JSON"),
        ("m.json", "{}", "no linear-Gaussian network as pgmpy saves it"),
        ("m.gml", "graph [", r"It cannot be read as .gml"),
        ("m.gml", 'graph [ node [ id 0 label "X" ] ]', "Its edges have no direction"),
        (
            "m.gml",
            'graph [ directed 1 node [ id 0 label "X" nois 2 ] ]',
            "no attribute 'nois' of the node X: did you mean noise",
        ),
        (
            "m.graphml",
            '<graphml><key id="t" for="graph" attr.name="targets" attr.type="string"/>'
            '<graph edgedefault="directed"><data key="t">X</data><node id="X"/></graph></graphml>',
            "no attribute 'targets' of the graph: did you mean target",
        ),
        (
            "m.gml",
            'graph [ directed 1 node [ id 0 label "X" ] node [ id 1 label "Y" ] '
            "edge [ source 0 target 1 ] edge [ source 1 target 0 ] ]",
            "The graph has a cycle, ",
        ),
        ("m.txt", "", "no format '.txt' for the model"),
    ],
)
def test_a_file_that_cannot_be_used_gets_a_sentence(tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=sentence):
        named.load_model(str(tmp_path / name))


def test_attributes_of_a_drawing_are_no_mistakes(tmp_path):
    drawn = 'label "X" color "red" shape "box" size 3 graphics [ x 1 y 2 ]'
    (tmp_path / "m.gml").write_text(f"graph [ directed 1 node [ id 0 {drawn} ] ]")
    assert named.load_model(str(tmp_path / "m.gml")).names == ("X",)


def test_a_missing_file_gets_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"There is no file .*gone\.yaml: check the path"):
        named.load_model(str(tmp_path / "gone.yaml"))
