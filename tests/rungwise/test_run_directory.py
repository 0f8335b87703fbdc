"""Names of new run directories."""

from pathlib import Path

import pytest

from rungwise import run_directory
from rungwise.run_directory import check_is_local, find_free_directory
from rungwise.validation import InputError
from tune_jobs.session.prepare import claim_run_directory, open_run


def test_runs_of_a_day_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_directory.time, "strftime", lambda form: "2026-11-22")
    first = find_free_directory("envs:CausalLearning-v0", tmp_path)
    assert first == tmp_path / "causallearning-2026-11-22-1"
    first.mkdir()
    assert find_free_directory("CausalLearning-v0", tmp_path).name.endswith("-2")


@pytest.mark.parametrize("call", [check_is_local, claim_run_directory, open_run])
@pytest.mark.parametrize("address", ["s3://bucket/a", "gs://bucket", "file:///runs/a"])
def test_an_address_is_no_run_directory(address, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"{address} is an address.* `--storage "):
        call(Path(address))
    assert not list(tmp_path.iterdir())


def test_a_folder_with_a_colon_in_its_name_is_local(tmp_path: Path):
    for path in (tmp_path / "s3:" / "a", Path("a:b/c"), Path("C:/runs"), Path("runs/s3:/a")):
        check_is_local(path)


@pytest.mark.parametrize("name", ["../../etc/cron", "/tmp/x", "..", "a b;c", "", "x" * 3 + "/.."])
def test_a_program_of_any_name_gets_a_folder_below_the_parent(tmp_path: Path, name: str):
    found = find_free_directory(name, tmp_path)
    assert found.resolve().parent == tmp_path.resolve() and not found.name.startswith(".")
