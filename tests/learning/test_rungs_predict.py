# pyright: basic
"""A sweep warns where all trials fail alike at its first rung, and not where that rung predicts."""

import pytest
from command_line import answer, rungwise
from paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CARTPOLE = ROOT / "tests" / "benchmarks" / "sweep_cartpole.yaml"
MOUNTAIN_CAR = ("--env", "MountainCar-v0", "--search.lr", "{loguniform: [1e-4, 1e-2]}")


@pytest.mark.parametrize(
    ("job", "warning"),
    [
        ([CARTPOLE, "--grace", 5, "--iterations", 27], ""),
        # No trial has reached the flag by then.
        ([*MOUNTAIN_CAR, "--grace", 3, "--iterations", 12], "uninformative_rungs"),
    ],
    ids=["CartPole", "MountainCar"],
)
def test_a_sweep_says_if_its_rungs_were_informative(job, warning, training_seed, tmp_path):
    done = rungwise(
        *("tune", *job, "--scheduler", "asha", "--trials", 27, "--seed", training_seed),
        *("--evaluation-episodes", 0, "--out", "run", "--json"),
        cwd=tmp_path,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr
    agreement = answer(done)["rung_agreement"]
    print(f"\nseed {training_seed}: {agreement}")
    assert agreement["warning"] == warning
