# pyright: basic
"""Checkpoints of untrained policies, written without Ray in the format that training writes."""

import json
from dataclasses import asdict

import torch
from safetensors.torch import save_file

from algos import get_algorithm_class
from algos.checkpoint import write_manifest
from algos.models import MODELS
from algos.models.normaliser import RunningMoments
from algos.space_format import space_to_dict


def write_checkpoint(directory, observation_space, action_space, *, seed=0, iteration=1, **changed):
    """A checkpoint of a policy with random weights."""
    settings = get_algorithm_class("ppo").settings_class(**changed)
    torch.manual_seed(seed)
    module = MODELS[settings.model](
        observation_space=observation_space,
        action_space=action_space,
        model_config=settings.model_config,
    )
    # The last layers begin near zero; an untrained policy is to tell observations apart too.
    with torch.no_grad():
        for weight in module.parameters():
            weight += 0.1 * torch.randn_like(weight)
    for part in module.modules():
        if isinstance(part, RunningMoments):
            part.update(2 + 3 * torch.randn(100, *part.mean.shape), torch.clone)
    about = {
        "format": 1,
        "algo": "ppo",
        "env": "CartPole-v1",
        "env_kwargs": {},
        "settings": asdict(settings),
        "iteration": iteration,
        "observation_space": space_to_dict(observation_space),
        "action_space": space_to_dict(action_space),
    }
    # Written beside and renamed, as Tune does: nobody sees half a checkpoint.
    unfinished = directory.with_name(f".{directory.name}")
    (unfinished / "policy").mkdir(parents=True)
    save_file(module.get_named_weights(), unfinished / "policy" / "weights.safetensors")
    (unfinished / "policy" / "policy.json").write_text(json.dumps(about))
    write_manifest(unfinished)
    unfinished.rename(directory)
    return directory
