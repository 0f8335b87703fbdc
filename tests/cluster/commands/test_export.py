# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
"""`rungwise export` of a run directory."""

from types import SimpleNamespace

from finished_run import silent

from cluster.commands.export import Export
from cluster.commands.play import _make_player


def test_export_and_play_take_a_run_directory(run, tmp_path, monkeypatch):
    Export(checkpoint=run, out=tmp_path / "exported")(silent())
    assert (tmp_path / "exported" / "policy.pt2").is_file()
    loaded = []

    def load(checkpoint):
        loaded.append(checkpoint)
        return SimpleNamespace(initial_state=lambda rows: {})

    monkeypatch.setattr("algos.policy.Policy.load", load)
    world = type("World", (), {"baselines": {}})()
    _make_player(world, str(run))
    assert loaded == [run / "trials/01/checkpoint_4"]
