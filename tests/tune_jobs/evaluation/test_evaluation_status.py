# pyright: basic, reportArgumentType=false
"""The progress of an evaluation, in words."""

from tune_jobs.evaluation.evaluation_status import EvaluationStatus, format_episode_count
from tune_jobs.run_log.events import EvaluationRow


def test_the_count_of_episodes_comes_with_its_reason():
    row = {"trial": "00", "checkpoint": "c", "seed": 0, "policy": {}}
    said = format_episode_count(EvaluationRow(episodes=40, most=256, **row), "episode")
    assert said.startswith("40 episodes (of 256: ") and "--episodes" in said
    assert (
        format_episode_count(EvaluationRow(episodes=256, most=256, **row), "episode")
        == "256 episodes"
    )
    assert str(EvaluationStatus("03", "policy", 64, 256)) == "evaluating: policy 64 of 256 episodes"
