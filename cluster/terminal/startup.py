"""Work before the first result, and how long it has taken so far."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from cluster.errors import PlainConsole
from rungwise.formatting import format_duration
from rungwise.quick_imports import quick_imports


@contextmanager
def show_activity(
    activity: str, console: Console | None = None, clock: Callable[[], float] = time.monotonic
) -> Generator[None]:
    """Show an activity on stderr while the block runs: on a terminal with its duration so far.

    Args:
        activity: what is being done, such as ``Starting Ray``.
        console: the console to draw on; by default stderr.
        clock: returns seconds.
    """
    console, started = console or PlainConsole(stderr=True), clock()
    if not console.is_terminal:
        console.print(Text(f"{activity} ..."), soft_wrap=True)
        yield
        return
    live = Live(
        console=console,
        get_renderable=lambda: Text(format_activity(activity, clock() - started), style="dim"),
        refresh_per_second=4,
        transient=True,
    )
    with live:
        yield


def format_activity(activity: str, seconds: float) -> str:
    """Format what is being done with its duration so far."""
    return f"{activity} ({format_duration(seconds)})"


@contextmanager
def show_imports() -> Generator[None]:
    """Show that PyTorch and Ray are imported, which takes most of a short command."""
    with quick_imports(), ExitStack() as stack:
        if "torch" not in sys.modules:
            stack.enter_context(show_activity("Importing PyTorch and Ray"))
        yield
