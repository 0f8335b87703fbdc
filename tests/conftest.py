# pyright: basic
"""What the tests of all packages share."""

import contextlib
import gc
import os
from functools import cache

import hypothesis
import pytest
from paths import ROOT, SUPPORT
from synthetic_sweep import synthetic_rows
from xdist.scheduler import LoadFileScheduling

# Before torch is imported: the processes of a test run share the cores, and the threads of each
# would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray's workers give way to all others (niceness 15): while the other processes of a test run
# computed, an actor took a minute to import torch, and its test waited.
os.environ.setdefault("RAY_worker_niceness", "0")
# A busy machine may stall any example for longer than the 200 ms that are allowed otherwise.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


# What is imported and collected lives as long as the process: to look for garbage in it took a
# sixth of the time of collecting the tests, and some of each long test.
gc.disable()


def pytest_collection_finish(session):
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_addoption(parser):
    parser.addoption(
        "--seeds", type=int, default=1, help="seeds that each learning test of a preset trains on"
    )


def pytest_generate_tests(metafunc):
    if "training_seed" in metafunc.fixturenames:
        metafunc.parametrize("training_seed", range(metafunc.config.getoption("--seeds")))


class SharedRay(LoadFileScheduling):
    """Files by process, and all those that need Ray in one: an idle Ray takes a fifth of a core."""

    def _split_scope(self, nodeid):
        file = super()._split_scope(nodeid)
        return "ray" if needs_ray(file) else file


@cache
def needs_ray(file):
    text = (ROOT / file).read_text()
    return "local_ray" in text or "make_trial" in text


def pytest_xdist_make_scheduler(config, log):
    return SharedRay(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Search indexes of the tests are not left in anybody's home folder."""
    root = tmp_path_factory.getbasetemp()
    # One for all processes of a test run: to bake a reader of thoughts takes half a minute.
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    os.environ["RUNGWISE_CACHE"] = str(root / "cache")


@pytest.fixture(scope="session")
def local_ray():
    """A Ray of two CPUs on this machine, whose workers find the environments of the tests."""
    from tune_jobs.ray_session import ray_session

    places = [str(SUPPORT), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, places))
    with ray_session(cpus=2):  # tries again where a busy machine needs more than Ray's 30 s
        yield


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Write a module of a user, which can be imported until the test ends; return its path."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def make_trial(local_ray, tmp_path):
    """Set up trials that a test steps itself, from job and checkpoint; they end with the test."""
    from trials import make_trial

    with contextlib.ExitStack() as made:

        def make(job, resume=""):
            trial = make_trial(job, tmp_path, str(resume))
            made.callback(trial.cleanup)
            return trial

        yield make


@pytest.fixture(scope="session")
def sweep_rows():
    return synthetic_rows()
