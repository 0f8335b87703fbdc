"""Judge a training while it runs, from the metrics that its own script measures."""

from __future__ import annotations

import logging
import numbers
import time
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from rungwise.health.diagnosis import Diagnosis, Limit, check_limits
from rungwise.health.finding import Finding
from rungwise.health.history import History
from rungwise.health.metric_table import as_number
from rungwise.health.record import describe_record, hold_unproven
from rungwise.judging.run_judge import Mode, RunJudge, Verdict
from rungwise.logs.log_record import Record, flatten
from rungwise.logs.log_rows import RETURNS
from rungwise.logs.names.name_matching import check_rename, match_metrics
from rungwise.metrics import METRICS
from rungwise.validation import (
    Fraction,
    NonNegative,
    Positive,
    check_value,
    unknown_name_error,
    validate,
)

LOGGER = logging.getLogger("rungwise")
FEWEST = 8
"""Rows after which a name that none of them has had is said to be missing."""
MOST_WAITING = 400
"""Rows that wait at most, so that no judgement is long. Of a script that logs hundreds of rows a
second, for which 1 % of its time is too little, older ones are dropped."""


@dataclass
class TimeLimit:
    """How long judging may take; several watches of one process can share it."""

    fraction: Annotated[float, Positive] = 0.01
    """Share of the time since the start that judging may take."""
    start: float = field(default_factory=time.time)  # of a clock that other processes share
    spent_s: float = 0.0
    """Seconds that judging has taken."""
    latest: float = 0.0  # when it was asked last

    def __post_init__(self) -> None:
        validate(self)

    @property
    def allows_more(self) -> bool:
        """Whether judging has taken less than its share."""
        now = time.time()
        self.start -= max(max(self.start, self.latest) - now, 0.0)  # the clock was set back
        self.latest = now
        return self.spent_s <= self.fraction * (now - self.start)


class Watch:
    """The health of one training, fed with its metrics while it runs.

    ::

        watch = Watch(budget=1_000_000)
        for metrics in train():  # {"rollout/ep_rew_mean": 21.5, "time/total_timesteps": 2048}
            watch.feed(metrics)
            if watch.should_stop:
                break

    Metrics have the names of the catalogue or of a library that ``doctor`` knows. A finding that
    warns or stops is logged once, with its remedy, by the logger ``rungwise``. After construction
    nothing is raised: what cannot be judged is logged as a warning.

    Args:
        budget: how far the whole training goes; 0 where it is not known.
        progress: name of what the budget counts; empty counts environment steps where they are
            among the metrics, else rows.
        metric: name of the score.
        mode: whether a smaller or a larger score is better.
        rename: names of the script, each with the catalogue's.
        health: the highest severity of a finding by its symptom, ``"off"`` to leave it out.
        max_wrong: only rules end the training whose rate of wrongly ended published runs is at most
            this fraction, with 95 % confidence; the others warn.
        stops: whether a finding may end the training; otherwise it is only logged.
        time_limit: how long judging may take; without, one hundredth of the time since now.

    Raises:
        InputError: if a symptom, its limit or a metric of the catalogue is not known.
    """

    def __init__(
        self,
        *,
        budget: float = 0.0,
        progress: str = "",
        metric: str = RETURNS[0],
        mode: Mode = "max",
        rename: Mapping[str, str] | None = None,
        health: Mapping[str, Limit] | None = None,
        max_wrong: float = 1.0,
        stops: bool = True,
        time_limit: TimeLimit | None = None,
    ) -> None:
        self.stops = stops
        check_value("mode", mode, Mode)
        # A script often computes it from its settings as a number of NumPy.
        budget = budget if (number := _read_number(budget)) is None else number
        check_value("budget", budget, float, NonNegative)
        check_limits(health or {})
        check_value("max_wrong", max_wrong, float, Fraction)
        limits = hold_unproven(health or {}, max_wrong)
        check_rename(rename or {})
        self._run = RunJudge(
            budget=budget, progress=progress, metric=metric, mode=mode, rename=rename, limits=limits
        )
        self._names_checked, self._num_fed = False, 0
        self._waiting: deque[Record] = deque(maxlen=MOST_WAITING)
        self._messages: set[str] = set()
        self._not_numbers: set[str] = set()
        self._time_limit = time_limit or TimeLimit()

    @property
    def diagnosis(self) -> Diagnosis:
        """The findings in the rows up to the last judgement, and what could not be judged."""
        return self._run.diagnosis

    @property
    def verdict(self) -> Verdict:
        """The worst severity that they find; ``healthy`` where they find nothing in enough rows."""
        return self._run.verdict

    @property
    def stop(self) -> Finding | None:
        """The first finding that ends the training, or would with ``stops``."""
        return self._run.stop

    @property
    def should_stop(self) -> bool:
        """Whether the training is to be ended."""
        return self.stops and self.stop is not None

    def feed(self, metrics: Mapping[str, object]) -> None:
        """Add a row, and judge all rows if judging has not taken too much time before.

        Args:
            metrics: by name numbers, arrays or tensors of one element, or mappings of these.
        """
        with self._guard():
            self._waiting.append(Record("", self._read_numbers(metrics)))
        if self._time_limit.allows_more:
            self.judge()

    def judge(self) -> None:
        """Judge all rows now, whatever time that takes: at the end of a training."""
        with self._guard():
            records = list(self._waiting)
            self._waiting.clear()
            run = self._run
            for iteration in run.log.add(records):
                run.append(iteration)
            last = run.log.unfinished
            self._num_fed += len(records)
            if last is None and not run.rows and self._num_fed >= FEWEST:
                names = ", ".join(sorted(run.log.names)) or "they are empty"
                self._warn(
                    f"The first {FEWEST} rows have no metric by a name that is known ({names}), so "
                    'that nothing is judged: name the score by rename={"my_score": "return_mean"}.',
                    once="names",
                )
            if last is not None and not self.should_stop:
                # Judged before its part of the budget is complete, and taken back.
                run.append(last)
                try:  # a rule that raises must not leave it there
                    self._tell(run.judge(last))
                finally:
                    run.take_back(last)

    def _tell(self, history: History) -> None:
        """Log what the last judgement found."""
        for finding in self.diagnosis.findings:
            self._log_finding(finding)
        if self._run.rows >= FEWEST and not self._names_checked:
            self._names_checked = True
            self._check_names(history)

    def _log_finding(self, finding: Finding) -> None:
        if finding.severity != "note":
            ends = finding is self.stop and self.stops
            effect = "ends the training" if ends else f"({finding.severity})"
            heading = f"{finding.symptom} {effect}"
            # Its evidence changes with every row.
            record = describe_record(finding.symptom, finding.severity)
            texts = (f"{heading}: {finding.evidence}.", record and f"The rule {record}.")
            self._warn(" ".join(filter(None, (*texts, finding.remedy))), heading)

    def _check_names(self, history: History) -> None:
        """Warn of a progress or a score that no row has had, and take the budget as unknown."""
        log = self._run.log
        if log.budget and log.progress and not log.has_progress:
            log.budget = 0.0
            error = unknown_name_error("progress", log.progress, log.names, "among the metrics")
            self._warn(str(error))
        if log.note:
            self._warn(log.note)
        if not history.has(history.score):
            hint = f" ({log.likely_return}?)" if log.likely_return else ""
            self._warn(
                f"The first {FEWEST} rows have no {history.score}, or by a name that is not known, "
                f"so that few rules can judge: name the score as metric{hint}, with mode 'min' "
                "where less is better."
            )

    def _read_numbers(self, metrics: Mapping[str, object]) -> dict[str, object]:
        """Return the numbers of a row, and warn of a metric that is none."""
        values: dict[str, object] = {}
        for name, value in flatten(metrics).items():
            # Nearly always, and ten times as fast.
            number = value if type(value) is float else _read_number(value)
            if number is not None:
                values[name] = number
            elif name in METRICS and METRICS[name].unit in ("text", "shares"):
                values[name] = value
            elif name not in self._not_numbers:
                self._not_numbers.add(name)
                if match_metrics([name], self._run.log.rename):
                    self._warn(f"{name} is {value!r}, which is not a number: it is left out.")
        return values

    @contextmanager
    def _guard(self) -> Generator[None]:
        """Count the time, and turn an error into a warning: it must not end a training."""
        start = time.perf_counter()
        try:
            with np.errstate(all="ignore"):
                yield
        except Exception as error:
            self._warn(f"The metrics could not be judged: {error!r}.", once="error")
        finally:
            self._time_limit.spent_s += time.perf_counter() - start

    def _warn(self, message: str, once: str = "") -> None:
        """Log a message, unless it was logged before."""
        if (once or message) not in self._messages:
            self._messages.add(once or message)
            LOGGER.warning("rungwise: %s", message)


def _read_number(value: object) -> float | None:
    """Return a number, or that of an array or tensor of one element; None for anything else."""
    item = getattr(value, "item", None)
    if callable(item):
        with suppress(TypeError, ValueError, RuntimeError):  # NumPy and torch: of several elements
            value = item()
    # A flag is no measurement, although bool is a subclass of int.
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    return as_number(value)
