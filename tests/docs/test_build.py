# pyright: basic
"""The pages: links lead somewhere, generated tables are current, every page is in the contents."""

import pytest

from docs import build
from docs.tables import DOCS, TABLES, refresh_tables


def test_site_builds_without_broken_links_or_stale_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "SITE", tmp_path)
    assert build.build() == []
    assert (tmp_path / "index.html").exists()


def test_broken_link_and_missing_heading_are_reported(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("# Title\n[a](nowhere.md) [b](#title) [c](#other) [d](https://x.org)\n")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    tokens, anchors = build.parse_page(page.read_text())
    problems = build.check_links(page, tokens, {page: anchors})
    assert [problem.split()[3].rstrip(",") for problem in problems] == ["nowhere.md", "#other"]


@pytest.mark.parametrize("name", TABLES)
def test_every_generated_table_is_on_a_page(name):
    marked = f"<!-- table: {name} -->"
    assert any(marked in page.read_text() for page in DOCS.glob("*.md"))


def test_a_stale_table_is_rewritten():
    stale = "<!-- table: metrics -->\n| old |\n<!-- end of table -->"
    assert "return_mean" in refresh_tables(stale)


def test_every_page_is_linked_from_the_contents():
    contents = (DOCS / "README.md").read_text()
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in contents} == set()
