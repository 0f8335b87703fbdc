# pyright: basic
"""The cache folder follows the environment variable."""

from rungwise.cache_folder import get_cache_folder


def test_the_cache_folder_follows_the_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path))
    assert get_cache_folder() == tmp_path
    monkeypatch.delenv("RUNGWISE_CACHE")
    assert get_cache_folder().parts[-2:] == (".cache", "rungwise")
