"""Remedies: steps as data, phrased for the settings in use."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import partial
from typing import Literal

from rungwise.formatting import format_number

Value = float | str | bool


@dataclasses.dataclass(frozen=True)
class RemedyStep:
    """One setting to change; created by the functions below."""

    change: Literal["lower", "raise", "set", "limit", "use"]
    setting: str
    value: Value
    words: str
    """The clause, with ``{}`` in place of the setting."""
    further: bool
    """Whether to go beyond the value where the setting is there already."""
    without: str | RemedyStep
    """The alternative of an algorithm without this setting: a clause or another step. Empty where
    the algorithm lacks the part of the loss that the setting weighs or limits: nothing of it can
    be at fault."""


Remedy = tuple[str | RemedyStep, ...]
"""Clauses in the order in which to try them; a text is a step that no setting makes."""


def _make_step(
    change: Literal["lower", "raise", "set", "limit"],
    setting: str,
    value: Value,
    words: str = "",
    without: str | RemedyStep = "",
    *,
    further: bool = False,
) -> RemedyStep:
    return RemedyStep(change, setting, value, words or f"{change} {{}}", further, without)


lower = partial(_make_step, "lower", further=True)
"""Return the step that lowers a setting to a value, or further if it is there already."""
increase = partial(_make_step, "raise", further=True)
"""Return the step that raises a setting to a value, or further if it is there already."""
at_most = partial(_make_step, "lower")
"""Return the step that lowers a setting to a value, and is left out from there on."""
at_least = partial(_make_step, "raise")
"""Return the step that raises a setting to a value, and is left out from there on."""
put = partial(_make_step, "set")
"""Return the step that sets a setting to exactly this value."""
limit = partial(_make_step, "limit")
"""Return the step that sets a bound, of which 0 is none, and is left out where one is as low."""


def use(setting: str, words: str, without: str | RemedyStep = "", *, value: str = "") -> RemedyStep:
    """Return the step that uses what a setting switches on, and is left out where it does.

    Without a ``value`` a person chooses one.
    """
    return RemedyStep("use", setting, value, words, False, without)


@dataclasses.dataclass(frozen=True)
class OtherLibrary:
    """The settings of a library that is not ours, for remedies in its own words."""

    names: Mapping[str, str] | None = None
    """Its name of each setting that it has, by ours; None where the library is not known, so that
    ours are used."""
    values: Mapping[str, object] = dataclasses.field(default_factory=dict[str, object])
    """The values in use that are known, by our names."""
    chooses_tokens: bool = False
    """Whether actions are tokens: entropy and KL are means over tokens, most of them forced."""


_OURS = OtherLibrary()
COMMON = {
    n: n for n in ("lr", "clip", "epochs", "gamma", "entropy_coef", "value_coef", "grad_clip")
}
"""Settings that libraries have in common: of one that is not known no other is named."""
SCALED_OBSERVATIONS = use(
    "normalise_observations",
    "switch on {}, or scale the observations to within -10 and 10",
    "scale the observations to within -10 and 10",
)
"""Left out where observations are normalised, which divides them."""
WARM_START = use(
    "warm_start",
    "begin with {}, where the environment has a teacher, or shape the reward",
    "shape the reward",
)
SCALED_REWARDS = put(
    "normalise_values",
    True,
    "set {}, or multiply the rewards by a constant so that returns are between 1 and 100",
    "multiply the rewards by a constant so that returns are between 1 and 100",
)
"""Left out where values are standardised: a constant factor then changes nothing."""


def worded(
    remedy: Remedy,
    in_use: Mapping[str, object] | None = None,
    complete: bool = False,
    other: OtherLibrary = _OURS,
) -> str:
    """Return the remedy as a sentence without steps that are already taken.

    Args:
        remedy: its steps.
        in_use: the known settings of the run, by our names.
        complete: whether these are all settings of its algorithm.
        other: the library whose settings they are; without names they are ours.
    """
    settings = in_use or {}
    steps = filter(_suits_tokens, remedy) if other.chooses_tokens else remedy
    clauses = [s if isinstance(s, str) else _word_step(s, settings, complete, other) for s in steps]
    sentence = "; ".join(filter(None, clauses))
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else ""


def list_remedy_changes(remedy: Remedy, in_use: Mapping[str, object]) -> dict[str, Value]:
    """Return the settings that a remedy changes, in the order in which to try them.

    What it switches on is among them only if the setting is true or false: the value of any other
    one is for a person to choose.

    Args:
        remedy: its steps.
        in_use: all settings of the run.
    """
    changes: dict[str, Value] = {}
    for step in remedy:
        while isinstance(step, RemedyStep) and step.setting not in in_use:
            step = step.without
        if isinstance(step, str) or _is_there(step, used := in_use[step.setting]):
            continue
        if step.change != "use" or step.value:
            changes[step.setting] = step.value
        elif isinstance(used, bool):
            changes[step.setting] = True
    return changes


def _word_step(
    step: RemedyStep, in_use: Mapping[str, object], complete: bool, other: OtherLibrary
) -> str:
    """Return the clause of a step; empty if there is nothing left to change."""
    setting = step.setting if other.names is None else other.names.get(step.setting, "")
    # Unknown is not absent: a foreign log that does not contain the setting still gets the advice.
    if not setting or (complete and step.setting not in in_use):
        instead = step.without
        return instead if isinstance(instead, str) else _word_step(instead, in_use, complete, other)
    if step.setting not in in_use or not _is_there(step, used := in_use[step.setting]):
        if other.chooses_tokens and step.setting == "lr":
            return _word_factor(step, setting)
        return _word_change(step) if other.names is None else _word_other_change(step, setting)
    if not step.further:
        return ""
    return step.words.format(f"`{setting}` further (it is {_format_value(used)})")


def _suits_tokens(step: str | RemedyStep) -> bool:
    """Return whether a step can be taken with a language model.

    Its environment is a reward function, its observations are text, and its advantages are
    normalised.
    """
    if isinstance(step, str):
        return "rungwise check ENV" not in step
    return step.setting not in ("normalise_values", "normalise_observations")


def _word_factor(step: RemedyStep, setting: str) -> str:
    """Return a change of the learning rate, of which a language model takes a hundredth."""
    way = "larger or smaller " if step.change == "set" else ""
    return step.words.format(f"`{setting}` {way}by a factor of 3")


def _word_change(step: RemedyStep) -> str:
    """Return a step as a setting of a job file."""
    value = "" if step.value == "" else f"={_format_value(step.value)}"
    return step.words.format(f"`{step.setting}{value}`")


def _word_other_change(step: RemedyStep, setting: str) -> str:
    """Return a step in words, since settings of another library stand in code of all kinds."""
    value = _format_value(step.value)
    bound = {"lower": f" to at most {value}", "raise": f" to at least {value}"}.get(step.change)
    if bound:
        words = step.words.replace("lower {}", "set {}").replace("raise {}", "set {}")
        return words.format(f"`{setting}`{bound}")
    if step.value == "":
        return step.words.format(f"`{setting}`")
    if "set {}" in step.words:
        return step.words.format(f"`{setting}` to {value}")
    return step.words.format(f"`{setting}={value}`")


def _is_there(step: RemedyStep, used: object) -> bool:
    """Return whether the setting already has the value of the step, or is beyond it."""
    if step.change == "use":
        return used not in (None, False, "", "none", "constant", 0)
    # bool is a subclass of int, but true and false have no order.
    if isinstance(used, bool | str) or not isinstance(used, int | float):
        return used == step.value
    value = float(step.value)
    beyond = {"lower": used < value, "raise": used > value, "limit": 0 < used < value}.get(
        step.change, False
    )
    # TensorBoard stores float32, in which 3e-4 is not exactly the number of the step.
    return beyond or math.isclose(used, value, rel_tol=1e-6)


def _format_value(value: object) -> str:
    """Return a value in the notation of a job file."""
    return str(value).lower() if isinstance(value, bool) else format_number(value)
