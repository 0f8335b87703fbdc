# pyright: basic
"""Does `rungwise doctor` find what is wrong in the logs of other tools, and leave the rest alone?

``PYTHONPATH=.:tests python -m benchmarks.foreign_suite`` unpacks the logs of both archives, judges
each, and prints a table; the last line is one JSON object. foreign_logs has runs of SB3 and RLlib,
each described by its entry in the index: algorithm, task, fault, settings, steps and seed.
program_logs has programs of other libraries. Seeds from 200 on are the half that is
reported, the rest that on which readers and thresholds may be set. A warning or a stop counts, a
note does not. Counted apart, by their returns alone: runs meant to be healthy that did not learn,
and settings meant to be faulty with which a run learnt all the same.
"""

import argparse
import json
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rungwise.judging.doctor import doctor

DATA = Path(__file__).parents[1] / "data"
ARCHIVES = (DATA / "foreign_logs.tar.xz", DATA / "program_logs.tar.xz")
INDEX = "index.json"
HALVES = ("set", "reported")
GROUPS = ("sick", "healthy", "harmless", "not learnt")


@dataclass(frozen=True)
class Verdict:
    """A run of the index, and what was said of it."""

    run: dict
    warned: tuple[str, ...]
    """Symptoms that doctor warned of; "crash: ..." if it could not read the log."""

    @property
    def right(self) -> bool:
        return bool(set(self.warned) & set(self.run["symptoms"]))


def unpacked(to: Path) -> list[dict]:
    """The index, after all logs have been unpacked."""
    entries: list[dict] = []
    for archive in ARCHIVES:
        with tarfile.open(archive) as tar:
            # Python 3.11.3 and older know no filters; the archives are our own.
            tar.extraction_filter = getattr(tarfile, "data_filter", None)  # type: ignore[assignment]
            tar.extractall(to)
        entries += json.loads((to / INDEX).read_text())
    return entries


def verdicts(folder: Path, entries) -> list[Verdict]:
    """What is said of each run."""
    return [verdict(folder / entry["place"], entry) for entry in entries]


def verdict(place: Path, entry) -> Verdict:
    try:
        findings = doctor(place)["findings"]
    except Exception as error:
        return Verdict(entry, (f"crash: {type(error).__name__}: {error}",))
    warned = tuple(f["symptom"] for f in findings if f["severity"] != "note")
    return Verdict(entry, warned)


def group(run: dict) -> str:
    """What a run counts as, by its return alone."""
    if not run["symptoms"]:
        return "healthy" if run["learnt"] else "not learnt"
    return "harmless" if run["learnt"] else "sick"


def summary(found: list[Verdict], half: str) -> dict:
    """The figures of one half."""
    groups = {name: [v for v in found if v.run["half"] == half and group(v.run) == name]
              for name in GROUPS}  # fmt: skip
    sick, well = groups["sick"], groups["healthy"]
    return {
        "runs": len(sick),
        "kinds": len({v.run["kind"] for v in sick}),
        "flagged": share(bool(v.warned) for v in sick),
        "right_name": share(v.right for v in sick),
        "healthy": len(well),
        "false_warnings": share(bool(v.warned) for v in well),
        "not_learnt": len(groups["not learnt"]),
        "harmless": len(groups["harmless"]),
        "harmless_flagged": share(bool(v.warned) for v in groups["harmless"]),
        "crashes": sum(w.startswith("crash") for v in found for w in v.warned),
    }


def share(hits):
    """The share of those that are true; None of nothing."""
    hits = list(hits)
    return round(sum(hits) / len(hits), 3) if hits else None


def table(found: list[Verdict]) -> str:
    """A line for each kind and half, then the runs that were missed."""
    lines = ["kind                                half      runs flagged right  names given"]
    for half in HALVES:
        kinds: dict[str, list[Verdict]] = {}
        for v in sorted(found, key=lambda v: GROUPS.index(group(v.run))):
            if v.run["half"] == half:
                told = "" if group(v.run) in ("sick", "healthy") else f" ({group(v.run)})"
                kinds.setdefault(v.run["kind"] + told, []).append(v)
        for kind, runs in kinds.items():
            names = sorted({name for v in runs for name in v.warned})
            lines.append(
                f"{kind:<35} {half:<9} {len(runs):4} {sum(bool(v.warned) for v in runs):7} "
                f"{sum(v.right for v in runs):5}  {', '.join(names)}"
            )
    lines += ["", "missed or misnamed:"]
    lines += [
        f"{v.run['name']} ({v.run['half']}): {', '.join(v.warned) or 'nothing'}; right: "
        f"{', '.join(v.run['symptoms']) or 'nothing'}"
        for v in found
        if (not v.right if v.run["symptoms"] else v.warned)
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--half", choices=HALVES, help="judge only one half")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        chosen = [entry for entry in unpacked(folder) if args.half in (None, entry["half"])]
        found = verdicts(folder, chosen)
    print(table(found))
    print(json.dumps({half: summary(found, half) for half in HALVES}))


if __name__ == "__main__":
    main()
