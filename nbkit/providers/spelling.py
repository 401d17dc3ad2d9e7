"""Spellings of one model's name: hosts differ in case, separators, prefixes and dates.

`normalize` is safe: two models of one vendor with the same normalized name are the same model. `list_spellings` goes
further, and is only good for models of one vendor: hosts put the vendor and the region before a name
("us.anthropic.claude-sonnet-5") and a day behind it. Days are dropped, months are not: "deepseek-v4-flash-0731" and
"-0423" are two models. `split_name` takes a name apart for the search in words.
"""

from __future__ import annotations

import re
from functools import cache

from nbkit.providers.tables import table

_SEPARATORS = re.compile(r"[\s._-]+|(?<=[a-z])(?=\d)")  # "llama3.3" is "llama-3-3"; a ":" or "@" begins a variant
_REGION = re.compile(r"^(us-gov|us|eu|apac|global|jp|au|ca)\.|@(default|global|us|eu)$")
_REVISION = re.compile(r"-v?\d+:\d+$")  # Amazon's
_DAY = re.compile(r"[-@](20\d{6}|20\d\d-\d\d-\d\d)(?=$|[-:@])")
_OPTIONAL = re.compile(r"-(?:instruct|it|maas|fp-[48]|nvfp-4|bf-16|int-[48]|awq|\d+e)(?=-|$)")
_SIZE = re.compile(r"-(a-)?(\d+b)(?=-|$)")
_VERSION = re.compile(r"(?<![\w.])(\d{1,2})-(\d{1,2})(?![\w.])")
_WORD = re.compile(r"[^\W_]+(?:\.\d+)*")
_WORD_AND_NUMBER = re.compile(r"([^\W\d_]+)(\d+(?:\.\d+)*[^\W_]*)")


@cache
def normalize(name: str) -> str:
    """Rewrite a name without regard to case and separators; a slash stays."""
    return _SEPARATORS.sub("-", name.strip().lower())


def list_spellings(model: str, vendor: str, *, dated: bool) -> frozenset[str]:
    """List the normalized names of a model of this vendor at other hosts; `dated` keeps the day in its name."""
    name = _REVISION.sub("", _REGION.sub("", _REGION.sub("", model.rpartition("/")[2].lower())))
    name = normalize(_DAY.sub(r"-\1", name) if dated else _DAY.sub("", name))
    hosts = table("vendor_mappings")["prefixes"]["names"]  # "claude" is one: "duo-chat-opus-5" is Claude Opus 5
    prefixes = [f"{normalize(word)}-" for word in (vendor, *_vendor_words().get(vendor, ()), *hosts)]
    names = {name}
    for _ in range(2):  # a host's, then the vendor's
        names |= {one.removeprefix(prefix) for one in names for prefix in prefixes}
    return frozenset(names)


def loosen(name: str) -> tuple[str, frozenset[str]]:
    """Take the words out of a normalized name that some hosts leave out; return what is left, and its sizes.

    These are that it follows instructions, its precision, its experts, and its parameters: "llama-4-maverick-17b-128e-
    instruct-fp-8" is "llama-4-maverick" of {"17b"}.
    """
    sizes = frozenset(size for active, size in _SIZE.findall(name) if not active)
    return _OPTIONAL.sub("", _SIZE.sub("", name)), sizes


def join_letters(name: str) -> str:
    """Rewrite a name as its letters and digits alone."""
    return "".join(filter(str.isalnum, name.lower()))


def count_allowed_typos(letters: str) -> int:
    """Count the typos that a name of so many letters may have: in a short one each letter says more."""
    return 0 if len(letters) < 4 else 1 if len(letters) < 10 else 2


def list_digits(name: str) -> str:
    """List the digits in a name, in their order: another version is not a misspelling."""
    return "".join(filter(str.isdigit, name))


def has_day(model: str) -> bool:
    """Whether a name says the day of a release."""
    return _DAY.search(model) is not None


def find_vendor(word: str) -> str:
    """Translate a host's word for a vendor into models.dev's: "z-ai" is "zhipuai"."""
    return str(table("vendor_mappings")["spelling"].get(word.lower(), word.lower()))


def find_own_providers(vendor: str) -> tuple[str, ...]:
    """List the providers through which a vendor sells its models itself, the first choice first."""
    return tuple(table("vendor_mappings")["first_party"].get(vendor, (vendor,)))


@cache
def _vendor_words() -> dict[str, list[str]]:
    """By vendor, the words that hosts use for it."""
    words: dict[str, list[str]] = {}
    for word, vendor in table("vendor_mappings")["spelling"].items():
        words.setdefault(vendor, []).append(word)
    return words


def split_words(name: str) -> list[str]:
    """Split a name in lower case into its words; versions are joined: "claude-sonnet-4-5" ends with "4.5"."""
    return _WORD.findall(_VERSION.sub(r"\1.\2", name.lower()))


def split_name(name: str) -> set[str]:
    """Split a name into all words by which it can be found: "Qwen3.5-9B" has qwen3.5, qwen, 3.5 and 9b."""
    words = split_words(name)
    return {*words, *(part for word in words for part in split_number(word) or ())}


@cache
def split_number(word: str) -> tuple[str, str] | None:
    """Split "qwen3.5" into "qwen" and "3.5"; None where a word is not letters and then a number."""
    parts = _WORD_AND_NUMBER.fullmatch(word)
    return (parts[1], parts[2]) if parts else None
