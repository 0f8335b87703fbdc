# pyright: basic, reportArgumentType=false
"""`rungwise export` of a run directory."""

from finished_run import silent

from cluster.commands.export import Export


def test_export_takes_a_run_directory(run, tmp_path):
    Export(checkpoint=run, out=tmp_path / "exported")(silent())
    assert (tmp_path / "exported" / "policy.pt2").is_file()
