"""The product's prose is plain technical English: some phrases are not used in it."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHECKED = (
    "envs",
    "algos",
    "tune_jobs",
    "cluster",
    "rungwise",
    "docs",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
)
"""Folders and files whose docstrings, comments and messages are checked."""

BANNED = (
    r"whoever",
    r"somebody",
    r"nobody",
    r"as (?:if )?by lot",
    r"goes? on",
    r"going on",
    r"went on",
    r"comes? to",
    r"came to",
    r"as far as",
    r"tells?",
    r"told",
    r"reckons?",
    r"heeds?",
    r"wishes",
    r"pulls? at",
    r"heard of",
    r"beside",
    r"of one's own",
    r"so many",
    r"begun",
)
PATTERN = re.compile(rf"\b(?:{'|'.join(BANNED)})\b", re.IGNORECASE)


def read_prose(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of docstrings, comments and messages; every line of YAML and Markdown."""
    text = path.read_text()
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    for node in ast.walk(ast.parse(text)):
        # A string without a blank is a name, not prose.
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, " ".join(node.value.split())
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def find_banned(path: Path) -> list[str]:
    """Each banned phrase of a file with its line and context."""
    return [
        f"{path}:{line}: {match[0]!r} in {text[max(match.start() - 25, 0) : match.end() + 25]!r}"
        for line, text in read_prose(path)
        for match in PATTERN.finditer(text)
    ]


def list_files(name: str) -> list[Path]:
    """The sources, YAML and Markdown of a folder, or a single file."""
    path = ROOT / name
    files = [path] if path.is_file() else sorted(path.rglob("*.*"))
    return [file for file in files if file.suffix in {".py", ".yaml", ".md"}]


@pytest.mark.parametrize("name", CHECKED)
def test_prose_has_no_banned_phrase(name: str):
    found = [phrase for path in list_files(name) for phrase in find_banned(path)]
    assert not found, "\n".join(found)


def test_docstrings_messages_and_comments_are_prose(tmp_path: Path):
    source = tmp_path / "module.py"
    source.write_text('"""Training goes on."""\n\nNAME = "goes_on"  # nobody minds\n')
    assert [text for _, text in read_prose(source)] == ["Training goes on.", "# nobody minds"]
    assert len(find_banned(source)) == 2


def test_a_phrase_within_a_word_is_not_banned():
    assert PATTERN.search("Nobody knows")
    assert not PATTERN.search("besides, an outcome to a hotel stellar")
