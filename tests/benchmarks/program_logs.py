# pyright: basic
"""Records programs of other libraries, healthy and with faults, and packs what they log.

``python -m benchmarks.program_logs --to FOLDER --cleanrl PATH/ppo.py --pythonpath PROGRAM=FOLDERS``
takes an hour of one core and leaves out what is there already; the archive is written in the end,
that of some programs or faults to FOLDER.
Programs and faults are those of watched.py; foreign_suite.py judges the logs. Seeds begin with 200:
no threshold was set by these runs, which are all of the half that is reported.
"""

import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np

from benchmarks.watched import CONSTANT, NAMES, PROGRAMS, Program, parse_programs
from tune_jobs.foreign_logs.read_logs import read_logs

ARCHIVE = Path(__file__).parents[1] / "data" / "program_logs.tar.xz"
LEARNT = {
    "cleanrl_ppo": 100, "tianshou_ppo": 100, "torchrl_ppo": 100, "skrl_ppo": -16, "rsl_rl_ppo": -20,
    "bandit": 0.8, "trl_grpo": 0.5,
}  # fmt: skip
"""Program -> the mean return above which a run has learnt: about half of the way from the return of
an untrained policy to that of the healthy runs."""
FILES = {
    "bandit": "csv", "torchrl_ppo": "folder of csv", "trl_grpo": "trainer_state.json"
}  # fmt: skip
"""Program -> what it leaves behind, if not files of TensorBoard."""
SEEDS = {"": range(200, 208), **dict.fromkeys(NAMES, range(200, 203))}
"""Fault -> the seeds it is run with; "" is none."""
FEWER = {"trl_grpo": 3}
"""Programs that take minutes -> the seeds that they are run with."""


def record(program: Program, fault: str, seed: int, to: Path, cleanrl: str, paths: str) -> dict:
    """Run a program, keep its log alone, and return the entry of the run in the index."""
    command = program.make_command(fault, cleanrl)
    command += ["--seed", str(seed)]
    folders = [str(Path(__file__).parent / "programs"), paths]
    env = os.environ | {"PYTHONPATH": ":".join(filter(None, folders))}
    raw = to.with_suffix(".raw")
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir(parents=True)
    started = time.perf_counter()
    with (raw / "console.log").open("w") as output:
        done = subprocess.run(command, cwd=raw, env=env, stdout=output, stderr=output, check=False)
    files = find_log(raw)
    for file in files:
        (to / file.relative_to(raw)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, to / file.relative_to(raw))
    final = mean_return(to)
    return {
        "name": f"{fault or 'healthy'}, {program.name}, seed {seed}",
        "place": to.name,
        "half": "reported",
        "seed": seed,
        "files": FILES.get(program.name, "tensorboard"),
        "final_return": final,
        "ended_early": f"status {done.returncode}" if done.returncode else "",
        "seconds": round(time.perf_counter() - started, 1),
        "kind": f"{fault or 'healthy'}, programs",
        "symptoms": sorted(NAMES.get(fault, ())),
        "tool": program.library or program.name,
    }


def has_learnt(program: Program, fault: str, final: float | None) -> bool:
    """Whether a run has learnt its task; of a constant reward nothing can be learnt."""
    return fault != CONSTANT and final is not None and final > LEARNT[program.name]


def find_log(folder: Path) -> list[Path]:
    """The files of a program's log, without what else it has written."""
    states = sorted(folder.rglob("trainer_state.json"), key=lambda file: file.stat().st_mtime)
    # Each checkpoint of TRL repeats the log; TorchRL has a file for each number.
    files = [f for name in ("*tfevents*", "*.csv") for f in folder.rglob(name)]
    # A program that has failed may have printed its rows and nothing more.
    return states[-1:] or files or [folder / "console.log"]


def mean_return(place: Path) -> float | None:
    """The mean return of the last tenth of a log; None if it has none."""
    (log,) = read_logs(place)
    found = [row.get("return_mean", row.get("return_mean_100")) for row in log.rows]
    known = [float(value) for value in found if value is not None]
    return float(np.mean(known[-max(1, len(known) // 10) :])) if known else None


def pack(folder: Path, entries, archive: Path):
    """All logs and their index in one file; times and owners are left out."""
    index = folder / "index.json"
    index.write_text(json.dumps(entries, indent=1))
    logs = [f for e in entries for f in (folder / e["place"]).rglob("*") if f.is_file()]
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        # Alike beside alike packs better.
        for file in sorted([index, *logs], key=lambda path: (path.name, path)):
            if file.name != "entry.json":
                info = tarfile.TarInfo(str(file.relative_to(folder)))
                info.size = file.stat().st_size
                tar.addfile(info, io.BytesIO(file.read_bytes()))
    archive.write_bytes(lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def main() -> None:
    args = parse_programs(__doc__, list(LEARNT))
    runs = [
        (PROGRAMS[name], fault, seed)
        for name in args.only
        for fault in ("", *PROGRAMS[name].faults)
        if fault in args.faults
        for seed in SEEDS[fault][: FEWER.get(name)]
    ]
    entries = []
    for program, fault, seed in runs:
        to = args.to.absolute() / f"{program.name}-{(fault or 'healthy').replace(' ', '-')}-{seed}"
        entry = to / "entry.json"
        if not entry.exists():
            shutil.rmtree(to, ignore_errors=True)
            own = args.pythonpath.get(program.name, "")
            found = record(program, fault, seed, to, args.cleanrl, own)
            entry.write_text(json.dumps(found))
        entries.append(json.loads(entry.read_text()))
        entries[-1]["learnt"] = has_learnt(program, fault, entries[-1]["final_return"])
        about = (entries[-1][name] for name in ("name", "final_return", "ended_early", "seconds"))
        print(*about, file=sys.stderr, flush=True)
    is_whole = {*LEARNT} <= {*args.only} and {"", *NAMES} <= {*args.faults}
    archive = ARCHIVE if is_whole else args.to / ARCHIVE.name
    pack(args.to, entries, archive)
    print(archive)


if __name__ == "__main__":
    main()
