# pyright: basic
"""Kept verdicts count no more once anything has changed that they depend on."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tune_jobs.audit import audit_cache
from tune_jobs.audit.audit_cache import AuditCache
from tune_jobs.audit.replayed_run import JudgingOptions

FILES = ["rungwise/run_log/hindsight.py", "rungwise/metrics.py", "rungwise/health/records.json"]


@pytest.fixture
def is_known(tmp_path, monkeypatch):
    """Whether the runs of a log are known; they are from then on."""
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "progress.csv").write_text("step,return\n1,2\n")
    source: Any = SimpleNamespace(files=[tmp_path / "progress.csv"])
    module = Path(audit_cache.__file__)
    for name in ("algos", "rungwise", "tune_jobs"):
        shutil.copytree(module.parents[2] / name, tmp_path / name)
    copy = tmp_path / module.relative_to(module.parents[2])
    monkeypatch.setattr(audit_cache, "__file__", str(copy))

    def look():
        audit_cache._fingerprint_code.cache_clear()  # as another process does
        cache = AuditCache(JudgingOptions())
        known = cache.find("run", source) is not None
        cache.keep(source, [])
        cache.close()
        return known

    yield look
    audit_cache._fingerprint_code.cache_clear()


@pytest.mark.parametrize("name", FILES)
def test_a_change_of_what_a_verdict_depends_on_is_seen(is_known, tmp_path, name):
    assert [is_known(), is_known()] == [False, True]
    with (tmp_path / name).open("a") as file:
        file.write("\n")
    assert [is_known(), is_known()] == [False, True]


def test_what_python_compiles_changes_nothing(is_known, tmp_path):
    assert not is_known()
    (tmp_path / "algos" / "__pycache__").mkdir(exist_ok=True)
    (tmp_path / "algos" / "__pycache__" / "ppo.cpython-399.pyc").write_bytes(b"code")
    assert is_known()
