# pyright: basic, reportAttributeAccessIssue=false
"""A language model shops: a whole iteration of A*-PO, its checkpoint, and what is refused."""

import dataclasses
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")
pytest.importorskip("transformers", reason="the extra [lm] is not installed")
pytest.importorskip("peft", reason="the extra [lm] is not installed")

import peft
import transformers
from hf_models import make_model_folder

import algos
from algos.astar_po import AStarPOSettings
from algos.checkpoint import write_manifest
from algos.policy import Policy, save_policy
from envs.contract import counter_rng
from envs.shopping.params import Params
from envs.shopping.world import Shopping
from rungwise.validation import InputError
from tune_jobs.jobs.job_validation import validate_job
from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.session.prepare import prepare_job

SHOP: dict[str, Any] = {"products": 150, "goals": 60, "text": "language", "action_tokens": 12}
LM: dict[str, Any] = {
    **{"model": "lm", "hidden": (16,), "num_envs": 4, "rollout_length": 4, "starts": 4},
    **{"minibatch_size": 2, "warm_start": "rule", "warm_start_episodes": 2},
    **{"reference_samples": 2},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's model."""
    return make_model_folder(tmp_path_factory.mktemp("model"))


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("rank", [0, 2])
def test_an_iteration_of_astar_po_learns_and_saves_a_model(rank, folder, tmp_path):
    chosen: dict[str, Any] = {"language_model": folder if rank else ""}
    settings = AStarPOSettings(**LM | chosen, lora_rank=rank)
    algorithm: Any = algos.build_algorithm(
        "astar_po", "envs:Shopping-v0", SHOP | chosen, settings, iterations=2, seed=0
    )
    try:
        module = algorithm.env_runner_group.local_env_runner.module
        before = {name: weight.clone() for name, weight in module.get_named_weights().items()}
        algorithm.train()
        moved = {n for n, w in module.get_named_weights().items() if not (w == before[n]).all()}
        assert {name for name in before if name.startswith("lm.")} <= moved
        save_policy(algorithm, "astar_po", tmp_path / "policy")
        write_manifest(tmp_path)
        seen: Any = Shopping(Params(**SHOP | chosen)).reset(counter_rng.make_keys(0, 20))[1]
        expected = module.act({f"obs.{n}": c for n, c in seen.items()}, greedy=True)[0]["choice"]
    finally:
        algorithm.stop()
    loaded = Policy.load(tmp_path)
    np.testing.assert_array_equal(loaded.act_batch(seen), expected.numpy())
    beside = tmp_path / "policy" / "language_model"
    if rank:
        base = transformers.AutoModelForCausalLM.from_pretrained(folder)
        found = peft.PeftModel.from_pretrained(base, str(beside))
        load: Any = transformers.AutoTokenizer.from_pretrained
        read, own = load(beside), load(folder)
        assert read("buy a lamp")["input_ids"] == own("buy a lamp")["input_ids"] != []
    else:
        found = transformers.AutoModelForCausalLM.from_pretrained(beside)
    theirs, ours = found.state_dict(), loaded.module.lm.state_dict()
    assert theirs and all((ours[name] == weight).all() for name, weight in theirs.items())


def test_a_users_model_passes_and_a_missing_one_is_refused(folder, tmp_path):
    # As `rungwise train` does.
    job = dataclasses.replace(load_job("shop-qwen"), search={}, trials=1)
    with pytest.raises(InputError, match="There is no folder /where/is/the/model"):
        prepare_job(job, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    settings = dataclasses.replace(job.settings, language_model=folder)
    kwargs = job.env_kwargs | {"language_model": folder, "products": 150, "goals": 60}
    validate_job(dataclasses.replace(job, settings=settings, env_kwargs=kwargs))
    kwargs = job.env_kwargs | {"language_model": folder, "products": 150, "goals": 60}
    missing = dataclasses.replace(job.settings, language_model=str(tmp_path))
    with pytest.raises(InputError, match="must be the folder of a Hugging Face model"):
        validate_job(dataclasses.replace(job, settings=missing, env_kwargs=kwargs))
