from __future__ import annotations

import struct
import subprocess
import sys
from base64 import b64encode

import pytest

from nbkit.billing.tokens import count_tokens, find_family
from nbkit.conversation.media import data_url
from nbkit.errors import ConversationError

# Counts by the tokenizers named: o200k_base and cl100k_base (OpenAI), Qwen 3, Gemma 3, Llama 3, DeepSeek V4.
ENGLISH = """The committee met on a rainy Tuesday afternoon, and nobody expected the discussion to last. When the chair
asked whether the budget for the new library could be approved, three members answered at once. One of them wanted to
know what the shelves would cost; another asked who had chosen the architect, and why the neighbors had not been told.
In the end the vote was postponed until March, with the understanding that every question would get a written answer.
"""
CODE = '''def merge(left, right):
    """Merge two sorted lists."""
    result, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            result.append(left[i])
            i += 1
        else:
            result.append(right[j])
            j += 1
    return result + left[i:] + right[j:]
'''
GERMAN = """Der Ausschuss traf sich an einem verregneten Dienstagnachmittag, und niemand rechnete damit, dass die
Sitzung lange dauern würde. Als die Vorsitzende fragte, ob der Haushalt für die neue Bücherei genehmigt werden könne,
antworteten drei Mitglieder gleichzeitig.
"""
CHINESE = (
    "委员会在一个下雨的星期二下午开会，没有人想到讨论会持续那么久。主席问新图书馆的预算能否通过时，三位委员同时回答。"
)
RUSSIAN = "Комитет собрался дождливым вторником, и никто не ожидал, что обсуждение затянется так надолго."
HINDI = "समिति की बैठक मंगलवार की बरसात भरी दोपहर में हुई और किसी ने नहीं सोचा था कि चर्चा इतनी लंबी चलेगी।"


@pytest.mark.parametrize(
    ("text", "counts", "claude_to_46", "claude"),
    [
        (ENGLISH, (91, 92, 92, 93, 92, 91), 95, 131),
        (CODE, (87, 87, 87, 108, 87, 87), 109, 119),
        (GERMAN, (60, 74, 74, 65, 74, 72), 91, 120),
        (CHINESE, (39, 63, 32, 35, 43, 31), 60, 59),
        (RUSSIAN, (27, 48, 35, 28, 31, 33), 38, 38),
        (HINDI, (31, 98, 91, 23, 51, 61), 67, 67),
    ],
)
def test_what_tokenizers_count_lies_in_the_band(text, counts, claude_to_46, claude):
    # 3 to 8 tokens stand around a turn, up to 12 before the answer
    other = count_tokens(text, "alibaba/qwen3-max")
    assert all(other.low - 3 <= count <= other.high - 8 for count in counts)
    assert other.low < int(other) < other.high
    older, newer = count_tokens(text, "claude-haiku-4-5"), count_tokens(text, "anthropic/claude-sonnet-5-5")
    assert older.low - 3 <= claude_to_46 <= older.high - 8
    assert newer.low - 3 <= claude <= newer.high - 8
    anything = count_tokens(text)
    assert anything.low <= other.low
    assert anything.high >= max(other.high, newer.high)
    assert anything.tokens == other.tokens
    assert {other.exact, older.exact, anything.exact} == {False}


def test_english_and_code_are_met_closely():
    for text, count in ((ENGLISH, 91), (CODE, 87)):
        assert count_tokens(text, "llama").tokens - 7 == pytest.approx(count, rel=0.15)


@pytest.mark.parametrize(
    "model", ["openai/gpt-5", "gpt-4o", "azure/gpt-4.1", "o3", "openai/gpt-5.6-luna", "gpt-oss-120b"]
)
def test_the_models_tokenizer_counts_exactly(model):
    pytest.importorskip("bpe_openai")
    for text, count in ((ENGLISH, 91), (CODE, 87), (HINDI, 31)):
        counted = count_tokens(text, model)
        assert (counted.tokens, counted.low, counted.high) == (count + 6,) * 3
        assert (counted.exact, counted.method) == (True, "o200k_base")
    assert str(count_tokens(ENGLISH, model)) == "97 tokens"


def test_one_without_a_known_tokenizer_is_estimated():
    counted = count_tokens(ENGLISH, "openai/gpt-6-luna")
    assert (counted.exact, counted.method) == (False, "by kind of text")
    assert str(counted) == f"{counted.tokens} tokens ({counted.low} to {counted.high})"


def test_nothing_is_downloaded_and_a_loaded_tiktoken_is_taken():
    """In a process of its own, where bpe-openai is not installed and any connection fails."""
    code = """
import socket, sys, types
def refuse(*_, **__): raise AssertionError("a connection")
socket.socket.connect = socket.create_connection = refuse
sys.modules["bpe_openai"] = None
from nbkit.billing.tokens import count_tokens
print(count_tokens("one two three", "gpt-4o").exact)
class Words:
    def encode_ordinary(self, text): return text.split()
sys.modules["tiktoken.registry"] = types.SimpleNamespace(ENCODINGS={"o200k_base": Words()})
print(count_tokens("one two three", "gpt-4o"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["False", "9 tokens"]


def png(width, height):
    return data_url("image/png", b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height))


def picture(url, **more):
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, **more}}]}]


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("gpt-4o", (1024, 1024), 765),  # OpenAI's own examples
        ("gpt-4o", (2048, 4096), 1105),
        ("gpt-4.1-mini", (1800, 2400), 1536 * 1.62),
        ("o4-mini", (1024, 1024), 1024 * 1.62),
        ("gpt-5", (512, 512), 70 + 140),
        ("claude-haiku-4-5", (1000, 1000), 1334),  # Anthropic's
        ("claude-haiku-4-5", (200, 200), 54),
        ("claude-haiku-4-5", (6000, 4000), 1568),
        ("claude-opus-5", (6000, 4000), 4784),
        ("gemini-2.5-pro", (384, 384), 258),  # Google's
        ("gemini-2.5-pro", (960, 540), 2 * 258),
    ],
)
def test_images_follow_the_providers_formulas(model, size, tokens):
    counted = count_tokens(picture(png(*size)), model)
    assert counted.tokens == pytest.approx(tokens + 7, abs=2)
    assert counted.low < counted.tokens < counted.high
    assert not counted.exact


def test_a_quick_look_is_cheaper_and_an_unknown_size_uncertain():
    assert count_tokens(picture(png(3000, 2000), detail="low"), "gpt-4o").tokens == pytest.approx(85, abs=8)
    there = count_tokens(picture("https://example.com/cat.png"))
    assert there.high > 10 * there.low
    assert count_tokens(picture("data:image/png;base64,????")).high == there.high


def test_documents_count_by_pages_and_recordings_by_seconds():
    def one(entry):
        return count_tokens([{"role": "user", "content": [entry]}])

    pdf = b"%PDF-1.7 << /Type /Pages >> " + b"<< /Type /Page >> " * 4
    document = one({"type": "file", "file": {"file_data": data_url("application/pdf", pdf)}})
    assert (document.low, document.high) == (4 * 258 + 3, 4 * 4000 + 20)
    compressed = one({"type": "file", "file": {"file_data": data_url("application/pdf", bytes(500_000))}})
    assert compressed.low < document.low < compressed.tokens < compressed.high
    wav = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + bytes(10 * 16000 - 36)
    recording = one({"type": "input_audio", "input_audio": {"data": b64encode(wav).decode(), "format": "wav"}})
    assert (recording.low, recording.high) == (10 * 10 + 3, 10 * 32 + 20)


def weather(city: str, days: int = 1) -> str:
    """The weather of the next days, with temperatures, wind and rain."""
    return city + str(days)


def test_tools_and_their_calls_count():
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    question = [{"role": "user", "content": "Rome?"}]
    call_turn = [*question, {"role": "assistant", "content": None, "tool_calls": [call]}]
    output_turn = [*call_turn, {"role": "tool", "tool_call_id": "1", "content": "Sunny, 20 degrees"}]
    counts = [count_tokens(turns, "gpt-4o").tokens for turns in (question, call_turn, output_turn)]
    assert counts[0] + 5 < counts[1] < counts[2] - 5
    with_tools = count_tokens(question, "gpt-4o", tools=[weather])
    assert with_tools.tokens > counts[0] + 30
    assert not with_tools.exact


def test_reasoning_of_earlier_turns_may_count():
    with_reasoning = [{"role": "assistant", "content": "4", "reasoning_content": ENGLISH}]
    counted, without = (
        count_tokens(with_reasoning, "llama"),
        count_tokens([{"role": "assistant", "content": "4"}], "llama"),
    )
    assert (counted.tokens, counted.low) == (without.tokens, without.low)
    assert counted.high > without.high + 80


def test_a_conversation_that_cannot_be_read():
    with pytest.raises(ConversationError):
        count_tokens([{"role": "nobody", "content": "Hi"}])


def test_older_models_of_openai_have_another_tokenizer():
    encodings = [find_family(name).encoding for name in ("gpt-4-turbo", "gpt-35-turbo", "gpt-4.1")]
    assert encodings == ["cl100k_base", "cl100k_base", "o200k_base"]


@pytest.mark.parametrize(
    ("newer", "names"),
    [
        (2, "claude-opus-4-7 claude-opus-4.8 claude-fable-5-1 us.anthropic.claude-opus-5-v1:0 claude-mythos-preview"),
        (1, "claude-3-7-sonnet claude-opus-4-6 claude-4-sonnet claude-sonnet-4@20250514 claude-haiku-4-5-20251001"),
        (0, "gpt-6-luna gemini-3-pro glm-5.2"),
    ],
)
def test_claudes_tokenizer_changed_with_47(newer, names):
    assert {name: find_family(name).claude for name in names.split()} == dict.fromkeys(names.split(), newer)


def test_hostile_texts_are_counted():
    for text in (" " * 200_000, "\n" * 200_000, " \r\n" * 70_000, "aA" * 100_000, "\u202e" * 200_000, "\ud800"):
        assert count_tokens(text).high > 0
