# pyright: basic
"""The driver of a queued run: its exit status, and the order that it leaves."""

import sys

import pytest

from cluster.queue import driver
from cluster.queue.orders import Order, read_order, write_order
from rungwise.interruption import TERMINATED
from rungwise.validation import InputError


def drive_with(monkeypatch, directory, error=None, sigterm=False):
    def drive_run(*arguments):
        assert arguments == (directory, "local", 7, 2)
        if error:
            raise error

    monkeypatch.setattr(sys, "argv", ["driver", str(directory), "local", "7", "2"])
    monkeypatch.setattr(driver, "treat_sigterm_as_ctrl_c", lambda: None)
    monkeypatch.setattr(driver, "received_sigterm", lambda: sigterm)
    monkeypatch.setattr(driver, "drive_run", drive_run)
    driver.main()


def test_an_input_error_is_the_drivers_last_sentence(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="rungwise: no such metric"):
        drive_with(monkeypatch, tmp_path, InputError("no such metric"))


def test_a_stop_request_is_no_error(monkeypatch, tmp_path):
    drive_with(monkeypatch, tmp_path, KeyboardInterrupt())


def test_a_shutdown_uses_up_no_start_of_the_run(monkeypatch, tmp_path):
    write_order(tmp_path, Order(priority=3, ordered_at=9.0, num_starts=2))
    with pytest.raises(SystemExit) as ended:
        drive_with(monkeypatch, tmp_path, KeyboardInterrupt(), sigterm=True)
    assert ended.value.code == TERMINATED
    assert read_order(tmp_path) == Order(priority=3, ordered_at=9.0)
