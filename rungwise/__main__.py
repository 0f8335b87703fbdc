"""The command line, also as ``python -m rungwise``."""

import rungwise  # noqa: F401  # pyright: ignore[reportUnusedImport]  # before our packages: a project may have folders of their names
from cluster.cli import main

if __name__ == "__main__":
    main()
