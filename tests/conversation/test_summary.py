"""Turns and conversations as people see them: a line for each turn, in which nothing hides."""

from nbkit import Conversation, Turn, attach
from nbkit.conversation.content import AudioData, AudioEntry

CALL = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202e\ud800 \u200b``` \n**bold**"
PIXEL = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")


def test_each_turn_is_a_line():
    conversation = Conversation(
        [
            {"role": "system", "content": "Be   terse.\nVery."},
            {"role": "user", "content": ["What is this?", attach(PIXEL)]},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "21 °C", "tool_call_id": "1"},
            {"role": "assistant", "content": "x" * 3000},
        ]
    )
    assert repr(conversation) == str(conversation)
    assert repr(conversation).splitlines() == [
        "system: Be terse. Very.",
        "user: What is this? [image]",
        'assistant: get_weather({"city":"Paris"})',
        "tool: 21 °C",
        f"assistant: {'x' * 100} ... (3,000 characters)",
    ]
    assert repr(conversation[0]) == "<Turn system: Be terse. Very.>"
    assert repr(conversation[1]) == "<ContentTurn user: What is this? [image]>"
    assert repr(Conversation()) == "<an empty Conversation>"


def test_other_content_is_named():
    wav = AudioEntry(input_audio=AudioData(data="AAAA", format="wav"))
    pdf = attach(b"%PDF-1.4")
    named = pdf.model_copy(update={"file": pdf.file.model_copy(update={"filename": "a\u202eb.pdf"})})
    turn = Conversation([{"role": "user", "content": [wav, pdf, named]}])[0]
    assert repr(turn) == "<ContentTurn user: [recording] [file] [a\\u202eb.pdf]>"
    old = Conversation([{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}])
    assert repr(old) == "assistant: f({})"


def test_a_long_conversation_shows_its_ends():
    lines = repr(Conversation([f"prompt {number}" for number in range(1000)])).splitlines()
    assert len(lines) == 41
    assert lines[20] == "... (960 more turns)"
    assert lines[-1] == "user: prompt 999"


def test_what_hides_or_controls_is_spelled_out():
    shown = repr(Turn(role="assistant", content=HOSTILE))
    assert shown.isprintable()
    assert r"\x1b[31m\u202e\ud800 \u200b" in shown


def test_in_a_cell_the_turns_are_rendered_and_clean():
    conversation = Conversation(
        [
            {"role": "user", "content": HOSTILE},
            {"role": "assistant", "content": HOSTILE, "tool_calls": [CALL]},
            {"role": "tool", "content": HOSTILE, "tool_call_id": "1"},
            {"role": "assistant", "content": "x" * 9000},
        ]
    )
    shown = conversation._repr_mimebundle_()
    assert shown["text/plain"] == repr(conversation)
    html = shown["text/html"]
    assert html.count("&lt;img src=x") == 4
    assert "<img" not in html
    assert "<strong>bold</strong>" in html  # the answer
    assert "**bold**" in html  # the prompt
    assert not {"\x1b", "\u202e", "\ud800"} & set(html)
    assert "(9,000 characters)" in html
    many = Conversation(["Hi"] * 50)._repr_mimebundle_()["text/html"]
    assert "10 earlier turns are not shown" in many
    assert many.count("<b>user</b>") == 40
