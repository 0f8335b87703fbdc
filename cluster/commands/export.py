"""Commands that move policies: ``export`` to other runtimes, ``import`` of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from cluster.commands.command import Command, choose_checkpoint
from cluster.errors import Answer


@dataclass(frozen=True, kw_only=True)
class Export(Command):
    """Export a policy to other runtimes: `torch.export`, and ONNX with --onnx."""

    checkpoint: tyro.conf.Positional[Path]
    """A checkpoint, or the directory of a run or a trial, whose best checkpoint is used."""
    out: Path = Path("exported")
    """Directory for the files; it must be empty or not exist."""
    onnx: bool = False
    """Write policy.onnx too (needs the extra `onnx`)."""

    def __call__(self, console: Console) -> Answer:
        """Write the files and compare them with the policy."""
        checkpoint = choose_checkpoint(self.checkpoint)  # a wrong path is refused at once
        from algos.policy import Policy
        from cluster.serving.export import export_policy

        parity = export_policy(Policy.load(checkpoint), self.out, self.onnx)
        for name, difference in parity.items():
            console.print(
                f"{self.out / name}: largest difference {difference['largest']:.1e}, "
                f"{difference['choices_differ']} of {difference['of']:,} choices differ",
                highlight=False,
                soft_wrap=True,
            )
        return {"directory": str(self.out), "parity": parity}


@dataclass(frozen=True, kw_only=True)
class Import(Command):
    """Copy a checkpoint from an untrusted source without executing anything in it."""

    checkpoint: tyro.conf.Positional[Path]
    """The checkpoint directory to copy."""
    out: Path
    """Directory for the copy."""

    def __call__(self, console: Console) -> Answer:
        """Verify and copy the checkpoint."""
        from cluster.serving.export import import_checkpoint

        metadata = import_checkpoint(self.checkpoint, self.out).metadata
        summary = f"{metadata['algo']} on {metadata['env']}, iteration {metadata['iteration']}"
        console.print(f"{self.out}: {summary}", highlight=False, soft_wrap=True)
        fields = {name: metadata[name] for name in ("env", "algo", "iteration")}
        return {"checkpoint": str(self.out.absolute()), **fields}
