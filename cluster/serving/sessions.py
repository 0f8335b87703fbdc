"""Sessions of a served policy that remembers: the state of each episode in progress, by id."""

from __future__ import annotations

import uuid
from collections import OrderedDict

from algos.policy import Policy, State
from rungwise.validation import InputError

MAX_SESSIONS = 4096
"""Episodes remembered at a time; beyond it the one that has been idle for longest is forgotten."""


class Sessions:
    """States of episodes in progress.

    Args:
        most: how many are remembered.
    """

    def __init__(self, most: int = MAX_SESSIONS) -> None:
        self._states: OrderedDict[str, State] = OrderedDict()
        self._most = most

    def open(self, policy: Policy, session: object = None) -> tuple[str, State]:
        """Return id and state of a session, or of a new one where none is named.

        Until its next state is stored it is not there: no two observations act on the same one. The
        id is empty for a policy that remembers nothing.

        Raises:
            InputError: no session of this policy has that id.
        """
        start = policy.initial_state()
        if session is None:
            return uuid.uuid4().hex if start else "", start
        state = self._states.pop(session, None) if isinstance(session, str) else None
        # A newer checkpoint of another network can take over while sessions are open.
        if state is None or {n: c.shape for n, c in state.items()} != {
            n: c.shape for n, c in start.items()
        }:
            raise InputError(
                f"There is no session {session!r}: it was forgotten, waits for the action of an "
                "earlier observation, or the policy remembers nothing. Leave session out to begin "
                "an episode, and send the id of the answer with its later observations."
            )
        return str(session), state

    def store(self, session: str, state: State) -> None:
        """Store the state after a step; an empty id stores nothing."""
        if session:
            self._states[session] = state
            self._states.move_to_end(session)
        if len(self._states) > self._most:
            self._states.popitem(last=False)


def refuse_replicas(policy: Policy, replicas: int) -> None:
    """Refuse several replicas of a policy that remembers: each has sessions of its own.

    Raises:
        InputError: more than one replica of such a policy.
    """
    if replicas > 1 and policy.initial_state():
        raise InputError(
            f"This policy remembers the episode, and {replicas} replicas would each remember "
            "another part of it: serve it with one replica."
        )
