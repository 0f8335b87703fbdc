# pyright: basic
"""A small language model learns to shop by A*-PO; what it costs is printed."""

import resource

import numpy as np
import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("transformers", reason="the extra [lm] is not installed")

from command_line import answer, rungwise

from algos.policy import Policy
from envs.contract import counter_rng
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import ResultRow
from tune_jobs.evaluation.evaluation_world import make_world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def test_a_run_improves_the_tiny_language_model(tmp_path):
    import transformers

    done = rungwise(
        *("train", "shop-lm-tiny", "--evaluation-episodes", 0, "--json", "--out", "run"),
        cwd=tmp_path,
        timeout=2300,
    )
    assert done.returncode == 0, done.stderr
    # Iteration 0 is stage 1, which has no score.
    rows = [
        row
        for row in read_event_log(tmp_path / "run" / "events.jsonl")
        if isinstance(row, ResultRow) and row.iteration
    ]
    scores = [row.metrics["score"] for row in rows]
    before, after = (sum(part) / 5 for part in (scores[:5], scores[-5:]))
    collecting, learning = (sum(row.metrics[n] for row in rows) for n in ("sample_s", "learn_s"))
    steps = sum(row.metrics["env_steps_per_s"] * row.metrics["iteration_s"] for row in rows)
    checkpoint = tmp_path / answer(done)["checkpoint"]
    policy = Policy.load(checkpoint)
    tokens, epochs = steps * tokens_of_a_step(policy), policy.metadata["settings"]["epochs"]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    print(
        f"\nscore {before:.1f} to {after:.1f} (means of 5 iterations), first {scores[0]:.1f}; "
        f"{steps:.0f} steps of {tokens / steps:.0f} tokens, {tokens / collecting:.0f} tokens/s "
        f"collecting, {epochs * tokens / learning:.0f} learning, largest process {peak:.0f} MiB"
    )
    assert after > before + 4 and after > scores[0]
    saved = checkpoint / "policy" / "language_model"
    model = transformers.AutoModelForCausalLM.from_pretrained(saved)
    assert model.num_parameters() < 200_000


def tokens_of_a_step(policy) -> float:
    """How many tokens a policy reads for one step, prompt and candidates, over 64 episodes."""
    world = make_world(policy.metadata["env"], policy.full_evaluation_env_kwargs, policy)
    assert world is not None
    state, observation = world.reset(counter_rng.make_keys(0, 64))
    alive, read = np.ones(64, bool), []
    while alive.any():
        legal = observation["candidates"] * observation["mask"][..., None]
        read += ((observation["prompt"] > 0).sum(1) + (legal > 0).sum((1, 2)))[alive].tolist()
        moved = world.step(state, policy.act_batch(observation))
        alive &= ~(moved.terminated | moved.truncated)
        state, observation = moved.state, moved.observation
    return float(np.mean(read))
