"""Seeds of the agents and programs of a job."""

from __future__ import annotations

import numpy as np


def derive_trial_seed(seed: int, trial: int, agent: int = 0) -> int:
    """Return the seed on which an agent of a trial is trained.

    A hash and no sum: sums overlap (trial 1000 of one job with trial 0 of the next), and for a seed
    such as the date they exceed the 32 bits that NumPy takes. 31 bits, so that libraries with
    signed seeds take it, too.

    Args:
        seed: of the job.
        trial: number of the trial, not its place in the order of starts: a resume and a machine
            with more CPUs train each trial on the same seed.
        agent: which of the trial's agents.
    """
    return int(np.random.SeedSequence([seed, trial, agent]).generate_state(1)[0] >> 1)
