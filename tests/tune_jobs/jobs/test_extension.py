# pyright: basic
"""The job of a run that is extended."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.validation import InputError
from tune_jobs.jobs.extension import extend_job
from tune_jobs.jobs.job_yaml import dump_job, make_job, parse_job
from tune_jobs.jobs.trials import add_default_point, derive_trial_seed, get_trial_number

LR = {"loguniform": [1e-4, 1e-2]}
SWEEP = {"env": "CartPole-v1", "iterations": 20, "trials": 8, "search": {"lr": LR}}
PROGRAM = {
    "command": "python t.py {lr} {out}",
    "progress": "step",
    "budget": 10,
    "trials": 4,
    "search": {"lr": LR},
}


def list_trials(job, known=()):
    """Settings and seed of each trial, by id."""
    return {
        trial: (config, derive_trial_seed(job.seed, get_trial_number(trial)))
        for trial, config in zip(job.name_trials(known), job.sample_configs(), strict=True)
    }


@settings(max_examples=40, derandomize=True)
@given(st.integers(2, 50), st.integers(0, 60), st.integers(0, 60), st.integers(20, 60))
def test_a_run_extended_to_a_fresh_one_has_its_trials(few, more, even_more, iterations):
    job = add_default_point(make_job(SWEEP | {"trials": few}))
    most = few + more + even_more
    fields = {"trials": most, "iterations": iterations}
    once = extend_job(job, fields)
    assert extend_job(once, fields) == once, "twice is once"
    assert extend_job(extend_job(job, {"trials": few + more}), fields) == once
    assert parse_job(dump_job(once), "again") == once
    fresh = add_default_point(make_job(SWEEP | {"trials": most, "iterations": iterations}))
    known = list_trials(job)
    extended = list_trials(once, known)
    assert list(extended.values()) == list(list_trials(fresh).values())
    begun = {trial: about for trial, about in extended.items() if trial in known}
    assert begun == {trial: about for trial, about in known.items() if trial in extended}
    assert begun or few >= 40, "only repeats take the place of settings"


@pytest.mark.parametrize(
    ("about", "fields", "rungs", "length"),
    [
        ({}, {"iterations": 80}, [5, 10, 20, 40], 0),
        ({}, {"trials": 16}, [5, 10], 0),
        ({"iterations": 0, "steps": 60_000}, {"steps": 480_000}, [12, 24, 48, 96, 192, 384], 128),
        ({"iterations": 0, "steps": 60_000}, {"iterations": 100}, [12, 24, 48, 96], 128),
        ({"brackets": 2}, {"iterations": 80}, [5, 10, 20, 40], 0),
        ({"trials": 1, "search": {}, "scheduler": "none"}, {"iterations": 80}, [], 0),
    ],
)
def test_rungs_and_rollouts_stay_as_they_were(about, fields, rungs, length):
    job = make_job(SWEEP | about)
    extended = extend_job(job, fields)
    assert extended.rungs == rungs and rungs[: len(job.rungs)] == job.rungs
    assert vars(extended.settings)["rollout_length"] == length
    assert extended.training.rollout_length == job.training.rollout_length
    assert extend_job(extended, fields) == extended


@pytest.mark.parametrize("fields", [{"iterations": 100}, {"steps": 400_000}])
def test_an_iteration_of_rllib_has_the_steps_it_had(fields):
    about = {"algo": "rllib/PPO", "iterations": 0, "steps": 200_000}
    extended = extend_job(make_job(SWEEP | about), fields)
    assert (extended.iterations, extended.steps) == (100, 400_000)


def test_trials_that_join_have_other_spaces():
    job = make_job(SWEEP)
    fields = {"trials": 10, "search": {"lr": {"loguniform": [0.1, 0.2]}}}
    extended = extend_job(job, fields)
    assert all(config["lr"] >= 0.1 for config in extended.sample_configs()[8:])
    assert extend_job(extended, fields) == extended


@pytest.mark.parametrize(
    ("about", "fields", "sentence"),
    [
        (SWEEP, {"seed": 3}, "extended by seed 3: .*job.yaml --seed 3"),
        (SWEEP, {"env": "Acrobot-v1"}, "extended by env Acrobot-v1: its trials would not be comp"),
        (SWEEP, {"metric": "success_rate"}, "extended by metric success_rate"),
        (SWEEP, {"settings.lr": "1"}, "settings.lr 1.*--settings.lr 1"),
        (SWEEP, {"trails": 3}, "no field 'trails'.*did you mean trials"),
        (SWEEP, {"trials": "many"}, "trials must be a whole number, but it is 'many'"),
        (SWEEP, {"iterations": 0}, "iterations must be at least 1, but it is 0"),
        (SWEEP, {"trials": 10**9}, "trials must be in .*but it is 1000000000"),
        (SWEEP, {"iterations": 30, "steps": 10**6}, "give one of them"),
        (SWEEP, {"search": {"clip": LR}}, "no searched field 'clip' in this run"),
        (SWEEP, {"search": {"lr": {"uniform": [0, 1]}}}, "give --trials, too, above 8"),
        (
            SWEEP | {"searcher": "grid"},
            {"trials": 16},
            "--trials cannot .* searcher grid, whose .* \\(now 8\\)",
        ),
        (SWEEP | {"scheduler": "pbt"}, {"trials": 16}, "scheduler pbt, whose 8 trials"),
        (
            SWEEP | {"algo": "rllib/PPO"},
            {"steps": 10**6},
            "whose steps are up to rllib/PPO",
        ),
        (SWEEP | {"search": {}, "trials": 1}, {"trials": 2}, "2 trials need something to search"),
        (PROGRAM, {"iterations": 200}, "whose length is up to their command"),
        (
            SWEEP | {"searcher": "optuna"},
            {"trials": 16, "search": {"lr": {"uniform": [0.1, 0.2]}}},
            "searcher optuna, which has learnt from the spaces",
        ),
    ],
)
def test_what_cannot_change_is_refused_in_a_sentence(about, fields, sentence):
    with pytest.raises(InputError, match=sentence) as refused:
        extend_job(make_job(about), fields)
    assert "\n" not in str(refused.value)


def test_programs_and_populations_are_extended_where_they_can():
    assert extend_job(make_job(PROGRAM), {"trials": 9}).trials == 9
    assert extend_job(make_job(SWEEP | {"scheduler": "pbt"}), {"iterations": 40}).iterations == 40
