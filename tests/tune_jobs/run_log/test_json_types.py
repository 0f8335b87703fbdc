"""Values in types of strict JSON."""

# pyright: basic

import math

import numpy as np

from tune_jobs.run_log.json_types import convert_to_json, to_json_types


def test_arrays_and_odd_values_are_written_as_plain_types():
    value = {1: np.arange(2), "x": (np.float64(0.5), np.bool_(True)), "path": complex(1)}
    assert to_json_types(value) == {"1": [0, 1], "x": [0.5, True], "path": "(1+0j)"}


def test_numbers_that_are_not_finite_are_listed_by_their_path():
    value, nonfinite = convert_to_json({"a": [1.0, math.inf], "b": {"c": np.float32("nan")}})
    assert value == {"a": [1.0, None], "b": {"c": None}}
    assert nonfinite == [["a", 1, "inf"], ["b", "c", "nan"]]
