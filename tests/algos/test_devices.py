# pyright: basic
"""Each network and algorithm trains on a device that is not the CPU."""

import subprocess
import sys

import pytest
from paths import SUPPORT

for module, extra in {"transformers": "lm", "tantivy": "shop", "skfem": "edges"}.items():
    pytest.importorskip(module, reason=f"the extra [{extra}] is not installed")


@pytest.mark.system
@pytest.mark.timeout(900)
def test_training_on_a_second_device_is_that_on_the_cpu():
    path = SUPPORT / "on_second_device.py"
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", path]
    done = subprocess.run(words, capture_output=True, text=True, cwd=SUPPORT.parents[1])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
