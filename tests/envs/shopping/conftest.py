# pyright: basic
"""A small shop that several tests look at, and an index folder of their own."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("RUNGWISE_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def world(cache):
    """A shop of 1,000 products and 1,000 held-out goals."""
    from envs.shopping.params import Params
    from envs.shopping.world import Shopping

    return Shopping(Params(split="test", goals=1000))
