"""The catalogue of what only a check finds is complete and explained."""

import re

import pytest
from paths import ROOT

from tune_jobs.check.explain import explain
from tune_jobs.check.findings import SYMPTOMS, ProbeResult


def test_a_symptom_is_explained_with_its_probe():
    from tune_jobs.check.run_probes import PROBES

    assert {entry.probe for entry in SYMPTOMS.values()} == set(PROBES)
    assert explain("credit_leaks")["measured"]["probe"] == "credit"
    assert explain("zero_reward")["measured"]["probe"] == "rewards"
    assert explain("kl_runaway")["measured"]["probe"] == ""


def test_every_finding_of_a_probe_is_in_the_table():
    emitted: set[str] = set()
    calls = 0
    named = r"^(?:SYMPTOM|STUCK|INVALID) = \"(\w+)\""
    probes = (ROOT / "tune_jobs" / "check").glob("*.py")
    for path in [*probes, *(ROOT / "envs" / "checking").glob("*.py")]:
        source = path.read_text()
        calls += len(re.findall(r"\.add_finding\(", source))
        emitted |= set(re.findall(r"\.add_finding\(\s*\"(\w+)\"", source))
        emitted |= set(re.findall(named, source, re.M))
        emitted |= set(re.findall(r"Violation\(\s*\"(\w+)\"", source))
    assert emitted <= set(SYMPTOMS)
    # What is left are the terms of a loss, whose names are an algorithm's own.
    rest = {name for name in SYMPTOMS if name.endswith("_without_gradient")}
    assert set(SYMPTOMS) - emitted == rest - {"action_part_without_gradient"}
    assert calls > 20


def test_a_finding_takes_its_remedy_from_the_catalogue():
    result = ProbeResult()
    result.add_finding("credit_leaks", "stop", "copy 1 reaches copy 2", since=3)
    (finding,) = result.findings
    assert (finding.symptom, finding.severity, finding.since) == ("credit_leaks", "stop", 3)
    assert finding.remedy == SYMPTOMS["credit_leaks"].remedy


def test_a_finding_that_is_not_in_the_catalogue_is_an_error():
    with pytest.raises(KeyError, match="bad_luck"):
        ProbeResult().add_finding("bad_luck", "warn", "e")
