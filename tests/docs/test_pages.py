# pyright: basic
"""The pages: generated tables are current, and every page is in the contents."""

import pytest

from docs import tables
from docs.tables import DOCS, TABLES, find_stale_pages


def test_no_generated_table_is_stale():
    assert find_stale_pages() == {}


@pytest.mark.parametrize("name", TABLES)
def test_every_generated_table_is_on_a_page(name):
    marked = f"<!-- table: {name} -->"
    assert any(marked in page.read_text() for page in DOCS.glob("*.md"))


def test_a_stale_table_fails_a_check_and_is_rewritten(tmp_path, monkeypatch, capsys):
    (page := tmp_path / "page.md").write_text(
        "<!-- table: metrics -->\n| old |\n<!-- end of table -->"
    )
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    with pytest.raises(SystemExit, match="is stale"):
        tables.main(["--check"])
    tables.main([])
    assert "return_mean" in page.read_text() and "page.md" in capsys.readouterr().out
    tables.main(["--check"])


def test_every_page_is_linked_from_the_contents():
    contents = (DOCS / "README.md").read_text()
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in contents} == set()
