# pyright: basic
"""Imports without garbage collection."""

import gc
import subprocess
import sys

import pytest

from rungwise.quick_imports import quick_imports

COUNT = """
import gc
found = []
gc.callbacks.append(lambda phase, info: found.append(info["generation"]))
import tune_jobs.session.trial
print(found.count(2), gc.isenabled())
"""


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was_before(enabled):
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(ImportError), quick_imports():
            with quick_imports():
                pass
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_a_trial_imports_without_looking_through_everything():
    found = subprocess.run([sys.executable, "-c", COUNT], stdout=subprocess.PIPE, check=True)
    assert found.stdout.split() == [b"0", b"True"]
