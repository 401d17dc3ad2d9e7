"""The table of abilities: the names of each in searches, tables, charts, the picker and the command line."""

from __future__ import annotations

from msgspec import Struct


class Ability(Struct, frozen=True):
    """A column of the catalog that is true or false, and the words for it."""

    column: str
    label: str
    """Its name in tables, charts and the picker."""
    explanation: str
    """What a model with it does, in a few words."""
    words: tuple[str, ...]
    """The words of a search that ask for it. One that several abilities share asks for any of them."""
    option: str = ""
    """The option of the command line that asks for it, without its dashes; "" for none."""


_ROWS = (
    Ability("vision", "vision", "reads images", ("vision", "multimodal", "image", "images"), "vision"),
    Ability("tools", "tools", "calls tools", ("tools", "tool", "functions"), "tools"),
    Ability("reasoning", "reasoning", "thinks before it answers", ("reasoning", "thinking"), "reasoning"),
    Ability("structured_output", "JSON", "answers in a given JSON schema", ("json", "structured", "schema")),
    Ability("open_weights", "open weights", "its weights are public", ("open", "local"), "open"),
    Ability("has_key", "key", "a key of its provider is set in the environment", ("key", "mine"), "has-key"),
    Ability("pdf_in", "PDF", "reads PDF files", ("pdf",), "pdf"),
    Ability("audio_in", "audio", "reads recordings", ("audio", "voice", "speech"), "audio"),
    Ability("video_in", "video", "reads videos", ("video",)),
    Ability("image_out", "images out", "writes images", ("image-out", "image", "images")),
    Ability("audio_out", "audio out", "speaks", ("audio-out", "audio", "voice", "speech")),
    Ability("video_out", "video out", "writes videos", ("video-out", "video")),
    Ability("chinese", "Chinese", "its vendor is a Chinese one", ("chinese",), "chinese"),
    Ability("gdpr_compliant", "GDPR", "its provider signs a data processing agreement", ("gdpr",), "gdpr"),
    Ability("is_nsfw", "NSFW", "made to write what others refuse to write", ("nsfw",)),
    Ability("deprecated", "deprecated", "is on its way out", ("deprecated",)),
)
ABILITIES = {ability.column: ability for ability in _ROWS}
"""By column."""
SUMMARY = ("vision", "tools", "reasoning", "structured_output", "open_weights", "has_key")
"""The columns that choosing a model begins with: tables sum them up, the picker has a button for each."""
COLUMNS_BY_WORD = {
    word: tuple(ability.column for ability in _ROWS if word in ability.words)
    for word in dict.fromkeys(word for ability in _ROWS for word in ability.words)
}
"""For each word of a search, the columns of which one must be true."""
