# pyright: basic
import math

import pytest
from sessions import make_result, make_session


@pytest.fixture
def report(tmp_path):
    """Report these scores, one an iteration; the rows up to the end of the trial."""

    def report(scores, **changed):
        rows = []
        session = make_session(tmp_path, rows.append, **changed)
        for i, score in enumerate(scores, 1):
            metrics = {} if math.isnan(score) else {"return_mean": score}
            if session.stopper("00", make_result("00", i, score, metrics)):
                break
        return rows

    return report
