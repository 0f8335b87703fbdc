# pyright: basic
"""The overview and the version."""

import json

from cluster import cli
from cluster.commands.groups import COMMAND_GROUPS, COMMANDS


def test_help_lists_every_command_in_a_group(capsys):
    assert cli.run(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(group in printed for group in COMMAND_GROUPS)
    assert all(f"  {name} " in printed for name in COMMANDS)


def test_version_names_rungwise_and_what_it_runs_on(capsys):
    assert cli.run(["--version", "--json"]) == 0
    versions = json.loads(capsys.readouterr().out)["versions"]
    assert versions.keys() == {"rungwise", "ray", "torch", "python"}
