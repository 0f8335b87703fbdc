"""Seeds of the agents and programs of a job."""

import itertools

from tune_jobs.jobs.seeds import derive_trial_seed


def test_every_agent_of_every_trial_has_a_seed_below_2_to_the_31():
    jobs = (0, 1, 4_294_968, 20261124, 2**30 - 1)
    seeds = [
        derive_trial_seed(*parts) for parts in itertools.product(jobs, (0, 7, 1000), (0, 1, 2))
    ]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 0 and max(seeds) < 2**31
    assert derive_trial_seed(3, 1, 2) == derive_trial_seed(3, 1, 2)
