# pyright: basic
"""Violations that the checker of environments finds."""

from envs.checking.env_checker import examine


def check_conformance(make, *limits, **named):
    """At most one violation of each rule; an empty list is a pass."""
    return examine(make, *limits, **named).violations
