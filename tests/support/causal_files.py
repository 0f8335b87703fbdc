# pyright: basic
"""Causal models of the test data, and rows and means of models."""

import numpy as np
from paths import DATA

from envs.contract import counter_rng

MODELS = DATA / "causal_models"


def rows(model, count=50, setting=None):
    setting = setting or {}
    noise = counter_rng.normal(counter_rng.make_keys(0, 1), (count, len(model.names))).astype(float)
    chosen = np.isin(model.names, list(setting))[None]
    values = np.array([[float(setting.get(name, 0)) for name in model.names]])
    return model.scm.sample(noise, chosen, values)[0].T, noise[0].T


def target_mean(model, setting, rows=100_000):
    noise = counter_rng.normal(counter_rng.make_keys(0, 1), (rows, len(model.names))).astype(float)
    chosen = np.isin(model.names, list(setting))[None]
    values = np.array([[float(setting.get(name, 0)) for name in model.names]])
    x = model.scm.sample(noise, chosen, values)
    return x[0, :, model.names.index(model.target)].mean()
