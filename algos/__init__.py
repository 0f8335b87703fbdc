"""Reinforcement learning algorithms on RLlib: ``PPO``, ``GRPO``, ``REINFORCE``, ``DPO``, ``A*-PO``.

An algorithm is one file such as ``ppo.py`` (objective and a class for the training loop), its
settings (``settings/ppo.py``) and one line in ALGORITHMS. A trained policy acts without any of
that: ``Policy.load(checkpoint).act(observation)``.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rungwise.validation import InputError, unknown_name_error

if TYPE_CHECKING:
    from algos.algorithm import ColumnAlgorithm
    from algos.astar_po import AStarPO
    from algos.dpo import DPO
    from algos.grpo import GRPO
    from algos.objective import Objective
    from algos.policy import Policy
    from algos.ppo import PPO
    from algos.reinforce import Reinforce
    from algos.settings.astar_po import AStarPOSettings
    from algos.settings.dpo import DPOSettings
    from algos.settings.grpo import GRPOSettings
    from algos.settings.ppo import PPOSettings
    from algos.settings.reinforce import ReinforceSettings
    from algos.settings.training import TrainingSettings

__all__ = [
    "ALGORITHMS",
    "DPO",
    "GRPO",
    "PPO",
    "AStarPO",
    "AStarPOSettings",
    "DPOSettings",
    "GRPOSettings",
    "Objective",
    "PPOSettings",
    "Policy",
    "Reinforce",
    "ReinforceSettings",
    "TrainingSettings",
    "build_algorithm",
    "get_algorithm_class",
    "get_settings_class",
    "load_objectives",
]

ALGORITHMS = {
    "ppo": ("algos.ppo", "PPO", "Proximal policy optimisation with GAE"),
    "reinforce": ("algos.reinforce", "Reinforce", "Policy gradient with a baseline"),
    "grpo": ("algos.grpo", "GRPO", "Clipped policy gradient relative to a group of episodes"),
    "dpo": ("algos.dpo", "DPO", "Preference between two actions or episodes"),
    "astar_po": ("algos.astar_po", "AStarPO", "Regression on advantages over an estimated V*"),
}
"""Name -> module, class and one line about it. Modules are imported on demand: torch is slow."""

_MODULES = {
    "Objective": "algos.objective",
    "Policy": "algos.policy",
    "TrainingSettings": "algos.settings.training",
    **{name: module for module, name, _ in ALGORITHMS.values()},
    **{f"{name}Settings": f"algos.settings.{key}" for key, (_, name, _) in ALGORITHMS.items()},
}


def __getattr__(name: str) -> Any:
    """Import a public class when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def get_algorithm_class(name: str) -> type[ColumnAlgorithm]:
    """Return the algorithm of that name.

    Raises:
        InputError: no algorithm has that name.
    """
    module, attribute, _ = _get_entry(name)
    return getattr(importlib.import_module(module), attribute)


def get_settings_class(name: str) -> type[TrainingSettings]:
    """Return the settings of the algorithm of that name: of ours without importing torch.

    Raises:
        InputError: no algorithm has that name.
    """
    _, attribute, _ = _get_entry(name)
    if find_spec(module := f"algos.settings.{name}"):
        return getattr(importlib.import_module(module), f"{attribute}Settings")
    return get_algorithm_class(name).settings_class  # an algorithm of one file


def _get_entry(name: str) -> tuple[str, str, str]:
    from algos.settings.training import is_rllib_name

    if is_rllib_name(name):
        raise InputError(f"{name} is not an algorithm of ours: only `train` and `tune` take it.")
    if name not in ALGORITHMS:
        raise unknown_name_error("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


def load_objectives() -> dict[str, Objective[Any]]:
    """Return the objectives of all algorithms by name, with their default settings."""
    classes = {name: get_algorithm_class(name) for name in ALGORITHMS}
    return {name: kind.objective_class(kind.settings_class()) for name, kind in classes.items()}


def build_algorithm(
    name: str,
    env: str,
    env_kwargs: dict[str, Any],
    settings: TrainingSettings,
    *,
    iterations: int,
    seed: int,
    gpus: float = 0,
    hang_report_dir: str = "",
) -> ColumnAlgorithm:
    """Build an algorithm that is ready for ``train()``, on an initialised Ray.

    Args:
        name: a key of ALGORITHMS.
        env: a Gymnasium id, with its module where it needs one (``"envs:CausalLearning-v0"``).
        env_kwargs: arguments of the environment.
        settings: the algorithm's own settings.
        iterations: the budget; schedules end there.
        seed: seeds networks, environments and shuffling.
        gpus: GPUs of each process whose policy is on one: each learner, and each env runner where
            the settings say so (``acts_on_gpu``).
        hang_report_dir: directory where a runner that hangs leaves its report.
    """
    config = get_algorithm_class(name).get_default_config()
    config.environment(env, env_config=env_kwargs).debugging(seed=seed)
    built: Any = config.configure_training(
        settings, iterations, gpus=gpus, hang_report_dir=hang_report_dir
    ).build_algo()
    return built
