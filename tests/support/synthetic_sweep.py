"""A sweep as it could have been, 16 settings of PPO on causal learning under ASHA, and its rows."""

# pyright: basic

from typing import Any

from paths import DATA

from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import EndRow, FindingRow, JobRow, ResultRow, Row

NODES = ["X1", "X2", "X3", "X4", "X5"]
START = 1_790_000_000.0


def job_row(**changed):
    fields: dict[str, Any] = {
        "run": "causal-2026-11-20-1",
        "env": "envs:CausalLearning-v0",
        "algo": "ppo",
        "metric": "excess_risk",
        "mode": "min",
        "iterations": 27,
        "trials": 16,
        "scheduler": {"kind": "asha", "grace": 3, "reduction_factor": 3, "rungs": [3, 9]},
        "choice_names": NODES,
        "searched": ["lr", "clip", "entropy_coef", "hidden", "advantage"],
        "seed": 7,
        "versions": {"rungwise": "0.1.0", "python": "3.11.9", "ray": "2.60.0", "torch": "2.13.0"},
        "time": START,
    }
    return JobRow(**fields | changed)


def result(trial, iteration, score, **changed):
    fields: dict[str, Any] = {
        "seconds": 1.5 * iteration,
        "env_steps": 2048 * iteration,
        "time": START + iteration,
    }
    return ResultRow(trial=trial, iteration=iteration, score=score, **fields | changed)


def end(trial, iteration, reason, sentence="", time=START + 100):
    return EndRow(trial=trial, iteration=iteration, reason=reason, sentence=sentence, time=time)


def finding(trial, symptom="kl_runaway", severity="warn", **changed):
    fields: dict[str, Any] = {"iteration": 9, "since": 3, "evidence": "seen", "remedy": "mend it"}
    return FindingRow(trial=trial, symptom=symptom, severity=severity, **fields | changed)


def synthetic_rows() -> list[Row]:
    """Read the sweep, a log in the data: its best trial is 08, and ends of all kinds are in it."""
    return read_event_log(DATA / "sweep.jsonl")
