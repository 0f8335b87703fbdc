# pyright: basic
"""Hugging Face models made on the spot: random weights, and a tokenizer of bytes."""

import torch
import transformers

from algos.models.hf_candidate_lm import _make_language_model


def make_model_folder(path, *, width=16, vocabulary=400):
    """A folder like that of a user's model, whose vocabulary has room for more, as models have."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(["buy now"], trainers.BpeTrainer(initial_alphabet=letters))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(path)
    _make_language_model((width,), vocabulary).save_pretrained(path)
    return str(path)


SMALL = {"vocab_size": 30, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
OWN = {
    "codegen": {"num_attention_heads": 4, "rotary_dim": 8},
    "gptj": {"rotary_dim": 8},
    "gpt_neo": {"num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]},
    "gpt_oss": {"num_local_experts": 2, "num_experts_per_tok": 1},
}
"""What single architectures need beside SMALL."""


def save_random_model(path, kind, **changed):
    """A model of this architecture, with weights large enough for its probabilities to differ."""
    heads = {"num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 64}
    chosen = SMALL | heads | OWN.get(kind, {}) | changed
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(kind, **chosen)
        model = transformers.AutoModelForCausalLM.from_config(config)
        for part in model.parameters():
            if part.ndim > 1:
                part.normal_(0, 0.3)
    model.save_pretrained(path)
    return str(path)
