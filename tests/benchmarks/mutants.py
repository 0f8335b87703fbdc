# pyright: basic
"""Do the tests notice small changes of the code?

    PYTHONPATH=.:tests python -m benchmarks.mutants --number 60 [--seed 1] [--from 0]

Draws mutations of the code that decides (``TARGETS``), applies each in a copy of the tree and runs
the tests that execute the changed line, the quick ones first, until one fails. Prints the diffs of
those that no test noticed, a table by package, and as the last line one JSON object. What was found
is kept in ``build/mutants``: a second call with the same seed goes on where the first ended, and
``--again`` tries the survivors against today's tests. ``ACCEPTED`` lists survivors that change
nothing a test could see, and why.

Which tests run a line is recorded once for each test file, and anew when the file or the code
changes. Tests that start Ray are only tried on what all others let pass, and only with ``--ray``.
"""

import argparse
import collections
import contextlib
import difflib
import functools
import hashlib
import importlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.mutations import Mutation, mutations
from benchmarks.recorded_coverage import FOLDER, OPTIONS, PACKAGES, ROOT, forked, progress, recorded

TARGETS = (
    "algos/*.py",
    "algos/actions/*.py",
    "algos/learning/*.py",
    "algos/rollouts/*.py",
    "tune_jobs/schedulers/*.py",
    "tune_jobs/run_log/*.py",
    "tune_jobs/health/rules/*.py",
    "envs/batched.py",
    "envs/*/*reward*.py",
    "envs/causal/*/*reward*.py",
    "envs/causal/*/world.py",
    "envs/*/world.py",
    "cluster/web/auth.py",
)
PRELOADED = (
    "gymnasium",
    "hypothesis",
    "pytest",
    "pytest_timeout",
    "scipy.sparse",
    "pyamg",
    "rapidfuzz",
    "tantivy",
    "pyarrow.parquet",
    "fastapi.testclient",
    "ray.rllib.algorithms.algorithm",
    "ray.rllib.core.learner.torch.torch_learner",
    "ray.tune",
    "transformers",
)
"""What tests need from elsewhere, imported once; a test run is a fork of the process that did."""
BUDGET_S = 30.0
"""Recorded seconds of tests that a mutant has to survive."""
CATALOGUES = (
    "tests/algos/test_metrics.py",
    "tests/docs/test_build.py",
    "tests/tune_jobs/health/rules/test_advised_settings.py",
)
"""Tests of what modules define when they are imported, in lines that no test runs itself."""
ACCEPTED: dict[str, str] = {
    "algos/policy.py:keyword:5febf4": "weights that a learner hands out are in this order already",
    "algos/actions/distributions.py:calculate:a82b8b": "an infinite draw is cut off there, too",
    "algos/rollouts/columns.py:keyword:6b042f": "concerns tensors on a GPU",
    "envs/edges/world.py:constant:9ea5fc": "only the first of the keys is used",
    "envs/shopping/world.py:constant:490840": "any negative place is no click",
    "tune_jobs/run_log/object_storage.py:keyword:82e6c5": "the default of pyarrow is the same",
}
"""Survivors that no test can notice: name of the mutant -> why."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--number", type=int, default=60, help="mutants to try")
    parser.add_argument("--from", type=int, default=0, dest="first", help="place of the first one")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--only", default="", help="targets whose paths match this expression")
    parser.add_argument("--tests", default="", help="test files whose paths match this expression")
    parser.add_argument("--again", action="store_true", help="try the survivors once more")
    parser.add_argument("--record", action="store_true", help="only record which tests run what")
    parser.add_argument("--ray", action="store_true", help="survivors meet the tests with Ray, too")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copied tree is removed
    FOLDER.mkdir(parents=True, exist_ok=True)
    drawn = draw(args.seed, args.only)[args.first : args.first + args.number]
    preload()
    with copied_tree() as tree:
        kinds = (False, True)[: 1 + args.ray]
        covered = [recorded(tree, with_ray, args.tests) for with_ray in kinds]
        if args.record:
            return
        found = tried(drawn, covered, tree, FOLDER / f"seed-{args.seed}.jsonl", args.again)
    report(found)


def draw(seed: int, only: str) -> list[Mutation]:
    """All mutations in an order that the seed decides.

    The order is that of hashes of their names: a change of one line leaves all others in place.
    """
    paths = sorted({path for pattern in TARGETS for path in ROOT.glob(pattern)})
    every = [
        mutation
        for path in paths
        if re.search(only, str(path.relative_to(ROOT)))
        for mutation in mutations(str(path.relative_to(ROOT)), path.read_text())
    ]
    return sorted(every, key=lambda m: hashlib.sha256(f"{seed} {named(m)}".encode()).hexdigest())


def preload() -> None:
    # Other plugins of pytest take longer to load than most tests to run.
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"}
    os.environ |= alone | {"CUDA_VISIBLE_DEVICES": ""}
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


@contextlib.contextmanager
def copied_tree():
    """A copy of the tree, which mutants may be written to."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        for name in (*PACKAGES, "tests", "docs"):
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, tree / name, ignore=leave)
        for name in ("pyproject.toml", "README.md", "Makefile"):
            shutil.copy(ROOT / name, tree / name)
        yield tree


def chosen(mutation: Mutation, covered: dict[str, dict]) -> list[str]:
    """The mirrored test file, then the tests that run the line, then those that run its file.

    The mirrored file is run as a whole, and so are the catalogues for a line that no test runs: a
    class body, say, runs when it is imported. A line may also be run by a fixture that many tests
    share, or once for all in a cache. Within each group the quick tests come first.
    """
    mirrored: list[tuple[float, str]] = []
    exact: list[tuple[float, str]] = []
    others: list[tuple[float, str]] = []
    for name, of in covered.items():
        lines = of["lines"].get(mutation.path, {})
        here = set(lines.get(str(mutation.line), ())) - {""}
        anywhere = {test for tests in lines.values() for test in tests} - {""}
        if name == mirror_of(mutation.path):
            mirrored = [(seconds, test) for test, seconds in of["seconds"].items()]
            continue
        exact += [(of["seconds"].get(test, 0), test) for test in here]
        others += [(of["seconds"].get(test, 0), test) for test in anywhere - here]
    if not exact:
        exact = [(s, test) for name in CATALOGUES for test, s in covered[name]["seconds"].items()]
    found: list[str] = []
    for tests in (sorted(mirrored), sorted(exact), sorted(others)):
        spent = 0.0
        for seconds, test in tests:
            spent += seconds
            if spent > BUDGET_S:
                break
            found.append(test)
    return found


def mirror_of(path: str) -> str:
    """The test file of a source file: algos/ppo.py -> tests/algos/test_ppo.py."""
    folder, _, name = path.rpartition("/")
    return f"tests/{folder}/test_{name}"


def tried(drawn, covered, tree, path, again) -> list[dict]:
    """The verdict on each mutant: earlier ones are read, new ones added."""
    earlier = {}
    if path.exists():
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        earlier = {row["name"]: row for row in rows}
    found: list[dict] = []
    for number, mutation in enumerate(drawn, 1):
        name = named(mutation)
        row = earlier.get(name)
        if row is None or (again and row["verdict"] == "survived"):
            row = {}
            for recordings in covered:
                row = {"name": name} | judged(mutation, recordings, tree)
                if row["verdict"] == "killed":
                    break
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            took = f"{row['tests']} tests, {row['seconds']:.1f} s"
            progress(f"{number}/{len(drawn)} {name}: {row['verdict']} ({took})")
        found.append(row)
    return found


@functools.cache
def read_source(path: str) -> str:
    return (ROOT / path).read_text()


def named(mutation: Mutation) -> str:
    """A name that stays the same while its line does."""
    source = read_source(mutation.path)
    lines = source.split("\n")
    line = lines[mutation.line - 1]
    alike = lines[: mutation.line - 1].count(line)
    column = mutation.start - source.rfind("\n", 0, mutation.start)
    what = f"{line.strip()}\0{alike}\0{column}\0{mutation.text}"
    code = hashlib.sha256(what.encode()).hexdigest()[:6]
    return f"{mutation.path}:{mutation.kind}:{code}"


def judged(mutation: Mutation, covered: dict[str, dict], tree: Path) -> dict:
    source = (ROOT / mutation.path).read_text()
    changed = mutation.applied(source)
    diff = difflib.unified_diff(
        source.split("\n"), changed.split("\n"), mutation.path, n=1, lineterm=""
    )
    tests = chosen(mutation, covered)
    row = {
        "path": mutation.path,
        "line": mutation.line,
        "tests": len(tests),
        "diff": "\n".join(diff),
    }
    started = time.monotonic()
    verdict = "survived"
    if tests:
        (tree / mutation.path).write_text(changed)
        try:
            expected = sum(covered[t.split("::")[0]]["seconds"].get(t, 0) for t in tests)
            limit = 60 + 5 * expected
            answer = forked(lambda: passed(tests), tree, limit, FOLDER / "last.log")
        finally:
            (tree / mutation.path).write_text(source)
        verdict = "survived" if answer is True else "killed"
    return row | {"verdict": verdict, "seconds": time.monotonic() - started}


def passed(tests: list[str]) -> bool:
    """Whether all tests pass."""
    import pytest

    return pytest.main([*tests, "-x", *OPTIONS]) == 0


def report(found: list[dict]) -> None:
    survivors = [row for row in found if row["verdict"] == "survived"]
    for row in survivors:
        why = ACCEPTED.get(row["name"], "")
        print(f"survived: {row['name']}{f' (accepted: {why})' if why else ''}\n{row['diff']}\n")
    groups: dict[str, list[dict]] = collections.defaultdict(list)
    for row in found:
        groups[row["path"].split("/")[0]].append(row)
    print(f"{'':12}{'mutants':>8}{'killed':>8}{'accepted':>10}{'share':>8}")
    for name, rows in [*sorted(groups.items()), ("all", found)]:
        killed = sum(row["verdict"] == "killed" for row in rows)
        accepted = sum(row["name"] in ACCEPTED for row in rows if row["verdict"] == "survived")
        share = killed / max(len(rows) - accepted, 1)
        print(f"{name:12}{len(rows):8}{killed:8}{accepted:10}{share:8.1%}")
    killed = len(found) - len(survivors)
    accepted = sum(row["name"] in ACCEPTED for row in survivors)
    figures = {"mutants": len(found), "killed": killed, "accepted": accepted}
    print(json.dumps(figures | {"survived": len(survivors) - accepted}))


if __name__ == "__main__":
    main()
