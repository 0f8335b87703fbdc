# pyright: basic, reportOptionalMemberAccess=false
"""The Python API, used as in a script."""

import subprocess
import sys

import pytest

import rungwise
from rungwise.run_log.events import ResultRow
from rungwise.validation import InputError

pytestmark = pytest.mark.system

SCRIPT = """
import rungwise
from algos.ppo import PPOSettings

job = rungwise.Job(
    env="CartPole-v1",
    settings=PPOSettings(num_envs=4, rollout_length=64, minibatch_size=64, hidden=(8,)),
    search={"lr": rungwise.Space("loguniform", (1e-4, 1e-2))},
    trials=2,
    iterations=2,
    grace=1,
    evaluation_episodes=4,
)
outcome = rungwise.run(job, out="sweep", cpus=1)
print(outcome.best.id, outcome.end.reason, len(outcome.trials))
again = rungwise.resume("sweep", cpus=1)
print(again.iterations_run == outcome.iterations_run)
print(sorted(rungwise.doctor(__import__("pathlib").Path("sweep"))))
"""


def test_a_script_tunes_resumes_and_diagnoses(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, resumed, answer = done.stdout.splitlines()[-3:]
    assert first.split()[1:] == ["done", "2"]
    assert resumed == "True", "finished trials do not run again"
    assert "findings" in answer
    assert (tmp_path / "sweep" / "report.html").is_file()


@pytest.mark.usefixtures("local_ray")
def test_an_initialised_ray_is_used_and_left_running(tmp_path):
    import ray

    rows = []
    job = rungwise.load_job("cartpole")
    settings = {"num_envs": 4, "rollout_length": 64, "minibatch_size": 64, "hidden": (8,)}
    job = rungwise.Job(
        env=job.env, settings=type(job.settings)(**settings), iterations=1, evaluation_episodes=0
    )
    outcome = rungwise.run(job, tmp_path / "run", cpus=1, on_row=rows.append)
    assert ray.is_initialized()
    assert outcome.trials[0].end_reason == "budget"
    assert sum(isinstance(row, ResultRow) for row in rows) == 1


def test_a_job_in_python_has_the_defaults_of_its_algorithm():
    job = rungwise.Job(env="CausalLearning-v0", algo="grpo")
    assert job.env == "envs:CausalLearning-v0"
    assert type(job.settings).__name__ == "GRPOSettings"


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("loguniform", (0.0, 1.0), "above zero"),
        ("uniform", (1.0,), "needs two numbers"),
        ("logunifrom", (1e-4, 1e-2), "did you mean loguniform"),
        ("choice", (), "needs values"),
    ],
)
def test_a_space_made_in_python_is_checked(kind, values, message):
    with pytest.raises(InputError, match=message):
        rungwise.Job(env="CartPole-v1", search={"lr": rungwise.Space(kind, values)})
