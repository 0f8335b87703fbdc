# pyright: basic
"""The commands that list what there is."""

import json

from cluster import cli
from tune_jobs.jobs.job_yaml import list_presets


def test_presets_say_what_each_of_them_shows(capsys):
    assert cli.run(["presets", "--json"]) == 0
    presets = json.loads(capsys.readouterr().out)["presets"]
    assert presets.keys() == set(list_presets())
    assert all(preset["shows"].endswith((".", ":")) for preset in presets.values())
