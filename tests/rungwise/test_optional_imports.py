# pyright: basic
"""Optional libraries: a missing one is named with the extra that installs it."""

import json.decoder
import sys

import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

from rungwise.optional_imports import import_extra
from rungwise.validation import InputError


def test_a_missing_library_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tantivy", None)
    with pytest.raises(InputError, match=r"needs tantivy, .* pip install 'rungwise\[shop\]'"):
        import_extra("tantivy", "shop")


def test_an_installed_module_is_returned():
    assert import_extra("json.decoder", "shop") is json.decoder


def test_the_package_is_named_and_not_its_module():
    with pytest.raises(InputError, match=r"needs rungwise_none, .* 'rungwise\[shop\]'"):
        import_extra("rungwise_none.part", "shop")
