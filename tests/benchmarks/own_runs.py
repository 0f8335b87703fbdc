# pyright: basic
"""Our own healthy runs, judged row by row by every rule that may end one.

They are the recorded runs of the product (recorded_runs.py) and the logs of other libraries
(foreign_suite.py) that are meant to be healthy and have learnt. A rule has judged a run where all
metrics that it needs are in it.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.foreign_suite import group, unpacked
from benchmarks.recorded_runs import recordings
from rungwise.health import RULES, Diagnosis, History, diagnose
from rungwise.health.metric_table import MetricTable
from rungwise.judging.run_judge import RunJudge
from rungwise.logs.discovery import find_readers


def count_own_runs() -> dict[str, dict[str, int]]:
    """Return the healthy runs that each stopping rule has judged, and those it would have ended."""
    judged, ended = Counter(), Counter()
    for diagnoses in judge_own_runs():
        stops = [one.stop.symptom for one in diagnoses if one.stop]
        judged.update({symptom for one in diagnoses for symptom in one.judged})
        ended.update(stops[:1])
    return {
        symptom: {"healthy": judged[symptom], "healthy_ended": ended[symptom]}
        for symptom, rule in RULES.items()
        if rule.highest == "stop"
    }


def judge_own_runs() -> Iterator[list[Diagnosis]]:
    """Yield the diagnoses of each run, row by row."""
    for run in recordings():
        if run.learnt:
            rows, diagnoses = MetricTable(), []
            for row in run.rows:
                rows.append(row)
                history = History(rows, run.budget, "return_mean", settings=run.settings)
                diagnoses.append(diagnose(history))
            yield diagnoses
    with tempfile.TemporaryDirectory() as folder:
        for entry in unpacked(Path(folder)):
            if group(entry) == "healthy":
                for reader in find_readers(Path(folder, entry["place"])):
                    records = reader.read(final=True)
                    judge = RunJudge(budget=len(records), progress=None)
                    replayed = judge.replay(records, final=True)
                    yield [judge.diagnosis for _ in replayed]
