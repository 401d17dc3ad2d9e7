"""The language of a search: "sonet 5 vision cheap", "gpt under $1 200k on azure", "newest open no reasoning".

`read` takes out what it knows (abilities, prices, lengths, providers, an order); the words that are left are looked up
in names. Where a phrase can be read in two ways, the words of a name win: "gpt-4-32k" is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from nbkit.choose.abilities import COLUMNS_BY_WORD
from nbkit.providers.spelling import split_words

ORDERS = {
    "cheap": "cheapest",
    "cheapest": "cheapest",
    "cheaper": "cheapest",
    "inexpensive": "cheapest",
    "expensive": "dearest",
    "new": "newest",
    "newest": "newest",
    "recent": "newest",
    "latest": "newest",
    "affordable": "cheapest",
    "budget": "cheapest",
    "priciest": "dearest",
}
_TERMS = frozenset((*COLUMNS_BY_WORD, *ORDERS, "free"))
_IGNORED = re.compile(  # words of a sentence around a search, and praise, which no name tells
    r"able|about|ai|also|an?|and|any|anything|are|around|as|at|available|be|best|better|but|by|can|capable|"
    r"companies|company|context|costs?|ctx|do|does|find|for|from|get|gets|give|good|great|has|have|having|"
    r"help|hosted|i|id|if|in|input|is|its|kind|language|least|length|let|like|list|llms?|looking|made|makes?|"
    r"me|million|models?|more|most|much|my|need|needs|of|offered|offering|ones?|only|or|our|output|"
    r"parameters?|params?|per|please|pric(?:e|ed|es|ing)|providers?|recommend|runs?|serv(?:e|ed|es)|should|"
    r"show|sized?|some|something|support|supported|supporting|supports|than|that|the|their|there|these|they|"
    r"this|those|to|tokens?|top|type|under|uses?|used|using|vendors?|very|want|we|what|where|which|who|whose|"
    r"will|window|with|would|you|your"
)
_NOT = frozenset(("no", "not", "without", "non"))
_PHRASES = tuple(
    (re.compile(rf"\b(?:{phrase})\b"), word)
    for phrase, word in (
        (r"least[- ](?:expensive|costly|pricey)|low(?:est)?[- ](?:costs?|prices?|priced)|not expensive", "cheapest"),
        (r"(\d+(?:\.\d+)?)\s*(?:billion|b)(?:[- ]param(?:eter)?s?)?", r"\1b"),
        (r"(?:run(?:s|ning)?[- ])?local(?:ly|host)?|on[- ](?:device|premises?|prem)|self[- ]hosted", "local"),
        (r"china|chinese[- ]made", "chinese"),
        (r"image[- ](?:generation|output|out)|generates? images?|draws?", "image-out"),
        (r"video[- ](?:generation|output|out)|generates? videos?", "video-out"),
        (r"(?:audio|speech)[- ](?:generation|output|out)|speaks", "audio-out"),
        (r"(?:function|tool)[- ](?:calling|calls?|use)", "tools"),
        (r"open[- ](?:weights?|source)", "open"),
        (r"(?:structured|json)[- ](?:outputs?|mode|schema)", "json"),
        (r"(audio|image|video|pdf)[- ]input", r"\1"),
    )
)
_PRICE = re.compile(
    r"(?:\b(input|output)\s+)?(?:(?:<=?|≤|\b(?:under|below|max|less than|up to))\s*\$?\s*|\$\s*)"
    r"(\d+(?:\.\d+)?)\s*(?:\$|usd\b|dollars?\b)?(?:\s*(input|output)\b)?(?![\w.])"
)
_LENGTH = re.compile(r"[>=~≥]*(\d+(?:\.\d+)?)([km])\+?(?:-?(?:context|ctx|tokens))?")
_PROVIDER = re.compile(r"(?:\b(?:on|via)\s+|\bprovider[:=]\s*|(?<!\S)@)([^\s,;]+)")


class Query(Struct, frozen=True):
    """A search, read."""

    words: tuple[str, ...] = ()
    """Words to look up in names."""
    unwanted: tuple[str, ...] = ()
    """Words that the name must not have."""
    abilities: tuple[tuple[str, bool], ...] = ()
    """Words of COLUMNS_BY_WORD, and whether the model must or must not have that ability."""
    prices: tuple[tuple[str, float], ...] = ()
    """"input", "output" or "blended", and the highest price in USD per million tokens."""
    context: float = 0
    """The least context, in tokens."""
    providers: tuple[str, ...] = ()
    """Words for the provider."""
    free: bool = False
    order: str = ""
    """"cheapest", "dearest", "newest"; else by how well the words fit."""
    read_as: tuple[tuple[str, str], ...] = ()
    """Misspelled terms, and what they were read as."""


def describe_language() -> dict[str, Any]:
    """Describe the words of this language and their patterns, which mean the same in JavaScript, as plain JSON."""
    return {
        "abilities": COLUMNS_BY_WORD,
        "orders": ORDERS,
        "terms": sorted(_TERMS),
        "not": sorted(_NOT),
        "ignored": _IGNORED.pattern,
        "phrases": [(phrase.pattern, re.sub(r"\\(\d)", r"$\1", word)) for phrase, word in _PHRASES],
        "price": _PRICE.pattern,
        "length": _LENGTH.pattern,
        "provider": _PROVIDER.pattern,
    }


def read(text: str, known: Callable[[str], bool]) -> Query:
    """Read a search. `known` says whether names hold a word; another may be a misspelled term of this language."""
    text = text.lower()
    for phrase, word in _PHRASES:
        text = phrase.sub(word, text)
    query = Query(
        providers=tuple(match[1].rstrip(".,") for match in _PROVIDER.finditer(text)),
        prices=tuple((m[1] or m[3] or "blended", float(m[2])) for m in _PRICE.finditer(_PROVIDER.sub(" ", text))),
    )
    wanted = True
    for part in re.split(r"[\s,;]+", _PRICE.sub(" ", _PROVIDER.sub(" ", text))):
        word = part.removeprefix("non-").removeprefix("-").strip("?!()\"'")
        if word in _NOT:
            wanted = False
        elif word and not _IGNORED.fullmatch(word):
            query = _add_word(query, word, wanted and word == part.strip("?!()\"'"), known)
            wanted = True
    return query


def _add_word(query: Query, typed: str, wanted: bool, known: Callable[[str], bool]) -> Query:
    word = typed if typed in _TERMS or known(typed) else _correct(typed)
    if word != typed:
        query = replace(query, read_as=(*query.read_as, (typed, word)))
    if word in COLUMNS_BY_WORD:
        return replace(query, abilities=(*query.abilities, (word, wanted)))
    if not wanted:
        return replace(query, unwanted=(*query.unwanted, *split_words(word)))
    if word in ORDERS:
        return replace(query, order=ORDERS[word])
    if word == "free":
        return replace(query, free=True)
    if length := _LENGTH.fullmatch(word):
        size = float(length[1]) * (1_000 if length[2] == "k" else 1_000_000)
        return replace(query, context=max(query.context, size))
    return replace(query, words=(*query.words, *split_words(word)))


def _correct(word: str) -> str:
    """The term that is one typo away; else the word itself."""
    if len(word) < 4:
        return word
    from rapidfuzz.distance import OSA

    near = [term for term in _TERMS if len(term) > 3 and OSA.distance(word, term, score_cutoff=1) <= 1]
    return min(near) if near else word
