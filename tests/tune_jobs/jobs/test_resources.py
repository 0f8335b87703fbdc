# pyright: basic
"""CPUs and GPUs that a trial reserves."""

import pytest

from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.jobs.resources import check_resources, describe_missing_cuda, list_bundles


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"settings": {"num_env_runners": 2}}, "hold 3 CPUs, but this machine offers 2"),
        ({"settings": {"num_learners": 1}, "cpus_per_trial": 1.5}, "hold 2.5 CPUs"),
        (
            {"gpus_per_trial": 0.5},
            "hold 0.5 GPUs, but this machine offers 0: torch .* finds no GPU",
        ),
    ],
)
def test_a_trial_that_this_machine_can_never_hold_is_refused(fields, said, monkeypatch):
    set_cuda(monkeypatch, built=True, available=False)
    with pytest.raises(InputError, match=said):
        check_resources(make_job({"env": "CartPole-v1"} | fields), 2)


@pytest.mark.parametrize(
    ("gpus", "settings", "held"),
    [
        (0.5, {}, [0.5]),
        (0.5, {"num_env_runners": 2}, [0.5, 0, 0]),
        (1, {"num_env_runners": 2, "acting_device": "gpu"}, [0.3333] * 3),
        (1, {"num_env_runners": 6, "acting_device": "gpu"}, [0.1428] * 7),
        (1, {"num_env_runners": 1, "model": "lm"}, [0.5, 0.5]),
        (1, {"num_env_runners": 1, "model": "lm", "acting_device": "cpu"}, [1, 0]),
        (2, {"num_learners": 2}, [0, 1, 1]),
        (2, {"num_learners": 1, "model": "lm"}, [1, 1]),
        (2, {"num_learners": 1, "num_env_runners": 1, "model": "lm"}, [0, 1, 1]),
        (0, {"num_env_runners": 1, "model": "lm"}, [0, 0]),
    ],
)
def test_gpus_are_held_by_what_learns_and_what_acts_on_one(gpus, settings, held):
    job = make_job({"env": "CartPole-v1", "gpus_per_trial": gpus, "settings": settings})
    bundles = list_bundles(job)
    assert [bundle.get("GPU", 0) for bundle in bundles] == held
    assert sum(bundle.get("GPU", 0) for bundle in bundles) <= gpus


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"gpus_per_trial": 2}, "gpus_per_trial is 2, but .* set gpus_per_trial to at most 1"),
        (
            {"gpus_per_trial": 1, "settings": {"num_learners": 2}},
            "learners needs a GPU of its own .* set it to 2, or num_learners to 0",
        ),
        (
            {"gpus_per_trial": 2, "settings": {"num_learners": 2, "model": "lm"}},
            "2 for 3 processes: set it to 3, acting_device to cpu, or",
        ),
        (
            {
                "gpus_per_trial": 2,
                "settings": {"num_env_runners": 2, "acting_device": "gpu"},
            },
            "3 processes .* share 2 GPUs, 0.667 each, .* set gpus_per_trial to 1 or 3",
        ),
        ({"settings": {"acting_device": "gpu"}}, "but gpus_per_trial is 0"),
    ],
)
def test_parts_of_gpus_that_no_process_could_hold_are_refused(fields, said):
    with pytest.raises(InputError, match=said):
        make_job({"env": "CartPole-v1"} | fields)


def set_cuda(monkeypatch, built, available):
    monkeypatch.setattr("torch.backends.cuda.is_built", lambda: built)
    monkeypatch.setattr("torch.cuda.is_available", lambda: available)
    monkeypatch.setattr("torch.cuda.device_count", lambda: int(available))


def test_why_torch_cannot_use_a_gpu(monkeypatch):
    set_cuda(monkeypatch, built=False, available=False)
    assert "was built without CUDA" in describe_missing_cuda(this_process=False)
    set_cuda(monkeypatch, built=True, available=False)
    assert "finds no GPU" in describe_missing_cuda()
    assert describe_missing_cuda(this_process=False) == "", "the GPU may be on another machine"
    set_cuda(monkeypatch, built=True, available=True)
    assert describe_missing_cuda() == ""
