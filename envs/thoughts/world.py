"""QuietThoughts: think, token by token, before the next words of a text are predicted.

After Quiet-STaR (Zelikman et al., "Quiet-STaR: Language models can teach themselves to think before
speaking", arXiv 2403.09629): a thought is worth what it adds to the log-probability of the words
that really follow. The reader is frozen, so that the world stands still while a policy learns; or
the policy itself reads (``shared``), as in the paper.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from envs import counter_rng
from envs.batched import Agent, Step, World
from envs.episode_trace import EpisodeTrace, Frame
from envs.pytree import Array, Bools, Floats, Ints, Keys, Observation, take
from envs.thoughts import baselines as agents
from envs.thoughts import proof
from envs.thoughts.corpus import (
    THINK,
    Corpus,
    Passages,
    PlainText,
    Problems,
    Split,
    cyclic,
    symmetric,
)
from envs.thoughts.reader import MIXING, Baking, Reader, load_or_bake_reader, make_shared_reader
from envs.validation import AtLeastOne, Between, Fraction, InputError, NonNegative, validate


@dataclasses.dataclass(frozen=True)
class Params:
    """The text, its reader and what a thought may cost."""

    task: Literal["sums", "permutations", "text"] = "sums"
    """Problems of sums modulo a number or of permutations one after the other, or a plain text."""
    modulus: Annotated[int, Between(2, 100)] = 5
    """Of `sums`."""
    degree: Annotated[int, Between(3, 5)] = 3
    """How many things the `permutations` permute."""
    terms: Annotated[int, Between(2, 12)] = 5
    """Terms of a problem."""
    filler: Annotated[float, Fraction] = 0.0
    """Share of places in the text where the next letter is plain and thinking helps nothing."""
    text: str = ""
    """File of a plain text (`text`)."""
    context: Annotated[int, AtLeastOne] = 16
    """Letters of it that are read before a thought."""
    ahead: Annotated[int, AtLeastOne] = 4
    """Letters of it that are predicted after a thought."""
    longest: Annotated[int, Between(1, 32)] = 4
    """Tokens of the longest thought."""
    price: Annotated[float, NonNegative] = 0.01
    """Nats that a token of a thought costs."""
    split: Split = "train"
    """Which passages: those to learn from, or the tenth that is kept for evaluation."""
    shared: bool = False
    """Whether the policy that thinks also reads (`model='thinker'`); else a frozen reader does."""
    reader: Baking = dataclasses.field(default_factory=Baking)
    """How the reader is made."""

    def __post_init__(self) -> None:
        validate(self)
        if (self.task == "text") != bool(self.text):
            raise InputError(
                f"Params.text names the file of task='text', but the task is {self.task!r} and "
                f"text is {self.text!r}: give both or neither."
            )

    @property
    def corpus(self) -> Corpus:
        """What is read."""
        if self.task == "text":
            return PlainText.of(self.text, self.context, self.ahead, self.longest)
        group = cyclic(self.modulus) if self.task == "sums" else symmetric(self.degree)
        return Problems(*group, self.terms, self.longest, self.filler)


@dataclasses.dataclass(frozen=True)
class State:
    """B thoughts under way."""

    keys: Keys
    """[B]: the keys of the episodes."""
    passages: Passages
    """Where in the text they are thought."""
    thought: Ints
    """[B, T]: their tokens so far, 0 where there is none yet."""
    step: Ints
    """[B]: how many there are."""
    over: Bools
    """[B]: whether the thought has been ended."""


class QuietThoughts(World[State]):
    """The world of one :class:`Params`.

    An action [B] is 0 to end the thought, or k for the k-th word that a thought may be made of. The
    longest thought ends by itself.
    """

    params_type = Params
    episode_metrics: ClassVar = (
        "log_p_with",
        "log_p_without",
        "log_p_shuffled",
        "log_p_random",
        "accuracy",
        "length",
    )
    score_metric: ClassVar = "log_p_with"
    score_mode: ClassVar = "max"
    slow_baselines: ClassVar = frozenset[str]()
    baselines: Mapping[str, Agent] = agents.AGENTS

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.corpus: Corpus = params.corpus
        self.baked_reader: Reader = load_or_bake_reader(self.corpus, params.reader)
        self.reader = self.baked_reader
        words = self.corpus.words
        self.choices = 1 + len(words) - self.corpus.first
        self.choice_names = ("end", *words[self.corpus.first :])
        tokens = spaces.Box(0, len(words) - 1, (self.corpus.length,), np.int64)
        self.observation_space = spaces.Dict({"tokens": tokens})
        self.action_space: gymnasium.Space[Any] = spaces.Discrete(self.choices)

    def get_network_weights(self, agent: str) -> dict[str, Array] | None:
        """See :class:`World`: the reader's own, for the baked thinker."""
        weights = self.baked_reader.network.state_dict()
        return {n: w.float().numpy() for n, w in weights.items()} if agent == "baked" else None

    def set_policy_weights(self, weights: Mapping[str, Any]) -> None:
        """See :class:`World`: from now on this policy reads, where reading is shared."""
        if self.params.shared:
            self.reader = make_shared_reader(self.corpus, self.params.reader, weights)
        elif any(name.startswith(MIXING) for name in weights):
            raise InputError(
                "model='thinker' reads what follows its thoughts, but here a frozen reader does: "
                "set the environment's shared to true, or model='language'."
            )

    @property
    def episode_limit(self) -> int:
        """See :class:`World`."""
        return self.params.longest

    def reset(self, keys: Keys) -> tuple[State, Observation]:
        """The beginnings of thoughts about the passages that keys [B] draw."""
        B, T = len(keys), self.params.longest
        passages = self.corpus.draw(counter_rng.fold(keys, _PASSAGE), self.params.split)
        thought = np.zeros((B, T), np.int64)
        state = State(keys, passages, thought, np.zeros(B, np.int64), np.zeros(B, np.bool_))
        return state, self._observe(state)

    def step(self, state: State, action: Array) -> Step[State]:
        """Think one more token in each copy, or end."""
        choice = self._validate_action(action, len(state.keys))
        thinks = (choice > 0) & ~state.over
        thought = state.thought.copy()
        thought[thinks, state.step[thinks]] = self.corpus.end + choice[thinks]
        step = state.step + thinks
        over = state.over | (choice == 0) | (step >= self.params.longest)
        after = dataclasses.replace(state, thought=thought, step=step, over=over)
        ended = over & ~state.over
        info = self._read(after, ended)
        gain = info["log_p_with"] - info["log_p_without"]
        return Step(
            state=after,
            observation=self._observe(after),
            reward=(ended * (gain - self.params.price * step)).astype(np.float32),
            terminated=over,
            truncated=np.zeros(len(over), np.bool_),
            info=info,
        )

    def _observe(self, state: State) -> Observation:
        """What has been read and thought [B, L], 0 after it."""
        C, T = self.corpus.context, self.params.longest
        tokens = np.zeros((len(state.keys), self.corpus.length), np.int64)
        tokens[:, :C], tokens[:, C] = state.passages.context, THINK
        tokens[:, C + 1 : C + 1 + T] = state.thought
        tokens[state.over, C + 1 + state.step[state.over]] = self.corpus.end
        return {"tokens": tokens}

    def _read(self, state: State, ended: Bools) -> dict[str, Array]:
        """What the reader makes of the thoughts that have just ended; 0 for all others."""
        info: dict[str, Array] = {name: np.zeros(len(ended)) for name in self.episode_metrics}
        info["length"] = state.step
        info["answer"] = np.where(ended[:, None], state.passages.answer, 0)
        if ended.any():
            found = readings(self, take(state, ended))
            for name, figures in found.items():
                info[name][ended] = figures
        return info

    def draw_random_thought(self, state: State) -> Ints:
        """As many random tokens [B, T] as the thoughts have."""
        keys, count = counter_rng.fold(state.keys, _NOISE), self.choices - 1
        drawn = self.corpus.first + counter_rng.integers(keys, count, state.thought.shape[1:])
        return np.where(state.thought > 0, drawn, 0)

    def compute_evaluation_metrics(self, state: State) -> dict[str, Floats]:
        """What proof needs of ended thoughts [B] beside the episode metrics, by name -> [B]."""
        return proof.compute_proof_metrics(self, state)

    def summarise(self, episodes: Mapping[str, Floats]) -> dict[str, float]:
        """Means over episodes [N]; where they have been examined, the proof, too."""
        means = {name: float(np.mean(episodes[name])) for name in self.episode_metrics}
        return means | proof.judge_episodes(episodes)

    def trace_episode(self, states: Sequence[State], actions: Sequence[Array]) -> EpisodeTrace:
        """See :class:`World`: the thought word by word, and how sure the reader is after each."""
        passages = states[0].passages
        context, answer = (
            self.format_tokens(passages.context[0]),
            self.format_tokens(passages.answer[0]),
        )
        frames = list[Frame]()
        for number, state in enumerate(states):
            thought = self.format_tokens(state.thought[0])
            told = self.reader.predict_answer(passages.context, state.thought, passages.answer)
            cells = [str(number), thought or "nothing", self.format_tokens(told[1][0])]
            caption = f"{context} ({thought}{')' if state.over[0] else ''}"
            frames.append(Frame(caption, [*cells, f"{told[0][0]:.3f}"]))
        return EpisodeTrace(
            about=f"After “{context}” follows “{answer}”. What the reader expects there, and how "
            "likely it finds what follows (log-probability in nats), if the thought ended here.",
            columns=["step", "thought so far", "the reader expects", "log p of what follows"],
            frames=frames,
        )

    def list_examples(self, state: State) -> list[dict[str, str]]:
        """A row for each ended thought [B]: what was read, thought, expected after it, and true."""
        places, nothing = state.passages, np.zeros_like(state.thought)
        told, guess = self.reader.predict_answer(places.context, state.thought, places.answer)
        untold, _ = self.reader.predict_answer(places.context, nothing, places.answer)
        return [
            {
                "read": self.format_tokens(places.context[b]),
                "thought": self.format_tokens(state.thought[b]) or "nothing",
                "the reader expects": self.format_tokens(guess[b]),
                "what follows": self.format_tokens(places.answer[b]),
                "log p with, without": f"{told[b]:.3f}, {untold[b]:.3f}",
            }
            for b in range(len(told))
        ]

    def format_tokens(self, tokens: Ints) -> str:
        """Tokens [L] as they are written."""
        between = "" if self.params.task == "text" else " "
        return between.join(self.corpus.words[token] for token in tokens.tolist() if token)

    def _validate_action(self, action: Array, copies: int) -> Ints:
        choice = np.asarray(action)
        if choice.shape != (copies,) or not np.issubdtype(choice.dtype, np.integer):
            raise InputError(
                f"An action needs {copies} whole numbers, one for each copy, but it has the shape "
                f"{choice.shape} and the type {choice.dtype}."
            )
        wrong = choice[(choice < 0) | (choice >= self.choices)]
        if wrong.size:
            raise InputError(
                f"The action must be 0 to end the thought or a word from 1 to {self.choices - 1}, "
                f"but it is {wrong[0]}."
            )
        return choice.astype(np.int64)


def readings(world: QuietThoughts, state: State) -> dict[str, Floats]:
    """The episode metrics [B] of ended thoughts that the reader has to be asked for.

    Each thought is read in its place, not at all, in another place (as after a shuffle: for a
    passage drawn anew, so that a copy's figures do not depend on its neighbours), and with random
    tokens instead, as many.
    """
    places, other = (
        state.passages,
        world.corpus.draw(counter_rng.fold(state.keys, _OTHER), world.params.split),
    )
    noise = world.draw_random_thought(state)
    parts = [
        (places.context, state.thought, places.answer),
        (places.context, np.zeros_like(noise), places.answer),
        (other.context, state.thought, other.answer),
        (places.context, noise, places.answer),
    ]
    texts = [np.concatenate(part) for part in zip(*parts, strict=True)]
    logp, guess = world.reader.predict_answer(*texts)
    with_own, without, shuffled, noisy = logp.reshape(4, -1)
    right = guess[: len(with_own)] == places.answer
    return {
        "log_p_with": with_own,
        "log_p_without": without,
        "log_p_shuffled": shuffled,
        "log_p_random": noisy,
        "accuracy": right.mean(axis=1),
    }


_PASSAGE, _OTHER, _NOISE = 1, 2, 3
"""What each of an episode's random streams is for."""
