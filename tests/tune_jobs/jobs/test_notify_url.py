# pyright: basic
"""The URL of messages: what is refused, and that no job, error or file of a run shows it."""

import stat

import pytest
from command_line import call
from receiver import SECRET

from cluster.queue.orders import Order
from cluster.queue.run_queue import RunQueue
from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.jobs.notify_url import VARIABLE, check_notify_url, find_notify_url
from tune_jobs.session.prepare import check_reporting, prepare_job

URL = f"https://hooks.slack.com/services/{SECRET}"
PROGRAM = {"command": "true", "notify": URL}


@pytest.mark.parametrize(
    "url",
    [
        f"hooks.slack.com/{SECRET}",
        f"ftp://hooks.slack.com/{SECRET}",
        f"file:///{SECRET}",
        f"https://me:{SECRET}@chat.example.com/hook",
        f"https://chat.example.com:port/{SECRET}",
        f"https://chat.example.com/{SECRET} ",
        f"https://chat.example.com/a\r\n{SECRET}",
        f"https://[chat/{SECRET}",
        f"https:///{SECRET}",
        [f"https://chat.example.com/{SECRET}"],
        None,
    ],
)
def test_what_is_no_url_of_a_webhook_is_refused_and_not_shown(url):
    with pytest.raises(InputError, match="notify must be an http or https URL") as refused:
        make_job({"command": "true", "notify": url})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("url", ["", URL, "http://localhost:8065/hooks/x", "https://[::1]/x"])
def test_urls_of_webhooks_are_taken(url):
    check_notify_url(url)


def test_a_bad_variable_is_refused_before_work_starts(monkeypatch):
    monkeypatch.setenv(VARIABLE, f"ftp://chat.example.com/{SECRET}")
    with pytest.raises(InputError, match=r"RUNGWISE_NOTIFY must .* ftp://chat.example.com/\*\*\*"):
        check_reporting(make_job({"command": "true"}))


def test_a_prepared_run_keeps_it_in_one_file_of_its_owner(tmp_path):
    job = make_job(PROGRAM)
    assert SECRET not in repr(job)
    assert prepare_job(job, tmp_path / "run").notify == ""
    files = [path for path in (tmp_path / "run").iterdir() if SECRET in path.read_text()]
    assert [file.name for file in files] == ["notify.secret"]
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_the_url_of_the_job_comes_before_that_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "http://localhost/all")
    prepare_job(make_job(PROGRAM), tmp_path / "own")
    prepare_job(make_job({"command": "true"}), tmp_path / "none")
    assert find_notify_url(tmp_path / "own") == URL
    assert find_notify_url(tmp_path / "none") == "http://localhost/all"


def test_help_does_not_show_the_url_of_a_job_file(tmp_path):
    (tmp_path / "job.yaml").write_text(f"command: 'true'\nnotify: {URL}\n")
    done = call("tune", "job.yaml", "--help", cwd=tmp_path)
    assert "--notify" in done.stdout and SECRET not in done.stdout + done.stderr


def test_without_a_token_no_job_chooses_where_the_service_sends(tmp_path):
    fields = {"env": "CartPole-v1", "notify": URL}
    with pytest.raises(InputError, match="needs a token"):
        RunQueue(tmp_path, accepts_programs=False).submit(fields, None, "", Order())
