"""verl, on the console, in its JSON lines and in trackers.

Read from ``metric_utils.py`` and ``core_algos.py`` of verl 0.9: a score is what a response is paid,
a reward the same after the KL penalty; ``vf_loss`` is half the squared error; ``ppo_kl`` is the
divergence of the update and ``kl_loss`` that to the frozen reference.
"""

from __future__ import annotations

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library

VERL = Library(
    {
        "step": CatalogueMetric("iteration"),
        "training/global_step": CatalogueMetric("iteration"),
        "critic/score/mean": CatalogueMetric("return_mean"),
        "critic/score/max": CatalogueMetric("return_max"),
        "critic/score/min": CatalogueMetric("return_min"),
        "actor/entropy": CatalogueMetric("entropy"),
        "actor/pg_loss": CatalogueMetric("policy_loss"),
        "actor/ppo_kl": CatalogueMetric("kl"),
        "actor/pg_clipfrac": CatalogueMetric("clip_fraction"),
        "actor/kl_loss": CatalogueMetric("reference_kl"),
        "actor/reward_kl_penalty": CatalogueMetric("reference_kl"),
        "actor/grad_norm": CatalogueMetric("grad_norm"),
        "actor/lr": CatalogueMetric("lr"),
        "critic/vf_loss": CatalogueMetric("value_loss"),
        "critic/vf_explained_var": CatalogueMetric("explained_variance"),
        "critic/advantages/mean": CatalogueMetric("advantage_mean"),
        "response_length/clip_ratio": CatalogueMetric("truncated_fraction"),
        "timing_s/step": CatalogueMetric("iteration_s"),
    },
    signs=frozenset({"critic/score/mean", "actor/ppo_kl", "actor/pg_clipfrac"}),
    chooses_tokens=True,
)
