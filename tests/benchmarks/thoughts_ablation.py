"""What a baseline, GAE, the decay of entropy and early stopping are worth when thoughts are learnt.

``python -m benchmarks.thoughts_ablation`` (with ``PYTHONPATH=tests``) takes the thoughts preset's
baked policy, and the policies that it has become later in its training, draws so many rollouts and
computes the policy gradient of each with several kinds of credit, from the plain return to GAE,
with a value fitted to other thoughts: that of the place alone, that of the policy's own critic
(which also sees how likely each token was), and that of an oracle, which sees every slip. ``- c``
takes off what a baseline weighted by how far each row moves the policy explains (Weaver and Tao
2001; Greensmith et al. 2004). Variances over the rollouts, summed over parameters, are compared.
Then, with ``--seeds 3``, the preset is trained to the end of its schedule without a baseline, with
one, with GAE and with a constant weight of the entropy, beside what its patience would have saved
and lost; and once more with a budget three times as long, as of somebody who does not know how long
it takes. The last line is one JSON object.
"""

import argparse
import dataclasses
import json
import logging
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import ray
import torch
from torch import Tensor, nn

import algos
from algos.advantages import compute_next_values, gae, returns_to_go
from algos.models import MODELS
from algos.models.base import to_observation_columns
from algos.reinforce import Reinforce, ReinforceObjective
from algos.rollouts.columns import Columns
from algos.rollouts.rollout import Rollout, mask_first_episodes
from envs import counter_rng
from envs.thoughts.params import Params
from envs.thoughts.world import QuietThoughts
from tune_jobs.evaluation.players import play_world_episodes
from tune_jobs.health.plateau import has_reached_plateau
from tune_jobs.jobs.job_yaml import load_job

COPIES = 64
"""Thoughts of a rollout."""
FITTED = 4096
"""Thoughts that values are fitted to."""
LAMBDAS = (0.95, 0.5, 0.0)


class BareObjective(ReinforceObjective):
    """No baseline: an action is worth the return that follows it."""

    def compute_advantages(self, rollout: Rollout) -> Columns:
        """See :class:`ReinforceObjective`."""
        nothing = dataclasses.replace(
            rollout, values=0 * rollout.values, next_values=0 * rollout.next_values
        )
        return super().compute_advantages(nothing)


class Bare(Reinforce):
    """REINFORCE without a baseline."""

    objective_class = BareObjective


ARMS: dict[str, tuple[type[Reinforce], dict[str, Any], int]] = {
    "no baseline": (Bare, {"lam": 1.0}, 1),
    "baseline": (Reinforce, {"lam": 1.0}, 1),
    "baseline + GAE": (Reinforce, {}, 1),
    "the same, entropy constant": (Reinforce, {"entropy_schedule": "constant"}, 1),
    "the same, thrice the budget": (Reinforce, {}, 3),
}
"""Name -> algorithm, changed settings, and how many of the preset's budgets."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=200, help="rollouts")
    parser.add_argument(
        "--after", type=int, nargs="*", default=[0, 20, 60], help="iterations before the rollouts"
    )
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind")
    parser.add_argument("--processes", type=int, default=2, help="trainings side by side")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), help="which kinds")
    args = parser.parse_args()
    started = time.perf_counter()
    seeds = range(args.seed, args.seed + args.seeds)
    found: dict[str, Any] = {"gradients": {}, "training": {arm: [] for arm in args.arms}}
    with ProcessPoolExecutor(args.processes, get_context("spawn")) as pool:
        looks = args.after if args.repeats else []
        spread = [(n, pool.submit(variances, args.repeats, args.seed, n)) for n in looks]
        runs = [(a, s, pool.submit(trained, a, s)) for s in seeds for a in args.arms]
        for n, look in spread:
            told = found["gradients"][n] = look.result()
            for name, ratio in told["variance"].items():
                print(
                    f"after {n:2} iterations {name:24} variance {ratio:.3f} times that of "
                    f"REINFORCE ({ratio - 1:+.0%}), {told['signal'][name]:.0%} of its gradient"
                )
            for name, share in told["explained"].items():
                print(f"after {n:2} iterations {name:24} explains {share:.0%} of the variance")
        for arm, seed, run in runs:
            found["training"][arm].append(run.result())
            print(f"{arm:28} seed {seed}: {run.result()}", flush=True)
    found["seconds"] = time.perf_counter() - started
    print(json.dumps(found))


def variances(repeats: int, seed: int, after: int) -> dict[str, Any]:
    """The policy gradient's variance by its credit, over that of plain REINFORCE, of the policy
    after so many iterations.

    Beside it how much of the plain gradient its mean keeps (a value that knows nothing lowers the
    variance of GAE by losing what there is to learn), and the share of the returns' variance that
    each value explains on these rollouts.
    """
    torch.set_num_threads(1)
    world, policy = baked()
    if after:
        policy.load_state_dict(taught(after, seed))
    settings = load_job("thoughts").training
    draw = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    count = FITTED + repeats * COPIES
    keys = counter_rng.make_keys(seed * 2**20, count)
    # In parts: what lies in memory together is small.
    parts = [rollout(world, policy, keys[i : i + 1024], draw) for i in range(0, count, 1024)]
    seen = _joined(parts)
    T, B = seen.rewards.shape
    returns = returns_to_go(seen.rewards, 0 * seen.next_values, seen.done, settings.gamma)
    tokens = torch.from_numpy(seen.columns["obs.tokens"].reshape(T * B, -1))
    choice = torch.from_numpy(seen.columns["choice"].reshape(-1))
    valid = torch.from_numpy(seen.valid.reshape(-1))
    copy = torch.arange(T * B) % B
    fitted, judged = valid & (copy < FITTED), valid & (copy >= FITTED)
    y = torch.from_numpy(returns.reshape(-1).copy())
    place, slips, moves = known(policy, tokens, choice)
    views = {
        "place": place,
        "critic": torch.cat([place, slips], -1),
        "oracle": torch.cat([place, slips, all_known(world, policy, tokens)], -1),
    }
    credits, explained = {"return": y}, dict[str, float]()
    for name, view in views.items():
        value = regressed(view, y, torch.ones_like(y), fitted)
        explained[name] = float(1 - (y - value)[judged].var() / y[judged].var())
        credits[f"return - V ({name})"] = y - value
        for lam in LAMBDAS:
            general = advantages(seen, value, settings.gamma, lam)
            credits[f"GAE {lam:g} ({name})"] = general
            least = general - regressed(view, general, moves, fitted)
            credits[f"GAE {lam:g} - c ({name})"] = least
    weights = list(policy.gpt.parameters())
    # Sums of the gradients and of their squared norms: all of them would fill gigabytes.
    sums = {name: torch.zeros(sum(w.numel() for w in weights)).double() for name in credits}
    squares = dict.fromkeys(credits, 0.0)
    for first in range(FITTED, B, COPIES):
        rows = judged & (copy >= first) & (copy < first + COPIES)
        logp = policy._forward({"obs.tokens": tokens[rows]})["dist"].logp({"choice": choice[rows]})
        for name, credit in credits.items():
            loss = -(logp * credit[rows]).mean()
            parts_ = torch.autograd.grad(loss, weights, retain_graph=True)
            gradient = torch.cat([g.flatten() for g in parts_]).double()
            sums[name] += gradient
            squares[name] += float(gradient @ gradient)
    means = {name: found / repeats for name, found in sums.items()}
    spread = {name: squares[name] / repeats - float(m @ m) for name, m in means.items()}
    ratios = {name: value / spread["return"] for name, value in spread.items()}
    plain = means["return"]
    signal = {name: float(mean @ plain / (plain @ plain)) for name, mean in means.items()}
    return {"variance": ratios, "signal": signal, "explained": explained}


def baked() -> tuple[QuietThoughts, Any]:
    """The preset's world, and a policy that begins as its reader."""
    job = load_job("thoughts")
    world = QuietThoughts(Params(**job.env_kwargs))
    torch.manual_seed(0)
    policy: Any = MODELS["language"](
        observation_space=world.observation_space,
        action_space=world.action_space,
        model_config=job.training.model_config,
    )
    weights = world.get_network_weights("baked")
    assert weights is not None
    policy.gpt.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    return world, policy


def taught(iterations: int, seed: int) -> dict[str, Tensor]:
    """The weights of the preset's policy after so many iterations."""
    job = load_job("thoughts")
    ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level=logging.ERROR)
    algorithm: Any = algos.build_algorithm(
        job.algo, job.env, job.env_kwargs, job.training, iterations=job.iterations, seed=seed
    )
    for _ in range(iterations):
        algorithm.train()
    weights = algorithm.env_runner_group.local_env_runner.module.state_dict()
    algorithm.stop()
    ray.shutdown()
    return weights


def rollout(world: QuietThoughts, policy: Any, keys: Any, draw: torch.Generator) -> Rollout:
    """One thought about the passage of each key, as a runner would have collected it."""
    state, observation = world.reset(keys)
    rows: list[dict[str, Any]] = []
    for _ in range(world.params.longest):
        columns = to_observation_columns(observation)
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
    done, valid = mask_first_episodes(done)
    return Rollout(table, rewards, values, 0 * values, done, valid)


def _joined(parts: list[Rollout]) -> Rollout:
    """The copies of several rollouts of the same length side by side."""
    names = ("rewards", "values", "next_values", "done", "valid")
    arrays = [np.concatenate([getattr(part, name) for part in parts], 1) for name in names]
    columns = {n: np.concatenate([p.columns[n] for p in parts], 1) for n in parts[0].columns}
    return Rollout(columns, **dict(zip(names, arrays, strict=True)))


@torch.no_grad()
def known(policy: Any, tokens: Tensor, choice: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of rows [N]: the last place's state [N, w], how likely each token was [N, L], and how far
    the row moves the policy: the squared gradient of its log-probability by the logits [N]."""
    seen = policy.gpt.hidden(tokens)
    last = seen[torch.arange(len(seen)), (tokens > 0).sum(-1) - 1]
    p = policy._forward({"obs.tokens": tokens})["dist"].logits.exp()
    own = p.gather(-1, choice[:, None])[:, 0]
    return last, policy._compute_token_logps(seen, tokens), 1 - 2 * own + (p**2).sum(-1)


@torch.no_grad()
def all_known(world: Any, policy: Any, tokens: Tensor) -> Tensor:
    """What nobody but an oracle knows: which tokens are slips, and how likely the rest goes well
    [N, T + 3]."""
    C, T = world.corpus.context, world.params.longest
    elements = tokens[:, : C - 1].numpy() - world.corpus.first
    right = torch.from_numpy(world.corpus.partial(elements)[:, -T:] + world.corpus.first)
    thought = tokens[:, C + 1 : C + 1 + T]
    slips = ((thought > 0) & (thought != right)).float()
    path = tokens.clone()
    path[:, C + 1 : C + 1 + T] = right
    ahead = policy.gpt.words(policy.gpt.hidden(path))[:, C : C + T, -world.choices :]
    each = ahead.log_softmax(-1).gather(-1, (right - world.corpus.end)[..., None])[..., 0]
    left = (each * (torch.arange(T) >= (thought > 0).sum(1, keepdim=True))).sum(1, keepdim=True)
    lost = slips.amax(1, keepdim=True)
    return torch.cat([slips, lost, left.exp(), left.exp() * (1 - lost)], 1)


def regressed(view: Tensor, target: Tensor, weight: Tensor, rows: Tensor) -> Tensor:
    """What a perceptron, fitted to these rows [N] by weighted squares, expects of all [N]."""
    scaled = (view - view[rows].mean(0)) / (view[rows].std(0) + 0.01)
    net = nn.Sequential(nn.Linear(view.shape[1], 256), nn.GELU(), nn.Linear(256, 1))
    optimiser, index = torch.optim.Adam(net.parameters(), lr=1e-3), torch.where(rows)[0]
    for _ in range(8):
        for part in index[torch.randperm(len(index))].split(256):
            error = (net(scaled[part])[:, 0] - target[part]).square()
            optimiser.zero_grad()
            (weight[part] * error).mean().backward()
            optimiser.step()
    with torch.no_grad():
        return net(scaled)[:, 0]


def advantages(seen: Rollout, value: Tensor, gamma: float, lam: float) -> Tensor:
    """GAE of all rows [N] by a value of theirs [N]."""
    values = value.reshape(seen.rewards.shape).numpy().astype(np.float32)
    never = np.zeros_like(seen.done)
    following = compute_next_values(values, 0 * values[0], seen.done, never, 0 * values)
    found = gae(seen.rewards, values, following, seen.done, gamma, lam)
    return torch.from_numpy(found.reshape(-1).copy())


def trained(arm: str, seed: int) -> dict[str, Any]:
    """The preset to the end of its schedule, and where its patience would have ended it.

    In a process and a Ray of its own: the seconds are the processor's and its alone.
    """
    torch.set_num_threads(1)
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    job, (algorithm_class, changed, times) = load_job("thoughts"), ARMS[arm]
    iterations = times * job.iterations
    settings = dataclasses.replace(job.training, **changed)
    algos.ALGORITHMS["arm"] = (algorithm_class.__module__, algorithm_class.__name__, arm)
    algorithm: Any = algos.build_algorithm(
        "arm", job.env, job.env_kwargs, settings, iterations=iterations, seed=seed
    )
    world = QuietThoughts(dataclasses.replace(Params(**job.env_kwargs), split="test"))
    module = algorithm.env_runner_group.local_env_runner.module
    best, stop, seconds, looks, at = (-np.inf, {}), 0, list[float](), list[float](), list[int]()
    for number in range(1, iterations + 1):
        started = time.process_time()
        algorithm.train()
        if number % job.held_out_interval == 0 and not stop:
            score = looked_at(world, module, job.held_out_episodes, 2**20)["log_p_with"]
            looks.append(score)
            at.append(number)
            if score > best[0]:
                best = score, algorithm.learner_group.get_weights()["default_policy"]
            if has_reached_plateau(np.array(looks), np.array(at), job.patience, job.min_delta):
                stop = number
        seconds.append(time.process_time() - started)
    stop = stop or iterations
    full = looked_at(world, module, 2000, 0)
    module.set_state(best[1])
    kept = looked_at(world, module, 2000, 0)
    algorithm.stop()
    ray.shutdown()
    return {
        **{"log_p": full["log_p_with"], "accuracy": full["accuracy"], "proved": full["proved"]},
        **{"cpu_seconds": sum(seconds), "stopped_at": stop, "of": iterations},
        **{"looks": looks, "saved": 1 - sum(seconds[:stop]) / sum(seconds)},
        **{"stopped_log_p": kept["log_p_with"], "stopped_accuracy": kept["accuracy"]},
    }


def looked_at(world: QuietThoughts, module: Any, episodes: int, seed: int) -> dict[str, float]:
    """The figures of a policy on passages that nobody was taught."""
    draw = torch.Generator().manual_seed(seed)

    def act(state: Any, observations: Any, keys: Any) -> Any:
        return module.act(to_observation_columns(observations), draw)[0]["choice"].numpy()

    return world.summarise(play_world_episodes(world, act, episodes, seed).metrics)


if __name__ == "__main__":
    main()
