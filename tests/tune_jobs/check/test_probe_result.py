"""The result of one probe."""

import pytest

from tune_jobs.check.findings_catalogue import SYMPTOMS
from tune_jobs.check.probe_result import ProbeResult


def test_a_finding_takes_its_remedy_from_the_catalogue():
    result = ProbeResult()
    result.add_finding("credit_leaks", "stop", "copy 1 reaches copy 2", since=3)
    (finding,) = result.findings
    assert (finding.symptom, finding.severity, finding.since) == ("credit_leaks", "stop", 3)
    assert finding.remedy == SYMPTOMS["credit_leaks"].remedy


def test_a_finding_that_is_not_in_the_catalogue_is_an_error():
    with pytest.raises(KeyError, match="bad_luck"):
        ProbeResult().add_finding("bad_luck", "warn", "e")
