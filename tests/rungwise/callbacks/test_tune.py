# pyright: basic
"""The stopper of Tune, on results and in a Tuner."""

import math
import pickle

import pytest
from ray import tune

from rungwise.callbacks.tune import HealthStopper
from rungwise.judging.watch import TimeLimit
from rungwise.validation import InputError


def make_result(i, loss=1.0):
    return {"training_iteration": i, "env_runners": {"episode_return_mean": i}, "policy_loss": loss}


def test_each_trial_is_judged_by_itself():
    stopper = pickle.loads(pickle.dumps(HealthStopper(time_limit=TimeLimit(fraction=1.0))))
    assert not any(stopper(trial, make_result(i)) for i in range(1, 20) for trial in "ab")
    assert stopper("a", make_result(20, math.nan)) and not stopper("b", make_result(20))
    assert stopper.watches["a"].verdict == "stop" and stopper.watches["b"].verdict == "healthy"
    assert not stopper.stop_all()


def test_all_trials_share_the_time_for_judging():
    stopper = HealthStopper()
    for trial in "ab":
        stopper(trial, make_result(1))
    assert stopper.watches["a"]._time_limit is stopper.watches["b"]._time_limit


def test_wrong_options_are_refused_before_a_trial_starts():
    with pytest.raises(InputError, match="did you mean no_success"):
        HealthStopper(health={"no_sucess": "off"})


def measure(config):
    for i in range(1, 31):
        loss = math.nan if config["fault"] and i >= 5 else 1.0
        tune.report(make_result(i, loss))


@pytest.mark.system
def test_a_tuner_ends_the_trial_with_a_fault_alone(local_ray, tmp_path):
    stopper = HealthStopper(time_limit=TimeLimit(fraction=1.0))
    tuner = tune.Tuner(
        measure,
        param_space={"fault": tune.grid_search([False, True])},
        run_config=tune.RunConfig(stop=stopper, storage_path=str(tmp_path), verbose=0),
    )
    results = tuner.fit()
    assert [(result.metrics or {})["training_iteration"] for result in results] == [30, 5]
    assert sorted(w.verdict for w in stopper.watches.values()) == ["healthy", "stop"]
