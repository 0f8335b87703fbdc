"""The commands of ``rungwise`` in the groups in which ``rungwise --help`` lists them."""

from __future__ import annotations

import inspect
import platform

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cluster.commands.audit_command import AuditCommand
from cluster.commands.command import Command
from cluster.commands.deploy import Deploy, Monitoring, Submit
from cluster.commands.diagnose import Check, Doctor, Explain
from cluster.commands.evaluate import Evaluate
from cluster.commands.export import Export, Import
from cluster.commands.jobs import Fetch, Report, Resume, Train, Tune
from cluster.commands.ledger import Ledger
from cluster.commands.listings import Algos, Envs, Presets
from cluster.commands.serve import Dashboard, Serve
from cluster.commands.service import Jobs, Service
from cluster.commands.tail_command import TailCommand
from cluster.commands.watch_command import WatchCommand
from cluster.errors import Answer
from rungwise.optional_imports import find_versions

COMMAND_GROUPS: dict[str, tuple[type[Command], ...]] = {
    "Train and tune": (Tune, Train, WatchCommand, Resume, Fetch),
    "Inspect": (
        Check,
        Doctor,
        AuditCommand,
        Explain,
        Evaluate,
        Report,
        Ledger,
        Dashboard,
        TailCommand,
    ),
    "Serve and deploy": (Serve, Export, Import, Submit, Deploy, Monitoring),
    "Queue": (Service, Jobs),
    "Catalogue": (Presets, Envs, Algos),
}
COMMANDS: dict[str, type[Command]] = {
    command.get_name(): command for group in COMMAND_GROUPS.values() for command in group
}


def summarise_commands() -> dict[str, dict[str, str]]:
    """Return the summary of each command by its name, in groups."""
    return {
        group: {command.get_name(): inspect.getdoc(command) or "" for command in commands}
        for group, commands in COMMAND_GROUPS.items()
    }


def print_overview(console: Console) -> Answer:
    """Print the commands in their groups: the text of ``rungwise --help``."""
    groups = summarise_commands()
    console.print("usage: rungwise [-h] [--version] COMMAND ...", highlight=False)
    for group, commands in groups.items():
        console.print(Text(f"\n{group}", style="bold"))
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, min_width=max(map(len, COMMANDS)))
        table.add_column()
        for name, summary in commands.items():
            table.add_row(Text(name, style="cyan"), Text(summary))
        console.print(Padding(table, (0, 0, 0, 2)))
    hint = "\nThe flags of a command: rungwise COMMAND --help. Every command takes --json."
    console.print(Text(hint, style="dim"))
    return {"commands": groups}


def print_version(console: Console) -> Answer:
    """Print the versions of Rungwise and of what its results depend on."""
    versions = find_versions(("rungwise", "ray", "torch"))
    versions["python"] = platform.python_version()
    rungwise, *others = (f"{name} {version}" for name, version in versions.items())
    console.print(f"{rungwise} ({', '.join(others)})", highlight=False)
    return {"versions": versions}
