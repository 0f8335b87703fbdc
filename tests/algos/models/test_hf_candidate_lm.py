# pyright: basic
"""A language model as a policy: it scores each candidate after the prompt, as if alone there."""

import copy

import numpy as np
import pytest
import small
import torch
from gymnasium import spaces

pytest.importorskip("transformers", reason="the extra [lm] is not installed")

from hf_models import save_random_model

from algos.models import MODELS, hf_candidate_lm
from rungwise.validation import InputError

P, K, A, V = 7, 5, 4, 30


def space(**changed):
    parts = {
        "prompt": spaces.Box(0, V, (P,), np.int32),
        "candidates": spaces.Box(0, V, (K, A), np.int32),
        "mask": spaces.Box(0, 1, (K,), np.float32),
    } | changed
    return spaces.Dict({name: part for name, part in parts.items() if part is not None})


def policy(**changed):
    chosen = {"model": "lm", "hidden": (16, 16)} | changed
    return small.module(space(), spaces.Discrete(K), **chosen)


def columns(count=70, seed=0):
    """Prompts and candidates of different lengths, at least one legal candidate each."""
    rng = np.random.default_rng(seed)

    def texts(shape, longest):
        found = rng.integers(1, V + 1, (*shape, longest))
        length = rng.integers(1, longest + 1, shape)
        return np.where(np.arange(longest) < length[..., None], found, 0).astype(np.int32)

    mask = (rng.random((count, K)) < 0.6).astype(np.float32)
    mask[:, 0] = 1
    prompt, candidates = texts((count,), P), texts((count, K), A)
    return {"obs.prompt": prompt, "obs.candidates": candidates, "obs.mask": mask}


def tensors(seen):
    return {name: torch.from_numpy(column) for name, column in seen.items()}


def scored(model, seen):
    with torch.no_grad():
        return model.compute_outputs(tensors(seen))


def assert_scores_are_mean_logps(model, seen):
    scores, _ = scored(model, seen)
    assert scores.std() > 0.1
    for row, prompt in enumerate(seen["obs.prompt"]):
        for k in np.flatnonzero(seen["obs.mask"][row]):
            said = seen["obs.candidates"][row, k]
            text = np.concatenate([prompt[prompt > 0], said[said > 0]]).astype(np.int64) - 1
            # The library's own forward of this one text: no packing, masks or padding.
            with torch.no_grad():
                logps = model.lm(torch.from_numpy(text)[None]).logits[0].log_softmax(-1)
            first = (prompt > 0).sum()
            own = [float(logps[i - 1, text[i]]) for i in range(first, len(text))]
            assert float(scores[row, k]) == pytest.approx(np.mean(own), abs=1e-5)


@pytest.mark.parametrize("rank", [0, 2])
def test_a_score_is_the_mean_logp_of_the_candidate_tokens(rank):
    assert_scores_are_mean_logps(policy(lora_rank=rank), columns(6))


@pytest.mark.parametrize("kind", ["gemma2", "gpt_oss", "gptj", "gpt_neo", "codegen", "xglm"])
def test_a_model_that_adds_its_mask_reads_no_other_candidate(kind, tmp_path):
    model = policy(language_model=save_random_model(tmp_path, kind))
    assert model.lm.config._attn_implementation == "eager"
    assert_scores_are_mean_logps(model, columns(6))
    model.check_loaded_model()


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("granite", {"logits_scaling": 8.0}),
        ("cohere", {}),
        ("gemma2", {"final_logit_softcapping": 3.0}),
    ],
)
def test_scores_scale_logits_as_the_model_does(kind, changed, tmp_path):
    model = policy(language_model=save_random_model(tmp_path, kind, **changed))
    assert_scores_are_mean_logps(model, columns(6))
    model.check_loaded_model()


@pytest.mark.parametrize(
    ("kind", "changed", "sentence"),
    [
        ("mistral", {"sliding_window": 4}, r"\(mistral\) .* differ .* by up to 0\.\d+, and 0.001"),
        ("gemma3_text", {"sliding_window": 4}, "sliding_window in config.json"),
        ("gpt_neo", {"window_size": 4}, "differ from those of its library"),
        ("bloom", {}, r"\(bloom\) cannot be used: its forward pass fails .*ValueError"),
        ("mamba", {}, r"\(mamba\) cannot be used"),
        ("gpt2", {"n_positions": 8}, "shorter texts if these are longer"),
    ],
)
def test_a_model_read_unlike_in_its_library_is_refused(kind, changed, sentence, tmp_path):
    model = policy(language_model=save_random_model(tmp_path, kind, **changed))
    with pytest.raises(InputError, match=sentence):
        model.check_loaded_model()


def test_what_is_illegal_or_beside_it_changes_nothing():
    model, seen = policy(), columns()
    together, values = scored(model, seen)
    assert (together[seen["obs.mask"] == 0] == 0).all()
    other = columns(seed=1)["obs.candidates"]
    hidden = np.where(seen["obs.mask"][..., None] > 0, seen["obs.candidates"], other)
    torch.testing.assert_close(scored(model, seen | {"obs.candidates": hidden})[0], together)
    for row in range(0, 70, 9):
        alone, value = scored(model, {n: c[row : row + 1] for n, c in seen.items()})
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(value[0], values[row], atol=1e-5, rtol=1e-5)


def test_a_shuffled_minibatch_has_the_logps_of_the_rollout():
    model, seen = policy(), columns()
    taken, logp, _ = model.act(seen, torch.Generator().manual_seed(0))
    assert logp.std() > 0.1 and (seen["obs.mask"][np.arange(70), taken["choice"]] == 1).all()
    index = np.random.default_rng(0).permutation(70)[:40]
    found = model(tensors({n: c[index] for n, c in seen.items()}))
    again = found["dist"].logp({"choice": taken["choice"][index]})
    torch.testing.assert_close(again, logp[index], atol=1e-5, rtol=1e-5)


def test_a_row_without_legal_candidates_gives_numbers():
    model, seen = policy(), columns(4)
    seen["obs.mask"][:] = 0
    scores, values = scored(model, seen)
    assert (scores == 0).all() and torch.isfinite(values).all()


def test_without_a_mask_candidates_without_tokens_are_never_chosen():
    model = small.module(space(mask=None), spaces.Discrete(K), model="lm", hidden=(16, 16))
    seen = columns(40)
    del seen["obs.mask"]
    seen["obs.candidates"][:, 3:] = 0
    drawn = model.act_on_arrays(seen, torch.Generator().manual_seed(0))[0]["choice"]
    assert set(drawn.tolist()) == {0, 1, 2}
    assert model.act_on_arrays(seen, greedy=True)[0]["choice"].max() < 3


@pytest.mark.parametrize("rank", [0, 2])
def test_recomputed_logits_give_the_same_gradient(rank, monkeypatch):
    def gradient(chunk):
        monkeypatch.setattr(hf_candidate_lm, "TOKENS_PER_CHUNK", chunk)
        model = policy(lora_rank=rank)
        model.compute_outputs(tensors(columns(8)))[0].square().sum().backward()
        return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}

    whole, parts = gradient(10_000), gradient(3)
    assert whole.keys() == parts.keys() and len(whole) > 5
    for name, found in whole.items():
        torch.testing.assert_close(parts[name], found, atol=1e-5, rtol=1e-4)


def test_the_value_does_not_move_the_language_model():
    model = policy()
    model.compute_outputs(tensors(columns(4)))[1].sum().backward()
    moved = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert moved == {"critic"}


def test_with_lora_only_the_adapter_is_trained_sent_and_copied():
    model = policy(lora_rank=2)
    sent = model.get_state()
    assert {name.split(".")[0] for name in sent} == {"lm", "critic"}
    assert all("lora" in name for name in sent if name.startswith("lm."))
    fresh = policy(lora_rank=2, scale=0)  # every weight 0, the frozen ones too
    fresh.lm.load_state_dict(model.lm.state_dict())
    frozen = copy.deepcopy(model).requires_grad_(False)
    before = scored(model, columns(5))[0]
    with torch.no_grad():
        for name, part in model.get_named_weights().items():
            if "lora_B" in name:
                part.add_(0.5)
    assert (scored(model, columns(5))[0] - before).abs().max() > 1e-3
    torch.testing.assert_close(scored(frozen, columns(5))[0], before)
    assert frozen.get_state().keys() == sent.keys(), "a reference must be restorable"
    fresh.set_state(model.get_state())
    torch.testing.assert_close(scored(fresh, columns(5))[0], scored(model, columns(5))[0])
    own = {id(p) for p in frozen.parameters()} & {id(p) for p in model.parameters()}
    assert len(own) == sum(not p.requires_grad for p in model.parameters()) > 0


def test_a_model_made_here_is_the_same_everywhere():
    about = {"observation_space": space(), "action_space": spaces.Discrete(K)}
    about["model_config"] = small.settings(model="lm", hidden=(16,)).model_config
    first, second = (MODELS["lm"](**about) for _ in "ab")
    for name, part in first.lm.named_parameters():
        assert torch.equal(part, dict(second.lm.named_parameters())[name]), name


@pytest.mark.parametrize("rank", [0, 2])
def test_a_saved_model_is_read_by_the_library_and_a_policy(rank, tmp_path):
    import peft
    import transformers

    model = policy(lora_rank=rank)
    base = model.lm.get_base_model() if rank else model.lm
    tokens = torch.arange(6)[None]
    with torch.no_grad():
        expected = base(tokens).logits
    model.lm.save_pretrained(tmp_path)
    assert list(tmp_path.glob("*.safetensors")) and not list(tmp_path.glob("*.bin"))
    if rank:
        bare = policy(lora_rank=0)
        own = {n.replace("base_layer.", ""): w for n, w in base.state_dict().items()}
        bare.lm.load_state_dict({n: w for n, w in own.items() if "lora" not in n})
        found = peft.PeftModel.from_pretrained(bare.lm, str(tmp_path))
    else:
        found = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
        again = policy(language_model=str(tmp_path), scale=0)
        again.lm.load_state_dict(model.lm.state_dict())
        torch.testing.assert_close(scored(again, columns(5))[0], scored(model, columns(5))[0])
    with torch.no_grad():
        torch.testing.assert_close(found(tokens).logits, expected)


@pytest.mark.parametrize(
    ("observation", "changed", "sentence"),
    [
        (spaces.Box(-1, 1, (3,)), {}, "needs a Dict observation of a 'prompt'"),
        (space(candidates=spaces.Box(0, V, (K + 1, A), np.int32)), {}, "choices of the action"),
        (space(page=spaces.Box(0, 1, (2,))), {}, "not .'obs.page'."),
        (space(), {"hidden": (16, 32)}, "blocks of one width"),
        (space(), {"hidden": (10,)}, "a multiple of 16"),
        (space(), {"language_model": "/nowhere"}, "holds no causal language model"),
    ],
)
def test_what_it_cannot_read_is_refused_in_a_sentence(observation, changed, sentence):
    chosen = {"model": "lm", "hidden": (16,)} | changed
    with pytest.raises(InputError, match=sentence):
        small.module(observation, spaces.Discrete(K), **chosen)
