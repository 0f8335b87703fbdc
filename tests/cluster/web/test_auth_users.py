# pyright: basic, reportOptionalMemberAccess=false
"""Users with tokens of their own: what their file may hold, what they may do, and its log."""

import json

import pytest
from dashboard_app import TOKEN, bearer, get, served_app, write
from synthetic_sweep import job_row, result

from cluster.queue.orders import get_run_state
from cluster.queue.run_queue import RunQueue
from cluster.web.auth import TokenMiddleware
from cluster.web.auth_users import ACTIONS, USER, User, load_users, recorded_action
from cluster.web.http_api import make_api
from cluster.web.server import open_runs
from rungwise.run_log.driver_lock import LOCK, file_lock
from rungwise.run_log.events import TrialRow
from rungwise.run_log.stop_requests import is_stop_requested
from rungwise.validation import InputError

READER, ACTOR = "a-token-of-one-who-reads", "a-token-of-one-who-acts"
FILE = f"rita: {{token: {READER}, role: read}}\nadam: {{token: {ACTOR}, role: act}}\n"
JOB = {"job": {"env": "CartPole-v1", "iterations": 2}}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "users.yaml"
    path.touch(0o600)
    path.write_text(FILE)
    return path


@pytest.fixture
def service(tmp_path, file):
    """A service with two users, whose queue starts nothing: its directory and address."""
    root = tmp_path / "runs"
    write(root / "run", [job_row(), TrialRow(trial="00", config={}), result("00", 1, 0.5)])
    app = TokenMiddleware(make_api(open_runs(root, RunQueue(root))), TOKEN, load_users(file))
    with served_app(app) as url:
        yield root, url


def post(url, path, token, body=None):
    headers = bearer(token) | {"Content-Type": "application/json"}
    status, _, text = get(url, f"api/jobs{path}", "POST", json.dumps(body or {}), **headers)
    return status, json.loads(text)


def read_actions(root):
    log = root / ACTIONS
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_the_users_of_a_file(file):
    assert load_users(file) == [User(READER, "read", "rita"), User(ACTOR, "act", "adam")]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Input should be a valid dictionary"),
        ("- rita", "Input should be a valid dictionary"),
        ("rita: secret-of-rita", "rita: Input should be a dictionary"),
        (FILE.replace("role: read", "role: watch"), "rita.role: Input should be 'read' or 'act'"),
        (FILE.replace(", role: read", ""), "rita.role: Field required"),
        (FILE.replace("role: read", "role: read, host: here"), "rita.host: Unexpected"),
        (FILE.replace(READER, "short"), "rita.token: String should have at least 20 characters"),
        (FILE.replace(READER, "1" * 30), "rita.token: Input should be a valid string"),
        (FILE.replace(READER, ACTOR), "two users have the same token"),
        (f"rita: {{token: {READER}", "it is not YAML"),
    ],
)
def test_a_malformed_file_is_refused_without_its_tokens(file, text, sentence):
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        load_users(file)
    assert sentence in str(refused.value) and str(file) in str(refused.value)
    assert READER not in str(refused.value) and "secret-of-rita" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_that_others_can_read_is_refused(file, mode):
    file.chmod(mode)
    with pytest.raises(InputError, match=f"mode {mode:o}.*chmod 600"):
        load_users(file)
    with pytest.raises(InputError, match=r"no file of users .No such file"):
        load_users(file.with_name("none.yaml"))


def test_a_reader_reads_and_does_nothing_else(service):
    root, url = service
    for path in ("api/jobs", "api/jobs/run", "api/jobs/run/findings", "metrics"):
        assert get(url, path, **bearer(READER))[0] == 200
    with file_lock(root / "run" / LOCK):
        for path in ("", "/run/stop", "/run/trials/00/stop"):
            status, body = post(url, path, READER, JOB if path == "" else None)
            assert status == 403 and "rita may read, but not" in body["error"], path
    assert not is_stop_requested(root / "run") and not is_stop_requested(root / "run", "00")
    assert sorted(path.name for path in root.iterdir()) == ["run"]
    assert post(url, "", TOKEN, JOB | {"name": "new"})[0] == 201
    assert post(url, "/new/stop", TOKEN)[0] == 200
    assert post(url, "/new/resume", READER)[0] == 403
    assert get_run_state(root / "new")[0] == "stopped"
    assert get(url, "api/jobs", **bearer("a-token-of-no-one-at-all"))[0] == 401


def test_what_users_do_is_logged_with_their_names(service):
    root, url = service
    assert post(url, "", ACTOR, JOB | {"name": "new"})[0] == 201
    _, unnamed = post(url, "", TOKEN, JOB)
    with file_lock(root / "run" / LOCK):
        assert post(url, "/run/trials/00/stop", ACTOR)[0] == 200
    assert post(url, "/new/stop", ACTOR)[0] == 200
    assert post(url, "/new/stop", ACTOR)[0] == 409, "which is not done, and not logged"
    assert post(url, "/new/resume", TOKEN)[0] == 200
    rows = [{**row, "time": row["time"] > 1.7e9} for row in read_actions(root)]
    done = {"time": True, "user": "adam"}
    assert rows == [
        done | {"action": "submit", "run": "new"},
        done | {"user": "owner", "action": "submit", "run": unnamed["name"]},
        done | {"action": "stop", "run": "run", "trial": "00"},
        done | {"action": "stop", "run": "new"},
        done | {"user": "owner", "action": "resume", "run": "new"},
    ]


def test_without_users_nothing_is_logged(idle):
    root, client = idle
    assert post(client.url, "", TOKEN, JOB | {"name": "new"})[0] == 201
    assert post(client.url, "/new/stop", TOKEN)[0] == 200
    assert read_actions(root) == []


def test_an_action_outside_a_request_is_an_error(tmp_path):
    with pytest.raises(LookupError), recorded_action(tmp_path, "stop", "run"):
        pass
    assert USER.get(None) is None
