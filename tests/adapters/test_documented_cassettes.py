"""Cassettes written from the public documentation of providers: the head of each names the page.

Played back by a server on 127.0.0.1 they give the completion or the error that the line expects, for the request that
the line has. `conversation` and `options` are what is asked, `expected` has the keys of `vector_files.Expected`.
"""

from pathlib import Path

import pytest
from cassette_player import play, read_cassette
from vector_files import Expected, build

from nbkit import errors
from nbkit.protocols import PROTOCOLS

FOLDER = Path(__file__).parent / "cassettes"
LINES = [
    pytest.param(line, id=f"{path.stem}-{number}")
    for path in sorted(FOLDER.glob("*.jsonl"))
    for number, line in enumerate(read_cassette(path)[1], 1)
]


def check_request(provider, line):
    (path, _, body) = provider.requests[-1]
    assert path.removeprefix("/v1") == line["request"]["path"]
    assert body == line["request"]["body"]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_documented_answer_is_read(provider, line, asynchronous):
    arguments = (provider, line, asynchronous, line["conversation"])
    if "error" in line:
        kind = getattr(errors, line["error"]["kind"])
        with pytest.raises(kind) as caught:
            play(*arguments, **line["options"])
        error, facts = caught.value, dict(line["error"])
        assert type(error) is kind
        assert (error.status, error.code) == (facts["status"], facts["code"])
        assert error.retry_after == facts.get("retry_after")
        if "partial" in facts:
            assert error.partial.text == facts["partial"]
    else:
        completion = play(*arguments, **line["options"])
        expected = build(Expected, line["expected"], line["model"])
        assert expected.describe(completion) == expected
    check_request(provider, line)


def test_there_are_a_dozen_from_every_protocol_with_a_public_documentation():
    sources = {path.stem: read_cassette(path)[0]["source"] for path in FOLDER.glob("*.jsonl")}
    assert len(sources) >= 12
    assert all(source.startswith("https://") for source in sources.values())
    spoken = {line.values[0]["protocol"] for line in LINES}
    assert spoken == PROTOCOLS.keys() - {"anthropic-vertex", "openai-completions"}
