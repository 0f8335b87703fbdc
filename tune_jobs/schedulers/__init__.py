"""Schedulers: successive halving (ASHA), population based training, and Optuna's sampler."""
