"""One trial under Ray Tune: a thin Trainable around an algorithm.

RLlib's Algorithm is a Trainable itself, but it cannot be reset: each trial would start a process
and import everything again (4.8 s). This one is rebuilt inside a warm process.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ray import tune

import algos
from algos.algorithm import ColumnAlgorithm
from algos.checkpoint import verify, write_manifest
from algos.policy import save_policy
from algos.runner import EnvironmentFault
from algos.watchdog import Watchdog
from tune_jobs.job import Job

PROGRESS = "trial.json"
"""File of a checkpoint with the seconds trained and the last score."""


class Trial(tune.Trainable):
    """Trains the setting ``drawn`` of its plan; reports flat metrics and a score."""

    def setup(self, config: dict[str, Any], job: Job) -> None:  # type: ignore[override]
        """Build the algorithm and go on from the plan's checkpoint, if it names one."""
        self.job = job
        self.algorithm = self._build(config["plan"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another trial in the same process (Tune's ``reuse_actors``)."""
        self.algorithm.stop()
        self.algorithm = self._build(new_config["plan"])
        return True

    def _build(self, plan: dict[str, Any]) -> ColumnAlgorithm:
        job = self.job
        settings, env_kwargs = job.trial_settings(plan["drawn"])
        algorithm = algos.build(
            job.algo,
            job.env,
            env_kwargs,
            settings,
            iterations=job.iterations,
            seed=job.seed * 1000 + int(plan["trial"]),
            gpus=job.gpus_per_trial,
            faults=plan["faults"],
        )
        # A hung runner is replaced while the trial waits: the trial itself must wait longer.
        patience = settings.hang_s * (4 if settings.num_env_runners else 1)
        self.watchdog = Watchdog(Path(plan["faults"]), "trial", patience)
        self.number: str = plan["trial"]
        self.trained_s, self.score = 0.0, math.nan
        if plan["resume"]:
            self._restore(algorithm, Path(plan["resume"]))
        return algorithm

    def _restore(self, algorithm: ColumnAlgorithm, directory: Path) -> None:
        verify(directory)
        algorithm.restore_from_path(directory / "algorithm")
        self.trained_s, self.score = json.loads((directory / PROGRESS).read_text())

    def step(self) -> dict[str, Any]:
        """One iteration."""
        fault = ""
        try:
            with self.watchdog.watching():
                self.algorithm.train()
            metrics = self.algorithm.flat
            self.trained_s += metrics["iteration_s"]
            self.score = self._scored(metrics)
        except EnvironmentFault as error:
            # The environment's own failure: started again it would fail again, so the trial ends.
            fault, metrics, self.score = str(error), {}, math.nan
        return {
            "trial": self.number,
            "iteration": self.algorithm.iteration,
            "score": self.score,
            "trained_s": self.trained_s,
            "fault": fault,
            # As a text: of numbers Tune would keep statistics, and each of its snapshots leaves a
            # line in memory for each of those (ray.util.debug.log_once): the driver grew.
            "metrics": json.dumps(metrics),
            "done": bool(fault),
        }

    def _scored(self, metrics: dict[str, Any]) -> float:
        if metrics["nonfinite"]:
            return math.nan
        # An iteration in which no episode finished says nothing new: the last score stands.
        return float(metrics.get(self.job.metric, self.score))

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the policy, RLlib's state, what only the trial knows, and the manifest."""
        directory = Path(checkpoint_dir)
        self.algorithm.save_to_path(directory / "algorithm")
        save_policy(self.algorithm, self.job.algo, directory / "policy")
        (directory / PROGRESS).write_text(json.dumps([self.trained_s, self.score]))
        write_manifest(directory)

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on from a checkpoint of this session (Tune, after a crash)."""
        self._restore(self.algorithm, Path(checkpoint))

    def cleanup(self) -> None:
        """Stop the algorithm's workers."""
        self.algorithm.stop()
