# pyright: basic, reportArgumentType=false
"""Exports act as the policy does, and importing somebody's checkpoint runs nothing of theirs."""

import base64
import errno
import io
import json
import pickle
import shutil
import zlib

import numpy as np
import pytest
import torch
from checkpoints import write_checkpoint
from command_line import answer, call
from gymnasium import spaces
from paths import NOWHERE, ROOT

from algos.checkpoint import write_manifest
from algos.policy import Policy
from cluster.serving import export
from cluster.serving.export import import_checkpoint
from rungwise.validation import InputError

BOX = spaces.Box(-np.inf, np.inf, (4,), np.float32)
CHOOSE = spaces.Dict({"choice": spaces.Discrete(5), "value": spaces.Box(-1, 1, (), np.float32)})
SEEN = spaces.Dict(
    image=spaces.Box(0, 255, (7, 7, 3), np.uint8), place=BOX, mask=spaces.MultiBinary(3)
)
TEXTS = {"instruction": (), "candidates": (3,)}
WORLDS = {
    "pixels": (spaces.Box(0, 1, (10, 10, 4), np.bool_), spaces.Discrete(3), {}),
    "channels first": (spaces.Box(0, 255, (2, 20, 24), np.uint8), spaces.Discrete(6), {}),
    "stacked": (BOX, spaces.Discrete(3), {"frame_stack": 4}),
    "gru": (BOX, spaces.Discrete(3), {"memory": "gru"}),
    "everything": (SEEN, spaces.Discrete(3), {"memory": "lstm", "frame_stack": 2}),
    "discrete": (BOX, spaces.Discrete(2, start=3), {}),
    "continuous": (BOX, spaces.Box(-1, 1, (3,), np.float32), {}),
    "masked": (
        spaces.Dict({"nodes": spaces.Box(-1, 1, (5, 3)), "mask": spaces.Box(0, 1, (5,))}),
        CHOOSE,
        {"model": "set"},
    ),
    "candidates": (
        spaces.Dict({name: spaces.Box(0, 9, (*k, 4), np.int16) for name, k in TEXTS.items()}),
        spaces.Discrete(3),
        {"model": "scorer"},
    ),
    "games": (
        spaces.Dict({"observation": BOX, "mask": spaces.MultiBinary(5)}),
        spaces.MultiDiscrete([3, 2]),
        {},
    ),
    "uneven": (BOX, spaces.Discrete(3), {"hidden": (16, 16), "value_hidden": (8, 8, 8)}),
    "relu": (BOX, spaces.Discrete(3), {"activation": "relu"}),
    "mixed": (
        spaces.Dict({"kind": spaces.Discrete(3), "place": BOX}),
        spaces.MultiDiscrete([3, 4]),
        {},
    ),
}


@pytest.fixture
def checkpoint(request, tmp_path):
    observation, action, settings = WORLDS[request.param]
    return write_checkpoint(tmp_path / "checkpoint", observation, action, **settings)


@pytest.mark.system
@pytest.mark.parametrize("checkpoint", WORLDS, indirect=True)
def test_an_export_acts_as_the_policy_on_10000_observations(checkpoint, tmp_path, request):
    policy = Policy.load(checkpoint)
    onnx = request.node.callspec.params["checkpoint"] in ("masked", "everything", "games")
    if onnx:
        pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    parity = export.export_policy(policy, tmp_path / "out", onnx=onnx)
    assert set(parity) == ({"policy.pt2", "policy.onnx"} if onnx else {"policy.pt2"})
    print(f"\n{request.node.callspec.id}: {parity}")
    for found in parity.values():
        assert found["of"] == 10_000
        assert found["largest"] <= 1e-5
        assert found["choices_differ"] <= 3


ACTIONS = {
    "box": spaces.Box(0, 2000, (1,), np.float32),
    "half-open": spaces.Box(-1, np.inf, (2, 2), np.float64),
    "scalar": spaces.Box(-3, 7, (), np.float32),
    "whole": spaces.Box(0, np.array([100, 90, 80], np.int16), (3,), np.int16),
    "start": spaces.Discrete(3, start=1),
    "starts": spaces.MultiDiscrete(np.array([[3, 2]]), start=np.array([[10, 20]])),
    "tuple": spaces.Tuple(
        [spaces.Discrete(3, start=1), spaces.Box(0, 2000, (2,)), spaces.Discrete(2, start=-4)]
    ),
    "dict": spaces.Dict(
        go=spaces.Dict(choice=spaces.Discrete(3, start=2), value=spaces.Box(-1, 1, ())),
        dose=spaces.Box(-50, 50, (2,), np.int32),
    ),
}
SMALL = spaces.Box(-1, 1, (4,), np.float32)


@pytest.fixture
def exported(request, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "NUM_OBSERVATIONS", export.COMPARISON_BATCH)
    policy = Policy.load(write_checkpoint(tmp_path / "checkpoint", SMALL, request.param))
    export.export_policy(policy, tmp_path / "exported", onnx=False)
    return policy, tmp_path / "exported"


@pytest.mark.parametrize("exported", ACTIONS.values(), ids=ACTIONS, indirect=True)
def test_a_program_returns_what_the_environment_takes(exported):
    policy, directory = exported
    outputs = json.loads((directory / "interface.json").read_text())["outputs"]
    rows = export.sample_observations(policy, 20, seed=5)["obs"]
    program = torch.export.load(directory / "policy.pt2").module()
    results = dict(zip(outputs, program(torch.from_numpy(rows)), strict=True))
    for number, row in enumerate(rows):
        action = policy.act(row)
        assert policy.action_space.contains(action)
        for name, part in export.name_parts(action).items():
            found = results[name][number].numpy()
            assert found.dtype == part.dtype and found.shape == part.shape
            np.testing.assert_allclose(found, part, rtol=1e-5, atol=1e-4)


@pytest.mark.system
def test_an_onnx_file_returns_what_the_environment_takes(tmp_path, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    monkeypatch.setattr(export, "NUM_OBSERVATIONS", export.COMPARISON_BATCH)
    space = spaces.Tuple([*ACTIONS["tuple"], ACTIONS["starts"], ACTIONS["whole"], ACTIONS["dict"]])
    policy = Policy.load(write_checkpoint(tmp_path / "checkpoint", SMALL, space))
    export.export_policy(policy, tmp_path / "out", onnx=True)
    session = onnxruntime.InferenceSession(tmp_path / "out" / "policy.onnx")
    row = np.array([0.1, -0.4, 0.7, 0.3], np.float32)
    names = [output.name for output in session.get_outputs()]
    results = dict(zip(names, session.run(None, {"obs": row[None]}), strict=True))
    for name, part in export.name_parts(policy.act(row)).items():
        assert results[name].dtype == part.dtype
        np.testing.assert_allclose(results[name][0], part, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("exported", [ACTIONS["box"]], indirect=True)
def test_actions_that_are_not_translated_are_refused(exported, tmp_path, monkeypatch):
    policy, _ = exported
    monkeypatch.setattr(export, "_torch_runner", lambda path: lambda columns: raw(policy, columns))
    with pytest.raises(InputError, match="differs from the policy"):
        export.export_policy(policy, tmp_path / "again", onnx=False)


def raw(policy, columns):
    """The results of a policy with the action as its distribution has it."""
    _, *others = export.GreedyPolicy(policy).compute_expected(columns)
    return [others[0], *others]


@pytest.mark.parametrize("exported", [ACTIONS["box"]], indirect=True)
def test_the_example_of_the_documentation_acts(exported, monkeypatch):
    policy, directory = exported
    monkeypatch.chdir(directory.parent)
    code = (ROOT / "docs" / "serving.md").read_text().split("```python\n")[1].split("```")[0]
    found = {}
    exec(code, found)
    np.testing.assert_allclose(found["action"], policy.act(np.zeros(4, np.float32)), rtol=1e-5)


@pytest.mark.parametrize("checkpoint", ["mixed"], indirect=True)
def test_an_export_reads_the_columns_that_its_interface_names(checkpoint, tmp_path):
    policy = Policy.load(checkpoint)
    export.export_policy(policy, tmp_path / "out", onnx=False)
    interface = json.loads((tmp_path / "out" / "interface.json").read_text())
    assert interface["action_space"] == "MultiDiscrete([3 4])"
    columns = export.sample_observations(policy, 7, seed=5)
    assert list(interface["inputs"]) == list(columns)
    program = torch.export.load(tmp_path / "out" / "policy.pt2").module()
    found = program(*map(torch.from_numpy, columns.values()))
    actions, _, _ = export.get_own_module(policy).act(columns, greedy=True)
    assert torch.equal(found[list(interface["outputs"]).index("action")], actions["choices"])


def test_numbers_that_were_rounded_may_be_the_next_ones():
    ours = np.array([[5, 90], [6, 7]], np.int16)
    for gap, count in ((1, 0), (2, 2)):
        actual = [ours + np.int16(gap)]
        assert export.measure_difference(["action"], [ours], actual)["choices_differ"] == 2
        found = export.measure_difference(["action"], [ours], actual, rounded=["action"])
        assert found["choices_differ"] == count
    halves = [np.array([[1000.0], [2.0]], np.float16)]
    actual = [np.array([[1000.5], [2.0]], np.float16)]
    assert export.measure_difference(["action"], halves, actual)["largest"] == 0


def test_a_difference_is_found():
    ours = [np.array([0, 1, 2]), np.array([[0.0], [1.0], [100.0]], np.float32)]
    theirs = [np.array([0, 1, 1]), np.array([[0.0], [1.1], [101.0]], np.float32)]
    found = export.measure_difference(["action.choice", "outputs"], ours, theirs)
    assert found == {"largest": pytest.approx(0.01), "choices_differ": 1, "of": 3}


def test_rounding_of_values_around_zero_is_no_difference():
    values = np.linspace(-127, 127, 500, dtype=np.float32)
    for gap, differs in ((2.3e-5, False), (0.01, True)):
        found = export.measure_difference(["value"], [values], [values + np.float32(gap)])
        assert (found["largest"] > export.TOLERANCE) == differs


@pytest.mark.parametrize(
    ("ours", "theirs", "largest"),
    [
        (1.0, np.nan, np.inf),
        (np.nan, 1.0, np.inf),
        (1.0, np.inf, np.inf),
        (np.inf, -np.inf, np.inf),
        (np.inf, np.inf, 0.0),
        (np.nan, np.nan, 0.0),
    ],
)
def test_a_number_that_is_not_finite_on_one_side_is_a_difference(ours, theirs, largest):
    columns = [[np.array([[0.0], [value]], np.float32)] for value in (ours, theirs)]
    assert export.measure_difference(["outputs"], *columns)["largest"] == largest


def test_the_command_says_how_far_the_export_is_off(tmp_path):
    write_checkpoint(tmp_path / "checkpoint", BOX, spaces.Discrete(2))
    told = answer(call("export", "checkpoint", "--out", "out", "--json", cwd=tmp_path))
    assert told["parity"]["policy.pt2"]["largest"] <= 1e-5
    assert (tmp_path / "out" / "policy.pt2").is_file()
    again = call("export", "checkpoint", "--out", "out", cwd=tmp_path)
    assert again.returncode == 2 and "not empty" in again.stderr


class Trap:
    """Pickled, it touches a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("command", ["export", "import"])
@pytest.mark.parametrize("out", ["a_file", "a_file/below"])
def test_a_file_is_no_directory_for_the_result(tmp_path, command, out):
    checkpoint = write_checkpoint(tmp_path / "checkpoint", BOX, spaces.Discrete(2))
    (tmp_path / "a_file").touch()
    done = call(command, checkpoint, "--out", out, cwd=tmp_path)
    assert done.returncode == 2 and f"{out} cannot be a directory, because a_file" in done.stderr


@pytest.mark.parametrize("command", ["export", "import"])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, command):
    checkpoint = write_checkpoint(tmp_path / "checkpoint", BOX, spaces.Discrete(2))
    done = call(command, checkpoint, "--out", NOWHERE, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"rungwise: {NOWHERE} cannot be written (No such file or directory): choose another place "
        "with --out."
    )


def test_an_import_onto_a_full_disk_does_not_blame_the_checkpoint(tmp_path, monkeypatch):
    def fill(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    checkpoint = write_checkpoint(tmp_path / "checkpoint", BOX, spaces.Discrete(2))
    monkeypatch.setattr(shutil, "copyfile", fill)
    with pytest.raises(InputError, match=r"out cannot be written \(No space left"):
        import_checkpoint(checkpoint, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.fixture
def foreign(tmp_path):
    """A checkpoint with a pickle where RLlib keeps its own state."""
    place = write_checkpoint(tmp_path / "foreign", BOX, spaces.Discrete(2))
    (place / "algorithm").mkdir()
    (place / "algorithm" / "state.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    (place / "policy" / "extra.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    write_manifest(place)
    return place


def test_an_imported_policy_acts_as_before_and_brings_no_pickles(foreign, tmp_path):
    (tmp_path / ".own").mkdir()  # of the user's
    told = answer(call("import", foreign, "--out", "own", "--json", cwd=tmp_path))
    own = tmp_path / "own"
    assert told["checkpoint"] == str(own)
    assert {path.name for path in tmp_path.iterdir()} == {".own", "own", "foreign"}
    files = sorted(p.relative_to(own).as_posix() for p in own.rglob("*") if p.is_file())
    assert files == ["manifest.json", "policy/policy.json", "policy/weights.safetensors"]
    assert not (tmp_path / "sprung").exists()
    before, after = Policy.load(foreign), Policy.load(own)
    rows = export.sample_observations(before, 50)["obs"]
    assert (before.act_batch(rows) == after.act_batch(rows)).all()


def plant(place, sprung):
    """Hide a pickle in the bounds of the observation space and write a fitting manifest."""
    path = place / "policy" / "policy.json"
    about = json.loads(path.read_text())
    file = io.BytesIO()
    np.save(file, np.array([Trap(sprung)], dtype=object), allow_pickle=True)
    about["observation_space"]["low"] = base64.b64encode(zlib.compress(file.getvalue())).decode()
    path.write_text(json.dumps(about))
    write_manifest(place)


def test_a_pickle_in_the_spaces_is_refused_and_not_executed(foreign, tmp_path):
    plant(foreign, tmp_path / "sprung")
    with pytest.raises(InputError, match="does not describe plain spaces"):
        export.import_checkpoint(foreign, tmp_path / "own")
    with pytest.raises(InputError, match="does not describe plain spaces"):
        Policy.load(foreign)
    assert not (tmp_path / "sprung").exists() and not (tmp_path / "own").exists()


def test_the_trap_is_a_real_one(foreign, tmp_path):
    pickle.loads((foreign / "algorithm" / "state.pkl").read_bytes())
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda place: (place / "policy" / "weights.safetensors").write_bytes(b"x"),
        lambda place: (place / "manifest.json").unlink(),
        lambda place: (place / "policy" / "policy.json").unlink(),
    ],
)
def test_a_damaged_checkpoint_is_not_imported(foreign, tmp_path, damage):
    damage(foreign)
    with pytest.raises(InputError):
        export.import_checkpoint(foreign, tmp_path / "own")
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize("changed", [{"settings": 3}, {"action_space": []}, {"algo": "none"}])
def test_settings_that_make_no_sense_are_a_sentence(foreign, tmp_path, changed):
    path = foreign / "policy" / "policy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    write_manifest(foreign)
    with pytest.raises(InputError):
        export.import_checkpoint(foreign, tmp_path / "own")
