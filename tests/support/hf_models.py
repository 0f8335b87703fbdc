# pyright: basic
"""Hugging Face models made on the spot: random weights, and a tokenizer of bytes."""

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
