# pyright: basic
"""Tests that need a GPU: `make test-gpu`. Elsewhere they are skipped, with the reason."""

from pathlib import Path

import pytest
import torch

from tune_jobs.jobs.resources import describe_missing_cuda


def pytest_collection_modifyitems(items):
    """Mark the tests of this folder."""
    reason = describe_missing_cuda()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            item.add_marker(pytest.mark.skipif(bool(reason), reason=reason))


@pytest.fixture(scope="session", autouse=True)
def name_the_gpu():
    """Print which GPU the figures come from."""
    if torch.cuda.is_available():
        driver = torch.version.cuda
        print(f"\n{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {driver}")
