# pyright: basic
"""``rungwise check`` as a user calls it, on an environment of their own."""

import textwrap

from command_line import answer, rungwise

LAMPS = textwrap.dedent(
    """
    import gymnasium, numpy as np
    from gymnasium import spaces


    class Lamps(gymnasium.Env):
        observation_space = spaces.Box(-1, 1, (2,), np.float32)
        action_space = spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.time = 0
            return self._seen(), {}

        def step(self, action):
            self.time += 1
            action = self.np_random.integers(2)  # the fault: the action is drawn again
            reward = float(action == self.lamp)
            return self._seen(), reward, self.time >= 10, False, {}

        def _seen(self):
            self.lamp = int(self.np_random.integers(2))
            return np.eye(2, dtype=np.float32)[self.lamp]


    gymnasium.register("Lamps-v0", Lamps)
    """
)


def test_a_broken_custom_environment_fails_with_a_remedy(tmp_path):
    (tmp_path / "my_lamps.py").write_text(LAMPS)
    done = rungwise("check", "my_lamps:Lamps-v0", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "cannot be trained on as it is: reward_blind_to_action." in done.stderr
    assert "whether the reward depends on the actions (up to 16 s)" in done.stderr
    told = answer(done)
    first = told["findings"][0]
    assert first.keys() == {"symptom", "severity", "since", "evidence", "remedy"}
    assert (first["symptom"], first["severity"]) == ("reward_blind_to_action", "stop")
    assert {"conformance", "dependence", "gradients", "headroom"} <= set(told["judged"])
    assert "before reward_blind_to_action is fixed" in told["not_judged"]["overfit"]
    assert told["figures"]["conformance"]["violations"] == 0


def test_a_healthy_environment_is_shown_probe_by_probe(tmp_path):
    done = rungwise("check", "CartPole-v1", "--algo", "reinforce", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "variance by actions, same randomness 1" in " ".join(done.stdout.split())
    assert "gradients" in done.stdout
    assert not any(line.endswith(" ") for line in done.stdout.splitlines())
