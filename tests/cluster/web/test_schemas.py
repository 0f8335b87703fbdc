"""What the service accepts as a submission."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from cluster.web.schemas import Submission

ADAPTER = TypeAdapter(Submission)


def test_a_submission_needs_only_what_differs_from_a_preset():
    submission = ADAPTER.validate_python({"preset": "causal", "priority": 5})
    assert (submission.preset, submission.priority, submission.name) == ("causal", 5, None)
    assert submission.job == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"preset": "causal", "priorety": 5},
        {"priority": 1001},
        {"name": "../escape"},
        {"name": ".hidden"},
        {"name": "x" * 65},
        {"name": "ends-in-a-line-break\n"},
        {"job": "cartpole"},
    ],
)
def test_a_submission_out_of_bounds_is_refused(fields: dict[str, Any]):
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(fields)
