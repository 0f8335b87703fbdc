# pyright: basic
"""A run is copied while it runs, and goes on from the copy when its machine is lost."""

import contextlib
import os
import resource
import shutil
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import answer, command, rungwise
from mirrored_runs import begun, copying, fetch, list_files
from pyarrow import fs
from synthetic_sweep import job_row
from waiting import find_free_port, wait_until

from rungwise.run_log import log_file
from rungwise.run_log.event_log import EventLog, read_event_log
from rungwise.run_log.events import CheckpointRow, EndRow, ResultRow, VideoRow
from rungwise.validation import InputError
from tune_jobs.session import object_storage, stored_run
from tune_jobs.session.object_storage import MIRROR_VARIABLE, Mirror
from tune_jobs.session.stored_run import bring_run, fetch_run, open_filesystem

JOB = ["--env", "CartPole-v1", "--iterations", 12, "--checkpoint-interval", 1]


def test_a_copy_has_what_the_run_has_and_no_more(tmp_path):
    run, place = begun(tmp_path / "run", [1, 2]), tmp_path / "there"
    place.mkdir()
    mirror = Mirror(run, place.as_uri())
    mirror.update()
    shutil.rmtree(run / "trials" / "checkpoint_1")
    begun(run, [3])
    mirror.update()
    (run / "report.html").write_text("<p>")
    mirror.finish()
    fetch_run((place / "run").as_uri(), tmp_path / "back")

    def files(root):
        return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    assert files(tmp_path / "back") == files(run)
    with pytest.raises(InputError, match="exists already"):
        fetch_run((place / "run").as_uri(), tmp_path / "back")
    with pytest.raises(InputError, match="no run at"):
        fetch_run(place.as_uri(), tmp_path / "other")


def test_a_copy_that_fails_says_what_to_do(tmp_path):
    run = tmp_path / "run"
    begun(run, [1])
    (run / "large").write_bytes(bytes(2**16))
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**15, unlimited[1]))
    try:
        with pytest.raises(
            InputError, match=r"copied whole to .*back \(.*\): delete the directory,"
        ):
            fetch_run(run.as_uri(), tmp_path / "back")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


@pytest.mark.parametrize("named", [True, False])
def test_the_best_checkpoint_is_copied_before_a_row_names_it(tmp_path, named):
    run, place = begun(tmp_path / "run", [1, 2]), tmp_path / "there"
    place.mkdir()
    (run / "trials/best_000001").mkdir()
    (run / "trials/best_000001/weights").write_text("1")
    best = {"best": "trials/best_000001", "best_iteration": 1} if named else {}
    row = CheckpointRow(trial="00", iteration=2, path="trials/checkpoint_2", **best)
    EventLog(run / "events.jsonl").append(row)
    mirror = Mirror(run, place.as_uri())
    mirror.update()
    assert (place / "run/trials/best_000001/weights").read_text() == "1"
    shutil.rmtree(run / "trials/best_000001")
    mirror.update()
    assert not (place / "run/trials/best_000001").exists()


def test_a_checkpoint_that_is_deleted_while_it_is_copied_holds_up_no_log(
    tmp_path, monkeypatch, capsys
):
    """A large model may take longer to copy than the run keeps it."""
    run, place = begun(tmp_path / "run", [1]), tmp_path / "there"
    place.mkdir()
    mirror, copy_files = Mirror(run, place.as_uri()), fs.copy_files

    def copy_late(source, *args, **kwargs):
        shutil.rmtree(source)
        copy_files(source, *args, **kwargs)

    def list_copies():
        return sorted(path.name for path in (place / "run" / "trials").iterdir())

    mirror.update()
    for row, deleted in ((2, 1), (3, 2)):
        begun(run, [row])
        shutil.rmtree(run / "trials" / f"checkpoint_{deleted}", ignore_errors=True)
        monkeypatch.setattr(fs, "copy_files", copy_late)
        mirror.update()
        assert list_copies() == ["checkpoint_1"]
        last = read_event_log(place / "run" / "events.jsonl")[-1]
        assert isinstance(last, CheckpointRow) and last.iteration == row
        assert ("save them less often" in capsys.readouterr().err) == (row == 3)
    begun(run, [4])
    monkeypatch.setattr(fs, "copy_files", copy_files)
    mirror.update()
    assert list_copies() == ["checkpoint_4"]


def test_what_programs_write_is_copied_with_their_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr(object_storage, "PROGRAMS_EVERY", 1e9)
    run, place = begun(tmp_path / "run", [1]), tmp_path / "there"
    place.mkdir()
    saved = run / "programs" / "00" / "out" / "model.pt"
    saved.parent.mkdir(parents=True)
    (saved.parent / "old.pt").write_text("old")
    saved.write_text("1")
    mirror = Mirror(run, place.as_uri())
    mirror.update()
    copy = place / saved.relative_to(tmp_path)
    assert copy.read_text() == "1"
    (saved.parent / "old.pt").unlink()
    saved.write_text("two")
    mirror.update()
    assert copy.read_text() == "1", "large files are copied with a checkpoint only"
    begun(run, [2])
    mirror.update()
    assert [(file.name, file.read_text()) for file in copy.parent.iterdir()] == [
        ("model.pt", "two")
    ]


def test_outputs_without_checkpoints_and_videos_are_copied_at_the_end(tmp_path):
    run, place = begun(tmp_path / "run", []), tmp_path / "there"
    place.mkdir()
    mirror = Mirror(run, place.as_uri())
    mirror.update()
    for name in ("programs/00/out/progress.csv", "videos/best.mp4"):
        (run / name).parent.mkdir(parents=True)
        (run / name).write_text(name)
    row = VideoRow(trial="00", checkpoint="", path="videos/best.mp4")
    EventLog(run / "events.jsonl").append(row)
    mirror.finish()
    fetch_run((place / "run").as_uri(), tmp_path / "back")
    for name in ("programs/00/out/progress.csv", "videos/best.mp4"):
        assert (tmp_path / "back" / name).read_text() == name


def test_a_place_that_is_none_is_refused_before_the_run(tmp_path):
    with pytest.raises(InputError, match="cannot be reached"):
        open_filesystem("nowhere")
    done = subprocess.run(
        command("train", *JOB),
        cwd=tmp_path,
        env=os.environ | {MIRROR_VARIABLE: "s3x://bucket"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "s3x://bucket cannot be reached" in done.stderr


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """The address of a bucket of an S3 server of one's own."""
    if shutil.which("moto_server") is None:
        pytest.skip("no S3 server on this machine (pip install -e '.[s3]')")
    port = find_free_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    server = subprocess.Popen(
        ["moto_server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    asked = f"?scheme=http&region=us-east-1&endpoint_override=127.0.0.1:{port}"

    def listens():
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True

    try:
        wait_until(listens, process=server)
        s3 = fs.S3FileSystem(
            endpoint_override=f"127.0.0.1:{port}",
            scheme="http",
            region="us-east-1",
            allow_bucket_creation=True,
        )
        s3.create_dir("runs")
        yield lambda path="": f"s3://runs{path}{asked}"
    finally:
        server.terminate()
        server.wait(20)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_goes_on_from_s3_when_its_machine_is_lost(tmp_path, bucket):
    environment = os.environ | {MIRROR_VARIABLE: bucket("/all")}
    # So many that it still runs when it is killed.
    words = ["train", *JOB, "--iterations", 20_000, "--evaluation-episodes", 0, "--out", "run"]
    process = subprocess.Popen(
        command(*words),
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    there, place = open_filesystem(bucket("/all/run"))
    log = f"{place}/events.jsonl"

    def has_checkpoint():
        exists = there.get_file_info(log).type == fs.FileType.File
        return exists and b'"kind": "checkpoint"' in there.open_input_stream(log).read()

    wait_until(has_checkpoint, 1, process)
    process.kill()
    process.wait(30)
    shutil.rmtree(tmp_path / "run")
    told = rungwise("fetch", bucket("/all/run"), "--json", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert answer(told) == {"run": "run"}
    rows = read_event_log(tmp_path / "run" / "events.jsonl")
    last = [row for row in rows if isinstance(row, CheckpointRow)][-1].iteration
    resumed = subprocess.Popen(command("resume", "run"), cwd=tmp_path, env=environment)

    def read_new():
        now = read_event_log(tmp_path / "run" / "events.jsonl")[len(rows) :]
        return [row for row in now if isinstance(row, ResultRow)]

    try:
        new = wait_until(read_new, 0.5, resumed)
        assert new[0].iteration == last + 1
        assert not [row for row in rows if isinstance(row, EndRow)]
    finally:
        resumed.kill()
        resumed.wait(30)


@pytest.mark.parametrize("ids", [("aaaa", "bbbb"), ("", "")])
@pytest.mark.parametrize("compressed", [False, True])
def test_runs_of_one_name_are_copied_apart(tmp_path, monkeypatch, capsys, ids, compressed):
    """Two machines share an address, or a run is made anew after its directory was deleted."""
    if compressed:
        monkeypatch.setattr(log_file, "MOVED_BYTES", 1)
    place = tmp_path / "there"
    runs = [tmp_path / project / "run" for project in ("a", "b")]
    for run, run_id in zip(runs, ids, strict=True):
        run.mkdir(parents=True)
        EventLog(run / "events.jsonl").append(job_row(id=run_id, commit=str(run)))
        begun(run, [1])
        (run / "trials" / "checkpoint_1" / "weights").write_text(str(run))
        (run / "job.yaml").write_text(str(run))
    mirrors = [Mirror(run, place.as_uri()) for run in runs]
    for mirror in (*mirrors, *mirrors):
        mirror.update()
    addresses = [(place / "run").as_uri(), next(place.glob("run-*")).as_uri()]
    assert (
        ids[1] in addresses[1] and addresses[1].removeprefix("file://") in capsys.readouterr().err
    )
    for run, address, mirror in zip(runs, addresses, mirrors, strict=True):
        mirror.finish()
        assert fetch(address, tmp_path / "back" / run.parent.name / "run") == list_files(run)
    for run in runs:  # a resume, here or on another machine, finds its copy
        run = tmp_path / "back" / run.parent.name / "run"
        begun(run, [2])
        Mirror(run, place.as_uri()).finish()
    assert len(list(place.iterdir())) == 2
    for run, address in zip(runs, addresses, strict=True):
        last = tmp_path / "last" / run.parent.name
        assert fetch(address, last) == list_files(tmp_path / "back" / run.parent.name / "run")


def test_a_running_run_is_copied_again_and_again(tmp_path, monkeypatch):
    run, place = begun(tmp_path / "run", [1]), tmp_path / "new" / "place"
    monkeypatch.setattr(object_storage, "EVERY", 0.01)
    copy = place / "run" / "trials" / "checkpoint_1" / "weights"
    with copying(run, place.as_uri()):
        wait_until(copy.exists)
    fetch_run((place / "run").as_uri(), tmp_path / "another" / "folder")
    assert (tmp_path / "another" / "folder" / "events.jsonl").exists()


def test_a_run_is_fetched_to_its_own_name(tmp_path):
    run = begun(tmp_path / "run", [1])
    (tmp_path / "here").mkdir()
    told = rungwise("fetch", f"{run.as_uri()}/", "--json", cwd=tmp_path / "here")
    assert answer(told) == {"run": "run"}
    assert (tmp_path / "here" / "run" / "events.jsonl").exists()


def test_run_whose_checkpoints_are_deleted_meanwhile_is_fetched(tmp_path, monkeypatch):
    run, deleted = begun(tmp_path / "run", [1, 2, 3]), []

    def list_then_delete(filesystem, path, directory):
        if not deleted:
            deleted.append(path)
            real_listing = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
            shutil.rmtree(run / "trials" / "checkpoint_1")
            begun(run, [4])
            stale = SimpleNamespace(
                get_file_info=lambda asked: (
                    real_listing
                    if isinstance(asked, fs.FileSelector)
                    else filesystem.get_file_info(asked)
                ),
                open_input_stream=filesystem.open_input_stream,
            )
            return copy(stale, path, directory)
        return copy(filesystem, path, directory)

    copy = stored_run._copy_new_files
    monkeypatch.setattr(stored_run, "_copy_new_files", list_then_delete)
    assert fetch(run.as_uri(), tmp_path / "back") == list_files(run)


def test_run_named_by_its_address_is_brought_and_kept_up_to_date(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, address = begun(tmp_path / "run", [1, 2]), (tmp_path / "there" / "run").as_uri()
    copy, here = Mirror(run, (tmp_path / "there").as_uri()), Path("runs/run")
    copy.finish()
    assert bring_run(address) == here and list_files(here) == list_files(run)
    begun(run, [3])
    copy.finish()
    assert list_files(bring_run(address)) == list_files(run)
    begun(here, [4])  # it has been continued here
    continued = list_files(here)
    assert list_files(bring_run(address)) == continued
    begun(run, [5])  # and there, too: neither is lost
    copy.finish()
    assert list_files(bring_run(address)) == continued
    (here / "events.jsonl").unlink()
    EventLog(here / "events.jsonl").append(job_row(id="other"))
    with pytest.raises(InputError, match=r"runs/run is another run than .* --out DIR"):
        bring_run(address)


def test_address_with_a_key_in_it_is_refused(tmp_path):
    words = ["--storage", "s3://KEY:SECRET@bucket/runs", "--out", "run"]
    refused = rungwise("train", *JOB, *words, cwd=tmp_path)
    assert refused.returncode == 2 and "AWS_SECRET_ACCESS_KEY" in refused.stderr
    assert "SECRET@" not in refused.stderr and not (tmp_path / "run").exists()


@pytest.mark.system
def test_run_on_a_storage_is_resumed_and_read_by_its_address(tmp_path):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    storage = (tmp_path / "there").as_uri()
    words = ["--storage", storage, "--evaluation-episodes", 0, "--out", "run"]
    assert rungwise("train", *JOB, *words, cwd=here).returncode == 0
    shutil.rmtree(here)
    words = "resume", f"{storage}/run", "--iterations", 14, "--json"
    resumed = answer(rungwise(*words, cwd=elsewhere))
    assert resumed["trials"][0]["iterations"] == 14
    shutil.rmtree(elsewhere / "runs")
    report = answer(rungwise("report", f"{storage}/run", "--json", cwd=elsewhere))
    assert report["trials"][0]["iterations"] == 14
    evaluated = rungwise("evaluate", f"{storage}/run", "--episodes", 2, "--json", cwd=elsewhere)
    assert evaluated.returncode == 0, evaluated.stderr


@pytest.mark.parametrize("uri", ["s3://", "s3://?endpoint_override=127.0.0.1:9", "file:///"])
def test_an_address_without_a_folder_is_refused(uri):
    with pytest.raises(InputError, match="it names no folder"):
        open_filesystem(uri)
