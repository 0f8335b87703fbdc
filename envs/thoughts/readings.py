"""Predictions of the reader after a thought, and after the controls it is compared with."""

from __future__ import annotations

import numpy as np

from envs.contract import counter_rng
from envs.contract.pytree import Floats, Ints
from envs.thoughts.corpus import Corpus
from envs.thoughts.state import State, Task


def read_thoughts(task: Task, state: State) -> dict[str, Floats]:
    """Return the episode metrics [B] of ended thoughts that need the reader.

    The reader predicts the answer four times: with the thought, without any, with the thought moved
    to another passage (drawn anew, so that a copy's figures do not depend on its neighbours), and
    with as many random tokens.
    """
    places = state.passages
    other = task.corpus.draw(counter_rng.fold(state.keys, _OTHER), task.params.split)
    noise = draw_random_thought(task.corpus, state)
    # Other passage, same thought: a thought that helps anywhere carries nothing of its own passage.
    parts = [
        (places.context, state.thought, places.answer),
        (places.context, np.zeros_like(noise), places.answer),
        (other.context, state.thought, other.answer),
        (places.context, noise, places.answer),
    ]
    texts = [np.concatenate(part) for part in zip(*parts, strict=True)]
    # One forward pass for all four texts of every copy.
    logp, guess = task.reader.predict_answer(*texts)
    with_own, without, shuffled, noisy = logp.reshape(4, -1)
    right = guess[: len(with_own)] == places.answer
    return {
        "log_p_with": with_own,
        "log_p_without": without,
        "log_p_shuffled": shuffled,
        "log_p_random": noisy,
        "accuracy": right.mean(axis=1),
    }


def draw_random_thought(corpus: Corpus, state: State) -> Ints:
    """Draw random tokens [B, T], as many as each thought has."""
    keys, count = counter_rng.fold(state.keys, _NOISE), len(corpus.words) - corpus.first
    drawn = corpus.first + counter_rng.integers(keys, count, state.thought.shape[1:])
    return np.where(state.thought > 0, drawn, 0)


_OTHER, _NOISE = 2, 3
"""Random streams of an episode; the first is that of its passage."""
