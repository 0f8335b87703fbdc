"""How an agent learns. A new algorithm is one file like ``ppo.py`` and one line in ALGORITHMS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envs.validation import unknown_name_error

if TYPE_CHECKING:
    from algos.algorithm import ColumnAlgorithm
    from algos.config import TrainingSettings

ALGORITHMS = {
    "ppo": ("algos.ppo", "PPO", "Proximal policy optimisation with GAE"),
    "reinforce": ("algos.reinforce", "Reinforce", "Policy gradient with a baseline"),
    "grpo": ("algos.grpo", "GRPO", "Clipped policy gradient relative to a group of episodes"),
    "dpo": ("algos.dpo", "DPO", "Preference between two actions or episodes"),
    "astar_po": ("algos.astar_po", "AStarPO", "Regression on advantages over an estimated V*"),
}
"""Name -> module, class and one line about it. Modules are imported on demand: torch is slow."""


def get_algorithm_class(name: str) -> type[ColumnAlgorithm]:
    """The algorithm of that name.

    Raises:
        InputError: no algorithm has that name.
    """
    import importlib

    if name not in ALGORITHMS:
        raise unknown_name_error("algorithm", name, ALGORITHMS)
    module, attribute, _ = ALGORITHMS[name]
    return getattr(importlib.import_module(module), attribute)


def load_algorithms() -> dict[str, type[ColumnAlgorithm]]:
    """Return all algorithms by name."""
    return {name: get_algorithm_class(name) for name in ALGORITHMS}


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
    """An algorithm ready for ``train()``, on an initialised Ray.

    Args:
        name: a key of ALGORITHMS.
        env: a Gymnasium id, with its module where it needs one (``"envs:CausalLearning-v0"``).
        env_kwargs: arguments of the environment.
        settings: the algorithm's own settings.
        iterations: the budget; schedules end there.
        seed: seeds networks, environments and shuffling.
        gpus: GPUs of each learner.
        hang_report_dir: directory where a runner that hangs leaves its report.
    """
    config = get_algorithm_class(name).get_default_config()
    config.environment(env, env_config=env_kwargs).debugging(seed=seed)
    built: Any = config.configure_training(
        settings, iterations, gpus=gpus, hang_report_dir=hang_report_dir
    ).build_algo()
    return built
