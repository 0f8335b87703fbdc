# pyright: basic
"""A reverse proxy that shows a server below a path prefix, sockets included."""

import socket
import threading
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

NOT_HERE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def _pipe(source, sink):
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _forward(client, upstream, prefix):
    """Pass on one request without the prefix, and its answer or what its socket says."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (data := client.recv(65536)):
            return
        head += data
    head, _, body = head.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, path, version = first.split(b" ")
    if not path.startswith(prefix.encode() + b"/"):
        client.sendall(NOT_HERE)
        return
    if not any(line.lower().startswith(b"upgrade:") for line in lines):
        lines = [line for line in lines if not line.lower().startswith(b"connection:")]
        lines.append(b"Connection: close")
    lines.append(b"X-Forwarded-Prefix: " + prefix.encode())
    first = b" ".join([method, path[len(prefix) :], version])
    with socket.create_connection(upstream) as server:
        server.sendall(b"\r\n".join([first, *lines]) + b"\r\n\r\n" + body)
        threading.Thread(target=_pipe, args=(client, server), daemon=True).start()
        _pipe(server, client)


@contextmanager
def below_prefix(url, prefix):
    """Yield the address below the prefix of a proxy for the server at another address."""
    address = urlsplit(url)

    def serve(client):
        with client, suppress(OSError):
            _forward(client, (address.hostname, address.port), prefix)

    def accept():
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()

    door = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}{prefix}/"
    finally:
        door.shutdown(socket.SHUT_RDWR)
        door.close()
