"""Export of policies to other runtimes (``torch.export``, ONNX), and import of checkpoints.

An export holds the greedy policy as one function, for any batch size, from observation columns to
the environment's actions, the network's outputs and the value. ``interface.json`` names them. Every
export is compared with the policy itself on many observations.

An import copies the settings (JSON) and weights (safetensors) of a checkpoint only. It leaves out
the pickled state that RLlib needs to continue training, because a pickle can execute code.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from torch import Tensor, nn

from algos.checkpoint import verify_checkpoint, write_manifest
from algos.models.base import MASK, PolicyModule, to_observation_columns
from algos.models.fused_mlp import forward_trunk
from algos.models.memory import RECURRENT
from algos.models.mlp import MLPPolicy
from algos.policy import Policy
from algos.rollouts.autoreset import clear_rows
from cluster.serving.parity import TOLERANCE, measure_difference
from envs.contract.action_masks import find_forbidden
from rungwise.run_log.json_types import to_json_types
from rungwise.validation import InputError
from rungwise.write_errors import refuse_unwritable

NUM_OBSERVATIONS = 10_000
"""Observations of the comparison."""
CHOICE_TOLERANCE = 0.001
"""Share of choices that may differ: ties can be broken either way."""
COMPARISON_BATCH = 500
"""Observations per batch of the comparison: a single one may be large."""
# torch.export treats sizes 0 and 1 as constants, so the example must be larger.
EXAMPLE_BATCH = 3
"""Batch size of the traced example; the export accepts any batch size."""
FILES = ("policy/policy.json", "policy/weights.safetensors")
"""Files of an imported checkpoint."""

ObservationColumns = dict[str, np.ndarray[Any, Any]]
Runner = Callable[[ObservationColumns], list[np.ndarray[Any, Any]]]


class GreedyPolicy(nn.Module):
    """The greedy policy as a function of tensors.

    Attributes:
        inputs: names of the observation columns and of the state columns, in the order of the
            arguments.
        outputs: names of the results: ``action``, or ``action.<part>`` for each part of a Dict or
            Tuple, then ``outputs`` and ``value``, then ``next.<state column>``.
        rounded: those of whole numbers in a Box.
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = get_own_module(policy)
        self.observations = list(self.policy.observation_spaces)
        self.states = list(self.policy.state_layout)
        self.inputs = [*self.observations, *self.states]
        parts = name_parts(policy.action_space)
        self.outputs = [*parts, "outputs", "value", *(f"next.{name}" for name in self.states)]
        self.rounded = [
            name
            for name, part in parts.items()
            if isinstance(part, spaces.Box) and np.issubdtype(part.dtype, np.integer)
        ]

    def forward(self, *columns: Tensor) -> tuple[Tensor, ...]:
        """Return actions, outputs [B, head.size], value [B] and next state of inputs [B]."""
        inputs, after = self._recall(dict(zip(self.inputs, columns, strict=True)))
        if not isinstance(self.policy, MLPPolicy):
            return self._collect(inputs, *self._run_step(inputs), after)
        x = self.policy.flatten(self.policy.normalise_observations(inputs))
        layout = self.policy.layout
        outputs, values = (
            forward_trunk(x, layout.split_trunk_layers(self.policy.flat, trunk), layout.activation)
            for trunk in ("policy", "critic")
        )
        return self._collect(inputs, outputs, values[:, 0], {}, after)

    def compute_expected(self, columns: ObservationColumns) -> list[np.ndarray[Any, Any]]:
        """Compute the same as the policy acts, as the reference of a comparison."""
        inputs, after = self._recall({n: torch.from_numpy(column) for n, column in columns.items()})
        step = self._run_step(inputs)
        outputs = dict(zip(self.outputs, self._collect(inputs, *step, after), strict=True))
        # On arrays, where a policy acts: the export translates tensors.
        mode = self._find_mode(inputs, step[0]).items()
        action = self.policy.head.to_env_action({name: part.numpy() for name, part in mode})
        expected = {name: tensor.numpy() for name, tensor in outputs.items()} | name_parts(action)
        return [expected[name] for name in self.outputs]

    def _recall(self, columns: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return what the network reads, and the part of the next state that is known from it."""
        observation, state = (
            {name: columns[name] for name in names} for names in (self.observations, self.states)
        )
        return self.policy.recall(observation, state)

    def _run_step(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return outputs [B, head.size], the network's own values [B], and recurrent states."""
        return self.policy.compute_step(self.policy.normalise_observations(inputs))

    def _find_mode(self, inputs: Mapping[str, Tensor], outputs: Tensor) -> dict[str, Tensor]:
        """Return the columns of the most likely actions."""
        return self.policy.head.dist(outputs, self.policy.log_std, inputs.get(MASK)).mode()

    def _collect(
        self,
        inputs: Mapping[str, Tensor],
        outputs: Tensor,
        value: Tensor,
        recurrent: Mapping[str, Tensor],
        after: Mapping[str, Tensor],
    ) -> tuple[Tensor, ...]:
        mode: Any = self._find_mode(inputs, outputs)
        states = {**recurrent, **after}
        return (
            *name_parts(self.policy.head.to_env_action(mode)).values(),
            outputs,
            self.policy.restore_values(value),
            *(states[name] for name in self.states),
        )


def name_parts(action: object, name: str = "action") -> dict[str, Any]:
    """Return the parts of an action, or of its space, by their place in it.

    >>> name_parts({"move": 1, "say": (2, 3)})
    {'action.move': 1, 'action.say.0': 2, 'action.say.1': 3}
    """
    if isinstance(action, Mapping):
        parts: Any = action.items()
    elif isinstance(action, tuple | spaces.Tuple):
        parts = enumerate(action)
    else:
        return {name: action}
    named = (name_parts(part, f"{name}.{key}") for key, part in parts)
    return {n: leaf for leaves in named for n, leaf in leaves.items()}


def export_policy(policy: Policy, directory: Path, onnx: bool) -> dict[str, Any]:
    """Write a policy for other runtimes and compare each file with it.

    Returns:
        Per file: the largest difference of a number, and how many choices differ.

    Raises:
        InputError: the directory is not empty or cannot be written, a package for ONNX is missing,
            the network cannot be traced, or an export differs from the policy.
    """
    _refuse_file(directory)
    if directory.exists() and any(directory.iterdir()):
        raise InputError(f"{directory} is not empty: choose another directory with --out.")
    get_own_module(policy)
    if onnx:
        _require_packages("onnx", "onnxscript", "onnxruntime")
    with refuse_unwritable(directory):
        directory.mkdir(parents=True, exist_ok=True)
    greedy = GreedyPolicy(policy).eval().requires_grad_(False)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own deprecations while it traces
        program = _trace_policy(greedy, policy)
        # In memory first: on a full disk torch's own writer ends the process.
        torch.export.save(program, saved := io.BytesIO())
        with refuse_unwritable(directory):
            (directory / "policy.pt2").write_bytes(saved.getbuffer())
        runners: dict[str, Runner] = {"policy.pt2": _torch_runner(directory / "policy.pt2")}
        if onnx:
            _write_onnx(greedy, program, directory / "policy.onnx")
            runners["policy.onnx"] = _onnx_runner(directory / "policy.onnx", greedy.outputs)
        parity = compare_with_policy(greedy, policy, runners)
    # Written before a difference is refused: it records the exact figures for each file.
    interface = json.dumps(to_json_types(_describe_interface(policy, greedy, parity)), indent=1)
    with refuse_unwritable(directory):
        (directory / "interface.json").write_text(interface)
    for name, difference in parity.items():
        if (
            difference["largest"] > TOLERANCE
            or difference["choices_differ"] > CHOICE_TOLERANCE * NUM_OBSERVATIONS
        ):
            raise InputError(
                f"{directory / name} differs from the policy by {difference['largest']:.2g} "
                f"(allowed: {TOLERANCE:g}) and in {difference['choices_differ']} of "
                f"{NUM_OBSERVATIONS} choices: do not use it."
            )
    return parity


def get_own_module(policy: Policy) -> PolicyModule:
    """Return the network of a policy, if it can be exported.

    Raises:
        InputError: it is that of one of RLlib's own algorithms.
    """
    if isinstance(policy.module, PolicyModule):
        return policy.module
    raise InputError(
        f"The policy is of {policy.metadata['algo']}, and only those of our own algorithms can be "
        "exported: serve it with `rungwise serve`."
    )


def sample_observations(policy: Policy, num: int, seed: int = 0) -> ObservationColumns:
    """Sample observations as columns [num, ...] from the observation space."""
    space = batch_space(policy.observation_space, num)
    space.seed(seed)
    columns = to_observation_columns(space.sample())
    if MASK in columns:
        # Sampled masks are uniform in [0, 1]; real ones are 0 or 1, with at least one 1.
        mask = (columns[MASK] > 0.5).astype(columns[MASK].dtype)
        mask[find_forbidden(policy.action_space, mask)] = 1
        columns[MASK] = mask
    return {name: columns[name] for name in get_own_module(policy).observation_spaces}


def sample_inputs(policy: Policy, num: int, seed: int = 0) -> ObservationColumns:
    """Sample observations and states as columns [num, ...]: of starts and of later steps."""
    state, rng = policy.initial_state(num), np.random.default_rng(seed)
    module = get_own_module(policy)
    frames = module.frames
    # Stacks fill up with observations; a third of the rows are at the start of an episode.
    for earlier in range(1, frames.depth if frames else 1):
        observations = sample_observations(policy, num, seed + 1000 * earlier)
        state |= module.recall(observations, state)[1]
    state = {
        name: rng.uniform(-1, 1, column.shape).astype(column.dtype) if name in RECURRENT else column
        for name, column in state.items()
    }
    begins = rng.random(num) < 1 / 3
    return sample_observations(policy, num, seed) | clear_rows(state, begins)


def compare_with_policy(
    greedy: GreedyPolicy, policy: Policy, runners: dict[str, Runner]
) -> dict[str, Any]:
    """Measure the difference of each runner from the policy, in batches."""
    totals = {name: {"largest": 0.0, "choices_differ": 0, "of": 0} for name in runners}
    for batch in range(NUM_OBSERVATIONS // COMPARISON_BATCH):
        columns = sample_inputs(policy, COMPARISON_BATCH, seed=batch)
        expected = greedy.compute_expected(columns)
        for name, run in runners.items():
            difference = measure_difference(greedy.outputs, expected, run(columns), greedy.rounded)
            total = totals[name]
            total["largest"] = max(total["largest"], difference["largest"])
            total["choices_differ"] += difference["choices_differ"]
            total["of"] += difference["of"]
    return totals


def import_checkpoint(source: Path, directory: Path) -> Policy:
    """Copy a checkpoint from an untrusted source without executing anything in it.

    Raises:
        InputError: it is damaged or not a policy, or the directory exists or cannot be written.
    """
    _refuse_file(directory)
    if directory.exists():
        raise InputError(f"{directory} exists already: choose another directory with --out.")
    for name in FILES:
        # A link could name any file of this machine, and the copy would contain it.
        if not (source / name).is_file() or (source / name).is_symlink():
            raise InputError(f"{source} is not a checkpoint: {name} is missing or a symbolic link.")
    verify_checkpoint(source, "policy/")
    with refuse_unwritable(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        # Below a folder that only this call has made: `.NAME` could be anyone's.
        made = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    unfinished = made / directory.name
    try:
        with refuse_unwritable(directory):  # all that is read has been read to be verified
            (unfinished / "policy").mkdir(parents=True)
            for name in FILES:
                shutil.copyfile(source / name, unfinished / name)
            # A manifest of its own: that of the source also lists the files that are left out.
            write_manifest(unfinished)
        # Loaded before it gets its final name: a directory of that name always holds a usable
        # policy.
        policy = Policy.load(unfinished)
        unfinished.rename(directory)
    except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source} cannot be read as a policy ({error}).") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return policy


def _refuse_file(directory: Path) -> None:
    """Refuse a directory that is a file, or lies below one."""
    if file := next((path for path in (directory, *directory.parents) if path.is_file()), None):
        raise InputError(
            f"{directory} cannot be a directory, because {file} is a file: choose another with "
            "--out."
        )


def _trace_policy(greedy: GreedyPolicy, policy: Policy) -> Any:
    columns = tuple(torch.from_numpy(c) for c in sample_inputs(policy, EXAMPLE_BATCH).values())
    batch = torch.export.Dim("batch", min=1)
    free = (tuple({0: batch} for _ in columns),)
    errors: list[str] = []
    # Each way of tracing fails on other code: the first on `len(batch)`, which would fix the batch
    # size, the second on plain Python objects such as spaces.
    for strict in (False, True):
        try:
            return torch.export.export(greedy, columns, dynamic_shapes=free, strict=strict)
        except Exception as error:  # torch raises many types
            errors.append(str(error).splitlines()[0])
    model = policy.metadata["settings"]["model"]
    raise InputError(f"model={model!r} cannot be exported: {' In strict mode: '.join(errors)}")


def _torch_runner(path: Path) -> Runner:
    module = torch.export.load(path).module()
    return lambda columns: [t.numpy() for t in module(*map(torch.from_numpy, columns.values()))]


def _write_onnx(greedy: GreedyPolicy, program: torch.export.ExportedProgram, path: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    # In one file: separate weights are easily lost when a model is copied.
    torch.onnx.export(
        program,
        (),
        path,
        input_names=greedy.inputs,
        output_names=greedy.outputs,
        external_data=False,
        verbose=False,
    )


def _onnx_runner(path: Path, outputs: Sequence[str]) -> Runner:
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda columns: session.run(list(outputs), columns)


def _describe_interface(
    policy: Policy, greedy: GreedyPolicy, parity: dict[str, Any]
) -> dict[str, Any]:
    columns = sample_inputs(policy, EXAMPLE_BATCH)
    with torch.no_grad():
        results = greedy.compute_expected(columns)

    def describe(names: Sequence[str], arrays: Sequence[Any]) -> dict[str, Any]:
        rows = zip(names, arrays, strict=True)
        return {n: {"shape": ["batch", *a.shape[1:]], "dtype": str(a.dtype)} for n, a in rows}

    metadata = policy.metadata
    return {
        **{name: metadata[name] for name in ("env", "env_kwargs", "algo", "iteration")},
        "inputs": describe(greedy.inputs, list(columns.values())),
        "outputs": describe(greedy.outputs, results),
        # The policy's memory: zeros at the start of an episode, then the results of the step.
        "states": {name: f"next.{name}" for name in greedy.states},
        # Actions are what the environment's step takes: scaled, clipped, counted from the start.
        "action_space": str(policy.action_space),
        "parity": parity,
    }


def _require_packages(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"--onnx needs {', '.join(missing)}: pip install 'rungwise[onnx]', or leave it out."
        )
