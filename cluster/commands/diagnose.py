"""Commands that judge: ``check`` an environment, ``doctor`` a run, ``explain`` a symptom."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.text import Text

from cluster.commands.command import Command, EnvironmentCommand
from cluster.errors import Answer, PlainConsole, Unhealthy
from cluster.terminal.startup import show_imports
from rungwise.validation import InputError

INDENT = 6
"""Columns before the text of a finding: the longest severity and a gap."""
STYLES = {"stop": "bold red", "warn": "bold yellow", "note": "bold"}


@dataclass(frozen=True, kw_only=True)
class Check(EnvironmentCommand):
    """Check within two minutes whether an environment can be learnt from."""

    env: tyro.conf.Positional[str]
    """The environment, or a preset or job file that names one."""
    algo: str = ""
    """The algorithm to check it with; by default the preset's, or ppo."""
    scm: str = ""
    """Model or family of a causal environment, by name or file (my_scm.yaml)."""

    def __call__(self, console: Console) -> Answer:
        """Run the probes and print their findings.

        Raises:
            Unhealthy: a finding calls for a stop.
        """
        # Before torch is imported: a wrong name is refused at once.
        find_target_env(self.env)
        with show_imports():
            from tune_jobs.check.check_target import load_check_target
            from tune_jobs.check.run_probes import examine
        from tune_jobs.check.formatting import format_answer

        # Probes take up to two minutes, so progress is shown also with --json, where stdout is
        # reserved.
        progress = PlainConsole(stderr=True)

        def print_probe(question: str, seconds: float) -> None:
            progress.print(f"{question} (up to {seconds:.0f} s)", style="dim", highlight=False)

        target = load_check_target(self.env, self.algo, self.read_env_kwargs(), scm=self.scm)
        answer = examine(target, on_probe_start=print_probe)
        for line, style in format_answer(answer, console.width):
            console.print(Text(line, style=style), soft_wrap=True)
        stops = [f["symptom"] for f in answer["findings"] if f["severity"] == "stop"]
        if stops:
            names = ", ".join(stops)
            raise Unhealthy(answer, f"{answer['env']} cannot be trained on as it is: {names}.")
        return answer


@dataclass(frozen=True, kw_only=True)
class Doctor(Command):
    """Diagnose a finished run of Rungwise or of another tool, with remedies."""

    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Run directories, logs and folders of logs: RLlib, SB3, CleanRL, skrl, RSL-RL, TRL, CSV ..."""
    rename: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A metric name of the log and the matching one of Rungwise: `profit=return_mean`. Can be
    given several times."""

    def __call__(self, console: Console) -> Answer:
        """Judge the logs and print their findings.

        Raises:
            InputError: no path is given, or a file cannot be read.
            Unhealthy: a finding calls for a stop.
        """
        from rungwise.judging import doctor

        if not self.paths:
            raise InputError(
                "`rungwise doctor` needs a path: a run directory, or a log or folder of logs."
            )
        answer = doctor.doctor(*self.paths, rename=parse_renames(self.rename))
        for log in answer["logs"]:
            _print_log(log, console)
        if answer["siblings"]:
            console.print(Text("What the logs have in common", style="bold"))
            for symptom, spread in answer["siblings"].items():
                _print_indented(f"{symptom}: {spread}", console)
        _print_not_judged(answer["not_judged"], console)
        stops = [finding for finding in answer["findings"] if finding["severity"] == "stop"]
        if stops:
            names = ", ".join(dict.fromkeys(finding["symptom"] for finding in stops))
            paths = " ".join(map(str, self.paths))
            raise Unhealthy(answer, f"{paths}: findings that call for a stop: {names}.")
        return answer


@dataclass(frozen=True, kw_only=True)
class Explain(Command):
    """Explain a symptom: its meaning, how it is measured and what to try."""

    symptom: tyro.conf.Positional[str] = ""
    """The symptom; without one, all symptoms are listed."""

    def __call__(self, console: Console) -> Answer:
        """Print the explanation, or the list."""
        from rungwise.health import RULES
        from tune_jobs.check import explain as rules

        if not self.symptom:
            titles = {name: rules.title(name) for name in RULES}
            checks = {name: rules.title(name) for name in rules.CHECKED}
            sweeps = {name: rules.title(name) for name in rules.SWEEP_FINDINGS}
            _print_titles("Of a run (`rungwise doctor`, and during training)", titles, console)
            _print_titles("Before a run (`rungwise check`)", checks, console)
            _print_titles("Of a sweep (`rungwise tune`)", sweeps, console)
            console.print(Text("`rungwise explain SYMPTOM` says more.", style="dim"))
            return {"symptoms": titles, "checks": checks, "sweeps": sweeps}
        answer = rules.explain(self.symptom)
        _print_explanation(answer, answer["symptom"] in RULES, console)
        return answer


def find_target_env(name: str) -> None:
    """Look up the environment of a check, if it is not named by a preset or a job file.

    Raises:
        InputError: it does not exist, or its module cannot be imported.
    """
    from algos.rollouts.env_factory import find_env_spec
    from envs.checking.import_probe import probe_import
    from tune_jobs.jobs.given_fields import resolve_env_id
    from tune_jobs.jobs.job_yaml import list_presets

    if name not in list_presets() and not name.endswith((".yaml", ".yml")):
        probe_import(resolve_env_id(name))
        find_env_spec(resolve_env_id(name))


def parse_renames(pairs: Sequence[str]) -> dict[str, str]:
    """Return the name of Rungwise for each name of a log, from the pairs of ``--rename``.

    Raises:
        InputError: one is not a pair.
    """
    renames: dict[str, str] = {}
    for pair in pairs:
        logged, equals, name = pair.rpartition("=")
        if not (logged and equals and name):
            raise InputError(
                f"--rename must be LOG_NAME=NAME, such as profit=return_mean, but it is {pair!r}."
            )
        renames[logged] = name
    return renames


def _print_explanation(answer: Answer, is_run_symptom: bool, console: Console) -> None:
    console.print(Text(answer["title"], style="bold"))
    for paragraph in answer["meaning"].split("\n\n"):
        console.print()
        _print_indented(paragraph, console, indent=0)
    probe, needs = answer["measured"]["probe"], answer["measured"]["needs"]
    if is_run_symptom:
        _print_section("Judged from", _format_needs(needs), console)
    if probe:
        _print_section("Checked before a run", [f"`rungwise check`, probe {probe}"], console)
    limits = answer["measured"]["thresholds"].items()
    lines = [f"{name} = {limit['value']:g}: {limit['meaning']}" for name, limit in limits]
    _print_section("Thresholds", lines, console)
    _print_section("", [answer["warm_up"]], console)
    ends = [answer["stops"]["when"], answer["stops"].get("record", "")]
    _print_section("Ends a run", list(filter(None, ends)), console)
    _print_section("Usual causes", answer["causes"], console)
    _print_section("What to try", [answer["remedy"]], console)


def _print_titles(heading: str, titles: Mapping[str, str], console: Console) -> None:
    console.print(Text(heading, style="bold"))
    for name, title in titles.items():
        console.print(Text(f"{name:28} {title}"), soft_wrap=True)


def _print_log(log: Answer, console: Console) -> None:
    from rungwise.formatting import count
    from rungwise.health.record import describe_record

    size = count(log["rows"], "iteration")
    console.print(Text.assemble((log["name"], "bold"), f"  {log['format']}, {size}"))
    for finding in log["findings"]:
        severity = finding["severity"]
        head = f"{finding['symptom']} since iteration {finding['since']}"
        console.print(Text.assemble((f"{severity:{INDENT}}", STYLES[severity]), head))
        _print_indented(finding["evidence"], console)
        if record := describe_record(finding["symptom"], severity):
            _print_indented(f"the rule: {record}", console)
        _print_indented(finding["remedy"], console, style="dim")
    if log["note"]:
        _print_indented(log["note"], console)
    if 0 < log["rows"] < log["rows_needed"]:
        needed = f"at least {log['rows_needed']} are needed"
        _print_indented(f"too short to judge: {size}, and {needed}", console)
    elif log["rows"] and not log["findings"]:
        _print_indented(
            f"{count(len(log['judged']), 'rule')} judged this log and found no fault", console
        )
    if log["unmapped"]:
        _print_indented(f"unknown metrics: {', '.join(log['unmapped'])}", console, style="dim")
    if log["rows"] and log["likely_return"]:
        rename = f"--rename '{log['likely_return']}=return_mean'"
        _print_indented(f"no return metric is known: if this is it, use {rename}", console, "dim")


def _print_not_judged(not_judged: Mapping[str, str], console: Console) -> None:
    """Print the symptoms that could not be judged, grouped by the missing input."""
    from rungwise.formatting import count

    by_reason: dict[str, list[str]] = {}
    for symptom, why in not_judged.items():
        missing = why.partition(" (")[0].removeprefix("the log has ")
        by_reason.setdefault(missing, []).append(symptom)
    if not by_reason:
        return
    parts = [f"{', '.join(symptoms)} ({missing})" for missing, symptoms in by_reason.items()]
    heading = f"Not judged: {count(len(not_judged), 'symptom')}, by what is missing"
    console.print(Text(heading, style="dim"))
    _print_indented(", ".join(parts), console, style="dim")


def _format_needs(needs: Mapping[str, Mapping[str, str]]) -> list[str]:
    lines: list[str] = []
    for name, metric in needs.items():
        unit = f" [{metric['unit']}]" if metric["unit"] else ""
        healthy = f"; healthy: {metric['healthy']}" if metric["healthy"] else ""
        lines.append(f"{name}{unit}: {metric['meaning']}{healthy}")
    return lines or ["any logged metric"]


def _print_section(heading: str, lines: Sequence[str], console: Console) -> None:
    if not any(lines):
        return
    if heading:
        console.print()
        console.print(Text(heading, style="bold"))
    for line in lines:
        _print_indented(line, console)


def _print_indented(line: str, console: Console, style: str = "", indent: int = INDENT) -> None:
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
