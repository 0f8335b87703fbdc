# pyright: basic
"""A sweep of random settings whose scores a test computes from them."""

import numpy as np
from synthetic_sweep import job_row, result

from rungwise.run_log.events import TrialRow
from rungwise.run_log.outcome import Outcome


def sweep(score, trials=48, searched=("lr", "clip", "activation")):
    """Trials of random settings, with these scores at their first rung."""
    rng = np.random.default_rng(0)
    rows = [job_row(trials=trials, searched=list(searched))]
    for place in range(trials):
        name = f"{place:02d}"
        lr, clip = float(10 ** rng.uniform(-5, -2)), float(rng.uniform(0.1, 0.4))
        config = {"lr": lr, "clip": clip, "activation": str(rng.choice(["tanh", "relu"]))}
        rows += [TrialRow(trial=name, config=config), result(name, 3, score(config, rng))]
    return Outcome.from_rows(rows)
