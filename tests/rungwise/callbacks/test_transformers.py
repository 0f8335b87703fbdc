# pyright: basic
"""The callback in a Trainer of Transformers, and in TRL's GRPO where it is installed."""

import math
import random

import pytest

pytest.importorskip("transformers", reason="the extra [lm] is not installed")
pytest.importorskip("accelerate", reason="Trainer needs it")

import torch
from hf_models import make_model_folder
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Trainer,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from rungwise.callbacks.transformers import HealthCallback
from rungwise.judging.watch import TimeLimit

QUIET = {
    **{"report_to": [], "save_strategy": "no", "disable_tqdm": True, "use_cpu": True},
    **{"logging_steps": 1, "per_device_train_batch_size": 32},
}


class Regression(torch.nn.Module):
    """A sum that is learnt, whose loss is NaN from some batch on."""

    def __init__(self, first_nan=math.inf):
        super().__init__()
        self.layer, self.first_nan, self.batches = torch.nn.Linear(2, 1), first_nan, 0

    def forward(self, x, labels):
        self.batches += 1
        nan = math.nan if self.batches >= self.first_nan else 1.0
        return {"loss": ((self.layer(x)[:, 0] - labels) ** 2).mean() * nan}


def make_callback(**options):
    """A callback that judges every row."""
    return HealthCallback(time_limit=TimeLimit(fraction=1.0), **options)


def train(path, model, callback, **options):
    torch.manual_seed(0)
    inputs = torch.randn(1280, 2)
    data = [{"x": x, "labels": x.sum()} for x in inputs]
    args = TrainingArguments(
        str(path), max_steps=40, label_names=["labels"], learning_rate=0.1, **QUIET | options
    )
    trainer = Trainer(model, args, train_dataset=data, callbacks=[callback])
    trainer.train()
    return trainer.state.global_step


def test_a_healthy_training_passes_untouched(tmp_path, caplog):
    callback = make_callback(metric="loss", mode="min")
    assert train(tmp_path, Regression(), callback) == 40
    assert callback.watch.verdict == "healthy" and not caplog.records
    assert "no_improvement" in callback.watch.diagnosis.judged


def test_a_nan_loss_ends_a_training(tmp_path):
    callback = make_callback(metric="loss", mode="min")
    # Transformers logs no NaN of a loss, and a gradient may be skipped 15 times by mixed precision.
    assert train(tmp_path, Regression(first_nan=20), callback) == 35
    finding = callback.watch.stop
    assert finding and (finding.symptom, finding.since) == ("not_finite", 35)


def test_a_callback_that_does_not_stop_only_warns(tmp_path, caplog):
    callback = make_callback(metric="loss", mode="min", stops=False)
    assert train(tmp_path, Regression(first_nan=20), callback) == 40
    assert "not_finite (stop)" in caplog.text


@pytest.mark.parametrize("rank", [0, 1])
def test_all_processes_end_where_the_first_says_so(rank, tmp_path, monkeypatch):
    def broadcast(decision, src):
        decision.fill_(1.0 if rank else decision.item())

    args = TrainingArguments(str(tmp_path), **QUIET)
    monkeypatch.setattr(TrainingArguments, "world_size", 2)
    monkeypatch.setattr(torch.distributed, "broadcast", broadcast)
    callback, control = make_callback(), TrainerControl()
    state = TrainerState(is_world_process_zero=rank == 0)
    callback.watch.feed({"policy_loss": 1.0})
    callback.on_log(args, state, control, logs={"policy_loss": math.nan})
    assert control.should_training_stop and bool(callback.watch.stop) == (rank == 0)


@pytest.mark.parametrize("first_nan", [math.inf, 20])
def test_grpo_ends_where_no_batch_has_a_reward(first_nan, tmp_path, caplog):
    trl = pytest.importorskip("trl", reason="the extra [peers] is not installed")
    from datasets import Dataset  # pyright: ignore[reportMissingImports]

    tokenizer = AutoTokenizer.from_pretrained(make_model_folder(tmp_path))
    tokenizer.eos_token, tokenizer.pad_token = "b", "a"
    batches = 0

    def reward(completions, **_):
        nonlocal batches
        batches += 1
        noise = random.Random(batches)
        nan = math.nan if batches >= first_nan else 0.0
        return [batches + noise.random() + nan for _ in completions]

    callback = make_callback()
    args = trl.GRPOConfig(
        str(tmp_path), max_steps=30, num_generations=4, max_completion_length=4, bf16=False, **QUIET
    )
    trainer = trl.GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tmp_path),
        reward_funcs=reward,
        args=args,
        train_dataset=Dataset.from_dict({"prompt": ["buy now"] * 32}),
        processing_class=tokenizer,
        callbacks=[callback],
    )
    trainer.train()
    if first_nan < math.inf:
        # The first of these batches may be one that no reward applies to.
        assert trainer.state.global_step == 21
        assert callback.watch.stop and callback.watch.stop.symptom == "not_finite"
    else:
        assert trainer.state.global_step == 30 and callback.watch.stop is None
        assert "groups_without_signal" in callback.watch.diagnosis.judged
