"""The site of the documentation, built by Sphinx: ``make docs`` fails on a link that leads nowhere.

The source is the root of the repository, so that its own pages are checked, too, and links to code
lead to a copy of the file.
"""

import re
from pathlib import Path

DOCS = Path(__file__).parent

project = "Rungwise"
extensions = ["myst_parser"]
root_doc = "docs/README"
include_patterns = ["docs/*.md", "*.md"]
exclude_patterns = [".*", "build", "runs", "tests"]
# Headings have GitHub's anchors: the pages are read there as well.
myst_heading_anchors = 4
html_theme = "alabaster"
html_sidebars = {"**": ["about.html", "searchfield.html"]}
# The contents are a table of questions in docs/README.md, which the tests compare with the pages.
suppress_warnings = ["toc.not_included"]
# The site has no page for a folder of the repository: what leads to one is shown as text.
nitpick_ignore = [
    ("myst", target)
    for page in DOCS.glob("*.md")
    for target in re.findall(r"\]\((\.\./[^)#]*)\)", page.read_text())
    if (DOCS / target).is_dir()
]
