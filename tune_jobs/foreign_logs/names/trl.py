"""TRL: GRPO, RLOO and DPO, in trainer_state.json, on the console and in trackers.

Read from ``grpo_trainer.py`` and ``dpo_trainer.py`` of TRL 1.16: ``kl`` is the divergence to the
frozen reference, not that of the update, ``reward`` the sum of the rewards of a completion, and
``grad_norm`` the norm before clipping. Ratios are clipped only where a batch is used more than once
(``num_iterations``), so a clip fraction of 0 is no sign of a small step and is left out.
"""

from __future__ import annotations

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library

TRL = Library(
    {
        "step": CatalogueMetric("iteration"),
        "reward": CatalogueMetric("return_mean"),
        "reward_std": CatalogueMetric("return_std"),
        "frac_reward_zero_std": CatalogueMetric("group_signal", times=-1, plus=1),
        "completions/mean_length": CatalogueMetric("episode_length"),
        "completions/clipped_ratio": CatalogueMetric("truncated_fraction"),
        "entropy": CatalogueMetric("entropy"),
        "kl": CatalogueMetric("reference_kl"),
        "objective/kl": CatalogueMetric("reference_kl"),
        "loss": CatalogueMetric("total_loss"),
        "policy_loss": CatalogueMetric("policy_loss"),
        "entropy_coef": CatalogueMetric("entropy_coef"),
        "grad_norm": CatalogueMetric("grad_norm"),
        "learning_rate": CatalogueMetric("lr"),
        "rewards/accuracies": CatalogueMetric("pair_accuracy"),
        "rewards/margins": CatalogueMetric("pair_margin"),
        "epoch": None,
        "global_step": CatalogueMetric("iteration"),
    },
    signs=frozenset(
        {
            *("frac_reward_zero_std", "completions/mean_length", "completions/clipped_ratio"),
            *("train/frac_reward_zero_std", "rewards/margins", "num_tokens"),
        }
    ),
    prefix="train/",
    chooses_tokens=True,
    settings={
        "lr": "learning_rate",
        "clip": "epsilon",
        "epochs": "num_iterations",
        "grad_clip": "max_grad_norm",
        "beta": "beta",
        "group_size": "num_generations",
        "temperature": "temperature",
    },
)
