# pyright: basic
"""The commands that list what there is."""

import json

from cluster import cli
from tune_jobs.jobs.job_yaml import list_presets


def test_each_preset_is_described_by_one_short_sentence(capsys):
    assert cli.run(["presets", "--json"]) == 0
    presets = json.loads(capsys.readouterr().out)["presets"]
    assert presets.keys() == set(list_presets())
    for preset in presets.values():
        assert preset["shows"].endswith(".") and len(preset["shows"]) <= 100
        assert not preset["shows"].startswith("The same")  # as which other row of the list?
        assert preset["steps"] > 0


def test_presets_are_listed_with_steps_time_and_score(capsys):
    assert cli.run(["presets"]) == 0
    lines = " ".join(capsys.readouterr().out.split())
    assert "CartPole-v1, ppo, 9 trials, 123k steps, 24 s on 2 cores, return mean 500" in lines


def test_algorithms_are_ours_and_those_of_rllib(capsys):
    assert cli.run(["algos", "--json"]) == 0
    algos = json.loads(capsys.readouterr().out)["algos"]
    assert {"ppo", "astar_po", "rllib/DQN", "rllib/SAC", "rllib/PPO"} <= algos.keys()
