"""The command line, also as ``python -m rungwise``."""

from rungwise.user_packages import claim_packages

claim_packages()  # before our packages: a project may have folders of their names

from cluster.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
