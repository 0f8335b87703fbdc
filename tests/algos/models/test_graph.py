# pyright: basic
"""The graph model: the same whatever the order, padding and company, at any size."""

import itertools

import numpy as np
import pytest
import small
import torch
from gymnasium import spaces
from node_sets import forward

from algos.models.graph import GinLayer, PackedEdges, SageLayer
from rungwise.validation import InputError

F, G, C = 3, 2, 4
"""Features of nodes and edges, and numbers of a summary."""
LATENT = spaces.Box(-1, 1, (5,))


def graph_space(n, e):
    def box(*shape):
        return spaces.Box(-10, 10, shape)

    return spaces.Dict(
        nodes=box(n, F),
        edges=spaces.Box(0, n - 1, (2, e), np.int64),
        edge_features=box(e, G),
        node_mask=box(n),
        edge_mask=box(e),
        legal=box(e),
        summary=box(C),
    )


def picks_space(rows, k=2):
    return spaces.Box(-1, 99, (rows, k), np.int64)


def graphs(count=5, n=6, e=20, seed=0, pad=(0, 0)):
    """Observation columns of random graphs of 4 to n nodes, with padding of so many more."""
    rng = np.random.default_rng(seed)
    nodes, edges = n + pad[0], e + pad[1]
    columns = {
        "obs.nodes": np.zeros((count, nodes, F), np.float32),
        "obs.edges": np.zeros((count, 2, edges), np.int64),
        "obs.edge_features": np.zeros((count, edges, G), np.float32),
        "obs.node_mask": np.zeros((count, nodes), np.float32),
        "obs.edge_mask": np.zeros((count, edges), np.float32),
        "obs.legal": np.zeros((count, edges), np.float32),
        "obs.summary": rng.normal(size=(count, C)).astype(np.float32),
    }
    for b in range(count):
        own = int(rng.integers(4, n + 1))
        pairs = np.array(list(itertools.permutations(range(own), 2)))
        pairs = pairs[rng.random(len(pairs)) < 0.6][:e]
        E = len(pairs)
        columns["obs.nodes"][b, :own] = rng.normal(size=(own, F))
        columns["obs.edges"][b, :, :E] = pairs.T
        columns["obs.edge_features"][b, :E] = rng.normal(size=(E, G))
        columns["obs.node_mask"][b, :own] = columns["obs.edge_mask"][b, :E] = 1
        columns["obs.legal"][b, :E] = rng.random(E) < 0.8
    return columns


def policy(action, n=6, e=20, **changed):
    return small.module(graph_space(n, e), action, model="graph", **changed)


@pytest.mark.parametrize("action", [LATENT, picks_space(6), picks_space(1, 4)], ids=str)
def test_a_shuffled_minibatch_has_the_rollout_logps_and_values(action):
    model, columns = policy(action), graphs(12)
    taken, logps, value, _ = model.act_on_arrays(columns, torch.Generator().manual_seed(0))
    assert (logps["logp"].ndim, value.shape) == (1, (12,))
    for index in torch.randperm(12, generator=torch.Generator().manual_seed(1)).split(5):
        found, again = forward(model, {n: c[index.numpy()] for n, c in columns.items()})
        own = {name: torch.from_numpy(part)[index] for name, part in taken.items()}
        told = {name: torch.from_numpy(part)[index] for name, part in logps.items()}
        torch.testing.assert_close(found.logp(own), told["logp"])
        if "row_logp" in told:
            torch.testing.assert_close(found.row_logp(own), told["row_logp"])
        torch.testing.assert_close(again, torch.from_numpy(value)[index])


@pytest.mark.parametrize("rows", ["nodes", "whole"])
def test_padding_changes_nothing(rows):
    n, more = 6, 3
    small_one, large_one = (policy(picks_space(r if rows == "nodes" else 1), r) for r in (6, 9))
    large_one.set_state(small_one.get_state())
    dist, value = forward(small_one, graphs())
    padded, same = forward(large_one, graphs(pad=(more, 7)))
    torch.testing.assert_close(same, value)
    R, D = dist.logits.shape[1:]
    torch.testing.assert_close(padded.logits[:, :R, :D], dist.logits)
    assert not padded.mask[:, R:].any() and not padded.mask[..., D:].any()
    assert (padded.mask[:, :R, :D] == dist.mask).all() and (n if rows == "nodes" else 1) == R


def test_renumbering_nodes_renumbers_scores_and_keeps_the_value():
    model, columns, order = policy(picks_space(6)), graphs(1), np.array([3, 0, 5, 1, 4, 2])
    n, place = 6, np.argsort(order)
    E = int(columns["obs.edge_mask"].sum())
    ends = place[columns["obs.edges"][0, :, :E]]
    again = np.lexsort((ends[1], ends[0]))
    moved = {name: column.copy() for name, column in columns.items()}
    moved["obs.nodes"], moved["obs.node_mask"] = (
        columns[f"obs.{name}"][:, order] for name in ("nodes", "node_mask")
    )
    moved["obs.edges"][0, :, :E] = ends[:, again]
    for name in ("obs.edge_features", "obs.legal"):
        moved[name][0, :E] = columns[name][0, again]
    (one, value), (two, same) = forward(model, columns), forward(model, moved)
    torch.testing.assert_close(same, value)
    for i in range(n):  # a row's edges come in another order
        torch.testing.assert_close(
            one.logits[0, order[i]].sort().values, two.logits[0, i].sort().values
        )
    assert one.logits[0][one.mask[0]].std() > 0.01


def test_weights_of_a_small_graph_act_on_a_large_one():
    model = policy(picks_space(6))
    dist, _ = forward(model, graphs(2, n=12, e=60, seed=3))
    assert dist.logits.shape[:2] == (2, 12)
    picks = dist.sample(torch.Generator().manual_seed(0))["picks"]
    assert model.head.to_env_action({"picks": picks.numpy()}).shape == (2, 12, 2)


def test_illegal_edges_are_never_picked():
    model, columns = policy(picks_space(6, 3)), graphs(8)
    picks = model.act(columns, torch.Generator().manual_seed(0))[0]["picks"].numpy()
    for b in range(8):
        real = columns["obs.edge_mask"][b] > 0
        for i in range(6):
            legal = columns["obs.legal"][b][real & (columns["obs.edges"][b, 0] == i)] > 0
            chosen = picks[b, i][picks[b, i] >= 0]
            assert len(set(chosen.tolist())) == len(chosen) == min(3, legal.sum())
            assert legal[chosen].all()


@pytest.mark.parametrize("action", [LATENT, picks_space(6), picks_space(1, 4)], ids=str)
def test_graphs_without_edges_or_nodes_have_actions_and_values(action):
    model, columns = policy(action), graphs(3)
    columns["obs.edge_mask"][:] = 0
    columns["obs.node_mask"][0] = 0
    taken, logps, values, _ = model.act_on_arrays(columns)
    assert np.isfinite(logps["logp"]).all() and np.isfinite(values).all()
    assert "picks" not in taken or (taken["picks"] == -1).all()


def test_a_pick_of_the_whole_graph_is_the_number_of_an_edge():
    columns = graphs(1)
    columns["obs.legal"][:] = 0
    columns["obs.legal"][0, [0, 2]] = 1
    dist, _ = forward(policy(picks_space(1)), columns)
    assert sorted(dist.sample()["picks"][0, 0].tolist()) == [0, 2]


def test_messages_are_means_over_edges_and_zero_without_any():
    edges = PackedEdges.from_padded(
        torch.tensor([[[0, 0, 2, 0], [1, 2, 1, 0]]]), torch.tensor([[1, 1, 1, 0]]), 3
    )
    x = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    assert edges.pool_outgoing(x, edges.columns).tolist() == [[3, 30], [0, 0], [2, 20]]
    assert edges.pool_incoming(x, edges.rows).tolist() == [[0, 0], [2.5, 25], [1, 10]]
    assert edges.pool_incoming(x, edges.rows, "sum").tolist() == [[0, 0], [5, 50], [1, 10]]


def _graph():
    columns = graphs(3)
    ends, mask = torch.from_numpy(columns["obs.edges"]), torch.from_numpy(columns["obs.edge_mask"])
    return PackedEdges.from_padded(ends, mask > 0, 6), torch.randn(18, 4)


def test_the_layer_is_sageconv_of_torch_geometric_both_ways():
    pyg = pytest.importorskip("torch_geometric.nn")
    (edges, x), layer = _graph(), SageLayer(4)
    expected = layer.self_projection(x)
    ways = {
        "target_to_source": layer.outgoing_projection,
        "source_to_target": layer.incoming_projection,
    }
    for flow, weight in ways.items():
        theirs = pyg.SAGEConv(4, 4, flow=flow, root_weight=False, bias=False)
        theirs.lin_l.weight.data = weight.weight
        expected = expected + theirs(x, torch.stack([edges.rows, edges.columns]))
    torch.testing.assert_close(layer(x, edges), torch.relu(expected))


def test_the_layer_that_adds_up_equals_a_loop_over_edges():
    (edges, x), layer = _graph(), GinLayer(4)
    inner = layer.self_projection(x).detach()
    for i, j in zip(edges.rows.tolist(), edges.columns.tolist(), strict=True):
        inner[i] += layer.outgoing_projection(x[j]).detach()
        inner[j] += layer.incoming_projection(x[i]).detach()
    expected = torch.relu(layer.after(torch.relu(inner)))
    torch.testing.assert_close(layer(x, edges), expected)


def test_a_node_hears_of_those_whose_edges_lead_to_it():
    # A chain whose edges all lead one way, as in a triangular matrix.
    columns = graphs(1)
    columns["obs.edges"][0, :, :3] = [[0, 1, 2], [1, 2, 3]]
    columns["obs.edge_mask"][0] = columns["obs.legal"][0] = np.arange(20) < 3
    model = policy(picks_space(6), hidden=(16, 16))
    before = forward(model, columns)[0].logits[0, 2, 0]
    columns["obs.nodes"][0, 0] += 1.0
    assert forward(model, columns)[0].logits[0, 2, 0] != before


@pytest.mark.parametrize("kind", ["graph", "gin"])
@pytest.mark.parametrize("action", [LATENT, picks_space(6)], ids=["latent", "edges"])
def test_every_weight_is_pulled_at(action, kind):
    model, columns = small.module(graph_space(6, 20), action, model=kind), graphs()
    taken, _, _ = model.act(columns)
    found = model._forward({name: torch.from_numpy(c) for name, c in columns.items()})
    (found["dist"].logp(taken).sum() + found["value"].sum()).backward()
    still = [n for n, w in model.named_parameters() if w.grad is None or not w.grad.any()]
    assert still == []


def test_what_cannot_be_is_refused_in_a_sentence():
    with pytest.raises(InputError, match=r"model='graph' alone can pick \(6, 2\) edges"):
        small.module(graph_space(6, 20), picks_space(6))
    with pytest.raises(InputError, match=r"needs a Dict observation of nodes, edges"):
        small.module(spaces.Box(-1, 1, (3,)), LATENT, model="graph")
    with pytest.raises(InputError, match=r"each of 6 nodes or of the whole graph, but .* 4 rows"):
        policy(picks_space(4))
    with pytest.raises(InputError, match=r"No policy here can act in"):
        policy(spaces.Dict(picks=picks_space(6), more=spaces.Discrete(2)))


@pytest.mark.parametrize("start", [0.0, -0.5])
def test_the_spread_of_values_begins_as_the_settings_say(start):
    settings = small.settings(model="graph", initial_log_std=start)
    model = type(policy(LATENT))(
        observation_space=graph_space(6, 20),
        action_space=LATENT,
        model_config=settings.model_config,
    )
    assert forward(model, graphs())[0].log_std.tolist() == [start] * 5
