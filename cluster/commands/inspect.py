"""``rungwise doctor`` and ``rungwise explain``: what is wrong with a run, and what that means."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from cluster.errors import Answer, Unhealthy
from envs.validation import InputError

INDENT = 6
"""Columns before what belongs to a finding: the severities and a gap."""
STYLES = {"stop": "bold red", "warn": "bold yellow", "note": "bold"}


def doctor(paths: Sequence[Path], rename: Sequence[str], console: Console) -> Answer:
    """What is wrong with the runs at the paths."""
    from tune_jobs.health import doctor

    if not paths:
        raise InputError(
            "`rungwise doctor` needs a path: a run directory, or a log or folder of logs."
        )
    answer = doctor.doctor(*paths, rename=parse_renames(rename))
    for log in answer["logs"]:
        _print_log(log, console)
    if answer["siblings"]:
        console.print(Text("What the logs have in common", style="bold"))
        for symptom, spread in answer["siblings"].items():
            _indented(f"{symptom}: {spread}", console)
    _print_not_judged(answer["not_judged"], console)
    stops = [finding for finding in answer["findings"] if finding["severity"] == "stop"]
    if stops:
        names = ", ".join(dict.fromkeys(finding["symptom"] for finding in stops))
        raise Unhealthy(answer, f"{' '.join(map(str, paths))} is sick: {names}.")
    return answer


def parse_renames(pairs: Sequence[str]) -> dict[str, str]:
    """The pairs of ``--rename``: theirs=ours.

    Raises:
        InputError: if one is not a pair.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        theirs, equals, ours = pair.rpartition("=")
        if not (theirs and equals and ours):
            raise InputError(
                f"--rename must be the log's name, =, and ours (profit=return_mean), but it is "
                f"{pair!r}."
            )
        found[theirs] = ours
    return found


def explain(symptom: str, console: Console) -> Answer:
    """What a symptom is; all of them by title if none is named."""
    from tune_jobs.check import explain as rules
    from tune_jobs.health import RULES

    if not symptom:
        titles = {name: rules.title(name) for name in RULES}
        checks = {name: rules.title(name) for name in rules.CHECKED}
        _print_titles("Of a run (`rungwise doctor`, and while it goes on)", titles, console)
        _print_titles("Before a run (`rungwise check`)", checks, console)
        console.print(Text("`rungwise explain SYMPTOM` says more.", style="dim"))
        return {"symptoms": titles, "checks": checks}
    answer = rules.explain(symptom)
    console.print(Text(answer["title"], style="bold"))
    for paragraph in answer["meaning"].split("\n\n"):
        console.print()
        _indented(paragraph, console, indent=0)
    probe, needs = answer["measured"]["probe"], answer["measured"]["needs"]
    if symptom in RULES:
        _section("Judged from", _needs(needs), console)
    if probe:
        _section("Looked for before a run", [f"`rungwise check`, probe {probe}"], console)
    _section("Thresholds", _thresholds(answer["measured"]["thresholds"]), console)
    _section("", [answer["warm_up"]], console)
    _section("Ends a run", [answer["stops"]["when"]], console)
    _section("Usual causes", answer["causes"], console)
    _section("What to try", [answer["remedy"]], console)
    return answer


def _print_titles(heading: str, titles: Mapping[str, str], console: Console) -> None:
    console.print(Text(heading, style="bold"))
    for name, title in titles.items():
        console.print(Text(f"{name:28} {title}"), soft_wrap=True)


def _print_log(log: Answer, console: Console) -> None:
    from tune_jobs.formatting import count

    size = count(log["rows"], "iteration")
    console.print(Text.assemble((log["name"], "bold"), f"  {log['format']}, {size}"))
    for finding in log["findings"]:
        severity = finding["severity"]
        head = f"{finding['symptom']} since iteration {finding['since']}"
        console.print(Text.assemble((f"{severity:{INDENT}}", STYLES[severity]), head))
        _indented(finding["evidence"], console)
        _indented(finding["remedy"], console, style="dim")
    if log["note"]:
        _indented(log["note"], console)
    if 0 < log["rows"] < log["rows_needed"]:
        needed = f"at least {log['rows_needed']} are needed"
        _indented(f"too short to judge: {size}, and {needed}", console)
    elif log["rows"] and not log["findings"]:
        _indented(f"nothing found by {count(len(log['judged']), 'rule')}", console)
    if log["unmapped"]:
        _indented(f"not understood: {', '.join(log['unmapped'])}", console, style="dim")
    if log["rows"] and log["likely_return"]:
        known = f"no return is known: --rename '{log['likely_return']}=return_mean' if that is it"
        _indented(known, console, style="dim")


def _print_not_judged(not_judged: Mapping[str, str], console: Console) -> None:
    """What could not be judged, together by what is missing."""
    from tune_jobs.formatting import count

    by_reason: dict[str, list[str]] = {}
    for symptom, why in not_judged.items():
        missing = why.partition(" (")[0].removeprefix("the log has ")
        by_reason.setdefault(missing, []).append(symptom)
    if not by_reason:
        return
    parts = [f"{', '.join(symptoms)} ({missing})" for missing, symptoms in by_reason.items()]
    heading = f"Not judged: {count(len(not_judged), 'symptom')}, by what is missing"
    console.print(Text(heading, style="dim"))
    _indented(", ".join(parts), console, style="dim")


def _needs(needs: Mapping[str, Mapping[str, str]]) -> list[str]:
    lines: list[str] = []
    for name, metric in needs.items():
        unit = f" [{metric['unit']}]" if metric["unit"] else ""
        healthy = f"; healthy: {metric['healthy']}" if metric["healthy"] else ""
        lines.append(f"{name}{unit}: {metric['meaning']}{healthy}")
    return lines or ["whatever was logged"]


def _thresholds(thresholds: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {t['value']:g}: {t['meaning']}" for name, t in thresholds.items()]


def _section(heading: str, lines: Sequence[str], console: Console) -> None:
    if not any(lines):
        return
    if heading:
        console.print()
        console.print(Text(heading, style="bold"))
    for line in lines:
        _indented(line, console)


def _indented(line: str, console: Console, style: str = "", indent: int = INDENT) -> None:
    space = " " * indent
    filled = textwrap.fill(
        line,
        console.width,
        initial_indent=space,
        subsequent_indent=space,
        break_long_words=False,
        break_on_hyphens=False,
    )
    console.print(Text(filled, style=style), soft_wrap=True)
