"""The sentences of the scheduler's decisions, in the words of the table, log, report and page."""

from __future__ import annotations

import math
from typing import Any, cast

from rungwise.formatting import format_measurement, format_number
from rungwise.run_log.events import ExploitRow
from tune_jobs.schedulers.verdict import Entry, Verdict

VERBS = {"pause": "paused", "reopen": "paused again", "promote": "promoted", "stop": "stopped"}


def describe_verdict(verdict: Verdict) -> str:
    """Return what is decided about a trial, where, and why."""
    rung, iteration = f"rung {verdict.rung}", f"iteration {verdict.entry.iteration}"
    where, other = (
        (iteration, rung) if verdict.kind == "stop" else (rung, f"entered at {iteration}")
    )
    notes = [f"bracket {verdict.bracket}"] if verdict.bracket else []
    notes += [other] if verdict.entry.iteration > verdict.rung else []
    note = f" ({', '.join(notes)})" if notes else ""
    return f"{VERBS[verdict.kind]} at {where}{note}: {_explain(verdict)}"


def _explain(verdict: Verdict) -> str:
    """Compare a trial with the others of its rung."""
    if not math.isfinite(verdict.entry.score):
        return f"the score is {verdict.entry.score}, which cannot be compared"
    if verdict.cut and verdict.rank > verdict.allowed:
        return _compare(verdict, verdict.entry, verdict.cut)
    rank = f"{_format_ordinal(verdict.rank)} of {verdict.of}"
    if verdict.kind == "reopen":
        return f"{rank}; trials have joined, of which {verdict.expected} may come"
    if not verdict.allowed:
        return f"{rank}; too few to compare"
    return f"{rank}; the top {_continue(str(verdict.allowed))}"


def _compare(verdict: Verdict, entry: Entry, cut: Entry) -> str:
    """Compare a trial with the last one that continues."""
    top = f"{verdict.allowed} of {verdict.of + verdict.expected}"
    if entry.stage != cut.stage:
        return f"stage {entry.stage:g}, cut-off stage {cut.stage:g} (top {_continue(top)})"
    score, cut_off = _format_score(entry), _format_score(cut)
    if verdict.kind == "stop":
        return f"{score}, cut-off {cut_off} (top {_continue(top)})"
    if entry.score == cut.score:
        return f"{score} equals the cut-off (top {top})"
    return f"{score} is within the noise of the cut-off {cut_off} (top {top})"


def _continue(top: str) -> str:
    return f"{top} continue{'s' if top.split()[0] == '1' else ''}"


def _format_score(entry: Entry) -> str:
    """Format a score to the second digit of its standard error, if it has one: -53.8 ± 1.3."""
    score, error = entry.score, entry.error
    if not error:
        return f"{score:.4g}"
    decimals = 1 - int(f"{error:.1e}".split("e")[1])
    form = f",.{max(0, decimals)}f" if -6 < decimals < 9 else ".4g"
    return f"{score:{form}} ± {error:{form}}"


def _format_ordinal(number: int) -> str:
    is_teen = number // 10 % 10 == 1
    return f"{number}{'th' if is_teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def describe_exploit(row: ExploitRow, applied_settings: dict[str, Any]) -> str:
    """Return which trial another one continues from, with which settings of its learner."""
    changes = [
        f"{name} {format_number(value)} (was {format_number(row.before.get(name))})"
        for name, value in row.after.items()
        if value != row.before.get(name)
    ]
    score, donor_score = format_measurement(row.score), format_measurement(row.donor_score)
    sentence = f"continues from trial {row.donor}, {donor_score} to its {score}"
    sentence += f", with {', '.join(changes)}" if changes else ", with the same settings"
    # The values count that the learner reports, not those asked for: a restored learner brings its
    # donor's coefficients with it (ray#62173), and the log must show any that are not replaced.
    differences = {
        n: v for n, v in applied_settings.items() if n in row.after and not _same(v, row.after[n])
    }
    if differences:
        values = ", ".join(f"{name} {format_number(value)}" for name, value in differences.items())
        sentence += f"; but its learner uses {values}"
    return sentence


def _same(applied: object, wanted: object) -> bool:
    if isinstance(applied, int | float) and isinstance(wanted, int | float):
        # The settings went through JSON and the learner, which may hold a number as float32.
        return math.isclose(applied, wanted, rel_tol=1e-6)
    return applied == (tuple(cast("list[Any]", wanted)) if isinstance(wanted, list) else wanted)
