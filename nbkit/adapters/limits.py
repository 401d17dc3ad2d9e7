"""Limits of a provider that a person sets, and the lines in which calls wait for them: one for each key at a server.

Of `nbkit.limit`, NBKIT_LIMITS and the overrides file, the first that says something counts, for requests, tokens and
calls at once each by itself. Where none does, the line finds out what the server takes.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from math import ceil
from urllib.parse import urlsplit

from nbkit.adapters.rotation import KeyState, list_key_states
from nbkit.arguments import check_arguments
from nbkit.errors import ConfigError
from nbkit.http.throttle import Allowance, Line
from nbkit.providers.tables import provider_defaults
from nbkit.settings import Scoped, settings

_PART = re.compile(r"(\d+) *(rpm|tpm|)", re.IGNORECASE)
_UNITS = {"rpm": "requests", "tpm": "tokens", "": "at_once"}
_EXPECTED = "expected requests and tokens a minute and calls at once, as in 20rpm,40000tpm,4"

_chosen: Scoped[dict[str, Allowance]] = Scoped(dict, copy=dict)  # by `limit`
_lock = threading.Lock()


@check_arguments
def limit(
    provider: str, *, requests: int | None = None, tokens: int | None = None, at_once: int | None = None
) -> Allowance:
    """Limit the calls to a provider, for each of its keys; calls beyond it wait, those of a comparison in their panes.

    `provider`: an id of models.dev (`openai`), or the host of a gateway or server of your own (`localhost:11434`).
    `requests` and `tokens` in any 60 seconds, `at_once`: calls under way. A call's tokens are those of its prompt and
    its `max_tokens` when it is sent, and what it has used when it has ended. Holds from now on, also for the calls that
    wait, until this process ends; replaces what was set before, and without limits goes back to the settings.

    Where nothing is set, nbkit sends at most 20 requests at once, twice as many as long as all are answered, fewer once
    one is refused (429), and waits as long as the server says. Returns the limits in force. Raises ConfigError.
    """
    name = _read_name(provider)
    allowance = _check(Allowance(requests, tokens, at_once), f"limit({provider!r})")
    _chosen()[name] = allowance
    for line in list_lines():
        if name in (line.name, line.host):
            line.set_allowance(find_allowance(line.name, line.host), time.monotonic())
    return find_allowance(name, name)


def change_limit(provider: str = "", *limits: str) -> str:
    """Change the limits of a provider by words, as `%nbkit limit` takes them: `openai 20rpm,4`, `openai off`.

    Returns what is limited then. Raises ConfigError.
    """
    if not limits:
        return (
            "\n".join(describe_lines()) or "no server is limited now; %nbkit limit openai 20rpm,40000tpm,4 limits one"
        )
    text = ",".join(limits)
    allowance = Allowance() if text == "off" else read_allowance(text, f"limit {provider}")
    return f"{provider}: {describe_allowance(limit(provider, **allowance._asdict())) or 'limited by its answers only'}"


def find_line(state: KeyState, provider: str, base_url: str) -> Line:
    """Find the line of a key at a server, which is made for its first call. Raises ConfigError for wrong settings."""
    if state.line is None:
        host = urlsplit(base_url).netloc
        allowance = find_allowance(provider, host)
        with _lock:
            state.line = state.line or Line(provider, host, allowance, number=len(_list_same(provider, host)) + 1)
    return state.line


def _list_same(name: str, host: str) -> list[Line]:
    return [line for line in list_lines() if (line.name, line.host) == (name, host)]


def list_lines() -> list[Line]:
    """List the lines that calls have entered."""
    return [state.line for state in list_key_states() if state.line is not None]


def find_allowance(provider: str, host: str) -> Allowance:
    """Find the limits that are set for a provider, or for a host. Raises ConfigError where a setting is wrong."""
    row: Mapping[str, int] = provider_defaults(provider).get("limits", {})
    sources = [
        table[name]
        for table in (_chosen(), read_limits(settings().limits))
        for name in (host, provider)
        if name in table
    ]
    sources.append(_check(Allowance(**row), f"limits of {provider}"))
    return Allowance(*(next((one for one in each if one is not None), None) for each in zip(*sources, strict=True)))


def read_limits(text: str) -> dict[str, Allowance]:
    """Read `openai=20rpm,40000tpm,4; localhost:11434=1`: the form of NBKIT_LIMITS. Raises ConfigError."""
    limits = {}
    for entry in filter(None, map(str.strip, text.split(";"))):
        name, equals, parts = entry.rpartition("=")
        if not (equals and name.strip()):
            raise ConfigError(f"NBKIT_LIMITS: expected openai=20rpm,40000tpm,4; anthropic=50rpm, got {entry!r}")
        limits[name.strip()] = read_allowance(parts, f"NBKIT_LIMITS: {name.strip()}")
    return limits


def read_allowance(text: str, where: str) -> Allowance:
    """Read `20rpm,40000tpm,4`. Raises ConfigError, which says `where`."""
    values = {}
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ConfigError(f"{where}: {_EXPECTED}, got {part.strip()!r}")
        values[_UNITS[match[2].lower()]] = int(match[1])
    return _check(Allowance(**values), where)


def _check(allowance: Allowance, where: str) -> Allowance:
    for name, value in allowance._asdict().items():
        if value is not None and value < 1:
            raise ConfigError(f"{where}: {name}: expected 1 or more, got {value}")
    return allowance


def _read_name(provider: str) -> str:
    """Read the id of a provider, or a host. Raises ConfigError, which names the nearest, for an unknown provider."""
    name = provider.strip().lower()
    if re.search(r"[.:]|^localhost$", name):
        return name
    from nbkit.providers.known import load_known_snapshot
    from nbkit.providers.registered import list_registered_models

    known = {row.id for row in load_known_snapshot().distinct("provider")}
    known |= {model.record.provider.id for model in list_registered_models()} | {line.name for line in list_lines()}
    if name not in known:
        from difflib import get_close_matches

        near = get_close_matches(name, known, 3)
        hint = f"; did you mean {', '.join(near)}?" if near else "; a host is named as in localhost:11434"
        raise ConfigError(f"limit(): no provider {provider!r}{hint}")
    return name


def describe_allowance(allowance: Allowance) -> str:
    """Say what is set: "20 requests and 40,000 tokens a minute, 4 at once"; "" for nothing."""
    rates = [f"{value:,} {name}" for name, value in (("requests", allowance[0]), ("tokens", allowance[1])) if value]
    at_once = f"{allowance.at_once:,} at once" if allowance.at_once else ""
    return ", ".join(filter(None, (f"{' and '.join(rates)} a minute" if rates else "", at_once)))


def describe_lines() -> list[str]:
    """Say of each server that is limited now what limits it, and who waits: a line each. Of several keys each has one;
    they are numbered in the order of their first calls."""
    lines, now, texts = list_lines(), time.monotonic(), []
    for line in lines:
        key = f", key {line.number}" if len(_list_same(line.name, line.host)) > 1 else ""
        if facts := _describe_line(line, now):
            texts.append(f"{line.name} ({line.host}{key}): {facts}")
    return texts


def _describe_line(line: Line, now: float) -> str:
    pauses, waiting, learned = line.list_pauses(now), line.waiting, line.control.cuts and not line.allowance.at_once
    if not (pauses or waiting or learned or any(line.allowance)):
        return ""
    parts = [
        describe_allowance(line.allowance),
        f"{line.in_flight} of {line.limit} under way" + (" (learned from its 429s)" if learned else ""),
        f"{waiting} waiting" if waiting else "",
        *(f"{model} paused for {ceil(seconds)} s" for model, seconds in pauses.items()),
    ]
    return ", ".join(filter(None, parts))
