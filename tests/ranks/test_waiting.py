"""A rank that waits for others to start says so, and Ctrl-C ends it."""

import signal
import time

from minifer.ranks.waiting import waiting


def test_it_is_said_while_the_block_goes_on(capfd):
    said, end = "", time.monotonic() + 10
    with waiting(.01, "it waits"):
        while not said and time.monotonic() < end:
            time.sleep(.01)
            said = capfd.readouterr().err
    assert said == "it waits\n"


def test_nothing_is_said_of_a_block_that_is_short(capfd):
    with waiting(60, "it waits"), waiting(60, None):
        pass
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_ends_the_process_in_the_block():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with waiting(60, None):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup has it
        with waiting(60, None):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
