# pyright: basic
"""Episode traces: as they come back from an event log."""

from envs.contract.episode_trace import EpisodeTrace, Frame


def test_an_experiment_is_read_back_as_it_was_written():
    experiment = EpisodeTrace(
        "x", ["a"], [Frame("c", ["1"], [0], [0.5], ["l"], [0])], ["n"], [[0, 0]]
    )
    assert EpisodeTrace.from_dict(experiment.to_dict()) == experiment


def test_no_trace_is_none_and_unknown_fields_are_ignored():
    assert EpisodeTrace.from_dict({}) is None
    frame = {"caption": "c", "cells": ["1"], "sound": "loud"}
    written = {"about": "x", "columns": ["a"], "frames": [frame], "later": 1}
    assert EpisodeTrace.from_dict(written) == EpisodeTrace("x", ["a"], [Frame("c", ["1"])])
