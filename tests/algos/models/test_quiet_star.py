# pyright: basic
"""Where the policy itself reads: with its own weights, and what that teaches it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from small_reader import UNTAUGHT, played, small

import algos
from algos.models import MODELS
from algos.models.base import to_observation_columns
from algos.models.quiet_star import NO_THOUGHT_WEIGHT
from algos.reinforce import ReinforceObjective, ReinforceSettings
from algos.rollouts.columns import Columns
from envs.contract import counter_rng
from envs.thoughts.corpus import THINK
from rungwise.validation import InputError

KEYS = counter_rng.make_keys(0, 60)
SETTINGS: dict[str, Any] = {
    **{"model": "thinker", "hidden": (16, 16), "num_envs": 4, "rollout_length": 8},
    **{"minibatch_size": 32, "likelihood_coef": 1.0},
}
READER: dict[str, Any] = {"width": 16, "steps": 2, "passages": 4}
ENV: dict[str, Any] = {"modulus": 4, "terms": 4, "longest": 3, "shared": True, "reader": READER}


def policy(world, model: Any = "thinker", seed=0):
    """A policy whose weights are large enough to differ."""
    torch.manual_seed(seed)
    built: Any = MODELS[model](
        observation_space=world.observation_space,
        action_space=world.action_space,
        model_config=ReinforceSettings(model=model, hidden=(16, 16)).model_config,
    )
    with torch.no_grad():
        for weight in built.parameters():
            weight.normal_(0, 0.3)
    return built


def thought(world):
    """The steps of thoughts of 0 to 3 tokens, and their rows as a learner sees them."""
    state, observation = world.reset(KEYS)
    choice = 1 + counter_rng.integers(KEYS, world.choices - 1, (3,))
    choice[np.arange(3) >= np.arange(60)[:, None] % 4] = 0
    steps = played(world, state, choice.T)
    seen = [observation, *(step.observation for step in steps[:-1])]
    parts = [
        to_observation_columns(o) | {"choice": c, "answer": s.info["answer"]}
        for o, c, s in zip(seen, choice.T, steps, strict=True)
    ]
    rows = {name: torch.from_numpy(np.concatenate([p[name] for p in parts])) for name in parts[0]}
    return steps, rows


def test_the_learnt_likelihood_is_the_worlds_reward():
    world = small(UNTAUGHT, shared=True)
    module = policy(world)
    world = world.with_policy_weights(module.get_state())
    steps, rows = thought(world)
    found = module._forward(rows)["likelihood"].detach()
    ended = np.concatenate([s.info["answer"][:, 0] > 0 for s in steps])
    with_it, without = (
        np.concatenate([s.info[name] for s in steps]) for name in ("log_p_with", "log_p_without")
    )
    np.testing.assert_allclose(found, ended * (with_it + NO_THOUGHT_WEIGHT * without), atol=1e-4)
    assert ended.sum() == 60 and np.abs(with_it - without)[ended].max() > 0.1


def test_the_mixing_head_weighs_both_logits():
    """One passage by hand, token by token."""
    world = small(UNTAUGHT, shared=True)
    module = policy(world)
    world = world.with_policy_weights(module.get_state())
    places = world.reset(KEYS[:1])[0].passages
    token = world.corpus.first
    found, _ = world.reader.predict_answer(places.context, np.array([[token, 0, 0]]), places.answer)
    begun = [*places.context[0].tolist(), THINK]
    end = world.corpus.end
    after, without = (
        module.gpt.hidden(torch.tensor([begun + more]))[0, -1] for more in ([token, end], [end])
    )
    share = torch.sigmoid(module.mixing.head(torch.cat([after, without])))
    logits = share * module.gpt.words(after) + (1 - share) * module.gpt.words(without)
    expected = logits.log_softmax(-1)[places.answer[0, 0]]
    assert found[0] == pytest.approx(float(expected.detach()), abs=1e-5)
    assert 0.01 < float(share.detach()) < 0.99


def test_the_likelihood_moves_what_reads_by_its_weight():
    world = small(UNTAUGHT, shared=True)
    module, (_, rows) = policy(world), thought(world)
    count = len(rows["choice"])
    nothing = dict.fromkeys(("logp", "advantages", "returns", "values"), torch.zeros(count))
    batch = Columns(rows | nothing)

    def gradient(weight):
        settings = ReinforceSettings(**{**SETTINGS, "likelihood_coef": weight})
        terms = (
            ReinforceObjective(settings)
            .loss(module._forward(batch), batch, {"entropy_coef": 0.0})
            .terms
        )
        own = [*module.gpt.parameters(), *module.mixing.parameters()]
        return torch.autograd.grad(terms["likelihood"].mean(), own, allow_unused=False)

    for once, twice in zip(gradient(1.0), gradient(2.0), strict=True):
        assert once.abs().max() > 0
        torch.testing.assert_close(2 * once, twice)


@pytest.mark.usefixtures("local_ray")
def test_learnt_weights_read_and_the_baked_reader_stays():
    with trained() as algorithm:
        runner = algorithm.env_runner_group.local_env_runner
        began = runner.env.world.get_network_weights("baked")
        for _ in range(2):
            algorithm.train()
            world = runner.env.world
            learnt = algorithm.learner_group.get_weights()["default_policy"]
            read = world.reader.network.state_dict() | {
                f"mixing.{name}": w for name, w in world.reader.mixing.state_dict().items()
            }
            for name, weight in read.items():
                own = learnt.get(name, learnt.get(f"gpt.{name}"))
                np.testing.assert_array_equal(weight.float().numpy(), own, err_msg=name)
        assert algorithm.flat_metrics["grad_norm_likelihood"] > 0
        assert (learnt["gpt.tokens.weight"] != began["tokens.weight"]).any()
        for name, weight in world.get_network_weights("baked").items():
            np.testing.assert_array_equal(weight, began[name])


def test_who_reads_must_be_able_to_and_asked_to():
    shared, frozen = small(UNTAUGHT, shared=True), small(UNTAUGHT)
    writer, thinker = policy(shared, "language").get_state(), policy(shared).get_state()
    with pytest.raises(InputError, match="set model='thinker'"):
        shared.with_policy_weights(writer)
    with pytest.raises(InputError, match="set the environment's shared to true"):
        frozen.with_policy_weights(thinker)
    assert frozen.with_policy_weights(writer).reader is frozen.reader
    with pytest.raises(InputError, match="model='language' does not read"):
        ReinforceSettings(**{**SETTINGS, "model": "language"})


@contextmanager
def trained() -> Iterator[Any]:
    """A small thinker that begins as the reader."""
    settings = ReinforceSettings(**SETTINGS, warm_start="baked", lr=0.01)
    algorithm = algos.build_algorithm(
        "reinforce", "QuietThoughts-v0", ENV, settings, iterations=3, seed=0
    )
    try:
        yield algorithm
    finally:
        algorithm.stop()
