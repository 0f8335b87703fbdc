# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
# pyright: reportOperatorIssue=false, reportArgumentType=false
"""Population based training: what is taken over, what is told of it, and what a resume knows."""

import json
import math
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import answer, rungwise
from hypothesis import given, settings
from hypothesis import strategies as st
from populations import make_exploit, make_population_rows
from ray import tune
from sessions import make_result

from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import CheckpointRow, ExploitRow, ResultRow
from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.jobs.search_space import Space, perturb_config
from tune_jobs.schedulers import pbt as pbt_module
from tune_jobs.schedulers.pbt import RecordedPBT
from tune_jobs.session.remaining_work import find_remaining_work

SPACES = {
    "lr": Space("loguniform", (1e-4, 1e-2)),
    "clip": Space("uniform", (0.1, 0.4)),
    "epochs": Space("int", (2, 8)),
    "activation": Space("choice", ("tanh", "relu", "elu")),
}


@settings(max_examples=60, derandomize=True)
@given(st.integers(0, 10**6))
def test_what_is_explored_stays_in_its_space(seed):
    drawn = {"lr": 1e-2, "clip": 0.1, "epochs": 8, "activation": "elu"}
    after = perturb_config(SPACES, drawn, np.random.default_rng(seed))
    assert 1e-4 <= after["lr"] <= 1e-2 and 0.1 <= after["clip"] <= 0.4
    assert 2 <= after["epochs"] <= 8 and isinstance(after["epochs"], int)
    assert after["activation"] in ("tanh", "relu", "elu")


def test_three_times_in_four_a_number_changes_by_a_fifth():
    drawn = {"lr": 1e-3, "clip": 0.2, "epochs": 4, "activation": "relu"}
    rng = np.random.default_rng(0)
    found = [perturb_config(SPACES, drawn, rng) for _ in range(400)]
    near = sum(a["lr"] in (8e-4, 1.2e-3) for a in found) / 400
    assert 0.65 < near < 0.85
    assert {a["epochs"] for a in found} >= {3, 5}


def test_a_list_of_a_resumed_population_is_a_choice_of_the_job():
    space = Space("choice", ((0.0, 1.0), (0.0, 2.0)))
    after = perturb_config({"x": space}, {"x": [0.0, 1.0]}, np.random.default_rng(1))
    assert after["x"] in space.values


CHOICES = {"hidden": [[8], [16]], "temperature_schedule": ["constant", "linear"]}


@pytest.mark.parametrize("name", [*CHOICES, "num_envs", "env.rows"])
def test_population_cannot_search_settings_of_construction(name):
    space = {"choice": CHOICES[name]} if name in CHOICES else {"int": [4, 8]}
    with pytest.raises(InputError, match=f"cannot change {name} in the middle"):
        make_job({"env": "CartPole-v1", "scheduler": "pbt", "trials": 4, "search": {name: space}})


def test_population_cannot_search_what_v_star_was_estimated_with():
    job = {"env": "envs:Shopping-v0", "algo": "astar_po", "scheduler": "pbt", "trials": 4}
    with pytest.raises(InputError, match="cannot change gamma in the middle"):
        make_job(job | {"search": {"gamma": {"uniform": [0.9, 1.0]}}})


def test_a_resume_goes_on_with_the_changed_settings(tmp_path):
    left = find_remaining_work(tmp_path, make_population_rows())
    assert {plan.trial: plan.config["lr"] for plan in left.plans} == {
        "00": 0.01,
        "01": 0.0012,
        "02": 0.0012,
    }


def make_pbt(directory, earlier=(), **fields):
    """The scheduler of a population that searches the learning rate."""
    about = {"env": "CartPole-v1", "scheduler": "pbt", "trials": 4}
    search = {"lr": {"loguniform": [1e-4, 1e-2]}}
    return RecordedPBT(make_job(about | {"search": search} | fields), directory, earlier)


def make_member(name):
    """A trial of a population, as Tune's scheduler sees it."""
    plan = {"trial": name, "config": {"lr": 1e-3}, "resume_from": "old"}
    attributes = {"name": name, "config": {"plan": plan}, "is_finished": lambda self: False}
    return type("Member", (), attributes)()


@pytest.mark.parametrize("mode", ["max", "min"])
def test_an_undecided_member_is_neither_donor_nor_replaced(tmp_path, mode):
    sign, pbt = 1 if mode == "max" else -1, make_pbt(tmp_path, trials=5, mode=mode)
    members = [make_member(f"{i:02d}") for i in range(5)]
    for trial in members:
        pbt._trial_state[trial] = SimpleNamespace(last_score=None)

    def compare(iteration, scores):
        for trial, score in zip(members, scores, strict=True):
            pbt._curves[trial.name].add(iteration, score and sign * score, {}, pbt._noise)
            result = {"iteration": iteration}
            pbt._save_trial_state(pbt._trial_state[trial], iteration, result, trial)
        lower, upper = pbt._quantiles()
        return [trial.name for trial in lower], [trial.name for trial in upper]

    # 04 has diverged, and 02 has no score.
    assert compare(3, [1.0, 2.0, None, 4.0, math.nan]) == (["04"], ["03"])
    # Between two measurements the last one counts.
    assert compare(4, [None] * 5) == (["04"], ["03"])
    assert compare(6, [9.0, 2.0, 1.0, 4.0, 3.0]) == (["02", "01"], ["03", "00"])


@pytest.mark.parametrize(
    ("score", "std", "replaced"),
    [
        (9.0, 0.0, True),
        (10.0, 0.0, False),  # a tie
        (9.0, 9.0, False),  # standard errors of 0.9 each
        (9.0, 5.0, True),
    ],
)
def test_a_member_within_the_noise_of_its_donor_keeps_its_weights(tmp_path, score, std, replaced):
    pbt = make_pbt(tmp_path, metric="return_mean", mode="max")
    for name, value in (("00", score), ("01", 10.0)):
        trial = make_member(name)
        state = pbt._trial_state[trial] = SimpleNamespace(last_score=None)
        metrics = {"return_mean": value, "return_std": std, "episodes": 101}
        pbt._curves[name].add(3, value, metrics, pbt._noise)
        pbt._save_trial_state(state, 3, {"iteration": 3}, trial)
    lower, upper = pbt._quantiles()
    assert ([trial.name for trial in lower] == ["00"]) is replaced
    assert len(upper) == 1


def drive_population(pbt, scores, reached, iterations):
    """Run members one at a time to the same iteration; return the ages compared at each round.

    A member whose score is None ends in place of its first result.
    """
    members, rounds = [make_member(name) for name in scores], []
    driver = SimpleNamespace(get_trials=lambda: members, search_alg=None)
    driver.get_live_trials = lambda: {t for t in members if t.status != "TERMINATED"}
    pbt._checkpoint_or_exploit = lambda *arguments: None
    compare = pbt._quantiles

    def record():
        live = driver.get_live_trials()
        rounds.append([pbt._trial_state[trial].last_train_time for trial in live])
        return compare()

    pbt._quantiles, ages = record, dict(zip(scores, reached, strict=True))
    for trial in members:
        trial.status, trial.experiment_tag = "PENDING", ""
        trial.run_metadata = SimpleNamespace(checkpoint_manager=SimpleNamespace())
        trial.run_metadata.checkpoint_manager.checkpoint_config = SimpleNamespace(num_to_keep=4)
        pbt.on_trial_add(driver, trial)
    while any(ages[trial.name] < iterations for trial in driver.get_live_trials()):
        trial = pbt.choose_trial_to_run(driver)
        assert trial is not None, f"all members wait after the rounds {rounds}"
        trial.status, decision = "RUNNING", "CONTINUE"
        while decision == "CONTINUE" and trial.status == "RUNNING":
            ages[trial.name] += 1
            if scores[trial.name] is None or ages[trial.name] > iterations:
                trial.status = "TERMINATED"
                break
            result = make_result(trial.name, ages[trial.name], scores[trial.name])
            decision = pbt.on_trial_result(driver, trial, result)
        trial.status = "PAUSED" if trial.status == "RUNNING" else trial.status
    return rounds


def test_no_member_waits_for_one_that_has_ended(tmp_path):
    pbt = make_pbt(tmp_path)
    assert drive_population(pbt, {"00": 1.0, "01": 2.0, "02": None}, [0, 0, 0], 6) == [
        [3, 3],
        [6, 6],
    ]


@pytest.mark.parametrize(
    "reached",
    [
        [10, 9, 9],
        [9, 10, 10],
        [11, 5, 10],  # an old checkpoint of 01: the others passed 9 only after it had reported 9
        [9, 9, 9],
        [9, 7, 8],  # 00 waited at 9 for the others; from its checkpoint it would report at 10
    ],
)
def test_a_resumed_population_keeps_its_rounds(tmp_path, reached):
    scores = {"00": 1.0, "01": 2.0, "02": 3.0}
    earlier = [
        CheckpointRow(trial=name, iteration=at, path=name)
        for name, at in zip(scores, reached, strict=True)
    ]
    rounds = drive_population(make_pbt(tmp_path, earlier), scores, reached, 15)
    assert rounds == [[12] * 3, [15] * 3]


def test_a_resumed_population_knows_the_scores_measured_before(tmp_path):
    rows = make_population_rows()  # 01 continued from 00, and 02 from 01, before the last results
    exploit = make_exploit("01", "02", 27)
    pbt = make_pbt(tmp_path, [*rows, exploit], mode="min")
    assert {name: curve.scores[-1] for name, curve in pbt._curves.items()} == {
        "00": (27, 0.3),
        "01": (27, 0.1),
        "02": (27, 0.1),
    }


@pytest.mark.parametrize("mode", ["min", "max"])
def test_an_exploit_is_written_with_scores_as_measured(tmp_path, mode):
    pbt = make_pbt(tmp_path, mode=mode)
    loser, donor = make_member("00"), make_member("01")
    for trial, score in ((loser, 2.0), (donor, 5.0)):
        state = pbt._trial_state[trial] = SimpleNamespace(last_score=None)
        pbt._curves[trial.name].add(3, score, {}, pbt._noise)
        pbt._save_trial_state(state, 3, {"iteration": 3}, trial)
        state.last_checkpoint = SimpleNamespace(path=str(tmp_path / "trials" / "01"))
    plan = pbt._get_new_config(loser, donor)[0]["plan"]
    row = pbt.exploits["00"]
    assert (row.score, row.donor_score, row.iteration) == (2.0, 5.0, 3)
    assert (row.donor, row.checkpoint) == ("01", "trials/01")
    assert plan["resume_from"] == "" and plan["config"] == row.after


class SlowSaver(tune.Trainable):
    """Trial 00 is worse, and its second save lasts until trial 01 has been compared with it."""

    def setup(self, config):
        self.plan = config["plan"]
        self.folder = Path(self.plan["folder"])

    def reset_config(self, new_config):
        self.setup(new_config)
        return True

    def wait_for(self, mark):
        while not (self.folder / mark).exists():
            time.sleep(0.01)

    def step(self):
        name, iteration = self.plan["trial"], self.iteration + 1
        if name == "01" and iteration == 3:
            self.wait_for("saving")
        metrics = json.dumps({"return_mean": int(name)})
        about = {"trial": name, "iteration": iteration, "took": "{}", "metrics": metrics}
        return about | {"score": int(name), "done": iteration == 9}

    def save_checkpoint(self, checkpoint_dir):
        if self.plan["trial"] == "00" and self.iteration == 3:
            (self.folder / "saving").touch()
            self.wait_for("exploited")
        (Path(checkpoint_dir) / "state").touch()

    def load_checkpoint(self, checkpoint):
        pass


@pytest.mark.system
def test_a_trial_that_is_replaced_while_it_saves_runs_its_full_budget(local_ray, tmp_path):
    class Marked(RecordedPBT):
        def _exploit(self, *arguments):
            super()._exploit(*arguments)
            (tmp_path / "exploited").touch()

    about = {"env": "CartPole-v1", "scheduler": "pbt", "trials": 2, "grace": 3}
    space = {"search": {"lr": {"loguniform": [1e-4, 1e-2]}}}
    job = make_job(about | space | {"metric": "return_mean", "mode": "max"})
    plan = {"config": {"lr": 1e-3}, "resume_from": "", "folder": str(tmp_path)}
    plans = [plan | {"trial": name} for name in ("00", "01")]
    tuner = tune.Tuner(
        tune.with_resources(SlowSaver, {"cpu": 1}),
        param_space={"plan": tune.grid_search(plans)},
        tune_config=tune.TuneConfig(scheduler=Marked(job, tmp_path, []), reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=4),
        ),
    )
    results = tuner.fit()
    assert (tmp_path / "exploited").exists()
    assert [(result.metrics or {})["iteration"] for result in results] == [9, 9]


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    """Four trials of which one learns far too fast, in a real sweep."""
    directory = tmp_path_factory.mktemp("population")
    words = ["--scheduler", "pbt", "--trials", 4, "--iterations", 9, "--evaluation-episodes", 0]
    done = rungwise("tune", "causal-quick", *words, "--out", "run", "--json", cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory / "run", answer(done), read_event_log(directory / "run" / "events.jsonl")


@pytest.mark.system
def test_the_learner_runs_with_the_settings_of_each_exploit(population):
    _, _, rows = population
    exploits = [row for row in rows if isinstance(row, ExploitRow)]
    assert exploits
    for row in exploits:
        # entropy_coef would come back with the donor's state: it is part of every checkpoint.
        assert row.took == pytest.approx(row.after)
        assert row.donor_score <= row.score, "a small excess risk is better"
        assert "but its learner" not in row.sentence


@pytest.mark.system
def test_population_shares_checkpoints_and_runs_its_full_budget(population):
    run, said, rows = population
    assert [t["iterations"] for t in said["trials"]] == [9] * 4
    taken = [row.checkpoint for row in rows if isinstance(row, ExploitRow)]
    saved = {row.path: row.trial for row in rows if isinstance(row, CheckpointRow)}
    assert all(path in saved for path in taken)
    seen = [(r.trial, r.iteration) for r in rows if isinstance(r, ResultRow)]
    assert len(seen) == len(set(seen)) == 36, "no iteration was run twice or left out"
    page = (run / "report.html").read_text()
    assert "Lineage" in page and "continues from trial" in page


def test_settings_that_contradict_each_other_are_not_taken(tmp_path, monkeypatch):
    pbt = make_pbt(tmp_path)
    monkeypatch.setattr(pbt_module, "perturb_config", lambda *_: {"lr": -1.0})
    assert pbt._perturb_config({"lr": 1e-3}) == {"lr": 1e-3}
