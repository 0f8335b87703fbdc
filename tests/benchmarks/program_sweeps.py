# pyright: basic
"""What ASHA saves in sweeps over programs of other libraries, and what it misses.

``PYTHONPATH=tests python -m benchmarks.program_sweeps --to FOLDER [--only NAME] [--grace 3]`` runs
each sweep twice: every trial to its end, and with ASHA. Trials have the same numbers, settings and
seeds in both, so that the choice of the second is worth what the first has recorded of it.
``--quick`` shows only that it works.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.outcome import Outcome

PROGRAMS = Path(__file__).parent / "programs"
COMMON = {"trials": 16, "iterations": 81, "seed": 1}
QUICK = {"trials": 2, "iterations": 3, "budget": 4_096}
SWEEPS: dict[str, dict[str, Any]] = {
    "sb3_ppo": {
        "command": "{python} {script} --lr {{lr}} --ent-coef {{ent_coef}} --seed {{seed}} "
        "--logdir {{out}}",
        "search": {"lr": {"loguniform": [1e-5, 0.1]}, "ent_coef": {"loguniform": [1e-4, 0.1]}},
        "metric": "rollout/ep_rew_mean",
        "progress": "time/total_timesteps",
        "budget": 20_480,
    },
    "sb3_dqn": {
        "command": "{python} {script} --lr {{lr}} --seed {{seed}} --logdir {{out}}",
        "search": {"lr": {"loguniform": [1e-5, 0.1]}},
        "metric": "rollout/ep_rew_mean",
        "progress": "time/total_timesteps",
        "budget": 24_000,
    },
    "rsl_rl_ppo": {
        "command": "{python} {script} --lr {{lr}} --ent-coef {{ent_coef}} --seed {{seed}} "
        "--logdir {{out}}",
        "search": {"lr": {"loguniform": [1e-5, 0.1]}, "ent_coef": {"loguniform": [1e-4, 0.1]}},
        "metric": "Train/mean_reward",
        "budget": 80,
    },
    "torchrl_ppo": {
        "command": "{python} {script} --lr {{lr}} --ent-coef {{ent_coef}} --seed {{seed}} "
        "--logdir {{out}}",
        "search": {"lr": {"loguniform": [1e-5, 0.1]}, "ent_coef": {"loguniform": [1e-4, 0.1]}},
        "metric": "train/reward",
        "budget": 20_480,
    },
}


def describe(name: str) -> dict[str, Any]:
    """Return the job of a sweep, which can be run on this machine."""
    job = SWEEPS[name]
    command = job["command"].format(python=sys.executable, script=PROGRAMS / f"{name}.py")
    paths = {"PYTHONPATH": f"{PROGRAMS}:{os.environ.get('PYTHONPATH', '')}"}
    return COMMON | job | {"command": command, "environment": paths}


def run(name: str, changed: dict[str, Any], to: Path) -> Outcome:
    """Run a sweep, unless it has been run before, and return its outcome."""
    out = to / f"{name}-{changed['scheduler']}-{changed['grace']}"
    if not (out / "report.html").exists():
        to.mkdir(parents=True, exist_ok=True)
        job = describe(name) | changed
        file = out.with_suffix(".yaml")
        file.write_text(yaml.safe_dump(job))
        rungwise = Path(sys.executable).with_name("rungwise")
        subprocess.run([rungwise, "tune", file, "--out", out], check=True)
    return Outcome.from_rows(read_event_log(out / "events.jsonl"))


def compare(name: str, grace: int, changed: dict[str, Any], to: Path) -> dict:
    """Return what ASHA saved of a sweep, and the loss of the trial that it chose."""
    full = run(name, changed | {"scheduler": "none", "grace": 0}, to)
    stopped = run(name, changed | {"scheduler": "asha", "grace": grace}, to)
    scores = {trial.id: trial.finite_score for trial in full.trials}
    best = max(score for score in scores.values() if score is not None)
    chosen = stopped.best
    worth = scores[chosen.id] if chosen else None
    return {
        "sweep": name,
        "saved": round(stopped.compute_saved, 3),
        "best": round(best, 1),
        "chosen": None if worth is None else round(worth, 1),
        "loss": None if worth is None else round((best - worth) / abs(best), 3),
        "seconds": [round(o.end.seconds) if o.end else None for o in (full, stopped)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--to", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--only", nargs="*", default=list(SWEEPS), choices=list(SWEEPS))
    parser.add_argument("--grace", type=int, default=0, help="first rung; 0 is the default")
    parser.add_argument("--quick", action="store_true", help="2 trials of 4,096 steps")
    args = parser.parse_args()
    for name in args.only:
        changed = QUICK if args.quick else {}
        print(json.dumps(compare(name, args.grace, changed, args.to.absolute())), flush=True)


if __name__ == "__main__":
    main()
