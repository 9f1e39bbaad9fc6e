"""No test asserts how fast it is: a busy machine is no failure. Ctrl-C reaches what tests start."""

import signal
import threading

from hypothesis import settings

# A shell without job control lets what it starts in the background ignore Ctrl-C, for good.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup():
    """Gives Ctrl-C back to Python, whatever a test before has left.

    Twice in long runs a worker ended where a test raises SIGINT in itself, as a process does that
    no longer catches it; which test or library had taken it is not known.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
