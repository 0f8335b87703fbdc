# pyright: basic
"""Which cure of the causal post-mortem does what: before and after, and each cure left out.

``PYTHONPATH=.:tests python -m benchmarks.cures`` trains the preset ``causal-ace`` with everything,
without each cure in turn, and bare (``--seeds 3 --iterations 120``). Every policy plays the same
256 episodes, which nothing was trained on; its steps are judged by the gain in log excess risk,
whatever it was trained for. The last line is one JSON object.
"""

import argparse
import copy
import dataclasses
import json
import logging
from time import perf_counter as clock
from typing import Any

import numpy as np
import torch

import algos
from envs import counter_rng
from envs.causal.learning.params import Params
from envs.causal.learning.reward import RewardTerms
from envs.causal.learning.world import CausalLearning
from tune_jobs.health.plateau import has_reached_plateau
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.ray_session import ray_session

LOG_GAIN, BEFORE = RewardTerms(), RewardTerms(log_gain=0.0, improvement=100.0)


@dataclasses.dataclass(frozen=True)
class Arm:
    """What differs from the preset."""

    env_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    stops: bool = True
    """Whether training ends on its plateau, and the best policy is kept."""


WHOLE_BUDGET = "without early stopping"
NO_OBSERVATIONS, NO_CAP = {"observe_every": 0}, {"cap": 0.0}
NO_TEACHER, NO_REFRESH = {"warm_start": ""}, {"reference_interval": 0}
ARMS = {
    "everything": Arm(),
    "without diversity terms": Arm({"reward": LOG_GAIN}),
    "without observational rows": Arm(NO_OBSERVATIONS),
    "without the cap": Arm(NO_CAP),
    "without the warm start": Arm({}, NO_TEACHER),
    "without reference refresh": Arm({}, NO_REFRESH),
    "bare, as before": Arm(
        NO_OBSERVATIONS | NO_CAP | {"reward": BEFORE}, NO_TEACHER | NO_REFRESH, stops=False
    ),
}
"""The bare setting rewards the fall of the loss alone and trains to the end of the budget."""


def main() -> None:
    """Train, play, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--iterations", type=int, default=120, help="where training ends at the latest"
    )
    parser.add_argument("--only", default="", help="arms with this in their names")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    job = dataclasses.replace(load_job("causal-ace"), iterations=asked.iterations)
    found: dict[str, list[dict[str, Any]]] = {}
    with ray_session(cpus=1):
        for name in [name for name in ARMS if asked.only in name]:
            for seed in range(asked.seeds):
                for arm, figures in results(job, name, seed).items():
                    found.setdefault(arm, []).append(figures)
                    print(table({f"{arm}, seed {seed}": [figures]}), flush=True)
    print(f"\n{HEAD}\n{table(found)}")
    print(json.dumps({name: summary(seeds) for name, seeds in found.items()}))


def results(job: Job, name: str, seed: int) -> dict[str, dict[str, Any]]:
    """The figures of an arm; with everything, also those of its whole budget: it is the same run.

    ``saved`` is the share of the preset's budget that is left when it ends on its plateau.
    """
    arm, started = ARMS[name], clock()
    env_kwargs = job.env_kwargs | arm.env_kwargs
    settings = dataclasses.replace(job.training, **arm.settings)
    built: Any = algos.build_algorithm(
        *(job.algo, job.env, env_kwargs, settings), iterations=job.iterations, seed=seed
    )
    module = built.env_runner_group.local_env_runner.module
    scores: list[float] = []
    kept, out = module.state_dict(), {}
    for iteration in range(1, job.iterations + 1):
        before = copy.deepcopy(module.state_dict())  # what this iteration's episodes are played by
        built.train()
        scores.append(-float(built.flat_metrics[CausalLearning.score_metric]))
        if scores[-1] == max(scores):
            kept = before
        told = np.array(scores), np.arange(1.0, iteration + 1), job.patience, job.min_delta
        if name not in out and arm.stops and has_reached_plateau(*told):
            saved = 1 - iteration / load_job("causal-ace").iterations
            out[name] = played(env_kwargs, built, kept)
            out[name] |= {"iterations": iteration, "saved": saved, "seconds": clock() - started}
            if name != "everything":
                break
    whole = WHOLE_BUDGET if name in out else name
    if name not in out or name == "everything":
        out[whole] = played(env_kwargs, built, module.state_dict())
        out[whole] |= {"iterations": job.iterations, "saved": 0.0, "seconds": clock() - started}
    built.stop()
    return out


def played(env_kwargs, built, weights, episodes=256) -> dict[str, Any]:
    """What a policy with these weights does and reaches on fresh seeds."""
    world = CausalLearning(Params(**env_kwargs | {"reward": LOG_GAIN}))
    module = copy.deepcopy(built.env_runner_group.local_env_runner.module)
    module.load_state_dict(weights)
    state: Any
    observation: Any
    state, observation = world.reset(counter_rng.make_keys(0, episodes))
    generator = torch.Generator().manual_seed(0)
    rewards, shares = [], np.zeros(len(world.choice_names))
    for _ in range(world.params.interventions):
        seen = {f"obs.{name}": column for name, column in observation.items()}
        action, _, _ = module.act(seen, generator, greedy=False)
        action = module.head.to_env_action({name: part.numpy() for name, part in action.items()})
        shares += np.bincount(action["choice"], minlength=len(shares))
        step = world.step(state, action)
        state, observation = step.state, step.observation
        rewards.append(step.info["reward_before_bonus"])
    return {
        "useful": float(np.mean(np.abs(rewards) >= 0.01)),
        "reward": float(np.mean(rewards)),
        "excess": float(np.median(state.risk.excess)),
        "shares": (shares / shares.sum()).tolist(),
        "node_excess": np.median(state.risk.node_excess, axis=0).tolist(),
        "node_loss": np.median(own_loss(world, state), axis=0).tolist(),
        "rows": float(step.info["rows"].mean()),
    }


def own_loss(world, state):
    """The post-mortem's loss of each node [B, n]: noise included, so its floor is not 0.

    A root's is the mean square around the learnt mean, an effect's the excess and the noise.
    """
    truth, roots = world.get_problem(state).truth, world.student.root_nodes
    loss = state.risk.node_excess + truth.noise**2
    missed = world.student.roots(state.student).mean - truth.mean
    loss[:, roots] = np.square(missed) + np.square(truth.noise[:, roots])
    return loss


HEAD = (
    f"{'arm':28} useful reward its. saved excess | shares X1..X5 (%) | excess of each "
    "| the post-mortem's own loss of each"
)


def table(found) -> str:
    """A line for each arm: means over its seeds."""
    lines = []
    for name, seeds in found.items():
        f = summary(seeds)
        shares = " ".join(f"{100 * share:3.0f}" for share in f["shares"])
        excess, loss = (" ".join(f"{x:6.3f}" for x in f[n]) for n in ("node_excess", "node_loss"))
        cost = f"({f['rows']:.0f} rows, {f['seconds']:.0f} s)"
        lines.append(
            f"{name:28} {f['useful']:6.1%} {f['reward']:6.3f} {f['iterations']:4.0f} "
            f"{f['saved']:5.0%} {f['excess']:6.3f} | {shares} | {excess} | {loss} {cost}"
        )
    return "\n".join(lines)


def summary(seeds) -> dict[str, Any]:
    """Means over seeds, and the excess of each."""
    means = {n: np.round(np.mean([s[n] for s in seeds], axis=0), 4).tolist() for n in seeds[0]}
    return means | {"excess_by_seed": [round(s["excess"], 4) for s in seeds]}


if __name__ == "__main__":
    main()
