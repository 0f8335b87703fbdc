"""``rungwise monitoring``: files for Prometheus and Grafana."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cluster.commands.command import Command
from cluster.errors import Answer
from tune_jobs.formatting import format_command


@dataclass(frozen=True, kw_only=True)
class Monitoring(Command):
    """Write files for Prometheus and Grafana: scraping, alert rules, a dashboard."""

    out: Path = Path("monitoring")
    """Directory for the files."""
    ray_files: Path = Path("/tmp/ray")
    """Directory where the monitored Ray keeps its files (its --temp-dir)."""

    def __call__(self, console: Console) -> Answer:
        """Write the files."""
        from cluster.deploy.prometheus_files import write_monitoring_files

        files = write_monitoring_files(self.out, self.ray_files.absolute())
        for file in files:
            console.print(f"Written: {file}", highlight=False, soft_wrap=True)
        config = f"--config.file={self.out / 'prometheus.yaml'}"
        command = format_command("prometheus", config)
        console.print(f"Now: {command}", highlight=False, soft_wrap=True, markup=False)
        return {"files": list(map(str, files))}
