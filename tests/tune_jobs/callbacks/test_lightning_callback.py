# pyright: basic
"""The callback of Lightning in a Trainer."""

import math
from typing import Any

import pytest
import torch

pytest.importorskip("lightning", reason="the extra [peers] is not installed")

import lightning.pytorch as pl  # pyright: ignore[reportMissingImports]

from tune_jobs.callbacks.lightning_callback import HealthCallback
from tune_jobs.judging.watch import TimeLimit


def make_loader(rows):
    data: Any = torch.randn(rows, 1)
    return torch.utils.data.DataLoader(data, batch_size=4)


class Regression(pl.LightningModule):
    """A module of five batches an epoch, whose loss is NaN from some epoch on."""

    def __init__(self, first_nan=math.inf):
        super().__init__()
        self.layer, self.first_nan = torch.nn.Linear(1, 1), first_nan

    def training_step(self, batch, index):
        nan = math.nan if self.current_epoch >= self.first_nan else 0.0
        loss = self.layer(batch).pow(2).mean() + nan
        self.log("policy_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, index):
        self.log("return_mean", float(self.current_epoch) + torch.rand(()) / 10)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-3)

    def train_dataloader(self):
        return make_loader(20)

    def val_dataloader(self):
        return make_loader(4)


def fit(module, every_n_batches=0, stops=True, **settings):
    callback = HealthCallback(every_n_batches, stops=stops, time_limit=TimeLimit(fraction=1.0))
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = pl.Trainer(callbacks=[callback], accelerator="cpu", **quiet, **settings)
    trainer.fit(module)
    return trainer, callback.watch


def test_a_healthy_training_passes_untouched(caplog):
    trainer, watch = fit(Regression(), max_epochs=20)
    assert trainer.current_epoch == 20 and watch.verdict == "healthy"
    assert "no_improvement" in watch.diagnosis.judged
    assert not [record for record in caplog.records if record.name == "rungwise"]


@pytest.mark.parametrize("every_n_batches", [0, 2])
def test_a_nan_loss_ends_a_training(every_n_batches):
    trainer, watch = fit(Regression(first_nan=3), every_n_batches, max_epochs=20)
    assert trainer.current_epoch in (3, 4) and watch.stop and watch.stop.symptom == "not_finite"
    assert trainer.global_step == (17 if every_n_batches else 20)


def test_a_callback_that_does_not_stop_only_warns(caplog):
    trainer, watch = fit(Regression(first_nan=3), stops=False, max_epochs=6)
    assert trainer.current_epoch == 6 and watch.stop and "not_finite (stop)" in caplog.text


def test_a_score_of_a_validation_is_in_one_row():
    _, watch = fit(Regression(), max_epochs=12, check_val_every_n_epoch=3)
    assert int(torch.isfinite(torch.tensor(watch._table.column("return_mean"))).sum()) == 3
    assert watch._table.column("policy_loss").size == 11  # and the last one, which is not complete


@pytest.mark.parametrize("settings", [{"max_epochs": 20}, {"max_steps": 100}])
def test_the_budget_is_the_number_of_epochs_or_steps(settings):
    _, watch = fit(Regression(), **settings)
    last = watch._log.unfinished
    assert last and last.number == 500 and watch._rows == 19
    _, endless = fit(Regression(first_nan=3), max_epochs=-1)
    assert endless._log.budget == 0 and endless.stop
