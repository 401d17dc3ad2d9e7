"""Interrupts that come at the right moment, however slow the machine is."""

import os
import signal
import sys
import threading
import time


def call_when_main_waits(function):
    """Call a function in a thread, as soon as the main thread waits: for nbkit's portal, or as an idle event loop."""

    def watch():
        while not _main_waits():
            time.sleep(0.01)
        function()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def interrupt_when_main_waits():
    """Press Ctrl-C, so to speak. A shell that started us in the background has switched it off."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return call_when_main_waits(lambda: os.kill(os.getpid(), signal.SIGINT))


def _main_waits():
    frame = sys._current_frames().get(threading.main_thread().ident)
    if frame is not None and frame.f_code.co_filename.endswith("selectors.py"):
        return True
    while frame is not None:
        if (frame.f_code.co_name, frame.f_globals.get("__name__")) == ("wait", "concurrent.futures._base"):
            return True
        frame = frame.f_back
    return False
