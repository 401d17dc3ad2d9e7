"""Logs of httpx2 and httpcore2 while they work for nbkit: no header, no password, no query of an address.

httpx2 logs every address at INFO; httpcore2 at DEBUG the headers of replies, and the password of a SOCKS proxy. What
they do for others in the same process is logged as ever: who has called them is looked up when they log.
"""

from __future__ import annotations

import logging
import re
import sys
from types import FrameType

_LOGGERS = ("httpx2", *(f"httpcore2.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")))
_BETWEEN = ("httpx2", "httpcore2", "logging", "contextlib")
"""Packages whose frames stand between the code that asks for something and the log of it."""
_PLAIN = ("connect_tcp.", "start_tls.")
"""Events of httpcore2 whose details are hosts, ports and times."""
_HIDDEN = re.compile(r"(?<=://)[^\s/@]*@|[?#]\S*")


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if _find_caller() == "nbkit":
            message = record.getMessage()
            if record.name == "httpx2":
                message = _HIDDEN.sub("", message)
            elif not message.startswith(_PLAIN):
                message = message.partition(" ")[0]
            record.msg, record.args = message, ()
        return True


def _find_caller() -> str:
    """Find the package that has called the library which logs."""
    frame: FrameType | None = sys._getframe(2)  # the one of logging that asks the filter
    package = ""
    while frame and (package := frame.f_globals.get("__name__", "").partition(".")[0]) in _BETWEEN:
        frame = frame.f_back
    return package


_filter = _Filter()


def quiet_logs() -> None:
    """Watch over what the libraries log, from here on."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_filter)  # which adds it once
