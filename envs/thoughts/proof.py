"""Seven tests of whether learnt thoughts cause better predictions; all of them must pass.

A thought may look sensible and change nothing. The tests are four comparisons of
log-probabilities, one intervention in the thought and two tests of the post-mortem, with bootstrap
intervals. One of the comparisons is with the baked reader's own thoughts: half of those are right,
so that a policy which has learnt nothing passes the other six tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from envs.contract import counter_rng
from envs.contract.pytree import Floats, Ints
from envs.thoughts import baselines
from envs.thoughts.readings import draw_random_thought
from envs.thoughts.state import State, Task

GAIN, OWN, RANDOM, FOLLOWED, DIVERGENCE, COHERENCE = 0.1, 0.5, 0.1, 0.5, 0.3, 0.5
"""The limits of six tests; see :func:`judge_episodes`."""
RESAMPLES = 1000


def compute_proof_metrics(task: Task, state: State) -> dict[str, Floats]:
    """Compute ``followed``, ``divergence`` and both coherences [B] of ended thoughts.

    * ``followed``: whether another last token changes the answer to the one it implies; NaN where
      none is implied.
    * ``divergence``: edit distance of the thought to the text that the reader writes without it.
    * ``coherence``: mean log-probability of the thought's tokens by the reader; ``noise_coherence``
      that of as many random ones.
    * ``log_p_baked``: log-probability of the answer after a thought of the baked reader.

    Divergence and coherences are NaN where nothing was thought.
    """
    reader, corpus, places, thought = task.reader, task.corpus, state.passages, state.thought
    rows, last = np.arange(len(thought)), np.maximum((thought > 0).sum(1) - 1, 0)
    changed, count = thought.copy(), task.choices - 1
    there = thought[:, 0] > 0
    # Replace the last token by the next word of the vocabulary: any other word would do.
    swapped = corpus.first + (thought[rows, last] - corpus.first + 1) % count
    changed[rows[there], last[there]] = swapped[there]
    implied = corpus.infer_answer(places, changed)
    _, guess = reader.predict_answer(places.context, changed, places.answer)
    followed = np.where(implied >= 0, guess[:, 0] == implied, np.nan)
    # Without a thought there is nothing that the answer could follow.
    followed[places.problem & ~there & (task.params.task != "text")] = 0
    plain = reader.write_continuation(places.context, thought.shape[1])
    noise = draw_random_thought(corpus, state)
    baked = write_baked_thoughts(task, state)
    return {
        "followed": followed,
        "divergence": np.where(there, edit_distance(thought, plain), np.nan),
        "coherence": np.where(there, reader.coherence(places.context, thought), np.nan),
        "noise_coherence": np.where(there, reader.coherence(places.context, noise), np.nan),
        "log_p_baked": reader.predict_answer(places.context, baked, places.answer)[0],
    }


def write_baked_thoughts(task: Task, state: State) -> Ints:
    """Write the thoughts [B, T] of the baked reader in the same passages, sampled."""
    thought, thinks = np.zeros_like(state.thought), np.ones(len(state.keys), np.bool_)
    for step in range(thought.shape[1]):
        keys = counter_rng.fold(state.keys, _BAKED + step)
        choice = baselines.baked(task, dataclasses.replace(state, thought=thought), keys)
        thinks &= choice > 0
        thought[thinks, step] = task.corpus.end + choice[thinks]
    return thought


_BAKED = 100
"""First random stream of the baked thoughts; lower ones are those of an episode."""


def judge_episodes(episodes: Mapping[str, Floats]) -> dict[str, float]:
    """Return each test's figure, its interval, and whether all tests pass, from metrics [N].

    1. gain: the thought raises the answer's log-probability by at least 0.1 nat, significantly;
    2. own: the thought of another passage loses more than half of the gain, significantly;
    3. random: as many random tokens bring less than a tenth of the gain (no "pause tokens");
    4. followed: the answer follows a changed thought in more than half of all cases;
    5. divergence: the thought differs from the text written without it (above 0.3);
    6. coherence: thoughts more likely in their passage gain more (correlation above 0.5 over
       thoughts and random ones together; ``mean_coherence`` is that of the thoughts, in nats);
    7. baked: the answer is likelier than after the baked reader's thoughts, significantly.

    Without the evaluation metrics, tests 4 to 7 are left out and nothing is proved. Of a plain
    text, in which no thought implies an answer, only test 4 is left out.
    """
    with_own, without = episodes["log_p_with"], episodes["log_p_without"]
    gains = with_own - without
    gain, low, high = bootstrap_interval(gains)
    own, own_low, own_high = bootstrap_interval(with_own - episodes["log_p_shuffled"])
    noisy = float((episodes["log_p_random"] - without).mean())
    figures = {
        **{"gain": gain, "gain_low": low, "gain_high": high},
        **{"own": own, "own_low": own_low, "own_high": own_high, "random_gain": noisy},
    }
    if "followed" not in episodes:
        return figures
    divergence = float(_drop_unknown(episodes["divergence"]).mean())
    # Thoughts and noise together: among good thoughts alone the coherence hardly varies, and its
    # correlation would be noise.
    pooled = np.concatenate([gains, episodes["log_p_random"] - without])
    coheres = np.concatenate([episodes["coherence"], episodes["noise_coherence"]])
    coherence = correlation(coheres, pooled)
    baked, baked_low, baked_high = bootstrap_interval(with_own - episodes["log_p_baked"])
    tests = {
        "gain": gain > GAIN and low > 0,
        "own": own > OWN * gain and own_low > 0,
        "random": noisy < RANDOM * gain,
        "divergence": divergence > DIVERGENCE,
        "coherence": coherence > COHERENCE,
        "baked": baked_low > 0,
    }
    if np.isfinite(episodes["followed"]).any():
        followed, low, high = bootstrap_interval(_drop_unknown(episodes["followed"]))
        figures |= {"followed": followed, "followed_low": low, "followed_high": high}
        tests["followed"] = followed > FOLLOWED
    figures |= {"divergence": divergence, "coherence": coherence}
    figures |= {"gain_over_baked": baked, "gain_over_baked_low": baked_low}
    figures |= {"gain_over_baked_high": baked_high}
    figures["mean_coherence"] = float(_drop_unknown(episodes["coherence"]).mean())
    figures |= {f"passed_{name}": float(passed) for name, passed in tests.items()}
    return figures | {"proved": float(all(tests.values()))}


def bootstrap_interval(values: Floats, level: float = 0.95) -> tuple[float, float, float]:
    """Return the mean of values [N] and the bounds of its bootstrap interval (Efron, 1979)."""
    # A fixed seed: the verdict on the same episodes must not change between calls.
    draw = np.random.default_rng(0)
    means = [draw.choice(values, len(values)).mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(values.mean()), float(low), float(high)


def _drop_unknown(values: Floats) -> Floats:
    """Return the values that are not NaN; a single 0 if all of them are."""
    finite = values[np.isfinite(values)]
    return finite if finite.size else np.zeros(1)


def correlation(x: Floats, y: Floats) -> float:
    """Return Pearson's correlation of x, y [N] where both are known; 0 if one is constant."""
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if not finite.any() or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def edit_distance(first: Ints, second: Ints) -> Floats:
    """Return the relative Levenshtein distances [B] of texts [B, T], 0 after their end.

    Divided by the length of the first, to which the second is cut; two empty texts do not differ.

    >>> edit_distance(np.array([[3, 4, 5, 0]]), np.array([[3, 5, 5, 9]])).tolist()
    [0.3333333333333333]
    """
    lengths = (first > 0).sum(1)
    second = np.where(np.arange(second.shape[1]) < lengths[:, None], second, 0)
    B, T = first.shape
    table = np.zeros((T + 1, T + 1, B))
    table[:, 0] = table[0, :] = np.arange(T + 1)[:, None]
    # The dynamic programme runs over all B texts at once: T^2 vector operations.
    for i in range(1, T + 1):
        for j in range(1, T + 1):
            swap = table[i - 1, j - 1] + (first[:, i - 1] != second[:, j - 1])
            table[i, j] = np.minimum(np.minimum(table[i - 1, j], table[i, j - 1]) + 1, swap)
    # The cell at (length, length) is the distance of the two prefixes, whatever padding follows.
    return table[lengths, lengths, np.arange(B)] / np.maximum(lengths, 1)
