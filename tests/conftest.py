"""No test asserts how fast it is: a busy machine is no failure. Ctrl-C reaches what tests start."""

import signal

from hypothesis import settings

# A shell without job control lets what it starts in the background ignore Ctrl-C, for good.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
