"""Listening sockets of the servers: bind one, print its address, serve on it until Ctrl-C."""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING

from rungwise.validation import InputError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from cluster.errors import Terminal


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a host and port.

    Raises:
        InputError: the address or the port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"{host}, port {port} cannot be listened on ({error}): choose another with --port, 0 "
            "for a free one."
        ) from error


def print_address(socket_name: tuple[str | int, ...], token: str | None, console: Terminal) -> None:
    """Print the address with the token, for a browser or a program.

    It is printed before the server starts, because the command itself ends only with Ctrl-C.
    """
    host, port = str(socket_name[0]), socket_name[1]
    # 0.0.0.0 is every address of this machine; a browser needs one of them.
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
    url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
    address = url + (f"?token={token}" if token else "")
    console.print_answer({"address": address, "url": url, "token": token})
    console.print(f"Open {address}", soft_wrap=True, highlight=False)
    console.print("Press Ctrl-C to stop.", style="dim")


def make_interrupt_event() -> threading.Event:
    """Return an event that the first Ctrl-C sets; a second one interrupts as usual.

    An exception raised by a signal handler inside a call of Ray may be lost there.
    """
    event = threading.Event()

    def stop(*_: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, stop)
    return event


def serve_app(app: ASGIApp, listening_socket: socket.socket) -> None:
    """Serve an application until the process is asked to stop.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM stopped the server.
    """
    server = _make_server(app)
    server.run(sockets=[listening_socket])
    # uvicorn raises the signal again only while its event loop is closing, where asyncio may
    # swallow it.
    if server.should_exit:
        raise KeyboardInterrupt


def serve_beside(app: ASGIApp, listening_socket: socket.socket) -> None:
    """Serve an application in a thread until this process ends."""
    run, sockets = _make_server(app).run, [listening_socket]
    threading.Thread(target=run, kwargs={"sockets": sockets}, daemon=True).start()


def _make_server(app: ASGIApp) -> uvicorn.Server:
    import uvicorn

    # No access log: the first address that a browser opens contains the token.
    # Streams of events do not end by themselves: without the limit of one second, Ctrl-C would wait
    # until every page is closed.
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=1
    )
    return uvicorn.Server(config)
