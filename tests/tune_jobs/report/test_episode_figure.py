# pyright: basic
"""The report tells one episode step by step, in pictures that need nothing but the page."""

import html
import re
from typing import Any

import numpy as np
import pytest
from synthetic_sweep import job_row, result

from envs.contract.episode_trace import EpisodeTrace, Frame
from rungwise.run_log.event_log import EventLog, read_event_log
from rungwise.run_log.events import EvaluationRow
from tune_jobs.evaluation.evaluation_world import make_world
from tune_jobs.evaluation.final_evaluation import record_median_episode
from tune_jobs.evaluation.players import play_world_episodes
from tune_jobs.report.episode_figure import (
    RADIUS,
    choose_shown_runs,
    compute_depths,
    group_repeated_steps,
    make_layered_layout,
)
from tune_jobs.report.episode_figure import render_episode_section as shown
from tune_jobs.report.report import write_report

LEARNING, OPTIMISATION = "envs:CausalLearning-v0", "envs:CausalOptimisation-v0"
FIGURE = r"<figure><figcaption>(.*?)</figcaption>(<svg.*?</svg>)</figure>"
EVIL = "<script>alert(1)</script>\"'&"


def played(env, agent, episodes=5, **env_kwargs):
    world: Any = make_world(env, env_kwargs)
    rule = world.baselines[agent]
    found = play_world_episodes(world, lambda s, o, k: rule(world, s, k), episodes, 3)
    return found, record_median_episode(world, found, 3)


def page_of(experiment, tmp_path):
    """The section of a report whose evaluation came from the log."""
    row = EvaluationRow(
        trial="00", checkpoint="", episodes=5, seed=3, policy={}, experiment=experiment
    )
    for one in (job_row(), result("00", 1, 0.5), row):
        EventLog(tmp_path / "events.jsonl").append(one)
    write_report(read_event_log(tmp_path / "events.jsonl"), "env: x", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    return re.findall(r"<section><h2>One episode, step by step.*?</section>", page, re.S)[0]


def cells(section):
    return [
        re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", section)
    ]


def test_learning_episode_shows_each_step_and_its_effect(tmp_path):
    found, experiment = played(LEARNING, "parents_first")
    section = page_of(experiment, tmp_path)
    pictures, rows = re.findall(FIGURE, section), cells(section)
    assert len(pictures) == len(rows) == 11
    actions = [row[1:3] for row in rows]
    assert [node for node, _ in actions[1:5]] == ["X2", "X4", "X2", "X1"]
    for step, ((caption, picture), (node, value)) in enumerate(zip(pictures, actions, strict=True)):
        assert caption == (f"{step}. {node} = {value}" if step else "at first")
        assert all(f"<title>X{i} " in picture for i in range(1, 6))
        chosen = re.findall(r'<g class="chosen"><title>(\w+)', picture)
        assert chosen == [node] * bool(step)
    # It is the very episode with the middle score, told to its end.
    middle = np.sort(found.metrics["excess_risk"])[2]
    assert float(rows[-1][3]) == pytest.approx(middle, rel=0.01)
    assert found.metrics["excess_risk"][experiment["seed"] - 3] == middle
    assert sum(map(float, rows[-1][4:9])) == pytest.approx(middle, rel=0.01)


def test_optimisation_episode_shows_the_target_and_best_so_far(tmp_path):
    found, experiment = played(OPTIMISATION, "mirrored_half_probe", scm="linear_random")
    target = experiment["nodes"][experiment["target"]]
    section = page_of(experiment, tmp_path)
    assert f"{target}, in two rings, is the target" in section
    rows = cells(section)
    best = [float(row[5]) for row in rows[1:]]
    assert len(best) == 20 and best == sorted(best, reverse=True)
    assert np.mean([float(row[6]) for row in rows[1:]]) == pytest.approx(
        np.sort(found.metrics["episode_mean"])[2], abs=0.01
    )
    captions = [re.sub(r"^[\d to]+\. ", "", words) for words, _ in re.findall(FIGURE, section)]
    assert {f"{row[1]} = {row[2]}" for row in rows[1:]} == set(captions[1:])
    assert section.count('class="ring"') == len(captions)


def test_names_cannot_become_markup_and_nothing_is_loaded(tmp_path):
    frame = Frame(EVIL, [EVIL], [0], [0.5, 0.5], [EVIL, EVIL])
    experiment = EpisodeTrace(EVIL, [EVIL], [frame, frame], [EVIL, EVIL], [[0, 1]], target=1)
    section = page_of(experiment.to_dict(), tmp_path)
    assert "<script" not in section and "<svg" in section and html.escape(EVIL) in section
    assert not re.search(r"https?:|url\(|<image|href|src=", section)


def test_log_without_episode_or_with_unknown_fields_renders():
    assert "No evaluation has recorded an episode" in "".join(shown({}))
    later: dict[str, Any] = EpisodeTrace("", ["step"], [Frame("", ["7"])]).to_dict() | {"new": 1}
    later["frames"][0]["newer"] = 2
    assert EpisodeTrace.from_dict(later) == EpisodeTrace("", ["step"], [Frame("", ["7"])])


def test_what_has_no_nodes_is_told_by_its_table_alone():
    parts = "".join(shown(EpisodeTrace("A visit.", ["page"], [Frame("", ["shop"])]).to_dict()))
    assert "A visit." in parts and "<td>shop</td>" in parts and "<svg" not in parts


def test_nodes_with_places_of_their_own_stay_there():
    experiment = EpisodeTrace(
        "", [], [Frame("", [])], ["a", "b"], [[0, 1]], places=[[0, 0], [1, 0]]
    )
    parts = "".join(shown(experiment.to_dict()))
    (left, top), (right, bottom) = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', parts)[::2]
    assert float(left) < float(right) and top == bottom


def test_parents_are_above_children_and_long_edges_avoid_nodes():
    edges = [[0, 1], [1, 2], [0, 2], [3, 2]]
    assert compute_depths(4, edges) == [0, 1, 2, 0]
    layout = make_layered_layout(EpisodeTrace("", [], [], ["a", "b", "c", "d"], edges))
    assert all(layout.nodes[start][1] < layout.nodes[end][1] for start, end in edges)
    (bend,) = layout.edges[2][1:-1]
    assert bend[1] == layout.nodes[1][1] and abs(bend[0] - layout.nodes[1][0]) > RADIUS
    assert len({*layout.nodes}) == 4
    assert compute_depths(2, [[0, 1], [1, 0]])  # a cycle, which no world has, still ends


def test_many_steps_show_few_pictures_with_first_and_last():
    runs = group_repeated_steps(["at first", "a", "a", "b", "a"])
    assert runs == [range(1), range(1, 3), range(3, 4), range(4, 5)]
    assert choose_shown_runs(runs, 9) == runs
    assert choose_shown_runs(runs, 2) == [runs[0], runs[-1]]
