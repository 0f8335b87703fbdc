# pyright: basic
"""A Hugging Face model thinks and reads: its marks, its own numbers, its adapter, training."""

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="the extra [lm] is not installed")
pytest.importorskip("peft", reason="the extra [lm] is not installed")

import transformers
from hf_models import make_model_folder, save_random_model

import algos
from algos.checkpoint import write_manifest
from algos.models import MODELS
from algos.models.base import to_observation_columns
from algos.policy import Policy, save_policy
from algos.reinforce import ReinforceSettings
from envs.contract import counter_rng
from envs.thoughts.corpus import MARKS, THINK, Tokens
from envs.thoughts.params import Params
from envs.thoughts.pretrained import NEVER, PretrainedNetwork
from envs.thoughts.reader import Baking
from envs.thoughts.world import QuietThoughts
from rungwise.validation import InputError

TEXT = "The cat sat on the mat, and the dog sat by the door. " * 40
KEYS = counter_rng.make_keys(0, 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def kwargs(folder, tmp_path_factory):
    """Arguments of a world whose text a language model reads."""
    path = tmp_path_factory.mktemp("text") / "cats.txt"
    path.write_text(TEXT)
    lengths = {"context": 6, "ahead": 3, "longest": 3}
    return {"task": "text", "text": str(path), "language_model": folder, "shared": True, **lengths}


def make_policy(world, folder, model: Any = "thinker", rank=2) -> Any:
    settings: Any = ReinforceSettings(model=model, language_model=folder, lora_rank=rank)
    return MODELS[model](
        observation_space=world.observation_space,
        action_space=world.action_space,
        model_config=settings.model_config,
    )


def test_a_text_is_read_in_the_models_own_tokens(kwargs, folder):
    corpus = Params(**kwargs).corpus
    assert isinstance(corpus, Tokens)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert (corpus.text - MARKS).tolist() == tokenizer(TEXT)["input_ids"]
    passages = corpus.draw(KEYS, "train")
    read = np.concatenate([passages.context, passages.hints], 1)
    assert all(corpus.decode(row) in TEXT for row in read)
    marked = np.array([*corpus.text[:3], THINK, *corpus.text[3:5], corpus.end, 0])
    assert corpus.decode(marked) == f"{corpus.decode(corpus.text[:3])}({TEXT[3:5]})"


@pytest.mark.parametrize("rank", [0, 2])
def test_without_marks_its_numbers_are_those_of_the_library(rank, folder, kwargs):
    corpus = Params(**kwargs).corpus
    network = PretrainedNetwork(folder, len(corpus.words), rank)
    tokens = torch.from_numpy(corpus.draw(KEYS, "train").context)
    with torch.no_grad():
        logits = network.words(network.hidden(tokens))
        own = transformers.AutoModelForCausalLM.from_pretrained(folder)
        expected = own(tokens - MARKS).logits[..., : len(corpus.words) - MARKS]
        # Nothing stands to the right of a text; what is there changes nothing before it.
        padded = network.hidden(torch.nn.functional.pad(tokens, (0, 2)))[:, :-2]
    torch.testing.assert_close(logits[..., MARKS:], expected)
    torch.testing.assert_close(network.words(padded), logits)
    assert network.hidden(tokens[:0]).shape == (0, 6, 16)
    assert (logits[..., :2] == NEVER).all() and logits[..., 2].abs().max() < 1e3


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("granite", {"logits_scaling": 8.0}),
        ("cohere", {}),
        ("gemma2", {"final_logit_softcapping": 3.0}),
        ("recurrent_gemma", {"logits_soft_cap": 3.0, "num_hidden_layers": 3}),
        ("falcon_h1", {"lm_head_multiplier": 0.5}),
    ],
)
def test_logits_are_scaled_as_the_model_scales_them(kind, changed, tmp_path):
    make_model_folder(tmp_path)
    save_random_model(tmp_path, kind, vocab_size=400, **changed)
    network = PretrainedNetwork(str(tmp_path), 300 + MARKS)
    text = torch.arange(20)[None]
    with torch.no_grad():
        network.end.copy_(network.lm.get_output_embeddings().weight[7])
        found = network.words(network.hidden(text + MARKS))
        torch.testing.assert_close(found[..., MARKS:], network.lm(text).logits[..., :300])
    torch.testing.assert_close(found[..., MARKS - 1], found[..., MARKS + 7])
    assert (found[..., : MARKS - 1] == NEVER).all()


def test_a_model_of_unknown_scaling_is_refused(tmp_path):
    make_model_folder(tmp_path)
    # It multiplies by what Granite of the same name divides by.
    save_random_model(tmp_path, "hyperclovax", vocab_size=400, logits_scaling=8.0)
    with pytest.raises(InputError, match=r"\(hyperclovax\) cannot be used: log-probabilities"):
        PretrainedNetwork(str(tmp_path), 300 + MARKS)


def test_the_marks_start_as_a_dash_and_are_trained(folder, kwargs):
    network = PretrainedNetwork(folder, len(Params(**kwargs).corpus.words), 2)
    (dash, *_) = transformers.AutoTokenizer.from_pretrained(folder)("-")["input_ids"]
    # Three times the same byte: the mean of their embeddings is that of one.
    torch.testing.assert_close(network.marks[0], network.lm.get_input_embeddings().weight[dash])
    text = torch.tensor([[5, THINK, 6, 2, 7]])
    network.words(network.hidden(text))[0, -2].logsumexp(0).backward()
    trained = {name for name, part in network.named_parameters() if part.grad is not None}
    assert {"marks", "end"} <= trained and trained & network.list_fixed_weights() == set()
    assert all("lora" in name for name in trained - {"marks", "end"})


@pytest.mark.parametrize("rank", [0, 2])
def test_the_reader_reads_with_the_policys_weights(rank, kwargs, folder):
    world = QuietThoughts(Params(**kwargs))
    policy = make_policy(world, folder, rank=rank)
    with torch.no_grad():
        for part in policy.parameters():
            if part.requires_grad:
                part += 0.05 * torch.randn_like(part)
    before = world.baked_reader
    reading = world.with_policy_weights(policy.get_state())
    assert world.reader is before and reading.baked_reader is before
    passages = world.corpus.draw(KEYS, "train")
    thought = passages.hints
    found, _ = reading.reader.predict_answer(passages.context, thought, passages.answer)
    batch = {"answer": torch.from_numpy(passages.answer), "choice": torch.zeros(12).long()}
    text = np.concatenate([passages.context, np.full((12, 1), THINK), thought], 1)
    blank = np.zeros((12, world.corpus.length - text.shape[1]), np.int64)
    batch["obs.tokens"] = torch.from_numpy(np.concatenate([text, blank], 1))
    tokens, answer = batch["obs.tokens"].clone(), batch["answer"]
    ended = torch.full((12,), text.shape[1])
    tokens[:, text.shape[1]] = world.corpus.end
    with torch.no_grad():
        after = policy._read_before_answer(tokens.clone(), ended, answer)
        plain = tokens.clone()
        begun = torch.full((12,), passages.context.shape[1] + 1)
        plain[:, passages.context.shape[1] + 1] = world.corpus.end
        without = policy._read_before_answer(plain, begun, answer)
        mixed = policy.mixing(policy.gpt.words, after, without).log_softmax(-1)
    expected = mixed.gather(-1, answer[..., None])[..., 0].sum(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    if rank:
        shared = {id(part) for part in before.network.parameters()}
        assert shared & {id(part) for part in reading.reader.network.parameters()}


def test_only_the_adapter_the_marks_and_the_heads_are_sent(kwargs, folder):
    policy = make_policy(QuietThoughts(Params(**kwargs)), folder)
    parts = {name.split(".")[0] for name in policy.get_state()}
    assert parts == {"gpt", "critic", "mixing"}
    own = {name for name in policy.get_state() if name.startswith("gpt.")}
    assert all("lora" in name for name in own - {"gpt.marks", "gpt.end"})


@pytest.mark.parametrize(
    ("world_model", "policy_model", "said"),
    [(True, False, "set the setting language_model"), (False, True, "language_model is ''")],
)
def test_a_model_on_one_side_only_is_refused(world_model, policy_model, said, kwargs, folder):
    chosen = kwargs | ({} if world_model else {"language_model": "", "shared": False})
    world = QuietThoughts(Params(**chosen, reader=Baking(width=16, steps=0)))
    settings: Any = {"model": "language", "hidden": (16,)}
    settings |= {"language_model": folder} if policy_model else {}
    policy: Any = MODELS["language"](
        observation_space=world.observation_space,
        action_space=world.action_space,
        model_config=ReinforceSettings(**settings).model_config,
    )
    with pytest.raises(InputError, match=said):
        world.with_policy_weights(policy.get_state())


def test_what_goes_with_no_text_is_refused(folder, kwargs):
    with pytest.raises(InputError, match="language_model reads a plain text"):
        Params(language_model=folder)
    with pytest.raises(InputError, match="There is no folder"):
        QuietThoughts(Params(**kwargs | {"language_model": "/nowhere"}))


@pytest.mark.usefixtures("local_ray")
def test_an_iteration_learns_and_the_checkpoint_acts_alike(kwargs, folder, tmp_path):
    settings = ReinforceSettings(
        **{"model": "thinker", "language_model": folder, "lora_rank": 2, "num_envs": 4},
        **{"rollout_length": 8, "minibatch_size": 16, "epochs": 1, "likelihood_coef": 1.0},
        reference_kl_coef=0.1,
    )
    algorithm: Any = algos.build_algorithm(
        "reinforce", "QuietThoughts-v0", kwargs, settings, iterations=2, seed=0
    )
    try:
        module = algorithm.env_runner_group.local_env_runner.module
        before = {name: weight.clone() for name, weight in module.get_named_weights().items()}
        for _ in range(2):
            algorithm.train()
        moved = {n for n, w in module.get_named_weights().items() if not torch.equal(w, before[n])}
        assert {"gpt.marks", "gpt.end"} <= moved and any("lora_B" in name for name in moved)
        save_policy(algorithm, "reinforce", tmp_path / "policy")
        write_manifest(tmp_path)
        seen = QuietThoughts(Params(**kwargs)).reset(KEYS)[1]
        expected = module.act(to_observation_columns(seen), greedy=True)[0]["choice"]
    finally:
        algorithm.stop()
    np.testing.assert_array_equal(Policy.load(tmp_path).act_batch(seen), expected.numpy())
