# pyright: basic
"""The flags that all programs of this folder take."""

import argparse

import numpy as np
import torch
from environments import FAULTS


def parse_arguments(*, lr, steps, ent_coef=0.0):
    """Return the flags of a program, given its defaults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=lr)
    parser.add_argument("--ent-coef", type=float, default=ent_coef)
    parser.add_argument("--steps", type=int, default=steps, help="environment steps in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--logdir", default="logs")
    parser.add_argument("--fault", default="none", choices=FAULTS)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)  # by it Tianshou shuffles
    torch.set_num_threads(1)
    return args
