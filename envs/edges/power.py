"""Parts of real transmission grids, from the test cases that pandapower ships as JSON files.

Only its data is used: pandapower itself, which takes seconds to import, is never loaded.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from envs import counter_rng
from envs.optional_imports import import_extra
from envs.pytree import Floats, Keys
from envs.validation import InputError

GRIDS = {
    "case300": 300,
    "case1354pegase": 1354,
    "case1888rte": 1888,
    "GBnetwork": 2224,
    "case2848rte": 2848,
    "case2869pegase": 2869,
    "case3120sp": 3120,
    "case6470rte": 6470,
    "case9241pegase": 9241,
}
"""Names and buses of the grids that parts are taken of."""


def part(buses: int, key: Keys) -> Any:
    """Return the conductances of a connected part of one of the grids, drawn by a key [1].

    Returns:
        A symmetric sparse array [buses, buses] of 1 / reactance (per unit of 100 MVA), buses in the
        order of their distance from the one in the middle.

    Raises:
        InputError: no grid has this number of buses.
    """
    large = [name for name, own in GRIDS.items() if own >= buses]
    if not large:
        raise InputError(
            f"family='power_grid' has grids of up to {max(GRIDS.values())} buses, but {buses} are "
            f"asked for: take a size of at most {int(max(GRIDS.values()) ** 0.5)}."
        )
    for_grid, for_bus = counter_rng.split(key, 2)
    whole = _grid(large[int(counter_rng.integers(for_grid, len(large))[0])])
    count, island = csgraph.connected_components(whole, directed=False)
    sizes = np.bincount(island, minlength=count)
    # Buses out of service are islands; of those that are large enough, any bus is the middle.
    middles = np.flatnonzero(sizes[island] >= min(buses, sizes.max()))
    middle = middles[int(counter_rng.integers(for_bus, len(middles))[0])]
    # The first buses in breadth-first order are connected, so the part is one island.
    near = csgraph.breadth_first_order(whole, middle, directed=False, return_predecessors=False)
    return whole[near[:buses]][:, near[:buses]]


@functools.lru_cache(maxsize=4)
def _grid(name: str) -> Any:
    """Return the conductances [n, n] between the buses of a grid."""
    text = (_folder() / f"{name}.json").read_text()
    tables = json.loads(text)["_object"]
    bus, line, trafo = (_table(tables[kind]) for kind in ("bus", "line", "trafo"))
    volts = np.asarray(bus["vn_kv"], np.float64)
    # Bus numbers of pandapower have gaps; -1 marks the missing ones.
    place = np.full(int(max(bus["index"])) + 1, -1)
    place[np.asarray(bus["index"], np.int64)] = np.arange(len(volts))
    first, second = (place[np.asarray(line[end], np.int64)] for end in ("from_bus", "to_bus"))
    ohms = _column(line, "x_ohm_per_km") * _column(line, "length_km") / _column(line, "parallel")
    # Ohms become per unit of 100 MVA: the base impedance is V^2 / 100, with V in kV.
    lines = volts[first] ** 2 / 100 / ohms
    high, low = (place[np.asarray(trafo[end], np.int64)] for end in ("hv_bus", "lv_bus"))
    # A transformer's short-circuit voltage vk is its per-unit impedance, in per cent of its own
    # rating.
    trafos = _column(trafo, "sn_mva") / _column(trafo, "vk_percent") * _column(trafo, "parallel")
    ends = np.concatenate([first, high]), np.concatenate([second, low])
    # Series capacitors have negative reactance: what counts here is how strongly buses are tied.
    weight = np.abs(np.concatenate([lines, trafos]))
    good = np.isfinite(weight) & (weight > 0) & (ends[0] != ends[1])
    half = sparse.coo_array((weight[good], (ends[0][good], ends[1][good])), shape=2 * (len(volts),))
    return (half + half.T).tocsr()


def _folder() -> Path:
    found = importlib.util.find_spec("pandapower")
    if found is None or found.origin is None:
        import_extra("pandapower", "edges")  # says what to install
        raise AssertionError
    return Path(found.origin).parent / "networks" / "power_system_test_case_jsons"


def _table(written: Any) -> dict[str, list[Any]]:
    """Convert a table as pandas writes it ({columns, index, data}) to its columns by name."""
    given = written["_object"]
    # Some versions of pandapower nest the table as a string of JSON.
    given = json.loads(given) if isinstance(given, str) else given
    columns = zip(*given["data"], strict=True)
    found: dict[str, list[Any]] = dict(zip(given["columns"], map(list, columns), strict=True))
    return found | {"index": given["index"]}


def _column(table: dict[str, list[Any]], name: str) -> Floats:
    return np.asarray(table[name], np.float64)
