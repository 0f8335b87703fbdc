# pyright: basic
"""A server that takes messages, as a chat does, or fails to."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from waiting import wait_until

SECRET = "T0-B0-s3cr3t"
"""The part of the URL that nothing but the receiver may see."""
HANG = 0
"""In place of a status: no answer until the server is closed."""


class Receiver:
    """What arrived, and the statuses to answer with: one a request, the last one from then on."""

    def __init__(self, port, statuses, location):
        self.url = f"http://127.0.0.1:{port}/hooks/{SECRET}"
        self.statuses, self.location = list(statuses), location
        self.requests, self.closed = [], threading.Event()

    @property
    def messages(self):
        """The bodies that were taken."""
        return [body for _, body, status in self.requests if status == 200]

    def wait(self, number):
        wait_until(lambda: len(self.messages) >= number)
        return self.messages


@contextmanager
def receive(*statuses, location=""):
    """Serve until the block ends; a redirect has this location."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            others = receiver.statuses[1:] or receiver.statuses
            status, receiver.statuses = receiver.statuses[0], others
            receiver.requests.append((self.path, body, status))
            if status == HANG:
                receiver.closed.wait()
                return
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_port, statuses or (200,), location)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.closed.set()
        server.shutdown()
        server.server_close()
        thread.join()
