# pyright: basic
"""The small GPT: causal attention, and the mixing of predictions."""

from typing import Any

import numpy as np
import torch
from small_reader import UNTAUGHT

from envs.thoughts.corpus import Problems, cyclic
from envs.thoughts.gpt import GPT, Mixing
from envs.thoughts.reader import bake

CORPUS = Problems(*cyclic(3), 3, 3, 0.2)


def test_what_stands_to_the_right_does_not_change_what_is_read():
    network = bake(CORPUS, UNTAUGHT).double()
    tokens = torch.from_numpy(np.random.default_rng(0).integers(1, 9, (5, 8)))
    whole = network(tokens)
    for length in (1, 4):
        torch.testing.assert_close(network(tokens[:, :length]), whole[:, :length])
    changed = tokens.clone()
    changed[:, 2] = 1 + changed[:, 2] % 8
    assert (network(changed)[:, 2:] - whole[:, 2:]).abs().max() > 1e-3


def test_the_mixture_of_logits_is_convex_in_its_weight():
    torch.manual_seed(0)
    network, mixing = GPT(9, 4, width=8, layers=1), Mixing(8)
    after, without = torch.randn(2, 3, 8)
    one, other = network.words(after), network.words(without)
    last: Any = mixing.head[-1]
    torch.nn.init.zeros_(last.weight)
    for bias, share in ((0.0, 0.5), (-50.0, 0.0), (50.0, 1.0)):
        torch.nn.init.constant_(last.bias, bias)
        expected = share * one + (1 - share) * other
        torch.testing.assert_close(mixing(network.words, after, without), expected)


def test_logits_are_words_of_the_normalised_hidden_states():
    torch.manual_seed(0)
    network, tokens = GPT(9, 4, width=8, layers=0), torch.tensor([[3, 1, 0]])
    x = network.tokens.weight[tokens] + network.places[:3]
    normal = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(network(tokens), normal @ network.words.weight.T)
