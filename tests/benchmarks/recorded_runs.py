# pyright: basic
"""Runs of the product on environments that are not ours, recorded once and judged again and again.

They were trained by ``rungwise train`` with every rule held to a warning, so that the whole curve
exists; the archive has what the rules read, and environment, seed, budget and settings of each.
LastGuess-v0, which is not Gymnasium's, shows one of six symbols in noise for ten steps, and pays 1
where the last action names it. ``make bench-health BENCH=--recorded`` judges every beginning of
each of them as a live run would: no rule may end a run that learns later.
"""

import json
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rungwise.health import History, diagnose
from rungwise.health.metric_table import MetricTable

ARCHIVE = Path(__file__).parents[1] / "data" / "recorded_runs.json.xz"


@dataclass(frozen=True)
class Recording:
    """One run as it was recorded."""

    name: str
    budget: int
    settings: dict
    rows: list[dict]

    @property
    def learnt(self) -> bool:
        """Whether it ends well: above its start, by its returns alone."""
        return bool(course(self.rows)["learnt"])


@dataclass(frozen=True)
class Verdict:
    """What the rules say of a run, iteration by iteration."""

    recording: Recording
    warned: dict[str, int]
    """The iteration of the first warning (or stop) of each symptom."""
    stopped: tuple[str, int] | None


def recordings() -> list[Recording]:
    """Everything in the archive."""
    packed = json.loads(lzma.decompress(ARCHIVE.read_bytes()))
    return [Recording(run["name"], run["budget"], run["settings"], _rows(run)) for run in packed]


def _rows(run) -> list[dict]:
    columns = run["columns"]
    return [
        {name: values[i] for name, values in columns.items() if values[i] is not None}
        for i in range(len(columns["iteration"]))
    ]


def course(rows):
    """The returns at the start and at the end, and whether something was learnt and kept.

    A run meant to be healthy that has lost most of its gain is no healthy one, whatever the rules
    say: it is counted apart.
    """
    r = np.array([row.get("return_mean", np.nan) for row in rows], np.float64)
    r = r[np.isfinite(r)]
    if r.size < 10:
        return {"start": None, "end": None, "learnt": False}
    few = max(3, r.size // 10)
    start, end = float(r[:few].mean()), float(np.median(r[-2 * few :]))
    best = float(np.median(np.lib.stride_tricks.sliding_window_view(r, few), axis=1).max())
    learnt = end - start > max(0.3 * (best - start), 0.1 * max(abs(start), abs(end)))
    return {"start": start, "end": end, "learnt": learnt}


def judged(recording: Recording) -> Verdict:
    """Look at a run after each of its iterations."""
    rows, warned, stopped = MetricTable(), {}, None
    for row in recording.rows:
        rows.append(row)
        at = int(row["iteration"])
        history = History(rows, recording.budget, "return_mean", settings=recording.settings)
        diagnosis = diagnose(history)
        for finding in diagnosis.findings:
            if finding.severity != "note":
                warned.setdefault(finding.symptom, at)
        if diagnosis.stop and not stopped:
            stopped = (diagnosis.stop.symptom, at)
    return Verdict(recording, warned, stopped)


def summary(verdicts: list[Verdict]) -> dict:
    """The figures of all runs; those that did not learn are counted apart."""
    well = [v for v in verdicts if v.recording.learnt]
    return {
        "runs": len(verdicts),
        "healthy": len(well),
        "false_stops": sum(v.stopped is not None for v in well),
        "warned": sum(bool(v.warned) for v in well),
        "not_learnt": len(verdicts) - len(well),
    }


def table(verdicts: list[Verdict]) -> str:
    """A line for each run."""
    lines = []
    for v in verdicts:
        returns = [row["return_mean"] for row in v.recording.rows if "return_mean" in row]
        ends = [np.mean(part) for part in (returns[:5], returns[-5:])]
        names = ", ".join(f"{name} at {at}" for name, at in v.warned.items()) or "nothing"
        stop = f"; stopped at {v.stopped[1]} by {v.stopped[0]}" if v.stopped else ""
        kind = "well" if v.recording.learnt else "not learnt"
        lines.append(
            f"{kind:10} {v.recording.name:24} {ends[0]:8.4g} to {ends[1]:8.4g} in "
            f"{v.recording.budget}: {names}{stop}"
        )
    return "\n".join(lines)
