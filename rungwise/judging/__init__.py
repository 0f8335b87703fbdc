"""Apply the rules to logs and to programs that others run: ``doctor`` and ``Watch``."""
