# pyright: basic, reportArgumentType=false
"""`rungwise export` of a run directory."""

from command_line import call
from finished_run import silent

from cluster.commands.export import Export


def test_export_takes_a_run_directory(run, tmp_path):
    Export(checkpoint=run, out=tmp_path / "exported")(silent())
    assert (tmp_path / "exported" / "policy.pt2").is_file()


def test_brackets_in_paths_are_printed_as_they_are(run, tmp_path):
    renamed = run.rename(tmp_path / "exp[v2]")
    out = tmp_path / "exported[v2]"
    done = call("export", renamed, "--out", out, cwd=tmp_path)
    assert f"Best checkpoint: {renamed}/trials/01/checkpoint_4" in done.stderr
    assert f"{out / 'policy.pt2'}: largest difference" in done.stdout
