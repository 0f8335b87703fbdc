# pyright: basic
"""A saved policy acts as it did in training, in any process, or says why it cannot."""

import json
import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
import small
import torch
from safetensors.numpy import load_file, save_file

from algos.actions.kinds import KINDS
from algos.actions.values import BoxHead
from algos.checkpoint import (
    DamagedCheckpoint,
    _find_encoded_arrays,
    refuse_pickles,
    verify_checkpoint,
    write_manifest,
)
from algos.policy import Policy, save_policy
from rungwise.validation import InputError

ENV = "toy_worlds:Masked-v0"


@pytest.fixture(scope="module")
def written(local_ray, tmp_path_factory):
    """A checkpoint of a trained policy, and that policy's network."""
    place = tmp_path_factory.mktemp("checkpoint")
    with small.algorithm(ENV, model="set", lr=0.01) as algorithm:
        algorithm.train()
        save_policy(algorithm, "ppo", place / "policy")
        module = algorithm.env_runner_group.local_env_runner.module
    (place / "algorithm").mkdir()
    (place / "algorithm" / "state.pkl").write_bytes(b"whatever RLlib needs")
    write_manifest(place)
    return place, module


@pytest.fixture
def checkpoint(written, tmp_path):
    """A copy that a test may damage."""
    for path in written[0].rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(written[0])
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    return tmp_path


def observations():
    """Six observations of an episode, stacked."""
    env = gymnasium.make(ENV).unwrapped
    seen = [env.reset(seed=0)[0]]
    for _ in range(5):
        choice = int(np.flatnonzero(seen[-1]["mask"])[0])
        seen.append(env.step({"choice": choice, "value": np.float32(0)})[0])
    return {name: np.stack([one[name] for one in seen]) for name in seen[0]}


SCRIPT = """
import sys
from typing import Any
import numpy as np, torch
from algos.policy import Policy
place, given, out = sys.argv[1:]
policy = Policy.load(place)
batch = dict(np.load(given))
action = policy.act_batch(batch)
columns = {f"obs.{name}": torch.from_numpy(part) for name, part in batch.items()}
with torch.no_grad():
    logits, value = policy.module.compute_outputs(columns)
np.savez(out, logits=logits.numpy(), values=value.numpy(), **action)
"""


def test_a_fresh_process_acts_with_the_same_numbers_bit_for_bit(written, tmp_path):
    place, module = written
    batch = observations()
    np.savez(tmp_path / "given.npz", allow_pickle=False, **batch)
    arguments = [str(place), str(tmp_path / "given.npz"), str(tmp_path / "out.npz")]
    words = [sys.executable, "-c", SCRIPT, *arguments]
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0 and "deprecated" not in done.stderr, done.stderr
    found = np.load(tmp_path / "out.npz")
    columns = {f"obs.{name}": part for name, part in batch.items()}
    with torch.no_grad():
        logits, value = module.compute_outputs({n: torch.from_numpy(c) for n, c in columns.items()})
    np.testing.assert_array_equal(found["logits"], logits.numpy())
    np.testing.assert_array_equal(found["values"], value.numpy())
    action, _, _ = module.act(columns, greedy=True)
    np.testing.assert_array_equal(found["choice"], action["choice"].numpy())
    np.testing.assert_array_equal(found["value"], action["value"].numpy())


def test_one_observation_is_acted_on_as_in_a_batch(written):
    policy, batch = Policy.load(written[0]), observations()
    together = policy.act_batch(batch)
    for b in range(6):
        alone = policy.act({name: part[b] for name, part in batch.items()})
        assert policy.action_space.contains({n: np.asarray(part) for n, part in alone.items()})
        assert alone["choice"] == together["choice"][b]
        assert alone["value"] == together["value"][b]
        assert batch["mask"][b, alone["choice"]]


def test_a_sampling_policy_draws_with_the_given_generator(written):
    policy, batch = Policy.load(written[0]), observations()

    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        return policy.act_batch(batch, greedy=False, generator=generator)

    first, again = drawn(0), drawn(0)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert any(not np.array_equal(first["value"], drawn(seed)["value"]) for seed in (1, 2, 3))


def test_a_policy_knows_where_it_comes_from(written):
    about = Policy.load(written[0]).metadata
    assert (about["algo"], about["env"], about["iteration"]) == ("ppo", ENV, 1)


def test_a_checkpoint_is_read_without_unpickling(checkpoint):
    (checkpoint / "algorithm" / "state.pkl").unlink()
    assert Policy.load(checkpoint).metadata["algo"] == "ppo"


def flip_byte(file):
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)


WEIGHTS = "policy/weights.safetensors"


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (WEIGHTS, flip_byte),
        ("policy/policy.json", flip_byte),
        (WEIGHTS, lambda file: file.write_bytes(file.read_bytes()[:-10])),
        (WEIGHTS, lambda file: file.unlink()),
    ],
    ids=["flipped weight", "flipped description", "cut short", "gone"],
)
def test_a_damaged_file_is_noticed_and_named(checkpoint, name, damage):
    damage(checkpoint / name)
    with pytest.raises(DamagedCheckpoint, match=f"{name} is missing or damaged"):
        Policy.load(checkpoint)


@pytest.mark.parametrize("manifest", [None, "{", "[]"], ids=["missing", "cut short", "no table"])
def test_a_checkpoint_without_a_manifest_is_not_complete(checkpoint, manifest):
    (checkpoint / "manifest.json").unlink()
    if manifest is not None:
        (checkpoint / "manifest.json").write_text(manifest)
    with pytest.raises(DamagedCheckpoint, match=r"not a complete checkpoint: its manifest\.json"):
        Policy.load(checkpoint)


def test_weights_that_the_manifest_does_not_know_are_not_trusted(checkpoint):
    (checkpoint / "manifest.json").write_text("{}")
    with pytest.raises(DamagedCheckpoint):
        Policy.load(checkpoint)


def test_verifying_a_checkpoint_covers_the_training_state(checkpoint):
    verify_checkpoint(checkpoint)
    (checkpoint / "algorithm" / "state.pkl").write_bytes(b"something else")
    verify_checkpoint(checkpoint, "policy/")
    with pytest.raises(DamagedCheckpoint, match=r"algorithm/state\.pkl is missing or damaged"):
        verify_checkpoint(checkpoint)


@pytest.mark.usefixtures("local_ray")
def test_a_weight_that_is_a_single_number_keeps_its_shape(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path / "cache"))
    shop = {"products": 60, "goals": 20}
    with small.algorithm("Shopping-v0", shop, model="scorer") as algorithm:
        save_policy(algorithm, "ppo", tmp_path / "policy")
        trained = algorithm.env_runner_group.local_env_runner.module.get_state()
    write_manifest(tmp_path)
    loaded = Policy.load(tmp_path).module.get_state()
    assert loaded["direct"].shape == () and loaded.keys() == trained.keys()
    assert all(np.array_equal(loaded[name], weight) for name, weight in trained.items())


def test_a_directory_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"is not a checkpoint: it has no policy/policy\.json"):
        Policy.load(tmp_path)


def test_a_checkpoint_of_another_format_is_refused_in_a_sentence(checkpoint):
    about = json.loads((checkpoint / "policy" / "policy.json").read_text())
    (checkpoint / "policy" / "policy.json").write_text(json.dumps(about | {"format": 99}))
    write_manifest(checkpoint)
    with pytest.raises(InputError, match="has checkpoint format 99; this version reads 1"):
        Policy.load(checkpoint)


def test_a_checkpoint_with_settings_of_another_version_is_refused_in_a_sentence(checkpoint):
    about = json.loads((checkpoint / "policy" / "policy.json").read_text())
    about["settings"]["retired"] = 0.5
    (checkpoint / "policy" / "policy.json").write_text(json.dumps(about))
    write_manifest(checkpoint)
    with pytest.raises(InputError, match=r"ppo had settings that are not known here: retired\."):
        Policy.load(checkpoint)


@pytest.mark.parametrize("rename", [False, True])
def test_weights_of_another_network_version_are_refused(checkpoint, rename):
    place = checkpoint / "policy" / "weights.safetensors"
    weights = load_file(place)
    name, weight = weights.popitem()
    changed = {f"{name}_old": weight} if rename else {name: np.concatenate([weight, weight])}
    save_file(weights | changed, place)
    write_manifest(checkpoint)
    with pytest.raises(InputError, match=r"another version of the network 'set'.* train it again"):
        Policy.load(checkpoint)


@pytest.mark.parametrize("name", ["nodes", "mask"])
def test_an_observation_of_the_wrong_shape_is_refused(written, name):
    policy = Policy.load(written[0])
    good = {part: column[0] for part, column in observations().items()}
    with pytest.raises(InputError, match=r"This policy acts on .*but the observation has shape"):
        policy.act(good | {name: good[name][:2]})
    with pytest.raises(InputError, match="but a part is missing"):
        policy.act(3)


def test_arrays_of_spaces_are_found_at_any_depth():
    inner = {"space": "multi-discrete", "nvec": "c"}
    space = {"space": "dict", "spaces": {"a": {"low": "a", "high": "b"}, "b": [inner, 3]}}
    assert sorted(_find_encoded_arrays(space)) == ["a", "b", "c"]


def test_a_space_without_bounds_has_no_array_to_refuse(tmp_path):
    space = {"space": "box", "low": None, "high": None}
    assert _find_encoded_arrays(space) == []
    refuse_pickles(tmp_path, {"observation_space": space, "action_space": space})


@pytest.mark.usefixtures("local_ray")
def test_actions_of_a_kind_that_nobody_has_added_here_are_refused(tmp_path):
    class Bounded(BoxHead):
        """Values of a kind of another module's."""

    KINDS.insert(0, Bounded)
    try:
        with small.algorithm("Pendulum-v1") as algorithm:
            save_policy(algorithm, "ppo", tmp_path / "policy")
        write_manifest(tmp_path)
        module: Any = Policy.load(tmp_path).module
        assert module.head.kind == "Bounded"
    finally:
        KINDS.remove(Bounded)
    with pytest.raises(InputError, match=r"trained with actions of the kind Bounded.* BoxHead"):
        Policy.load(tmp_path)
