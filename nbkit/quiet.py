"""Logs of httpx2 and httpcore2 while they work for nbkit: no header, no password, no query of an address.

httpx2 logs every address at INFO; httpcore2 at DEBUG the headers of replies, and the password of a SOCKS proxy. What
they do for others in the same process is logged as ever.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar

_LOGGERS = ("httpx2", *(f"httpcore2.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")))
_PLAIN = ("connect_tcp.", "start_tls.")
"""Events of httpcore2 whose details are hosts, ports and times."""
_HIDDEN = re.compile(r"(?<=://)[^\s/@]*@|[?#]\S*")
_working: ContextVar[bool] = ContextVar("nbkit_quiet", default=False)


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if _working.get():
            message = record.getMessage()
            if record.name == "httpx2":
                message = _HIDDEN.sub("", message)
            elif not message.startswith(_PLAIN):
                message = message.partition(" ")[0]
            record.msg, record.args = message, ()
        return True


class _Quiet:
    def __enter__(self) -> None:
        _working.set(True)

    def __exit__(self, *_: object) -> None:
        _working.set(False)


QUIET = _Quiet()
"""`with QUIET: ...` around what these libraries do for nbkit; not one within another."""
_filter = _Filter()
for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_filter)
