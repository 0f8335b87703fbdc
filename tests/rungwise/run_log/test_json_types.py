"""Values in types of strict JSON."""

# pyright: basic

import math

import numpy as np

from rungwise.run_log.json_types import convert_to_json, dump_metrics, parse_metrics, to_json_types


def test_arrays_and_odd_values_are_written_as_plain_types():
    value = {1: np.arange(2), "x": (np.float64(0.5), np.bool_(True)), "path": complex(1)}
    assert to_json_types(value) == {"1": [0, 1], "x": [0.5, True], "path": "(1+0j)"}


def test_numbers_that_are_not_finite_are_listed_by_their_path():
    value, nonfinite = convert_to_json({"a": [1.0, math.inf], "b": {"c": np.float32("nan")}})
    assert value == {"a": [1.0, None], "b": {"c": None}}
    assert nonfinite == [["a", 1, "inf"], ["b", "c", "nan"]]


def test_metrics_keep_every_float32_and_no_more_digits():
    rng = np.random.default_rng(0)
    drawn = (rng.normal(size=2000) * 10.0 ** rng.uniform(-37, 37, 2000)).astype(np.float32)
    metrics = {
        "float32": [float(x) for x in drawn],
        "mean": 33.96551724137931,
        "env_steps": 12_345_678_901,
        "nested": {"diverged": math.nan, "limit": math.inf, "works": True, "why": "0.1234567891"},
    }
    again = parse_metrics(text := dump_metrics(metrics))
    assert np.array_equal(np.float32(again["float32"]), drawn)
    assert again["mean"] == 33.9655172 and again["env_steps"] == 12_345_678_901
    assert math.isnan(again["nested"]["diverged"]) and again["nested"]["limit"] == math.inf
    assert again["nested"]["works"] is True and again["nested"]["why"] == "0.1234567891"
    assert dump_metrics(again) == text
