"""What a search in words asks for: "sonet 5 vision cheap", "gpt under $1 200k on azure", "newest open no reasoning".

`read` takes out what it knows (what a model can do, prices, lengths, providers, an order); the words that are left are
to be found in names. Where a phrase can be read in two ways, the words of a name win: "gpt-4-32k" is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

ABILITIES = {  # word -> the columns of the catalog of which one must be true
    "vision": ("image_in",),
    "multimodal": ("image_in",),
    "image": ("image_in", "image_out"),
    "images": ("image_in", "image_out"),
    "tool": ("tools",),
    "tools": ("tools",),
    "functions": ("tools",),
    "reasoning": ("reasoning",),
    "thinking": ("reasoning",),
    "audio": ("audio_in", "audio_out"),
    "voice": ("audio_in", "audio_out"),
    "speech": ("audio_in", "audio_out"),
    "video": ("video_in", "video_out"),
    "pdf": ("pdf_in",),
    "json": ("structured_output",),
    "structured": ("structured_output",),
    "schema": ("structured_output",),
    "open": ("open_weights",),
    "key": ("has_key",),
    "mine": ("has_key",),
    "deprecated": ("deprecated",),
    "image-out": ("image_out",),
    "video-out": ("video_out",),
    "audio-out": ("audio_out",),
}
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
}
_IGNORED = re.compile(
    r"an?|and|at|by|can|context|ctx|for|from|has|have|i|in|input|its|me|models?|my|of|or|output|that|the|to|tokens?|"
    r"under|use|which|window|with"
)
_NOT = frozenset(("no", "not", "without", "non"))
_PHRASES = tuple(
    (re.compile(rf"\b(?:{phrase})\b"), word)
    for phrase, word in (
        (r"image[- ](?:generation|output|out)|generates? images?|draws?", "image-out"),
        (r"video[- ](?:generation|output|out)|generates? videos?", "video-out"),
        (r"(?:audio|speech)[- ](?:generation|output|out)|speaks", "audio-out"),
        (r"(?:function|tool)[- ](?:calling|calls?|use)", "tools"),
        (r"open[- ](?:weights?|source)", "open"),
        (r"(?:structured|json)[- ](?:outputs?|mode|schema)", "json"),
        (r"(?:audio|image|video|pdf)[- ]input", lambda found: found[0][:-6]),
    )
)
_PRICE = re.compile(
    r"(?:\b(input|output)\s+)?(?:(?:<=?|≤|\b(?:under|below|max|less than|up to))\s*\$?\s*|\$\s*)"
    r"(\d+(?:\.\d+)?)\s*(?:\$|usd\b|dollars?\b)?(?:\s*(input|output)\b)?(?![\w.])"
)
_LENGTH = re.compile(r"[>=~≥]*(\d+(?:\.\d+)?)([km])\+?(?:-?(?:context|ctx|tokens))?")
_PROVIDER = re.compile(r"(?:\b(?:on|via)\s+|\bprovider[:=]\s*|(?<!\S)@)([^\s,;]+)")
_VERSION = re.compile(r"(?<![\w.])(\d{1,2})-(\d{1,2})(?![\w.])")
_TOKEN = re.compile(r"[^\W_]+(?:\.\d+)*")
_WORD_AND_NUMBER = re.compile(r"(?<![^\W_])([^\W\d_]+)(\d+(?:\.\d+)*[^\W_]*)")


@dataclass(frozen=True, slots=True)
class Query:
    """A search, read."""

    words: tuple[str, ...] = ()
    """What is to be found in names."""
    unwanted: tuple[str, ...] = ()
    """What must not be a word of the name."""
    abilities: tuple[tuple[str, bool], ...] = ()
    """Words of ABILITIES, and whether it must be so."""
    prices: tuple[tuple[str, float], ...] = ()
    """"input", "output" or "blended", and the most that it may be, in USD per million tokens."""
    context: float = 0
    """The least context, in tokens."""
    providers: tuple[str, ...] = ()
    """Words for providers that must serve it."""
    free: bool = False
    order: str = ""
    """"cheapest", "dearest", "newest"; else by how well the words fit."""
    read_as: tuple[tuple[str, str], ...] = ()
    """Words that were taken for another."""


def read(text: str, known: Callable[[str], bool]) -> Query:
    """Understand a search. `known` says whether names hold a word; another may be a misspelled one of those here."""
    text = text.lower()
    for phrase, word in _PHRASES:
        text = phrase.sub(word, text)
    query = Query(
        providers=tuple(found[1].rstrip(".,") for found in _PROVIDER.finditer(text)),
        prices=tuple((f[1] or f[3] or "blended", float(f[2])) for f in _PRICE.finditer(_PROVIDER.sub(" ", text))),
    )
    wanted = True
    for said in re.split(r"[\s,;]+", _PRICE.sub(" ", _PROVIDER.sub(" ", text))):
        bare = said.removeprefix("non-").removeprefix("-").strip("?!()\"'")
        if bare in _NOT:
            wanted = False
        elif bare and not _IGNORED.fullmatch(bare):
            query = _with(query, bare, wanted and bare == said.strip("?!()\"'"), known)
            wanted = True
    return query


def _with(query: Query, said: str, wanted: bool, known: Callable[[str], bool]) -> Query:
    """The query with one more word."""
    word = said if said in _TERMS or known(said) else _meant(said)
    if word != said:
        query = replace(query, read_as=(*query.read_as, (said, word)))
    if word in ABILITIES:
        return replace(query, abilities=(*query.abilities, (word, wanted)))
    if not wanted:
        return replace(query, unwanted=(*query.unwanted, *_TOKEN.findall(_joined(word))))
    if word in ORDERS:
        return replace(query, order=ORDERS[word])
    if word == "free":
        return replace(query, free=True)
    if length := _LENGTH.fullmatch(word):
        size = float(length[1]) * (1_000 if length[2] == "k" else 1_000_000)
        return replace(query, context=max(query.context, size))
    return replace(query, words=(*query.words, *_TOKEN.findall(_joined(word))))


_TERMS = frozenset((*ABILITIES, *ORDERS, "free"))


def _meant(said: str) -> str:
    """The term that is one typo away; else the word itself."""
    if len(said) < 4:
        return said
    from rapidfuzz.distance import OSA

    near = [term for term in _TERMS if len(term) > 3 and OSA.distance(said, term, score_cutoff=1) <= 1]
    return min(near) if near else said


def tokens(name: str) -> set[str]:
    """The words of a name: "Qwen3.5-9B" has qwen3.5, qwen, 3.5 and 9b; "claude-sonnet-4-5" has 4.5."""
    name = _joined(name.lower())
    return {*_TOKEN.findall(name), *(part for split in _WORD_AND_NUMBER.findall(name) for part in split)}


def parts(word: str) -> tuple[str, str] | None:
    """ "qwen" and "3.5" of "qwen3.5"; None where it is not a word and a number."""
    split = _WORD_AND_NUMBER.fullmatch(word)
    return (split[1], split[2]) if split else None


def _joined(name: str) -> str:
    return _VERSION.sub(r"\1.\2", name)
