# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
"""`rungwise evaluate` of a run directory."""

from finished_run import silent

from cluster.commands.evaluate import Evaluate


def test_evaluate_takes_a_run_directory(run):
    found = Evaluate(checkpoint=run, episodes=5)(silent())
    assert found["checkpoint"] == str(run / "trials/01/checkpoint_4") and found["episodes"] == 5
