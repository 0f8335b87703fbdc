# pyright: basic
"""Listening sockets: refused ports, and the address for a browser."""

import io
import json

import pytest

from cluster.errors import Terminal
from cluster.web.listening import bind_socket, print_address
from rungwise.validation import InputError


def test_a_used_port_is_refused_with_what_to_try():
    with (
        bind_socket("127.0.0.1", 0) as listening_socket,
        pytest.raises(InputError, match="--port"),
    ):
        bind_socket("127.0.0.1", listening_socket.getsockname()[1])


@pytest.mark.parametrize(
    ("name", "token", "address"),
    [
        (("127.0.0.1", 80), "secret", "http://127.0.0.1:80/?token=secret"),
        (("::1", 80, 0, 0), None, "http://[::1]:80/"),
    ],
)
def test_the_printed_address_has_the_token(name, token, address, monkeypatch):
    stdout = io.StringIO()
    monkeypatch.setattr("sys.stdout", stdout)
    print_address(name, token, Terminal(as_json=True))
    answer = json.loads(stdout.getvalue())
    assert (answer["address"], answer["token"]) == (address, token)
