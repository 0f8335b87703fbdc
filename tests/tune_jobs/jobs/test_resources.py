# pyright: basic
"""CPUs and GPUs that a trial reserves."""

import pytest

from envs.validation import InputError
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.jobs.resources import check_resources, list_bundles


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"settings": {"num_env_runners": 2}}, "hold 3 CPUs, but this machine offers 2"),
        ({"settings": {"num_learners": 1}, "cpus_per_trial": 1.5}, "hold 2.5 CPUs"),
        ({"gpus_per_trial": 0.5}, "hold 0.5 GPUs, but this machine offers 0: set --gpus-per-trial"),
    ],
)
def test_a_trial_that_this_machine_can_never_hold_is_refused(fields, said, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(InputError, match=said):
        check_resources(make_job({"env": "CartPole-v1"} | fields), 2)


@pytest.mark.parametrize(("learners", "held"), [(0, [0.5]), (2, [0, 0.25, 0.25])])
def test_gpus_are_held_by_what_learns(learners, held):
    fields = {"gpus_per_trial": 0.5, "settings": {"num_learners": learners}}
    held_by = list_bundles(make_job({"env": "CartPole-v1"} | fields))
    assert [bundle.get("GPU", 0) for bundle in held_by] == held
