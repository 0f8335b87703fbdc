# pyright: basic
"""Which tests run which lines of the product: recorded once for each test file."""

import collections
import contextlib
import functools
import hashlib
import inspect
import json
import os
import re
import signal
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "mutants"
PACKAGES = ("envs", "algos", "tune_jobs", "cluster")
TESTS = (
    "tests/algos/**/test_*.py",
    "tests/envs/**/test_*.py",
    "tests/tune_jobs/schedulers/test_*.py",
    "tests/tune_jobs/run_log/test_*.py",
    "tests/tune_jobs/health/rules/test_*.py",
    "tests/tune_jobs/test_*.py",
    "tests/cluster/web/test_auth.py",
    "tests/docs/test_build.py",
)
OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", "--assert=plain")
RAY = "local_ray"
"""The fixture of the tests that start Ray."""


def forked(work, tree: Path, limit_s: float, log: Path):
    """What ``work()`` returns in a fork of this process that lives in the tree, else None."""
    answer = log.with_suffix(".json")
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.chdir(tree)
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            folders = (tree, tree / "tests", tree / "tests" / "support")
            os.environ["PYTHONPATH"] = os.pathsep.join(map(str, folders))
            # The tree comes before the installed packages, and before this file's own folder.
            known = [ROOT, ROOT / "tests", ROOT / "tests" / "support"]
            sys.path[:] = [p for p in sys.path if p and Path(p) not in known]
            sys.path[:0] = map(str, folders)
            for name in [n for n in sys.modules if n.split(".")[0] in (*PACKAGES, "benchmarks")]:
                del sys.modules[name]
            answer.write_text(json.dumps(work()))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    until = time.monotonic() + limit_s
    try:
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > until:
                break
            time.sleep(0.01)
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.killpg(child, signal.SIGKILL)  # and whatever its tests have left behind
            os.waitpid(child, 0)
    return json.loads(answer.read_text()) if answer.exists() else None


def recorded(tree: Path, with_ray: bool, only: str = "") -> dict[str, dict]:
    """What each test file's tests run: file -> {"seconds", "lines", "sources"}."""
    folder = FOLDER / ("recorded-ray" if with_ray else "recorded")
    folder.mkdir(exist_ok=True)
    every: dict[str, dict] = {}
    for path in sorted(path for pattern in TESTS for path in ROOT.glob(pattern)):
        name = str(path.relative_to(ROOT))
        if (with_ray and RAY not in path.read_text()) or not re.search(only, name):
            continue
        kept = folder / f"{name.replace('/', '_')}.json"
        if not kept.exists() or not is_current(json.loads(kept.read_text())):
            started = time.monotonic()
            work = functools.partial(watched, name, with_ray)
            found = forked(work, tree, 400, FOLDER / "record.log")
            nothing = {"seconds": {}, "lines": {}, "sources": {name: digest(path)}}
            kept.write_text(json.dumps(found or nothing))
            took = time.monotonic() - started
            progress(f"{name}: {len((found or nothing)['seconds'])} tests in {took:.0f} s")
        every[name] = json.loads(kept.read_text())
    return every


def is_current(recording: dict) -> bool:
    """Whether all files that were run are still the same."""
    sources = recording["sources"].items()
    return all((ROOT / name).exists() and digest(ROOT / name) == code for name, code in sources)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def watched(name: str, with_ray: bool) -> dict:
    """Run a test file's tests and note which lines of the packages each of them runs."""
    import coverage
    import pytest

    here = str(Path.cwd())
    cov = coverage.Coverage(
        data_file=None, config_file=False, include=[f"{here}/{p}/*" for p in (*PACKAGES, "tests")]
    )
    seconds: dict[str, float] = collections.defaultdict(float)
    failed: set[str] = set()

    class Contexts:
        def pytest_collection_modifyitems(self, items):
            items[:] = [item for item in items if is_tried(item, with_ray)]

        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_call(self, item):
            cov.switch_context(item.nodeid)
            yield
            cov.switch_context("")

        def pytest_runtest_logreport(self, report):
            seconds[report.nodeid] += report.duration
            if report.outcome != "passed":
                failed.add(report.nodeid)

    cov.start()
    pytest.main([name, *OPTIONS], plugins=[Contexts()])
    cov.stop()
    data = cov.get_data()
    lines: dict[str, dict[str, list[str]]] = {}
    sources = {os.path.relpath(path, here): digest(Path(path)) for path in data.measured_files()}
    for path in data.measured_files():
        if os.path.relpath(path, here).startswith("tests"):
            continue
        by_line = data.contexts_by_lineno(path)
        lines[os.path.relpath(path, here)] = {
            str(n): sorted(set(c) - failed) for n, c in by_line.items()
        }
    took = {test: s for test, s in seconds.items() if test not in failed}
    return {"seconds": took, "lines": lines, "sources": sources}


def is_tried(item, with_ray: bool) -> bool:
    """Whether a test is quick, runs the code in its own process, and needs Ray or does without."""
    is_slow = any(item.get_closest_marker(name) for name in ("slow", "gpu"))
    fixtures = [d.func for defs in item._fixtureinfo.name2fixturedefs.values() for d in defs]
    works = [item.function, *(f for f in fixtures if f.__module__ == item.module.__name__)]
    is_apart = any("rungwise(" in inspect.getsource(work) for work in works)
    return (RAY in item.fixturenames) == with_ray and not is_slow and not is_apart


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
