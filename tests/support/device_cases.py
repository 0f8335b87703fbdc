# pyright: basic
"""Three iterations of each algorithm and network on a device, without Ray."""

from typing import Any, NamedTuple

import numpy as np
import small
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID

from algos.rollouts.columns import concat

CAUSAL: dict[str, Any] = {}
GRAPH: dict[str, Any] = {"action": "edges", "observation": "graph", "size": 4, "solve": False}
SHOP: dict[str, Any] = {"products": 150, "goals": 40}
TEXT: dict[str, Any] = {**SHOP, "text": "language", "action_tokens": 12}
READER: dict[str, Any] = {"width": 16, "steps": 2, "passages": 4}
THOUGHTS: dict[str, Any] = {"modulus": 4, "terms": 4, "longest": 3, "reader": READER}


class Case(NamedTuple):
    """A network, an algorithm and an environment that go together."""

    env: str
    env_kwargs: dict[str, Any]
    algo: str
    settings: dict[str, Any]


CASES = {
    "mlp-ppo": Case("CartPole-v1", {}, "ppo", {"epochs": 2, "kl_limit": 0.01}),
    "mlp-normal-reinforce": Case("Pendulum-v1", {}, "reinforce", {}),
    "mlp-beta-ppo": Case(
        "envs:CausalLearning-v0", CAUSAL, "ppo", {"value_distribution": "beta", "temperature": 2.0}
    ),
    "mlp-bins-dpo": Case("envs:CausalLearning-v0", CAUSAL, "dpo", {"pairs": "candidates"}),
    "set-normal-grpo": Case(
        "envs:CausalOptimisation-v0",
        {},
        "grpo",
        {"model": "set", "value_distribution": "normal", "log_std_schedule": "linear"},
    ),
    "set-dpo": Case("envs:CausalLearning-v0", CAUSAL, "dpo", {"model": "set"}),
    "graph-reinforce": Case("envs:EdgeSelection-v0", GRAPH, "reinforce", {"model": "graph"}),
    "gin-ppo": Case("envs:EdgeSelection-v0", GRAPH, "ppo", {"model": "gin", "temperature": 2.0}),
    "scorer-astar_po": Case("envs:Shopping-v0", SHOP, "astar_po", {"model": "scorer"}),
    "lm-astar_po": Case("envs:Shopping-v0", TEXT, "astar_po", {"model": "lm"}),
    "lm-lora-ppo": Case(
        "envs:Shopping-v0", TEXT, "ppo", {"model": "lm", "lora_rank": 2, "optimiser": "muon"}
    ),
    "language-reinforce": Case(
        "envs:QuietThoughts-v0", THOUGHTS, "reinforce", {"model": "language"}
    ),
    "thinker-reinforce": Case(
        "envs:QuietThoughts-v0",
        THOUGHTS | {"shared": True},
        "reinforce",
        {"model": "thinker", "likelihood_coef": 1.0},
    ),
}


def make_thinker_case(folder, **env_kwargs):
    """A Hugging Face model that thinks and reads a text; both are made in a folder."""
    from hf_models import make_model_folder

    text, model = folder / "cats.txt", make_model_folder(folder)
    text.write_text("The cat sat on the mat, and the dog sat by the door. " * 40)
    chosen = {"task": "text", "text": str(text), "language_model": model, "shared": True}
    chosen |= {"context": 6, "ahead": 3, "longest": 3, **env_kwargs}
    settings = {"model": "thinker", "language_model": model, "lora_rank": 2}
    settings |= {"likelihood_coef": 1.0, "reference_kl_coef": 0.1}
    return Case("envs:QuietThoughts-v0", chosen, "reinforce", settings)


def build(case, **changed):
    """A runner and a learner of a case, whose processes hold a GPU."""
    chosen = {"hidden": (16, 16), "epochs": 1} | case.settings | changed
    runner = small.runner(case.env, case.env_kwargs, algo=case.algo, gpus=1, **chosen)
    spec = runner.config.get_multi_rl_module_spec(spaces=runner.get_spaces())
    learner = runner.config.learner_class(config=runner.config, module_spec=spec)
    learner.build()
    module, noise = learner.module[DEFAULT_MODULE_ID], np.random.default_rng(0)
    # Far from uniform, so that a wrong number shows.
    module.set_state(
        {
            name: weight + (0.1 * noise.normal(size=weight.shape) if weight.ndim > 1 else 0)
            for name, weight in module.get_state().items()
        }
    )
    return runner, learner


def train(runner, learner, iterations=3):
    """Collect, learn and send the weights back, as the training loop does; each one's metrics."""
    metrics = []
    for number in range(iterations):
        weights = learner.get_state(components=COMPONENT_RL_MODULE)[COMPONENT_RL_MODULE]
        runner.set_state({COMPONENT_RL_MODULE: weights})
        rows, _ = runner.sample()
        if "v_star_beta" in vars(runner.settings):
            # Stage 1 of A*-PO is the training loop's.
            rows = rows.with_columns(v_star=np.linspace(-1, 1, len(rows), dtype=np.float32))
        rows, found = runner.objective.preprocess_batch(concat([rows]))
        if len(rows):
            found |= small.updated(learner, rows, (number + 1) / iterations)
        metrics.append({name: v for name, v in found.items() if np.isscalar(v)})
    return metrics
