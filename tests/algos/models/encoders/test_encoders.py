# pyright: basic, reportIndexIssue=false
"""Encoders: which kind reads which part, and what they refuse."""

import numpy as np
import pytest
import small
import torch
from gymnasium import spaces

from algos.models import MODELS
from algos.models.base import to_observation_columns
from algos.models.encoder_policy import EncoderPolicy
from algos.models.encoders import describe_encoders, list_images, make_encoders
from algos.models.encoders.discrete import DiscreteEncoder
from algos.models.encoders.image import ImageEncoder
from algos.models.encoders.vector import VectorEncoder
from algos.models.mlp import MLPPolicy
from rungwise.validation import InputError

CONFIG = {"hidden": (16,), "activation": "tanh", "frame_stack": 1}
PIXELS = spaces.Box(0, 255, (84, 84, 3), np.uint8)
MIXED = spaces.Dict(
    image=spaces.Box(0, 255, (7, 7, 3), np.uint8),
    direction=spaces.Discrete(4, start=-1),
    place=spaces.Box(-1, 1, (2, 3)),
    word=spaces.MultiDiscrete([3, 5000]),
    bits=spaces.MultiBinary(5),
    mask=spaces.MultiBinary(3),
)


def sample(space, count, seed=0):
    space.seed(seed)
    batch = [to_observation_columns(space.sample()) for _ in range(count)]
    return {name: np.stack([row[name] for row in batch]) for name in batch[0]}


def test_each_part_has_the_encoder_of_its_kind():
    found = make_encoders(MIXED, CONFIG)
    assert {name: type(encoder) for name, encoder in found.items()} == {
        "obs.image": ImageEncoder,
        "obs.direction": DiscreteEncoder,
        "obs.place": VectorEncoder,
        "obs.word": DiscreteEncoder,
        "obs.bits": VectorEncoder,
    }
    columns = {name: torch.from_numpy(c) for name, c in sample(MIXED, 6).items()}
    for name, encoder in found.items():
        assert encoder(columns[name]).shape == (6, encoder.size), name
    assert found["obs.direction"].size == 4 and found["obs.word"].size == 3 + 64


def test_a_discrete_part_is_one_hot_from_its_start_and_embedded_when_large():
    small_set = DiscreteEncoder(spaces.Discrete(3, start=5))
    assert small_set(torch.tensor([5, 7])).tolist() == [[1, 0, 0], [0, 0, 1]]
    large = DiscreteEncoder(spaces.MultiDiscrete([2, 1000]))
    features = large(torch.tensor([[1, 999], [0, 999]]))
    assert features[:, :2].tolist() == [[0, 1], [1, 0]]
    assert torch.equal(features[0, 2:], large.tables.get_parameter("0.weight")[999])


@pytest.mark.parametrize(
    ("space", "changed", "expected"),
    [
        (spaces.Box(-1, 1, (4,)), {}, MLPPolicy),
        (spaces.Box(-1, 1, (4, 30)), {}, MLPPolicy),
        (spaces.Discrete(5), {}, MLPPolicy),
        (spaces.Box(-1, 1, (9, 9)), {"frame_stack": 4}, MLPPolicy),
        (PIXELS, {}, EncoderPolicy),
        (PIXELS, {"model": "mlp"}, MLPPolicy),
        (spaces.Box(0, 255, (84, 84), np.uint8), {}, EncoderPolicy),
        (MIXED, {}, EncoderPolicy),
        (spaces.Box(-1, 1, (4,)), {"memory": "gru", "sequence_length": 8}, EncoderPolicy),
    ],
)
def test_images_and_memory_alone_need_encoders(space, changed, expected):
    assert type(small.module(space, spaces.Discrete(3), **changed)) is expected


def test_numbers_get_the_same_weights_as_from_mlp():
    space, action = spaces.Box(-1, 1, (4,)), spaces.Discrete(3)
    built = []
    for model in ("auto", "mlp"):
        torch.manual_seed(0)
        config = small.settings(model=model).model_config
        about = {"observation_space": space, "action_space": action, "model_config": config}
        built.append(MODELS[model](**about).get_state())
    assert small.same_weights(*built)


@pytest.mark.parametrize("frames", [1, 3])
def test_a_shuffled_minibatch_of_mixed_parts_has_the_acting_logps(frames):
    policy = small.module(MIXED, spaces.Discrete(3), frame_stack=frames, scale=0.1)
    columns = sample(MIXED, 40)
    columns["obs.mask"][:, 0] = 1
    seen, _ = policy.recall(columns, policy.initial_state(40))
    taken, logp, value = policy.act(seen, torch.Generator().manual_seed(0))
    for index in torch.randperm(40, generator=torch.Generator().manual_seed(1)).split(7):
        found = policy({name: torch.from_numpy(c)[index] for name, c in seen.items()})
        again = found["dist"].logp({name: part[index] for name, part in taken.items()})
        torch.testing.assert_close(again, logp[index], atol=2e-6, rtol=1e-6)
        torch.testing.assert_close(found["value"], value[index], atol=2e-6, rtol=1e-6)


def test_every_part_reaches_policy_and_value():
    policy = small.module(MIXED, spaces.Discrete(3), scale=0.1)
    columns = {name: torch.from_numpy(c) for name, c in sample(MIXED, 2).items()}
    before, value = policy.compute_outputs(columns)
    for name in policy.names:
        changed = columns | {name: columns[name].flip(0)}
        after, other = policy.compute_outputs(changed)
        assert not torch.equal(after, before) and not torch.equal(other, value), name


def test_a_line_describes_how_each_part_is_read():
    lines = describe_encoders(MIXED, CONFIG)
    assert len(lines) == 5
    image = next(line for line in lines if "'image'" in line)
    assert "7 x 7 pixels in 3 channels (last)" in image and "3 x 3" in image
    assert lines == [
        f"The part {name.removeprefix('obs.')!r} of the observation: {encoder.describe()}"
        for name, encoder in make_encoders(MIXED, CONFIG).items()
    ]
    (plain,) = describe_encoders(spaces.Box(-1, 1, (4,)), CONFIG)
    assert plain == "The observation: 4 numbers of one perceptron's input"


def test_describing_encoders_draws_no_weights():
    before = torch.get_rng_state()
    huge = spaces.Box(0, 255, (2000, 3000, 3), np.uint8)  # its weights would take 90 GB
    assert "2000 x 3000 pixels" in describe_encoders(huge, CONFIG)[0]
    assert torch.equal(torch.get_rng_state(), before)


def test_images_are_listed_without_the_mask():
    images = list_images(spaces.Dict({**MIXED.spaces, "mask": PIXELS, "deep": MIXED}))
    assert list(images) == ["obs.deep.image", "obs.image"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (spaces.Box(0, 255, (1, 1, 3), np.uint8), r"'x'.* image of one pixel.*vector of 3 numbers"),
        (spaces.Box(0, 1, (2, 2, 2, 2, 2)), r"'x'.*\(2, 2, 2, 2, 2\).*no encoder reads"),
        (spaces.Box(0, 1, (0,)), r"'x'.*\(0,\).*no encoder reads"),
        (spaces.Text(5), r"'x'.* is Text.* no policy here can read: make it a Box"),
        (spaces.Sequence(spaces.Discrete(3)), r"'x'.* is Sequence.* no policy here can read"),
    ],
)
def test_a_part_that_cannot_be_encoded_is_refused_with_its_name(part, message):
    observation = spaces.Dict(x=part, image=PIXELS)
    with pytest.raises(InputError, match=message):
        small.module(observation, spaces.Discrete(3))
