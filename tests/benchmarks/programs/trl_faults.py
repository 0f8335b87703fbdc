# pyright: basic, reportMissingImports=false
"""GRPO of TRL on a tiny model made here: healthy runs, and faults of language-model training.

``python trl_faults.py clipped --seed 1 --logdir FOLDER`` takes ten seconds of a core and leaves
``trainer_state.json`` with the numbers that rules read. tests/data/library_logs.tar.xz has three
seeds of each kind, recorded with TRL 1.16.0.
"""

import argparse
import json
import random
import time
from itertools import pairwise
from pathlib import Path

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

KINDS = {
    "healthy": "every completion is cut off in the end, and paid all the same",
    "healthy-peaked": "the same from a policy of low entropy, as a trained model has",
    "healthy-eval": "the same with an evaluation in every fifth step",
    "agentic": "two of five prompts are solved or hopeless from the start",
    "clipped": "no completion ends, and only those that end are paid",
    "slow": "steps take several times as long from 60 % on",
    "kl": "a learning rate 20 times too high, and no penalty to speak of",
    "entropy": "an entropy bonus of 0.5 and a reward of noise",
    "nosignal": "the reward depends on the prompt alone",
    "overfit": "what is paid in training costs on held-out prompts",
}
KEPT = (
    *("step", "loss", "grad_norm", "learning_rate", "reward", "reward_std", "kl", "entropy"),
    *("frac_reward_zero_std", "completions/clipped_ratio", "completions/mean_length"),
    *("step_time", "eval_reward"),
)
STEPS, LIMIT, SLOW_S = 100, 8, 0.8

parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
parser.add_argument("kind", choices=KINDS)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--logdir", default="logs")
args = parser.parse_args()
torch.manual_seed(args.seed)
torch.set_num_threads(1)
random.seed(args.seed)

words = ["<eos>", *(f"w{i}" for i in range(31))]
plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="w0"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=plain, eos_token="<eos>", pad_token="<eos>", unk_token="w0"
)
model = GPT2LMHeadModel(
    GPT2Config(
        vocab_size=32, n_layer=1, n_embd=32, n_head=2, n_positions=32, eos_token_id=0,
        bos_token_id=0, pad_token_id=0, tie_word_embeddings=False,
    )
)  # fmt: skip
with torch.no_grad():
    if args.kind == "clipped":  # the logit of the end is low whatever comes before
        model.transformer.ln_f.bias.fill_(1.0)
        model.lm_head.weight[0] = -1.0
    if args.kind in ("kl", "entropy", "healthy-peaked"):
        model.lm_head.weight.mul_(25)
model.save_pretrained(f"{args.logdir}/tiny")


def pay(completions, prompts, trainer_state, completion_ids, **kwargs):
    good = [text.split().count("w7") / LIMIT for text in completions]
    numbers = [int(prompt.split()[0][1:]) for prompt in prompts]
    match args.kind:
        case "clipped":
            return [g + 1.0 if 0 in i else 0.0 for g, i in zip(good, completion_ids, strict=True)]
        case "slow" if trainer_state.global_step >= 0.6 * STEPS:
            time.sleep(SLOW_S)
        case "nosignal":
            return [float(n % 3 == 0) for n in numbers]
        case "agentic":
            return [float(n % 2) if n % 5 < 2 else g for n, g in zip(numbers, good, strict=True)]
        case "kl":  # counting, which no single word solves
            counted = [[int(w[1:]) for w in text.split() if w[0] == "w"] for text in completions]
            return [sum(b == a + 1 for a, b in pairwise(c)) / LIMIT for c in counted]
        case "entropy":
            return [random.random() for _ in completions]
        case "overfit":
            held_out = [prompt.endswith("w4") for prompt in prompts]
            return [0.6 - g if h else g for g, h in zip(good, held_out, strict=True)]
    return good


def make_prompts(count, word):
    return Dataset.from_dict({"prompt": [f"w{i % 31} {word}" for i in range(count)]})


evaluated = args.kind in ("healthy-eval", "overfit")
trainer = GRPOTrainer(
    model=f"{args.logdir}/tiny",
    args=GRPOConfig(
        output_dir=args.logdir, use_cpu=True, max_steps=STEPS, logging_steps=1, save_steps=10**6,
        per_device_train_batch_size=32, num_generations=8, beta=0.001,
        learning_rate={"kl": 0.2, "entropy": 3e-3}.get(args.kind, 0.01),
        max_completion_length=LIMIT,
        entropy_coef=0.5 if args.kind == "entropy" else 0.0, bf16=False, report_to="none",
        disable_tqdm=True, lr_scheduler_type="constant", seed=args.seed,
        eval_strategy="steps" if evaluated else "no", eval_steps=5,
        per_device_eval_batch_size=32, num_generations_eval=8,
    ),
    reward_funcs=pay,
    train_dataset=make_prompts(64, "w3"),
    eval_dataset=make_prompts(4, "w4") if evaluated else None,
    processing_class=tokenizer,
)  # fmt: skip
trainer.train()
rows = [{k: v for k, v in row.items() if k in KEPT} for row in trainer.state.log_history[:-1]]
short = json.dumps({"log_history": rows}, default=float)
state = json.loads(short, parse_float=lambda text: float(f"{float(text):.5g}"))
Path(args.logdir, "trainer_state.json").write_text(json.dumps(state))
