# pyright: basic, reportArgumentType=false
"""The client of the service."""

import socket
import threading

import pytest
from command_line import call
from dashboard_app import write
from synthetic_sweep import synthetic_rows

from rungwise.run_log.events import (
    CheckpointRow,
    EndRow,
    FindingRow,
    ResultRow,
)


def test_what_is_known_of_a_run_is_what_its_log_says(idle):
    root, client = idle
    rows = synthetic_rows()
    write(root / "sweep", rows)
    told = client.get_job("sweep")
    assert told.job.state == "ended" and told.best == "08"
    assert {t.id: t.end_reason for t in told.trials} == {
        row.trial: row.reason for row in rows if isinstance(row, EndRow)
    }
    found = client.list_findings("sweep")
    assert {f.symptom for f in found} == {r.symptom for r in rows if isinstance(r, FindingRow)}
    curves = {c.trial: c for c in client.get_curves("sweep")}
    last = [r for r in rows if isinstance(r, ResultRow) and r.trial == "09"][-1]
    assert (curves["09"].iterations[-1], curves["09"].values[-1]) == (last.iteration, last.score)
    assert client.list_checkpoints("sweep") == []  # the log names some, and none is there
    kept = next(row for row in rows if isinstance(row, CheckpointRow))
    (root / "sweep" / kept.path).mkdir(parents=True)
    assert client.list_checkpoints("sweep") == [kept]


BROKEN_OFF = b"HTTP/1.1 %s\r\nContent-Length: 99\r\n\r\n["


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "There is no service at"),
        (b"", "There is no service at"),
        (BROKEN_OFF % b"200 OK", "There is no service at"),
        (BROKEN_OFF % b"503 Busy", "answers 503"),
    ],
    ids=["no_http", "nothing", "half_an_answer", "half_an_error"],
)
def test_an_answer_that_is_no_whole_http_is_refused(tmp_path, monkeypatch, reply, said):
    monkeypatch.setenv("RUNGWISE_TOKEN", "x")

    def answer_once():
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer_once).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        done = call("jobs", "--service", url, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr
