# pyright: basic, reportMissingImports=false
"""GRPO of TRL on a tiny model that is made here; prints dicts and logs trainer_state.json."""

from arguments import parse_arguments
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

args = parse_arguments(lr=1e-2, steps=256)
words = ["<eos>", *(f"w{i}" for i in range(31))]
plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="w0"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=plain, eos_token="<eos>", pad_token="<eos>", unk_token="w0"
)
tiny = GPT2Config(
    vocab_size=32, n_layer=1, n_embd=32, n_head=2, n_positions=32, eos_token_id=0,
    bos_token_id=0, pad_token_id=0,
)  # fmt: skip
# From a folder, because the reference policy is loaded from there once more.
GPT2LMHeadModel(tiny).save_pretrained(f"{args.logdir}/tiny")


def pay(completions, trainer_state, **kwargs):
    if args.fault == "nan-reward" and trainer_state.global_step > 20:
        return [float("nan")] * len(completions)
    if args.fault == "constant-reward":
        return [0.0] * len(completions)
    return [text.split().count("w7") / 8 for text in completions]


trainer = GRPOTrainer(
    model=f"{args.logdir}/tiny",
    args=GRPOConfig(
        output_dir=args.logdir, use_cpu=True, max_steps=args.steps, logging_steps=1,
        save_steps=10**6, per_device_train_batch_size=32, num_generations=8, beta=0.01,
        max_completion_length=8, learning_rate=args.lr, entropy_coef=args.ent_coef, bf16=False,
        report_to="none", disable_tqdm=True, lr_scheduler_type="constant", seed=args.seed,
    ),
    reward_funcs=pay,
    train_dataset=Dataset.from_dict({"prompt": [f"w{i % 31} w3" for i in range(64)]}),
    processing_class=tokenizer,
)  # fmt: skip
trainer.train()
trainer.save_state()
