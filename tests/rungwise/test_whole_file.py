# pyright: basic
"""A file that several processes write is always whole."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rungwise.whole_file import replace_whole

SPACE = ("unshare", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc")
WRITE = """
import os, sys
from pathlib import Path
import numpy as np
from algos.rollouts import rollout_io
from algos.rollouts.columns import Columns
from cluster.queue.orders import Order, read_order, write_order
from synthetic_sweep import job_row
from tune_jobs.report.report import replace_file
from rungwise.run_log.ledger import write_ledger
folder, seed, ready = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
print(os.getpid(), flush=True)
(ready / str(seed)).touch()
while len(list(ready.iterdir())) < 2:
    pass
for _ in range(60):
    rows = Columns({"seed": np.full(2000, seed)})
    rollout_io.write_columns(rows, folder / "rows.parquet")
    column = rollout_io.read_columns(folder / "rows.parquet").rows["seed"]
    assert set(column) in ({1}, {2})
    replace_file(folder / "report.html", str(seed) * 9999)
    assert len(set((folder / "report.html").read_text())) == 1
    write_ledger([job_row()], folder / "ledger.parquet", seed)
    write_order(folder, Order(priority=seed))
    assert not read_order(folder).failure
"""


def test_processes_of_two_containers_write_the_same_files(tmp_path):
    if not shutil.which("unshare") or subprocess.run([*SPACE, "true"], check=False).returncode:
        pytest.skip("no process namespaces on this machine")
    (tmp_path / "ready").mkdir()
    (files := tmp_path / "files").mkdir()
    root = Path(__file__).parents[2]
    paths = os.pathsep.join(map(str, (root, root / "tests" / "support")))
    words = (*SPACE, sys.executable, "-c", WRITE, str(files))
    writers = [
        subprocess.Popen(
            (*words, str(seed), str(tmp_path / "ready")),
            env=os.environ | {"PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2)
    ]
    printed = [writer.communicate()[0] for writer in writers]
    assert len(set(printed)) == 1, "the two have the same process id"
    assert [writer.returncode for writer in writers] == [0, 0]
    names = {"rows.parquet", "report.html", "ledger.parquet", "order.json"}
    assert {file.name for file in files.iterdir()} == names


def test_an_error_leaves_the_older_file_alone(tmp_path):
    (file := tmp_path / "file").write_text("older")

    with pytest.raises(OSError, match="disk full"), replace_whole(file) as unfinished:
        unfinished.write_text("half")
        raise OSError("disk full")
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and file.read_text() == "older"


def test_other_users_can_read_a_file_as_they_could(tmp_path):
    (plain := tmp_path / "plain").write_text("")
    with replace_whole(tmp_path / "file") as unfinished:
        unfinished.write_text("new")
    assert (tmp_path / "file").stat().st_mode == plain.stat().st_mode
