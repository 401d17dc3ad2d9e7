"""The headers in which a server tells how much of its limits is left: one that is used up pauses the next requests.

x-ratelimit-remaining-requests: 0         OpenAI, Azure, Groq and many others; -tokens likewise
x-ratelimit-reset-requests: 6m0s          or 7.66s, 12ms, seconds, Unix time
anthropic-ratelimit-tokens-remaining: 0   also requests, input-tokens, output-tokens
anthropic-ratelimit-tokens-reset: 2026-11-27T12:00:30Z
ratelimit-remaining: 0                    draft-ietf-httpapi-ratelimit-headers, until its revision 7
ratelimit-reset: 30
ratelimit: "default";r=0;t=30             since its revision 8
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

_PAIRS = {  # what is left -> when it is renewed
    **{f"x-ratelimit-remaining{of}": f"x-ratelimit-reset{of}" for of in ("", "-requests", "-tokens")},
    # Cerebras
    **{f"x-ratelimit-remaining-{of}": f"x-ratelimit-reset-{of}" for of in ("requests-day", "tokens-minute")},
    **{
        f"anthropic-ratelimit-{of}-remaining": f"anthropic-ratelimit-{of}-reset"
        for of in ("requests", "tokens", "input-tokens", "output-tokens")
    },
    "ratelimit-remaining": "ratelimit-reset",
    "ratelimitbysize-remaining": "ratelimitbysize-reset",  # Mistral
}
_IETF = "ratelimit"
_NAMES = frozenset((*_PAIRS, _IETF))
_POLICY = re.compile(r";\s*r\s*=\s*(\d+)\s*(?:;\s*[a-z]+\s*=\s*[^;,]*)*?;\s*t\s*=\s*(\d+)")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_UNITS = (86_400, 3600, 60, 1, 0.001)
_EPOCH = 1e9
"""Greater numbers are Unix time, and those greater than its thousandfold Unix time in milliseconds."""


def read_rest(headers: Mapping[str, str], now: float) -> float:
    """Read the seconds until a limit that is used up is renewed; 0 where all have something left. `now` is Unix time.

    `headers` have their names in lower case. Values that cannot be understood count for nothing.
    """
    if _NAMES.isdisjoint(headers):
        return 0.0
    rests = [
        _read_reset(headers.get(reset, ""), now)
        for remaining, reset in _PAIRS.items()
        if _is_used_up(headers.get(remaining, ""))
    ]
    rests += [float(seconds) for left, seconds in _POLICY.findall(headers.get(_IETF, "")) if int(left) == 0]
    return max(rests, default=0.0)


def _is_used_up(remaining: str) -> bool:
    try:
        return float(remaining) <= 0
    except ValueError:
        return False


def _read_reset(text: str, now: float) -> float:
    """Read a duration, a number of seconds, Unix time or a date."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        number = _read_duration(text, now)
    if number >= _EPOCH:
        number = number / (1000 if number >= 1000 * _EPOCH else 1) - now
    return max(0.0, number) if math.isfinite(number) else 0.0


def _read_duration(text: str, now: float) -> float:
    if text and (parts := _DURATION.fullmatch(text)):
        return sum(float(part) * unit for part, unit in zip(parts.groups(), _UNITS, strict=True) if part)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now
