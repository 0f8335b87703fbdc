"""What a baseline, GAE and early stopping are worth when thoughts are learnt.

``python -m benchmarks.thoughts_ablation`` (with ``PYTHONPATH=tests``) takes the thoughts preset's
baked policy, draws so many rollouts and computes the policy gradient of each with three kinds of
credit: the return alone (REINFORCE), the return less a learnt value, and GAE. Its variance over the
rollouts, summed over all parameters, is compared. Then, unless ``--no-training``, it trains the
preset to the end of its schedule and says what a patience and ``keep: best`` would have saved, and
lost.
The last line is one JSON object.
"""

import argparse
import json
import logging
import time
from dataclasses import replace
from typing import Any

import numpy as np
import ray
import torch

import algos
from algos.advantages import gae, next_values, returns_to_go
from algos.columns import Columns
from algos.models import MODELS
from algos.models.base import observation_columns
from algos.models.language import LanguagePolicy
from algos.rollout import Rollout, first_episodes
from envs import random
from envs.thoughts.thoughts import Params, QuietThoughts
from tune_jobs.evaluate import _world_episodes
from tune_jobs.loading import load_job

CREDITS = ("return", "return - value", "GAE")
COPIES = 64
"""Thoughts of a rollout."""
MIN_DELTA = 0.1
"""What counts as better: by more than this share of the best score's size."""
FITTED = 4096
"""Thoughts that the value is fitted to."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=200, help="rollouts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=int, default=30, help="iterations without a better one")
    parser.add_argument("--no-training", action="store_true", help="leave out early stopping")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("ray").setLevel(logging.ERROR)
    found: dict[str, Any] = variances(args.repeats, args.seed)
    for name, ratio in found["variance"].items():
        print(f"{name:16} variance {ratio:.3f} times that of REINFORCE ({ratio - 1:+.0%})")
    print(f"the value explains {found['explained']:.0%} of the returns' variance")
    if not args.no_training:
        ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
        found["early_stopping"] = stopped = early_stopping(args.seed, args.patience)
        print(
            f"early stopping: {stopped['iterations']} of {stopped['budget']} iterations, "
            f"{stopped['saved']:.0%} of the time saved; log p {stopped['score']:.4f} instead of "
            f"{stopped['full_score']:.4f}"
        )
    print(json.dumps(found))


def variances(repeats: int, seed: int) -> dict[str, Any]:
    """The policy gradient's variance by its credit, over that of plain REINFORCE.

    Beside it the share of the returns' variance that the fitted value explains on these rollouts.
    """
    job = load_job("thoughts")
    world = QuietThoughts(Params(**job.env_kwargs))
    torch.manual_seed(seed)
    policy: Any = MODELS["language"](
        observation_space=world.observation_space,
        action_space=world.action_space,
        model_config=job.settings.model_config,
    )
    weights = world.network("baked")
    assert weights is not None
    policy.gpt.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    draw = torch.Generator().manual_seed(seed)
    fit_value(policy, rollout(world, policy, random.keys(seed, FITTED), draw), job.settings.gamma)
    gradients: dict[str, list[torch.Tensor]] = {name: [] for name in CREDITS}
    returns: list[Any] = []
    errors: list[Any] = []
    for number in range(repeats):
        keys = random.keys(2**20 + (seed * repeats + number) * COPIES, COPIES)
        seen = rollout(world, policy, keys, draw)
        credits = credited(seen, job.settings)
        returns.append(credits["return"][seen.valid])
        errors.append(credits["return - value"][seen.valid])
        for name, credit in credits.items():
            gradients[name].append(gradient(policy, seen.rows(advantages=credit)))
    spread = {name: float(torch.stack(g).var(0).sum()) for name, g in gradients.items()}
    explained = 1 - np.concatenate(errors).var() / np.concatenate(returns).var()
    ratios = {name: value / spread[CREDITS[0]] for name, value in spread.items()}
    return {"variance": ratios, "explained": float(explained)}


def rollout(
    world: QuietThoughts, policy: LanguagePolicy, keys: Any, draw: torch.Generator
) -> Rollout:
    """One thought about the passage of each key, as a runner would have collected it."""
    state, observation = world.reset(keys)
    rows: list[dict[str, Any]] = []
    for _ in range(world.params.longest):
        columns = observation_columns(observation)
        action, logp, value = policy.act(columns, draw)
        step = world.step(state, action["choice"].numpy())
        rows.append(
            columns
            | {"choice": action["choice"].numpy(), "logp": logp.numpy(), "value": value.numpy()}
            | {"reward": step.reward, "done": step.terminated}
        )
        state, observation = step.state, step.observation
    table = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    rewards, values, done = (table.pop(name) for name in ("reward", "value", "done"))
    zeros = np.zeros_like(rewards)
    following = next_values(values, zeros[0], done, np.zeros_like(done), zeros)
    done, valid = first_episodes(done)
    return Rollout(table, rewards, values, following, done, valid)


def credited(seen: Rollout, settings: Any) -> dict[str, Any]:
    """What each thought token was worth [T, B], by three kinds of credit."""
    returns = returns_to_go(seen.rewards, 0 * seen.following, seen.done, settings.gamma)
    general = gae(
        seen.rewards, seen.values, seen.following, seen.done, settings.gamma, settings.lam
    )
    return dict(zip(CREDITS, (returns, returns - seen.values, general), strict=True))


def fit_value(policy: Any, seen: Rollout, gamma: float) -> None:
    """Fit the policy's value to the returns of these thoughts; the policy itself stays."""
    returns = returns_to_go(seen.rewards, 0 * seen.following, seen.done, gamma)
    rows = seen.rows(returns=returns).torch()
    optimiser = torch.optim.Adam(policy.critic.parameters(), lr=1e-3)
    for _ in range(4):
        for part in torch.randperm(len(rows)).split(256):
            batch = rows.select(part)
            error = policy._forward(batch)["value"] - batch["returns"]
            optimiser.zero_grad()
            error.square().mean().backward()
            optimiser.step()


def gradient(policy: Any, rows: Columns) -> torch.Tensor:
    """The policy gradient of these rows, flat."""
    batch = rows.torch()
    logp = policy._forward(batch)["dist"].logp(batch)
    found = torch.autograd.grad(-(logp * batch["advantages"]).mean(), list(policy.gpt.parameters()))
    return torch.cat([g.flatten() for g in found])


def early_stopping(seed: int, patience: int) -> dict[str, float]:
    """The preset to the end of its schedule, beside where a patience would have ended it."""
    job = load_job("thoughts")
    algorithm: Any = algos.build(
        job.algo, job.env, job.env_kwargs, job.settings, iterations=job.iterations, seed=seed
    )
    best, since, kept, stop = -np.inf, 0, {}, None
    seconds: list[float] = []
    for number in range(1, job.iterations + 1):
        started = time.process_time()
        algorithm.train()
        seconds.append(time.process_time() - started)
        score = algorithm.flat["log_p_with"]
        if not np.isfinite(best) or score - best > MIN_DELTA * abs(best):
            best, since = score, number
        if stop is None and score >= max(kept, default=-np.inf):
            # What `keep: best` would restore.
            kept = {score: algorithm.learner_group.get_weights()["default_policy"]}
        if stop is None and number - since >= patience:
            stop = number
    stop = stop or job.iterations
    world = QuietThoughts(replace(Params(**job.env_kwargs), split="test"))
    module = algorithm.env_runner_group.local_env_runner.module
    full = held_out(world, module)
    module.set_state(next(iter(kept.values())))
    found = {
        "iterations": stop,
        "budget": job.iterations,
        "saved": 1 - sum(seconds[:stop]) / sum(seconds),
        "cpu_seconds": sum(seconds),
        "score": held_out(world, module),
        "full_score": full,
    }
    algorithm.stop()
    return found


def held_out(world: QuietThoughts, module: Any) -> float:
    """Mean log p of what follows, on 2,000 passages that nobody was taught."""
    draw = torch.Generator().manual_seed(0)

    def act(state: Any, observations: Any, keys: Any) -> Any:
        return module.act(observation_columns(observations), draw)[0]["choice"].numpy()

    return float(_world_episodes(world, act, 2000, 0).metrics["log_p_with"].mean())


if __name__ == "__main__":
    main()
