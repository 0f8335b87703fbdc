"""Commands that listen: ``dashboard`` and ``serve``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from cluster.commands.command import Command, choose_checkpoint
from cluster.errors import PlainConsole

if TYPE_CHECKING:
    from cluster.errors import Terminal


@dataclass(frozen=True, kw_only=True)
class ServerCommand(Command):
    """A command that listens on a port until Ctrl-C."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 admits other machines, if they have the token."""
    port: int = 8470
    """Port to listen on; 0 takes a free one."""
    token: bool = True
    """Require the token; --no-token requires none and is allowed on this machine only."""
    json: bool = False
    """Print one JSON object with the address on stdout and nothing else there."""


@dataclass(frozen=True, kw_only=True)
class PageCommand(ServerCommand):
    """A command that shows the pages."""

    users: Path | None = None
    """YAML file of users with tokens of their own, who may read or act: `anna: {token: TOKEN, role:
    read}`. What they do is logged in actions.jsonl."""


@dataclass(frozen=True, kw_only=True)
class Dashboard(PageCommand):
    """Show runs on a page: live curves, and every decision and finding in words."""

    directory: tyro.conf.Positional[Path] = Path("runs")
    """A run, or a directory of runs."""

    def __call__(self, console: Terminal) -> None:
        """Serve until Ctrl-C."""
        from cluster.pages.site import make_dashboard
        from cluster.web.auth import choose_token
        from cluster.web.auth_users import load_users
        from cluster.web.listening import bind_socket, print_address, serve_app

        token = choose_token(self.host, self.token)
        # Before it listens: a missing directory is refused.
        page = make_dashboard(self.directory, token, users=load_users(self.users))
        listening_socket = bind_socket(self.host, self.port)
        print_address(listening_socket.getsockname(), token, console)
        serve_app(page, listening_socket)


@dataclass(frozen=True, kw_only=True)
class Serve(ServerCommand):
    """Serve a trained policy over HTTP: `POST /act`, batched by Ray Serve."""

    checkpoint: tyro.conf.Positional[Path]
    """A checkpoint, or the directory of a run or a trial, whose best checkpoint is used."""
    port: int = 8471
    """Port to listen on; 0 takes a free one."""
    replicas: int = 1
    """Processes that hold the policy."""
    follow: bool = False
    """Switch to every newer checkpoint of the same trial; no request fails."""
    address: str = "local"
    """`local` starts a Ray for the server; otherwise the address of the Ray to join."""

    def __call__(self, console: Terminal) -> None:
        """Serve until Ctrl-C."""
        checkpoint = choose_checkpoint(self.checkpoint)  # a wrong path is refused at once
        from algos.policy import Policy
        from cluster.serving.sessions import refuse_replicas
        from cluster.web.auth import choose_token
        from cluster.web.listening import bind_socket, make_interrupt_event, print_address
        from tune_jobs.ray_session import ray_session

        token = choose_token(self.host, self.token)
        # Before Ray starts: a damaged checkpoint is refused, too.
        refuse_replicas(Policy.load(checkpoint), self.replicas)
        # Ray Serve opens the port itself: this only finds a free one and refuses a used one.
        listening_socket = bind_socket(self.host, self.port)
        port = listening_socket.getsockname()[1]
        listening_socket.close()
        with ray_session(self.address):
            from cluster.serving import policy_server

            served = (checkpoint, self.host, port, token, self.replicas)
            with policy_server.serve_checkpoint(*served):
                print_address((self.host, port), token, console)
                stop = make_interrupt_event()
                if self.follow:
                    policy_server.follow_checkpoints(
                        checkpoint,
                        lambda c: policy_server.deploy_checkpoint(c, token, self.replicas),
                        PlainConsole(stderr=True).print,
                        stop,
                    )
                stop.wait()
            # The event has absorbed the Ctrl-C, but the exit status must still be that of one.
            raise KeyboardInterrupt
