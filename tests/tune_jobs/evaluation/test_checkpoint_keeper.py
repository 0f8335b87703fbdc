# pyright: basic
"""Which checkpoint of a trial is its result, and that it stays on disk whatever Tune deletes."""

import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from synthetic_sweep import job_row

from rungwise.run_log.events import CheckpointRow, ExploitRow, ResultRow, TrialRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.evaluation import checkpoint_keeper
from tune_jobs.evaluation.best_checkpoint import find_best_checkpoint
from tune_jobs.evaluation.checkpoint_keeper import CheckpointChoice, CheckpointKeeper
from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.session.remaining_work import find_remaining_work

RISES, FALLS = [100.0, 300.0, 500.0, 500.0], [500.0, 200.0, 100.0]


class Driver:
    """Writes rows as a session does, and deletes checkpoints as Tune does."""

    def __init__(self, directory, rows=(), session="s0"):
        job = replace(load_job("cartpole"), metric="return_mean", mode="max")
        self.directory, self.session = directory, session
        self.rows = list(rows) or [
            job_row(mode="max", keep="best"),
            TrialRow(trial="00", config={}),
        ]
        self.keeper = CheckpointKeeper(job, directory, rows)
        self.on_disk = []

    def write(self, row):
        self.rows.append(row)
        self.keeper.observe(row)

    def measure(self, iteration, value):
        metrics = {"return_mean": value, "episodes": 30, "return_std": 5.0}
        self.write(
            ResultRow(
                trial="00", iteration=iteration, score=value, seconds=1.0, env_steps=1,
                metrics=metrics,
            )
        )  # fmt: skip

    def save(self, iteration, keep=2, policy=""):
        path = f"{self.session}/00/checkpoint_{policy or iteration}"
        save(self.directory / path, policy or iteration)
        row = self.keeper.make_row("00", iteration, path)
        self.write(row)
        self.keeper.delete_old_copies(row)
        self.on_disk.append(path)
        for old in self.on_disk[:-keep]:
            shutil.rmtree(self.directory / old, ignore_errors=True)

    def train(self, values, start, policy=""):
        for iteration, value in enumerate(values, start):
            self.measure(iteration, value)
            self.save(iteration, policy=policy and f"{policy}{iteration}")

    @property
    def outcome(self):
        return Outcome.from_rows(self.rows).trials[0]

    def read_result(self):
        return int((self.directory / self.outcome.checkpoint / "policy").read_text())


def save(path, iteration):
    path.mkdir(parents=True)
    (path / "policy").write_text(str(iteration))


def test_the_best_is_the_result_after_a_fall(tmp_path):
    driver = Driver(tmp_path)
    driver.train(RISES + FALLS, 1)
    trial = driver.outcome
    assert (driver.read_result(), trial.checkpoint_iteration) == (4, 4)
    assert (trial.result_score, trial.finite_score) == (500.0, 100.0)
    # The two that Tune keeps, and one more.
    assert len(list((tmp_path / "s0/00").iterdir())) == 3


def test_the_last_is_the_result_of_a_run_that_rises(tmp_path):
    driver = Driver(tmp_path)
    driver.train(RISES, 1)
    assert (driver.read_result(), driver.outcome.checkpoint_score) == (4, None)
    assert driver.outcome.checkpoint == "s0/00/checkpoint_4"


@pytest.mark.parametrize("done", range(1, 7))
def test_the_best_survives_the_end_of_its_session(tmp_path, done):
    values = RISES + FALLS
    first = Driver(tmp_path)
    first.train(values[:done], 1)
    resumed = Driver(tmp_path, first.rows, "s1")
    resumed.train(values[done:], done + 1)
    assert resumed.read_result() == 4


def test_a_resume_continues_from_the_last_and_not_the_best(tmp_path, monkeypatch):
    monkeypatch.setattr("algos.checkpoint.verify_checkpoint", lambda path: None)
    driver = Driver(tmp_path)
    driver.train(RISES + FALLS, 1)
    (plan,) = find_remaining_work(tmp_path, driver.rows).plans
    assert plan.resume_from.endswith("checkpoint_7")
    found = find_best_checkpoint(tmp_path, driver.outcome)
    assert found and found.name == "best_000004"


def test_a_copy_is_complete_before_a_row_names_it(tmp_path):
    driver = Driver(tmp_path)
    for iteration, value in enumerate(RISES + FALLS, 1):
        driver.train([value], iteration)
        row = driver.rows[-1]
        assert isinstance(row, CheckpointRow) and (tmp_path / row.best / "policy").is_file()


def test_a_copy_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    driver = Driver(tmp_path)
    driver.train(RISES, 1)

    def fail(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_keeper.shutil, "copytree", fail)
    driver.train(FALLS, 5)
    assert driver.read_result() == 3
    assert not list(tmp_path.rglob(".best*"))


def test_without_links_files_are_copied(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(95, "not supported")

    monkeypatch.setattr(checkpoint_keeper.os, "link", refuse)
    driver = Driver(tmp_path)
    driver.train(RISES + FALLS, 1)
    assert driver.read_result() == 4


@pytest.mark.parametrize(
    ("before", "after", "result"), [([100.0] * 5, 480.0, 7), ([*RISES, 500.0], 50.0, 4)]
)
def test_an_exploit_leaves_a_trial_its_own_best(tmp_path, before, after, result):
    """The donor's scores are not those of the policy that the trial had before."""
    driver = Driver(tmp_path)
    driver.train(before, 1)
    save(tmp_path / "s0/01/checkpoint_5", 5)
    exploit = {"before": {}, "donated": {}, "after": {}, "donor_score": 480.0, "score": 100.0}
    path = "s0/01/checkpoint_5"
    driver.write(ExploitRow(trial="00", iteration=5, donor="01", checkpoint=path, **exploit))
    driver.write(CheckpointRow(trial="00", iteration=5, path=path, best=path, best_iteration=5))
    assert driver.outcome.checkpoint == path
    driver.train([after, after], 6)
    assert driver.read_result() == result


def exploit(directory, iteration):
    """The rows of a policy that is taken over."""
    path = f"s0/01/checkpoint_{iteration}"
    save(directory / path, iteration)
    changed = {"before": {}, "donated": {}, "after": {}, "donor_score": 480.0, "score": 100.0}
    row = ExploitRow(trial="00", iteration=iteration, donor="01", checkpoint=path, **changed)
    best = {"best": path, "best_iteration": iteration}
    return [row, CheckpointRow(trial="00", iteration=iteration, path=path, **best)]


@pytest.mark.parametrize("result_first", [True, False])
@pytest.mark.parametrize("is_resumed", [True, False])
def test_the_first_result_after_an_exploit_rates_its_policy(tmp_path, result_first, is_resumed):
    driver = Driver(tmp_path)
    driver.train([10.0] * 5, 1)
    taken = [lambda: [driver.write(row) for row in exploit(tmp_path, 5)]]
    steps = [lambda: driver.measure(6, 500.0), *taken]
    for step in steps if result_first else reversed(steps):
        step()
    if is_resumed:
        driver = Driver(tmp_path, driver.rows, "s1")
    driver.save(6)
    row = driver.rows[-1]
    assert (row.best, row.best_score) == (row.path, 500.0)
    assert driver.outcome.config == {} and len(driver.outcome.exploits) == 1


def test_a_repeated_iteration_has_a_copy_of_its_own(tmp_path):
    driver = Driver(tmp_path)
    driver.train([10.0, 20.0, 20.0, 10.0], 1, "first")
    # The checkpoints 2, 3 and 4 are damaged: the trial continues from the first one.
    driver.train([300.0, 500.0, 1.0], 2, "second")
    trial = driver.outcome
    policy = (tmp_path / trial.checkpoint / "policy").read_text()
    assert (policy, trial.result_score) == ("second2", 500.0)
    again = Driver(tmp_path, driver.rows, "s1")
    again.train([1.0], 5)
    assert again.outcome.checkpoint == trial.checkpoint


def choose(
    values, interval=5, metric="return_mean", mode="max", std=5.0, episodes=20, min_delta=0.01
):
    """Return the iteration of the result after each checkpoint of a run with these values."""
    choice, results, kept = CheckpointChoice(metric, mode, min_delta), [], None
    for iteration, value in enumerate(values, 1):
        metrics = {} if value is None else {metric: value, "episodes": episodes, "return_std": std}
        if value is not None and math.isnan(value):
            metrics = {"nonfinite": 1}
        choice.add_result(iteration, metrics)
        if iteration % interval == 0:
            rating = choice.rate_previous(iteration)
            if rating and choice.is_good_enough(rating):
                kept = choice.newest
            choice.set_newest(iteration, "")
            good = choice.is_good_enough(choice.rate_newest(iteration))
            results.append(iteration if good or kept is None else kept[0])
    return results


RISE = [*np.linspace(20, 480, 25), *[500.0] * 10]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_fall_at_the_end_leaves_the_checkpoint_before_it(sign):
    values = [*RISE, *np.linspace(480, 250, 10)]
    mode = "max" if sign == 1 else "min"
    results = choose([sign * value for value in values], mode=mode)
    assert results == [5, 10, 15, 20, 25, 30, 35, 30, 30]


def test_the_checkpoint_just_before_a_collapse_is_not_the_result():
    # The scores up to iteration 35 are the best there are, and its last update broke the policy.
    assert choose([*RISE, *[30.0] * 5])[-1] == 30


def test_a_run_that_recovers_ends_with_its_last_checkpoint():
    results = choose([*RISE, *[200.0] * 10, *[500.0] * 10])
    assert (results[8], results[-1]) == (30, 55)


def test_noise_around_a_plateau_leaves_the_newest_checkpoint():
    noise = np.random.default_rng(0)
    newest = 0
    for _ in range(50):
        values = [*RISE[:25], *(480 + noise.normal(0, 60 / 20**0.5, 35))]
        newest += choose(values, std=60.0)[-1] == 60
    assert newest >= 40


def test_a_difference_that_does_not_count_leaves_the_newest():
    values = [*RISE, *[499.0] * 10]
    assert choose(values, std=0.0)[-1] == 45
    assert choose(values, std=0.0, min_delta=0.001)[-1] == 30


def test_a_diverged_policy_is_no_result():
    assert choose([*RISE, *[math.nan] * 5])[-1] == 35


def test_without_any_measurement_the_newest_is_the_result():
    assert choose([None] * 15) == [5, 10, 15]


def test_held_out_scores_belong_to_the_policy_of_their_iteration():
    values: list[float | None] = [None] * 40
    values[9], values[19], values[29], values[39] = 1.0, 9.0, 5.0, 4.0
    assert choose(values, metric="held_out_return_mean")[-1] == 20


def test_iterations_that_a_restart_repeats_replace_the_earlier_ones():
    choice = CheckpointChoice("return_mean", "max", 0.01)
    choice.set_newest(1, "")
    for iteration, value in [(2, 900.0), (3, 900.0), (2, 10.0), (3, 10.0)]:
        choice.add_result(iteration, {"return_mean": value, "episodes": 50})
    rating = choice.rate_previous(3)
    assert rating and rating.mean == 10.0


def test_few_episodes_are_rated_together_with_those_before():
    choice = CheckpointChoice("return_mean", "max", 0.01)
    for iteration in range(1, 11):
        choice.add_result(iteration, {"return_mean": float(iteration), "episodes": 4})
    rating = choice.rate_newest(10)
    assert rating and rating.mean == 8.0  # 20 episodes: the last five iterations
