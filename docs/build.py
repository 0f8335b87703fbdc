"""Build the documentation: Markdown pages to HTML, with every link and table checked.

``python -m docs.build`` writes ``build/docs/``. It fails if a link of a page leads nowhere or a
generated table is stale; ``python -m docs.tables`` refreshes the tables.
"""

from __future__ import annotations

import html
import itertools
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from docs.tables import DOCS, refresh_tables

ROOT = DOCS.parent
SITE = ROOT / "build" / "docs"
PARSER = MarkdownIt("commonmark").enable("table")
STYLE = """
body { max-width: 56rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif;
  color: #1f2328; background: #fff; }
pre { padding: .8rem; overflow-x: auto; background: #f6f8fa; }
code { font: 14px ui-monospace, monospace; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid #d1d9e0; padding: .3rem .6rem; text-align: left; vertical-align: top; }
img { max-width: 100%; }
"""


def list_pages() -> list[Path]:
    """Return the pages of the site and the Markdown files of the root, whose links are checked."""
    return [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md"))]


def make_anchor(heading: str) -> str:
    """Return the fragment that GitHub gives to a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.lower().replace("`", ""))
    return kept.strip().replace(" ", "-")


def parse_page(text: str) -> tuple[list[Token], set[str]]:
    """Return the tokens of a page, whose headings have ids, and the set of these ids."""
    tokens, anchors = PARSER.parse(text), set[str]()
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            anchor = make_anchor(inline.content)
            opening.attrSet("id", anchor)
            anchors.add(anchor)
    return tokens, anchors


def find_links(tokens: list[Token]) -> Iterator[tuple[Token, str]]:
    """Yield each link and image of a page with the attribute that holds its target."""
    for token in tokens:
        for child in token.children or ():
            if child.type in ("link_open", "image"):
                yield child, "href" if child.type == "link_open" else "src"


def check_links(page: Path, tokens: list[Token], anchors: dict[Path, set[str]]) -> list[str]:
    """Return one sentence for each link of a page that leads nowhere."""
    problems: list[str] = []
    for token, attribute in find_links(tokens):
        target = str(token.attrGet(attribute))
        if re.match(r"[a-z]+:", target):
            continue  # the build needs no network
        name, _, fragment = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        where = f"{page.relative_to(ROOT)} links to {target}, but"
        if not file.exists():
            problems.append(f"{where} there is no such file.")
        elif fragment and fragment not in anchors.get(file, set()):
            problems.append(f"{where} {file.name} has no such heading.")
    return problems


def find_stale_tables(page: Path) -> list[str]:
    """Return a sentence if a generated table of this page is not current."""
    text = page.read_text()
    if refresh_tables(text) == text:
        return []
    return [f"A table in {page.relative_to(ROOT)} is stale: run `python -m docs.tables`."]


def write_page(page: Path, tokens: list[Token]) -> None:
    """Write one page of the site; links to other files of the repository lead to the checkout."""
    output = get_output(page)
    for token, attribute in find_links(tokens):
        target = str(token.attrGet(attribute))
        name, mark, fragment = target.partition("#")
        if not name or re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / name).resolve()
        site_file = get_output(file) if DOCS in file.parents else file
        token.attrSet(attribute, os.path.relpath(site_file, output.parent) + mark + fragment)
    title = html.escape(next((t.content for t in tokens if t.type == "inline"), page.stem))
    body = PARSER.renderer.render(tokens, PARSER.options, {})
    home = os.path.relpath(SITE / "index.html", output.parent)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{STYLE}</style>\n'
        f'<p><a href="{home}">Rungwise documentation</a></p>\n{body}</html>\n'
    )


def get_output(file: Path) -> Path:
    """Return where a file of the documentation lies in the site."""
    output = SITE / file.relative_to(DOCS)
    if file.suffix != ".md":
        return output
    return output.with_name("index.html" if file.stem == "README" else f"{file.stem}.html")


def build() -> list[str]:
    """Build the site; return what is wrong with its pages, one sentence each."""
    parsed = {page: parse_page(page.read_text()) for page in list_pages()}
    anchors = {page: anchors for page, (_, anchors) in parsed.items()}
    problems: list[str] = []
    shutil.rmtree(SITE, ignore_errors=True)
    for page, (tokens, _) in parsed.items():
        problems += check_links(page, tokens, anchors)
        problems += find_stale_tables(page)
        if DOCS in page.parents:
            write_page(page, tokens)
    for file in (*DOCS.glob("*.svg"), *DOCS.glob("*.png"), *DOCS.glob("examples/*.py")):
        get_output(file).parent.mkdir(exist_ok=True)
        shutil.copy(file, get_output(file))
    return problems


if __name__ == "__main__":
    sys.exit("\n".join(build()) or None)
