# pyright: basic
import pytest
from synthetic_sweep import synthetic_rows


@pytest.fixture(scope="session")
def sweep_rows():
    return synthetic_rows()
