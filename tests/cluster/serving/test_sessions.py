# pyright: basic
"""What a served policy remembers of the episodes of its clients."""

import numpy as np
import pytest
from checkpoints import write_checkpoint
from gymnasium import spaces

from algos.policy import Policy
from cluster.serving.sessions import Sessions, refuse_replicas
from rungwise.validation import InputError

BOX = spaces.Box(-np.inf, np.inf, (4,), np.float32)


def test_a_policy_that_remembers_nothing_has_no_sessions(tmp_path):
    policy = Policy.load(write_checkpoint(tmp_path / "c", BOX, spaces.Discrete(5)))
    assert Sessions().open(policy) == ("", {})
    with pytest.raises(InputError, match="There is no session 'x'"):
        Sessions().open(policy, "x")
    refuse_replicas(policy, 3)


def test_the_session_that_was_idle_for_longest_is_forgotten(tmp_path):
    stack = write_checkpoint(tmp_path / "c", BOX, spaces.Discrete(5), frame_stack=2)
    policy, sessions = Policy.load(stack), Sessions(most=2)
    ids = [sessions.open(policy)[0] for _ in range(3)]
    for session in (ids[0], ids[1], ids[0], ids[2]):
        sessions.store(session, policy.initial_state())
    assert sessions.open(policy, ids[0])[0] == ids[0]
    with pytest.raises(InputError, match="forgotten"):
        sessions.open(policy, ids[1])
    with pytest.raises(InputError, match="3 replicas"):
        refuse_replicas(policy, 3)
