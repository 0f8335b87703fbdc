"""Metrics in the output of a program."""

import math

import pytest

from rungwise.logs.formats.console import parse_line
from rungwise.logs.read_logs import read_logs

UNITY = {"Environment/Cumulative Reward": -1.167, "return_std": 0.725}


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (
            "{'loss': -0.0012, 'reward': 0.5, 'grad_norm': nan, 'epoch': 0.01}",
            {"loss": -0.0012, "reward": 0.5, "grad_norm": math.nan, "epoch": 0.01},
        ),
        ("{'loss': '1.5e-05', 'reward': '2'}", {"loss": 1.5e-5, "reward": 2.0}),
        ("{'loss': '0.1', 'reward': None}", {"loss": 0.1, "reward": math.nan}),
        ("{'question': None, 'answer': 'four'}", {}),
        ("{'loss': '0.1', 'reward': '1,234.5', 'kl': '0'}", {"loss": 0.1, "kl": 0.0}),
        ("  5%|##  | 1/20 {'loss': inf, 'reward': -1.0}", {"loss": math.inf, "reward": -1.0}),
        (
            "(TaskRunner pid=7) \x1b[36mstep:3 - actor/entropy:0.41 - critic/score/mean:1e-05",
            {"step": 3.0, "actor/entropy": 0.41, "critic/score/mean": 1e-5},
        ),
        (
            "step:12 - actor/lr:np.float64(1e-06) - actor/pg_loss:nan",
            {"step": 12.0, "actor/lr": 1e-6, "actor/pg_loss": math.nan},
        ),
        ("{'loss': np.float32(0.5), 'step': 3}", {"loss": 0.5, "step": 3.0}),
        ("a dict {'one': 1} in a sentence", {}),
        ("{'question': 'what is 2', 'answer': 'four'}", {}),
        ("step:3 of the recipe - stir: well", {}),
        ("step:3 - reward:1_000 - x:1__2 - y:3_", {"step": 3.0, "reward": 1000.0}),
        (
            "[INFO] 3DBall. Step: 12000. Time Elapsed: 8.6 s. Mean Reward: -1.167. Std of Reward: "
            "0.725. Training.",
            {"run": "3DBall", "step": 12000, **UNITY},
        ),
        (
            "INFO:mlagents.trainers: a-0: Ball: Step: 12000. Mean Reward: -1.167. Std of Reward: "
            "0.725.",
            {"run": "Ball", "step": 12000, **UNITY},
        ),
        ("[INFO] Ball. Step: 1. No episode was completed since last summary. Training.", {}),
        ("", {}),
    ],
)
def test_a_line_has_the_metrics_that_are_printed_in_it(line, values):
    parsed = parse_line(line)
    assert parsed.pop("run", None) == values.pop("run", None)
    assert parsed == pytest.approx(values, nan_ok=True)


def test_text_of_another_encoding_among_metrics_is_read(tmp_path):
    path = tmp_path / "train.log"
    lines = [b"20 \xb0C\n", *(b"{'reward': %d.0, 'step': %d}\n" % (i, i) for i in range(1, 5))]
    path.write_bytes(b"".join(lines))
    assert [row["return_mean"] for row in read_logs(path)[0].rows] == [1.0, 2.0, 3.0, 4.0]


def test_behaviours_of_ml_agents_are_runs_of_their_own(tmp_path):
    path = tmp_path / "train.log"
    line = "[INFO] {}. Step: {}000. Time Elapsed: 1 s. Mean Reward: {}.0. Std of Reward: 0.5.\n"
    path.write_text("".join(line.format(n, i, i) for i in range(1, 9) for n in ("Red", "Blue")))
    logs = {
        log.name: log for log in read_logs(path, {"Environment/Cumulative Reward": "return_mean"})
    }
    assert [name.rpartition(" ")[2] for name in logs] == ["Red", "Blue"]
    assert [len(log.rows) for log in logs.values()] == [8, 8]
