"""Count lines and vague words of each package: ``python -m docs.size [FOLDER]``.

Code is what is left without blank lines, comments and docstrings. ``vague`` counts names that hide
what they hold where they are bound, ``headless`` comments and docstrings without a verb.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable
from pathlib import Path

PACKAGES = ("rungwise", "envs", "algos", "tune_jobs", "cluster", "tests", "docs")
SKIPPED = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER})
LAYOUT = frozenset({tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT})
VAGUE = frozenset({"found", "known", "place", "own", "seen", "left", "ours", "one"})
HEADLESS = re.compile(r'(?m)^ *("""|# )(Of|What|Not|By) |without a word')


def count_code(text: str) -> int:
    """Return the number of lines with code.

    >>> count_code("x = 1  # one")
    1
    """
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {
        line
        for token in tokens
        if token.type not in SKIPPED | LAYOUT
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        # Docstrings, also those under fields and constants.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return len(lines)


def count_vague(text: str) -> int:
    """Return how many names of ``VAGUE`` are bound: parameters, targets and loop variables.

    >>> count_vague("left = [one for one in trials]")
    2
    """
    nodes = list(ast.walk(ast.parse(text)))
    bound = [node.arg for node in nodes if isinstance(node, ast.arg)]
    bound += [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return sum(name in VAGUE for name in bound)


def count_headless(text: str) -> int:
    """Return how many comments and docstrings begin like ``# By which it is changed``."""
    return len(HEADLESS.findall(text))


COLUMNS: dict[str, Callable[[list[str]], int]] = {
    "files": len,
    "lines": lambda texts: sum(text.count("\n") for text in texts),
    "code": lambda texts: sum(map(count_code, texts)),
    "longest": lambda texts: max((text.count("\n") for text in texts), default=0),
    "vague": lambda texts: sum(map(count_vague, texts)),
    "headless": lambda texts: sum(map(count_headless, texts)),
}


def main(folder: Path) -> None:
    """Print the columns of each package of a checkout."""
    sys.stdout.write(f"{'package':10}" + "".join(f" {name:>8}" for name in COLUMNS) + "\n")
    for package in PACKAGES:
        files = (folder / package).rglob("*.py")
        texts = [path.read_text() for path in files if "data" not in path.parts]
        counts = "".join(f" {count(texts):8,}" for count in COLUMNS.values())
        sys.stdout.write(f"{package:10}{counts}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
