"""QuietThoughts: think, token by token, before the next words of a text are predicted.

After Quiet-STaR (Zelikman et al., "Quiet-STaR: Language models can teach themselves to think before
speaking", arXiv 2403.09629): the reward of a thought is what it adds to the log-probability of the
words that really follow. The reader is frozen, so that the world does not change while a policy
learns; or the policy itself reads (``shared``), as in the paper.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.contract import counter_rng
from envs.contract.episode_trace import EpisodeTrace, Frame
from envs.contract.pytree import Array, Bools, Floats, Ints, Keys, Observation, take
from envs.contract.world import Agent, Step, World, validate_choices
from envs.thoughts import baselines as agents
from envs.thoughts import proof
from envs.thoughts.corpus import THINK, Corpus
from envs.thoughts.params import Params
from envs.thoughts.reader import (
    MIXING,
    Reader,
    load_or_bake_reader,
    load_pretrained_reader,
    make_shared_reader,
)
from envs.thoughts.readings import read_thoughts
from envs.thoughts.state import State
from rungwise.report_chart import ReportChart
from rungwise.validation import InputError


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
    charts = (
        ReportChart(
            "Do the thoughts work?",
            "Log-probability of what follows, in nats, mean over the thoughts of an iteration of "
            "the best trial (rings: held-out ones). Thoughts that help lie above all other lines; "
            "where thoughts of another place or random tokens reach the same, they carry no "
            "information.",
            curves={
                "log_p_with": "with its thought",
                "log_p_without": "without a thought",
                "log_p_shuffled": "with the thought of another place",
                "log_p_random": "with random tokens",
            },
            layout="overlaid",
            axis="log p of what follows, nats",
        ),
    )

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.corpus: Corpus = params.corpus
        # A language model is loaded when it first reads: many worlds only give spaces.
        self._baked: Reader | None = (
            None if params.language_model else load_or_bake_reader(self.corpus, params.reader)
        )
        self._shared: Reader | None = None
        words = self.corpus.words
        self.choices = 1 + len(words) - self.corpus.first
        # A language model has too many words to count how often each is thought.
        self.choice_names = () if params.language_model else ("end", *words[self.corpus.first :])
        tokens = spaces.Box(0, len(words) - 1, (self.corpus.length,), np.int64)
        self.observation_space = spaces.Dict({"tokens": tokens})
        self.action_space: gymnasium.Space[Any] = spaces.Discrete(self.choices)

    @property
    def baked_reader(self) -> Reader:
        """The frozen reader."""
        if self._baked is None:
            model, device = self.params.language_model, self.params.reader_device
            self._baked = load_pretrained_reader(self.corpus, model, device)
        return self._baked

    @property
    def reader(self) -> Reader:
        """The reader in use: the frozen one, or the policy itself."""
        return self._shared or self.baked_reader

    def get_network_weights(self, agent: str) -> dict[str, Array] | None:
        """See :class:`World`: the reader's own, for the baked thinker."""
        # A policy that is a language model has loaded it for itself.
        if agent != "baked" or self.params.language_model:
            return None
        weights = self.baked_reader.network.state_dict()
        return {n: w.float().numpy() for n, w in weights.items()}

    def with_policy_weights(self, weights: Mapping[str, Any]) -> Self:
        """See :class:`~envs.contract.world.World`: the policy reads if ``shared``."""
        if bool(self.params.language_model) != ("gpt.marks" in weights):
            raise InputError(
                f"The environment's language_model is {self.params.language_model!r}: set the "
                "setting language_model to the same folder, with model='language' or 'thinker'."
            )
        if self.params.shared:
            reader = make_shared_reader(self.baked_reader, self.params.reader, weights)
            world = copy.copy(self)
            world._shared = reader
            return world
        if any(name.startswith(MIXING) for name in weights):
            raise InputError(
                "model='thinker' reads what follows its thoughts, but here a frozen reader does: "
                "set the environment's shared to true, or model='language'."
            )
        return self

    @property
    def episode_limit(self) -> int:
        """See :class:`World`."""
        return self.params.longest

    def reset(self, keys: Keys) -> tuple[State, Observation]:
        """Draw passages for keys [B] and begin empty thoughts."""
        B, T = len(keys), self.params.longest
        passages = self.corpus.draw(counter_rng.fold(keys, _PASSAGE), self.params.split)
        thought = np.zeros((B, T), np.int64)
        state = State(keys, passages, thought, np.zeros(B, np.int64), np.zeros(B, np.bool_))
        return state, self._observe(state)

    def step(self, state: State, action: Array) -> Step[State]:
        """Think one more token in each copy, or end."""
        meaning = f"0 to end the thought or a word from 1 to {self.choices - 1}"
        choice = validate_choices(action, len(state.keys), 0, self.choices, meaning)
        # Copies that are over ignore their action, because others may still think.
        thinks = (choice > 0) & ~state.over
        thought = state.thought.copy()
        thought[thinks, state.step[thinks]] = self.corpus.end + choice[thinks]
        step = state.step + thinks
        over = state.over | (choice == 0) | (step >= self.params.longest)
        after = dataclasses.replace(state, thought=thought, step=step, over=over)
        ended = over & ~state.over
        # The reader runs only for thoughts that just ended, so most steps cost no forward pass.
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
        """Return the tokens read and thought [B, L], 0 after them."""
        C, T = self.corpus.context, self.params.longest
        tokens = np.zeros((len(state.keys), self.corpus.length), np.int64)
        tokens[:, :C], tokens[:, C] = state.passages.context, THINK
        tokens[:, C + 1 : C + 1 + T] = state.thought
        # The end mark lies behind the last thought token, whose place differs from copy to copy.
        tokens[state.over, C + 1 + state.step[state.over]] = self.corpus.end
        return {"tokens": tokens}

    def _read(self, state: State, ended: Bools) -> dict[str, Array]:
        """Return the reader's figures of thoughts that have just ended; 0 for all others."""
        info: dict[str, Array] = {name: np.zeros(len(ended)) for name in self.episode_metrics}
        info["length"] = state.step
        info["answer"] = np.where(ended[:, None], state.passages.answer, 0)
        if ended.any():
            readings = read_thoughts(self, take(state, ended))
            for name, figures in readings.items():
                info[name][ended] = figures
        return info

    def compute_evaluation_metrics(self, state: State) -> dict[str, Floats]:
        """See :class:`~envs.contract.world.World`: the metrics of the proof."""
        return proof.compute_proof_metrics(self, state)

    def summarise(self, episodes: Mapping[str, Floats]) -> dict[str, float]:
        """Return means over episodes [N], with the tests of the proof where they were evaluated."""
        means = {name: float(np.mean(episodes[name])) for name in self.episode_metrics}
        return means | proof.judge_episodes(episodes)

    def trace_episode(self, states: Sequence[State], actions: Sequence[Array]) -> EpisodeTrace:
        """See :class:`~envs.contract.world.World`: the thought word by word."""
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
        """Return a row for each ended thought [B]: context, thought, prediction and truth."""
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
        """Format tokens [L] as text."""
        return self.corpus.decode(tokens)


_PASSAGE = 1
"""The random stream that an episode's passage is drawn from; others are in ``readings``."""
