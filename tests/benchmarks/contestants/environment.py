# pyright: basic
"""The environment alone: steps of all copies with random actions, no policy, no learning."""

import gymnasium

from algos.rollouts.env_factory import find_env_spec
from benchmarks.meter import Meter, asked


def main() -> None:
    told = asked()
    task = told.task
    spec = find_env_spec(task.env)
    mode = "vector_entry_point" if spec.vector_entry_point else "sync"
    env = gymnasium.make_vec(spec, task.copies, vectorization_mode=mode)
    env.reset(seed=told.seed)
    env.action_space.seed(told.seed)
    actions = [env.action_space.sample() for _ in range(task.batch // task.copies)]
    meter = Meter(told)
    for _ in range(task.iterations):
        for action in actions:
            env.step(action)
        meter.iteration(task.batch, None)
    meter.report()


if __name__ == "__main__":
    main()
