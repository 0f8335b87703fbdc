# pyright: basic
"""Files of a run from a node that does not see its directory, against those of this machine."""

import os
import pickle

import pytest
import ray
from pyarrow import fs
from ray import tune

from tune_jobs.session.run_files import (
    MARKER,
    FolderCopy,
    ForwardedFiles,
    SharedFiles,
    share_run_files,
)

pytestmark = pytest.mark.system


@pytest.fixture
def files(local_ray, tmp_path):
    """The files of a run as a node without its directory has them."""
    (tmp_path / "run").mkdir()
    with share_run_files(tmp_path / "run") as shared:
        yield ForwardedFiles(*shared.run)


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "made" / "inner"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(os.urandom(20_000_000))  # three parts
    (folder.parent / "empty").touch()
    return folder.parent


def test_a_checkpoint_travels_there_and_back(files, tree, tmp_path):
    remote = str(tmp_path / "run/trials/checkpoint")
    fs.copy_files(str(tree), remote, destination_filesystem=files)
    assert (tmp_path / "run/trials/checkpoint/inner/weights").stat().st_size == 20_000_000
    back = tmp_path / "back"
    tune.Checkpoint(remote, filesystem=files).to_directory(back)
    for name in ("inner/weights", "empty"):
        assert (back / name).read_bytes() == (tree / name).read_bytes()


def test_answers_are_those_of_the_local_file_system(files, tree, tmp_path):
    run, local = tmp_path / "run", fs.LocalFileSystem()
    tree.rename(run / "tree")
    for path in (run / "tree", run / "tree/empty", run / "missing"):
        here, there = local.get_file_info(str(path)), files.get_file_info(str(path))
        assert (here.type, here.size, here.path) == (there.type, there.size, there.path)
    for recursive in (False, True):
        selector = fs.FileSelector(str(run / "tree"), recursive=recursive)
        here, there = ({i.path for i in s.get_file_info(selector)} for s in (local, files))
        assert here == there
    with files.open_input_file(str(run / "tree/inner/weights")) as file:
        file.seek(19_999_990)
        assert file.read() == (run / "tree/inner/weights").read_bytes()[-10:]
    files.move(str(run / "tree/empty"), str(run / "moved"))
    files.copy_file(str(run / "moved"), str(run / "copy"))
    files.delete_file(str(run / "moved"))
    files.delete_dir(str(run / "tree"))
    assert {path.name for path in run.iterdir()} == {MARKER, "copy"}
    assert files.get_file_info(fs.FileSelector(str(run / "no"), allow_not_found=True)) == []


def test_errors_are_those_of_the_local_file_system(files, tmp_path):
    missing = str(tmp_path / "run/missing")
    for call in (files.open_input_stream, files.delete_file):
        with pytest.raises(FileNotFoundError):
            call(missing)
    with pytest.raises(FileNotFoundError):
        files.get_file_info(fs.FileSelector(missing))
    for outside in (str(tmp_path), f"{tmp_path}/run/../made"):
        with pytest.raises(PermissionError):
            files.delete_dir(outside)
    assert tmp_path.is_dir()


def test_a_node_that_sees_the_directory_reads_it_itself(files, tmp_path):
    assert isinstance(pickle.loads(pickle.dumps(files)), SharedFiles)
    (tmp_path / "run" / MARKER).write_text("of another run at the same path")
    found = ray.get(ray.remote(lambda given: type(given).__name__).remote(files))
    assert found == ForwardedFiles.__name__


def test_folder_of_a_program_moves_with_its_trial(files, tmp_path):
    there = tmp_path / "run/programs/00"
    first, second = (FolderCopy(files, tmp_path / name, there) for name in ("first", "second"))
    second.node = "another"
    (first.folder / "out").mkdir(parents=True)
    (first.folder / "out/saved").write_text("1")
    (first.folder / "out/old").touch()
    first.update()
    (first.folder / "out/saved").write_text("22")
    (first.folder / "out/old").unlink()
    first.update()
    second.fetch()
    assert (second.folder / "out/saved").read_text() == "22"
    assert not (second.folder / "out/old").exists()
    (second.folder / "out/saved").write_text("333")
    second.update()
    first.fetch()  # back on the first node, which has an older one
    assert (first.folder / "out/saved").read_text() == "333"
    (first.folder / "out/saved").write_text("4444")
    first.update()
    (first.folder / "out/saved").write_text("newer than the copy")
    first.fetch()  # it was here last
    assert (first.folder / "out/saved").read_text() == "newer than the copy"
