"""Count the lines of each package: ``python -m docs.size [FOLDER]``.

Code is what is left without blank lines, comments and docstrings.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from pathlib import Path

PACKAGES = ("rungwise", "envs", "algos", "tune_jobs", "cluster", "tests", "docs")
SKIPPED = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER})
LAYOUT = frozenset({tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT})


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


def main(folder: Path) -> None:
    """Print lines and lines of code of each package of a checkout."""
    sys.stdout.write(f"{'package':10} {'files':>6} {'lines':>8} {'code':>8} {'longest':>8}\n")
    for package in PACKAGES:
        files = [p for p in (folder / package).rglob("*.py") if "data" not in p.parts]
        texts = [path.read_text() for path in files]
        lines = [text.count("\n") for text in texts]
        code = sum(map(count_code, texts))
        longest = max(lines, default=0)
        sys.stdout.write(f"{package:10} {len(files):6} {sum(lines):8,} {code:8,} {longest:8}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
