# pyright: basic
"""A job that cannot be trained is refused before any process starts."""

import sys
from dataclasses import replace

import pytest
from paths import SUPPORT

from rungwise.validation import InputError
from tune_jobs.jobs.job_validation import validate_job
from tune_jobs.jobs.job_yaml import load_job, make_job
from tune_jobs.jobs.search_space import Space


@pytest.fixture(autouse=True)
def _toy_worlds(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(SUPPORT), *sys.path])


@pytest.mark.parametrize("env", ["CartPole-v1", "toy_worlds:Leaving-v0", "CausalLearning-v0"])
def test_an_environment_that_meets_the_needs_is_accepted(env):
    validate_job(make_job({"env": env, "algo": "grpo"}))
    validate_job(make_job({"env": env, "algo": "ppo"}))
    if env == "CausalLearning-v0":
        job = {"env": env, "algo": "dpo", "settings": {"pairs": "candidates"}}
        validate_job(make_job(job))


def test_a_model_read_unlike_in_its_library_is_refused(tmp_path):
    pytest.importorskip("transformers", reason="the extra [lm] is not installed")
    from hf_models import save_random_model

    settings = {"model": "lm", "language_model": str(tmp_path), "lora_rank": 2}
    job = make_job({"env": "toy_worlds:Texts-v0", "algo": "ppo", "settings": settings})
    save_random_model(tmp_path, "mistral")
    validate_job(job)
    save_random_model(tmp_path, "mistral", sliding_window=4)
    with pytest.raises(InputError, match=r"\(mistral\) cannot be used: log-probabilities"):
        validate_job(job)


UNSEEDED, CANDIDATES = (
    "toy_worlds:Unseeded-v0",
    {"algo": "dpo", "settings": {"pairs": "candidates"}},
)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        *(
            (
                {"env": UNSEEDED, "algo": algo},
                rf"{algo} needs episodes that begin alike .* {UNSEEDED} .*ppo or reinforce would",
            )
            for algo in ("grpo", "dpo", "astar_po")
        ),
        *(
            (
                {"env": env, **CANDIDATES},
                f"dpo needs a world whose step is a pure function.*, which {env} does not offer;",
            )
            for env in ("CartPole-v1", "toy_worlds:Leaving-v0")
        ),
        # Searched settings are checked for each trial.
        (
            {
                **{"env": UNSEEDED, "algo": "reinforce", "trials": 8},
                "search": {"baseline": {"choice": ["value", "group_mean"]}},
            },
            "reinforce needs episodes that begin alike",
        ),
        # A broken environment is reported before its needs.
        (
            {
                **{"env": "toy_worlds:Sick-v0", "algo": "grpo"},
                "env_kwargs": {"sickness": "observation"},
            },
            "`rungwise check toy_worlds:Sick-v0`",
        ),
        ({"env": "CartPol-v1"}, "Did you mean: `CartPole`"),
        ({"env": "no_such_module:Thing-v0"}, "no_such_module"),
        ({"env": "CausalLearning-v0", "env_kwargs": {"row": 5}}, "did you mean rows"),
        ({"env": "Blackjack-v1", "settings": {"model": "set"}}, "set model needs a Dict"),
        (
            {"env": "CartPole-v1", "settings": {"hidden": [10**6, 10**6]}},
            r"does not fit into the memory of this machine, with hidden \(1000000, 1000000\): take",
        ),
        ({"env": "bad_worlds:Odd-text-v0"}, r"'note' of the observation is Text.*make it a Box"),
        ({"env": "bad_worlds:Odd-axes-v0"}, r"'cube'.*\(2, 2, 2, 2, 2\).*no encoder.*Reshape it"),
        ({"env": "bad_worlds:Odd-twice-v0"}, r"are called 'a.b': a dot .* rename one"),
        ({"env": "bad_worlds:Odd-pixel-v0"}, r"'view'.*one pixel, \(1, 1, 3\).*a vector of 3"),
        ({"env": "bad_worlds:Odd-numbers-v0"}, "cannot be stored: .*with names as keys"),
        (
            {"env": "masked_games:Game-wrong-v0"},
            r"No action is legal .* step 3 .*\(0 of 5 .*allow",
        ),
        (
            {"env": "agent_games:Couriers-v0", "env_kwargs": {"joins": 99}},
            "a2 of Couriers-v0 appeared in none of 8 games: remove what never appears",
        ),
        (
            {"env": "agent_games:Couriers-v0", "env_kwargs": {"different": True}},
            r"a0, a1: observations Box.*; a2: observations Box.*pad_observations_v0",
        ),
    ],
)
def test_an_environment_that_cannot_be_trained_on_is_refused(fields, said):
    with pytest.raises(InputError, match=said):
        validate_job(make_job(fields))


SWEEP = {"env": "CartPole-v1", "search": {"lr": {"loguniform": [1e-4, 1e-2]}}, "iterations": 10}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"trials": 1}, "search names lr, but trials is 1.*--trials"),
        ({"trials": 4, "grace": 10}, "grace is 10, but iterations is 10.*at most 9"),
        ({"trials": 4, "grace": 20}, "ASHA has no rung"),
        ({"trials": 4, "grace": 20, "scheduler": "pbt"}, "PBT replaces no trial"),
        ({"trials": 4, "iterations": 3, "scheduler": "pbt"}, "grace is 3.*at most 2"),
    ],
)
def test_a_sweep_that_can_decide_nothing_is_refused(changed, said):
    with pytest.raises(InputError, match=said):
        validate_job(make_job(SWEEP | changed))


def test_a_drawn_setting_that_contradicts_another_is_refused():
    job = load_job("causal")
    search = {"num_envs": Space("choice", (64,))}
    job = replace(job, settings=replace(job.settings, minibatch_size=2000), search=search)
    job = replace(job, trials=2)
    with pytest.raises(InputError, match="at most the 1280 steps"):
        validate_job(job)
