"""What is the same in two names of one model: hosts differ in case, separators, prefixes and dates.

`key` is safe: two models of one vendor with the same key are the same model. `forms` goes further, and is only good for
models of one vendor: hosts put the vendor and the region before a name ("us.anthropic.claude-sonnet-5"), and its day
behind it. Days are dropped, months are not: "deepseek-v4-flash-0731" and "-0423" are two models.
"""

from __future__ import annotations

import re
from functools import cache

from nbkit.providers.tables import table

_SEPARATORS = re.compile(r"[\s._-]+|(?<=[a-z])(?=\d)")  # "llama3.3" is "llama-3-3"; a ":" or "@" begins a variant
_REGION = re.compile(r"^(us-gov|us|eu|apac|global|jp|au|ca)\.|@(default|global|us|eu)$")
_REVISION = re.compile(r"-v?\d+:\d+$")  # Amazon's
_DAY = re.compile(r"[-@](20\d{6}|20\d\d-\d\d-\d\d)(?=$|[-:@])")


@cache
def key(name: str) -> str:
    """A name without regard to case and separators; a slash stays."""
    return _SEPARATORS.sub("-", name.strip().lower())


def forms(model: str, vendor: str, *, dated: bool) -> frozenset[str]:
    """The keys that a model of this vendor may go by at other hosts; `dated` keeps the day in its name."""
    name = _REVISION.sub("", _REGION.sub("", _REGION.sub("", model.rpartition("/")[2].lower())))
    name = key(_DAY.sub(r"-\1", name) if dated else _DAY.sub("", name))
    prefixes = (f"{key(word)}-" for word in (vendor, *_spellings().get(vendor, ())))
    return frozenset({name, *(name.removeprefix(prefix) for prefix in prefixes)})


def has_day(model: str) -> bool:
    """Whether a name says the day of a release."""
    return _DAY.search(model) is not None


def vendor_called(word: str) -> str:
    """The vendor that hosts call `word`, in models.dev's spelling."""
    return str(table("vendor_mappings")["spelling"].get(word.lower(), word.lower()))


def own_providers(vendor: str) -> tuple[str, ...]:
    """The providers through which a vendor sells its models itself, the first choice first."""
    return tuple(table("vendor_mappings")["first_party"].get(vendor, (vendor,)))


@cache
def _spellings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word, vendor in table("vendor_mappings")["spelling"].items():
        found.setdefault(vendor, []).append(word)
    return found
