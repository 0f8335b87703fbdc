# pyright: basic, reportOptionalMemberAccess=false
"""The live page on a port of its own, and runs for it to show."""

import http.client
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import uvicorn

from cluster.web.client import Client
from cluster.web.listening import bind_socket
from cluster.web.run_view import RunView
from cluster.web.server import make_app
from rungwise.run_log.event_log import encode_row

TOKEN = "a-token-of-the-tests"


def write(directory, rows):
    directory.mkdir(parents=True, exist_ok=True)
    text = "".join(encode_row(row) + "\n" for row in rows)
    (directory / "events.jsonl").write_text(text)
    return directory


def read_whole(directory):
    board = RunView(directory)
    while board.refresh():
        pass
    return board


@contextmanager
def shown(root, command="dashboard", *more):
    """The pages about the runs below a directory: the command itself, in a process of its own.

    Yields its address, and that address with the token.
    """
    home = root.parent / "home"
    home.mkdir(exist_ok=True)
    words = [sys.executable, "-m", "rungwise", command, str(root), "--port", "0", "--json", *more]
    environment = os.environ | {"HOME": str(home)}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        said = json.loads(process.stdout.readline())
        yield said["url"], said["address"]
    finally:
        process.terminate()
        process.wait()


@contextmanager
def served_app(made):
    """An application on a port of its own."""
    door = bind_socket("127.0.0.1", 0)
    config = uvicorn.Config(made, log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        door.close()


def get(url, path="", method="GET", sent=None, **headers):
    """Status, headers and body, following nothing."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request(method, "/" + path, sent, headers=headers)
    response = connection.getresponse()
    return response.status, response.headers, response.read().decode()


def bearer(token=TOKEN):
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def desk(root, queue):
    with served_app(make_app(root, TOKEN, queue)) as url:
        yield url, Client(url, TOKEN)
