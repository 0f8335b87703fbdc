# pyright: basic
"""Are sick runs found, early and by their right names, and are healthy ones left alone?

``make bench-health`` trains every case of ``health_cases.py``, looks at it with all rules after
each iteration as a live run does, and prints a table; the last line is one JSON object. Odd seeds
are the half that is reported, even ones that on which thresholds may be set. A warning or a stop
counts, a note does not; a healthy run that learnt nothing, or lost it, is counted apart.

The same run without the fault is trained beside each sick one, and the table shows both scores. A
fault that costs no score against it is none: it stands under ``no_fault`` and counts nowhere else.

The JSON object counts the reported half: sick runs (``faults``), those given a right name
(``found``) and the median share of the budget at which they got it, well ones and those wrongly
warned of or stopped. Both halves in more detail stand under ``set`` and ``reported``.

With ``--recorded`` nothing is trained: runs on environments that are not ours, recorded once
(recorded_runs.py), are judged after each of their iterations.
"""

import argparse
import json
import logging
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import ray
import torch

import algos
from benchmarks.health_cases import BASE, HEALTHY_CASES, SICK_CASES, Case
from benchmarks.recorded_runs import course, recordings
from benchmarks.recorded_runs import judged as judged_recording
from benchmarks.recorded_runs import summary as recorded_summary
from benchmarks.recorded_runs import table as recorded_table
from benchmarks.sick import FAULTY
from rungwise.health import History, diagnose

COST = 0.1
"""Share of the gain of a run without the fault that a fault must cost."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", help="cases whose names contain this")
    parser.add_argument("--half", choices=("set", "reported"), help="only seeds of one half")
    parser.add_argument("--rows", type=Path, help="write every run's metrics to this folder")
    parser.add_argument("--recorded", action="store_true", help="judge recorded foreign runs")
    args = parser.parse_args()
    if args.recorded:
        verdicts = [judged_recording(r) for r in recordings() if (args.only or "") in r.name]
        print(recorded_table(verdicts))
        print(json.dumps(recorded_summary(verdicts)))
        return
    torch.set_num_threads(1)
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level=logging.ERROR)
    found, scores = [], Scores()
    for case in [*SICK_CASES, *HEALTHY_CASES]:
        for seed in case.seeds:
            half = "reported" if seed % 2 else "set"
            if (args.only and args.only not in case.name) or (args.half and half != args.half):
                continue
            verdict = judged(case, seed, args.rows) | {"half": half}
            verdict["control"] = scores.of_control(case, seed) if case.symptoms else None
            print(line(case, verdict), file=sys.stderr, flush=True)
            found.append((case, verdict))
    print(table(found))
    print(json.dumps(answered(found)))


class Scores:
    """The scores of controls, each of which is trained once: many faults share one."""

    def __init__(self):
        self.known = {}

    def of_control(self, case: Case, seed: int):
        key = repr((replace(case.control, name=""), seed))
        if key not in self.known:
            self.known[key] = scored(case, list(trained(case.control, seed)))
        return self.known[key]


def scored(case: Case, rows):
    """The scores of a run at its start and at its end; None where there are too few."""
    sound = [row | {"return_mean": case.score(row)} for row in rows if not row["nonfinite"]]
    told = course(sound)
    return {"start": told["start"], "end": told["end"]}


def costs(verdicts) -> bool:
    """Whether a fault takes a tenth of what the runs without it gain, on average over seeds.

    Where those gain nothing there is nothing to cost.
    """
    lost, gained = [], []
    for verdict in verdicts:
        control, score = verdict["control"], verdict["score"]
        if score["end"] is None:  # no episode ended: there is no score at all
            return True
        lost.append(control["end"] - score["end"])
        gained.append(control["end"] - control["start"])
    return sum(gained) > 0 and sum(lost) > COST * sum(gained)


def faultless(found):
    """Names of the cases that were to be sick and cost nothing."""
    names = dict.fromkeys(c.name for c, _ in found if c.symptoms)
    return [name for name in names if not costs([v for c, v in found if c.name == name])]


def judged(case: Case, seed: int, rows_to: Path | None = None):
    """Train a case and look at it after every iteration."""
    rows, settings = list(trained(case, seed)), vars(settings_of(case))
    if rows_to:
        rows_to.mkdir(parents=True, exist_ok=True)
        name = f"{case.name}-{seed}.json".replace("/", "_").replace(" ", "-")
        (rows_to / name).write_text(json.dumps(rows))
    started, first, stopped = time.perf_counter(), {}, None
    for n in range(1, len(rows) + 1):
        history = History(rows[:n], case.iterations, "return_mean", settings=settings)
        diagnosis = diagnose(history)
        for finding in diagnosis.findings:
            if finding.severity != "note":
                first.setdefault(finding.symptom, n / case.iterations)
        if diagnosis.stop is not None and stopped is None:
            stopped = (diagnosis.stop.symptom, n / case.iterations)
    return {
        "first": first,
        "stopped": stopped,
        "score": scored(case, rows),
        "seed": seed,
        "rules_s": time.perf_counter() - started,
    } | course(rows)


def trained(case: Case, seed: int):
    """One row of metrics for each iteration, as it is trained."""
    kind = algos.get_algorithm_class(case.algo)
    config = FAULTY.get(case.faulty, kind).get_default_config()
    config.environment(case.env, env_config=case.env_kwargs).debugging(seed=seed)
    algorithm = config.configure_training(settings_of(case), case.iterations).build_algo()
    for i in range(case.iterations):
        algorithm.train()
        yield algorithm.flat_metrics | {"iteration": i + 1}
    algorithm.stop()


def train_until_named(case: Case, seed: int):
    """Train until one of the case's symptoms is found: rows, findings that name it, seconds."""
    torch.set_num_threads(1)
    rows, named, started = [], [], time.perf_counter()
    for row in trained(case, seed):
        rows.append(row)
        findings = diagnose(History(rows, case.iterations, "return_mean")).findings
        named = [f for f in findings if f.symptom in case.symptoms and f.severity != "note"]
        if named:
            break
    return rows, named, time.perf_counter() - started


def settings_of(case: Case):
    base = BASE.get(case.algo, {"normalise_observations": False})
    return algos.get_algorithm_class(case.algo).settings_class(**base | case.settings)


def right(case: Case, verdict, within: float = 1.0) -> bool:
    """Whether one of the right names was given by then."""
    return (named(case, verdict) or 2) <= within


def answered(found):
    """The answer of the benchmark."""
    no_fault = faultless(found)
    found = [(c, v) for c, v in found if c.name not in no_fault]
    own = [(c, v) for c, v in found if v["half"] == "reported"]
    sick = [(c, v) for c, v in own if c.symptoms]
    well = [v for c, v in own if not c.symptoms and v["learnt"]]
    shares = [s for c, v in sick if (s := named(c, v)) is not None]
    return {
        "no_fault": no_fault,
        "faults": len(sick),
        "found": len(shares),
        "healthy": len(well),
        "false_stops": sum(v["stopped"] is not None for v in well),
        "false_warnings": sum(bool(v["first"]) for v in well),
        "median_share": round(float(np.median(shares)), 3) if shares else None,
        **{half: summary(found, half) for half in ("set", "reported")},
    }


def named(case: Case, verdict) -> float | None:
    """The share of the budget at which a right name was first given; None if none was."""
    return min((verdict["first"][n] for n in case.symptoms if n in verdict["first"]), default=None)


def summary(found, half: str):
    sick = [(c, v) for c, v in found if c.symptoms and v["half"] == half]
    meant = [(c, v) for c, v in found if not c.symptoms and v["half"] == half]
    well = [(c, v) for c, v in meant if v["learnt"]]
    if not sick or not well:
        return {}

    def share(hits):
        hits = list(hits)
        return round(sum(hits) / len(hits), 3)

    return {
        "sick": len(sick),
        "flagged": share(bool(v["first"]) for _, v in sick),
        "right_name": share(right(c, v) for c, v in sick),
        "right_name_first_quarter": share(right(c, v, 0.25) for c, v in sick),
        "healthy": len(well),
        "false_warnings": share(bool(v["first"]) for _, v in well),
        "false_stops": sum(v["stopped"] is not None for _, v in well),
        "not_learnt": len(meant) - len(well),
        "not_learnt_warned": sum(bool(v["first"]) for _, v in meant if not v["learnt"]),
    }


def line(case: Case, verdict) -> str:
    names = ", ".join(f"{n} at {at:.0%}" for n, at in verdict["first"].items()) or "nothing"
    wanted = f"  (wanted {' or '.join(case.symptoms)})" if case.symptoms else ""
    mark = "ok " if (right(case, verdict) if case.symptoms else not verdict["first"]) else "NO "
    stop = f"; stopped at {verdict['stopped'][1]:.0%}" if verdict["stopped"] else ""
    start, end = verdict["start"], verdict["end"]
    told = "" if end is None else f"; return {start:.4g} to {end:.4g}"
    if case.symptoms:
        told += f"; score {short(verdict['score']['end'])}, without the fault "
        told += short(verdict["control"]["end"])
    if not case.symptoms and not verdict["learnt"]:
        told += " (not learnt: counted apart)"
    return f"{mark}{case.name}, seed {verdict['seed']}: {names}{stop}{told}{wanted}"


def table(found) -> str:
    """A row for each case: what was found over its seeds and when; scores with and without it."""
    lines, no_fault = [], faultless(found)
    for case in dict.fromkeys(c.name for c, _ in found):
        own = [(c, v) for c, v in found if c.name == case]
        kind = own[0][0]
        hits = sum(right(c, v) if c.symptoms else not v["first"] for c, v in own)
        when = [v["first"][n] for c, v in own for n in c.symptoms if n in v["first"]]
        early = f"from {min(when):.0%} of the budget" if when else ""
        what = "sick" if kind.symptoms else "well"
        if kind.symptoms:
            with_it, without = (
                "/".join(short(v[of]["end"]) for _, v in own) for of in ("score", "control")
            )
            early = f"{early:28} score {with_it}, without the fault {without}"
        if case in no_fault:
            what, early = "none", f"{early}: it costs nothing"
        lines.append(f"{what:5} {hits}/{len(own)}  {case:28} {early}")
    return "\n".join(lines)


def short(score: float | None) -> str:
    return "-" if score is None else f"{score:.3g}"


if __name__ == "__main__":
    main()
