# pyright: basic
"""The picture of an episode: a few nodes, and exactly the edges that were chosen among them."""

import dataclasses
import re

import numpy as np
import pytest

pytest.importorskip("pyamg")

from envs.contract import counter_rng
from envs.contract.episode_trace import EpisodeTrace
from envs.edges import record
from envs.edges.params import Params
from envs.edges.world import EdgeSelection
from tune_jobs.report.episode_figure import draw_graph, make_given_layout


def played(**fields):
    world = EdgeSelection(Params(**fields))
    state, _ = world.reset(counter_rng.make_keys(2, 1))
    states, latent = [state], np.zeros((1, world.objective.latent), np.float32)
    for _ in range(world.objective.steps):
        states.append(world.step(states[-1], latent).state)
    return world, states, world.trace_episode(states, [latent] * world.objective.steps)


@pytest.mark.parametrize("objective", ["multigrid", "fsai", "sparsifier"])
def test_drawn_lines_are_the_chosen_edges_of_drawn_nodes(objective):
    world, states, told = played(objective=objective, size=10, steps=3)
    nodes = record.middle_of_grid(10)
    assert len(told.nodes) == len(told.places) == 25 and len(told.frames) == len(states)
    for state, frame in zip(states, told.frames, strict=True):
        instance, kept, _ = world.unpad_copy(state, 0)
        graph = instance.graph
        own = kept & np.isin(graph.rows, nodes) & np.isin(graph.columns, nodes)
        expected = {frozenset(e) for e in zip(graph.rows[own], graph.columns[own], strict=True)}
        drawn = [frozenset(nodes[pair]) for i, pair in enumerate(told.edges) if i not in frame.cut]
        assert set(drawn) == expected and len(drawn) == len(expected)
        assert len(frame.cells) == len(told.columns)


def test_neighbours_on_a_grid_stand_beside_each_other():
    _, _, told = played(size=8)
    gaps = [np.abs(np.subtract(told.places[a], told.places[b])).max() for a, b in told.edges]
    assert gaps and max(gaps) == 1


@pytest.mark.parametrize("family", ["mesh", "gallery", "random_graph"])
def test_graphs_without_a_grid_get_places_of_their_own(family):
    if family == "mesh":
        pytest.importorskip("skfem")
    _, _, told = played(family=family, size=8)
    places = np.array(told.places)
    assert len(told.edges) > 20 and np.isfinite(places).all()
    assert len(np.unique(places.round(6), axis=0)) > 12


def test_the_last_row_says_what_the_choice_is_worth():
    world, states, told = played(size=10)
    work = world.step(states[0], np.zeros((1, 5), np.float32)).info["work_per_digit"][0]
    assert told.frames[1].cells[4] == f"{work:.2f}"
    assert told.frames[0].cells[3:] == ["", "", ""]
    assert f"{world.unpad_copy(states[0], 0)[0].reference.iterations:.1f} iterations" in told.about


def test_chosen_edges_are_drawn_without_arrow_heads():
    def heads(experiment):
        svg = draw_graph(experiment, make_given_layout(experiment), experiment.frames[-1])
        lines = re.findall(r'<path [^>]*d="([^"]+)"', svg)
        assert len(lines) == len(experiment.edges)
        return {line.count("M") - 1 for line in lines}

    _, _, told = played(size=8)
    read = EpisodeTrace.from_dict(told.to_dict())
    assert read is not None and heads(read) == {0}
    assert heads(dataclasses.replace(told, directed=True)) == {2}
    # Logs of before say nothing of it, and were drawn with arrows.
    old = {name: part for name, part in told.to_dict().items() if name != "directed"}
    assert heads(EpisodeTrace.from_dict(old)) == {2}
