# pyright: basic
"""The curves of a run of thoughts elsewhere: TensorBoard's files, and W&B's without a network."""

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import rungwise
from tensorboardX.proto import event_pb2

from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import ResultRow
from tune_jobs.trackers.tracker_metrics import (
    EPISODES,
    POST_MORTEM,
    CurvePoints,
    add_group,
    rename_for_post_mortem,
)

THIRTEEN = [
    *("rl/episode", "rl/reward", "rl/avg_reward_100", "rl/policy_loss", "rl/value_loss"),
    *("rl/entropy", "rl/entropy_coefficient", "rl/advantages", "rl/kl_divergence"),
    *("rl/total_loss", "rl/num_thoughts", "rl/coherence", "rl/learning_rate"),
]
JOB = {
    "env": "QuietThoughts-v0",
    "env_kwargs": {
        **{"modulus": 3, "terms": 3, "longest": 2},
        "reader": {"width": 16, "steps": 2, "passages": 4},
    },
    "algo": "reinforce",
    "settings": {
        **{"model": "language", "hidden": [16, 16], "num_envs": 4, "rollout_length": 8},
        **{"minibatch_size": 16, "reference_kl_coef": 0.1},
    },
    **{"iterations": 3, "held_out_interval": 1, "held_out_episodes": 16, "evaluation_episodes": 0},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of thoughts that was asked to report to W&B, without a network."""
    pytest.importorskip("wandb")
    folder = tmp_path_factory.mktemp("curves")
    (folder / "job.yaml").write_text(yaml.safe_dump(JOB))
    wanted = {"WANDB_PROJECT": "thoughts", "WANDB_MODE": "offline"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        done = rungwise("train", "job.yaml", "--out", "run", "--json", cwd=folder)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    assert done.returncode == 0, done.stderr
    return folder / "run"


def tensorboard(folder: Path) -> dict[str, list[float]]:
    """Every curve of a folder's event files, by name."""
    events: Any = event_pb2  # without types
    found: dict[str, list[float]] = {}
    for path in sorted(folder.rglob("events.out.tfevents*")):
        data, at = path.read_bytes(), 0
        while at < len(data):  # length, checksum of it, an event, checksum of it
            size = int.from_bytes(data[at : at + 8], "little")
            event = events.Event.FromString(data[at + 12 : at + 12 + size])
            for value in event.summary.value:
                found.setdefault(value.tag, []).append(value.simple_value)
            at += 16 + size
    return found


def records(folder: Path) -> Any:
    """The records of W&B's offline files: a head of 7 bytes, then LevelDB's log format."""
    records: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")  # without types
    for path in folder.rglob("*.wandb"):
        data, at, block, whole = path.read_bytes(), 7, 2**15, b""
        while at + 7 <= len(data):
            if block - at % block < 7:  # what is left of a block is too short for a head
                at += block - at % block
                continue
            size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
            whole += data[at + 7 : at + 7 + size]
            at += 7 + size
            if kind in (1, 4):  # a full record, or the last part of one
                yield records.Record.FromString(whole)
                whole = b""


def offline(folder: Path) -> dict[str, list[float]]:
    """Every curve of W&B's offline files, by name."""
    found: dict[str, list[float]] = {}
    for record in records(folder):
        for item in record.history.item:
            name = item.key or "/".join(item.nested_key)
            found.setdefault(name, []).append(json.loads(item.value_json))
    return found


@pytest.mark.system
@pytest.mark.parametrize("reader", [tensorboard, offline], ids=["TensorBoard", "W&B"])
def test_post_mortem_names_are_drawn_with_their_metrics(run, reader):
    found = reader(run)
    rows = [row for row in read_event_log(run / "events.jsonl") if isinstance(row, ResultRow)]
    assert len(rows) == 3
    for name in THIRTEEN:
        assert len(found.get(name, ())) == 3, name
    episodes = [row.metrics["episodes"] for row in rows]
    assert found[EPISODES] == [sum(episodes[: n + 1]) for n in range(3)]
    for name, own in {"rl/reward": "return_mean", "rl/kl_divergence": "reference_kl"}.items():
        assert found[name] == pytest.approx([row.metrics[own] for row in rows]), name
    for name, own in POST_MORTEM.items():
        if name in found:
            metric = next(m for m in own if m in rows[0].metrics)
            assert found[name] == pytest.approx([r.metrics[metric] for r in rows], rel=1e-5), name


@pytest.mark.system
def test_the_total_loss_is_what_its_terms_add_up_to(run):
    rows = [row for row in read_event_log(run / "events.jsonl") if isinstance(row, ResultRow)]
    m = rows[0].metrics  # before anything was learnt, all minibatches are of the same policy
    expected = m["policy_loss"] + 0.5 * m["value_loss"] - m["entropy_coef"] * m["entropy"]
    assert m["total_loss"] == pytest.approx(expected, abs=0.05)


@pytest.mark.system
def test_tracker_run_has_the_name_and_group_of_its_run(run):
    begun = [record.run for record in records(run) if record.HasField("run")]
    assert {(r.display_name, r.run_group, r.project) for r in begun} == {
        ("run-00", "run", "thoughts")
    }


def test_resumed_episode_counts_include_repeats_only_once():
    def row(iteration):
        return ResultRow(
            trial="00", iteration=iteration, score=0.0, seconds=1, env_steps=1,
            metrics={"episodes": 10},
        )  # fmt: skip

    points = CurvePoints([row(1), row(2), row(3)])
    again = {"trial": "00", "iteration": 3, "score": 0.0}
    told = points(again | {"metrics": json.dumps({"episodes": 12, "log_p_with": -1.0})})
    assert told[EPISODES] == 32


def test_other_runs_have_no_curves_of_thoughts():
    result = {"trial": "00", "iteration": 1, "score": 0.0, "metrics": json.dumps({"kl": 0.1})}
    assert not [name for name in CurvePoints()(result) if name.startswith("rl/")]
    assert rename_for_post_mortem({"kl": 0.1, "reference_kl": 0.2}) == {"rl/kl_divergence": 0.2}


def test_a_trial_that_is_undecided_has_no_point_of_its_score():
    told = {"trial": "00", "iteration": 1, "metrics": json.dumps({"kl": 0.1})}
    points = CurvePoints()
    assert "score" not in points(told | {"score": None})
    assert points(told | {"score": 2.0})["score"] == 2.0


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("return_mean", "rollout/return_mean"),
        ("excess_risk", "rollout/excess_risk"),
        ("kl", "train/kl"),
        ("grad_norm", "train/grad_norm"),
        ("iteration_s", "time/iteration_s"),
        ("env_steps", "time/env_steps"),
        ("nonfinite", "health/nonfinite"),
        ("held_out_gain", "eval/held_out_gain"),
        ("update_of_mine", "rollout/update_of_mine"),
        ("mine/loss", "mine/loss"),
    ],
)
def test_a_metric_is_shown_in_its_group(name, shown):
    assert add_group(name) == shown
