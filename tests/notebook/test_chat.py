"""Chats: copies, other models, taking back, files, cost and fill of the context."""

import json
import os

import pytest
from kernels import Kernel
from reader import Page
from scripted_models import Scripted

from nbkit import Conversation, get_adapter
from nbkit.errors import ConfigError, ConversationError, ModelNotFoundError, RateLimitError
from nbkit.notebook.chat import Chat
from nbkit.notebook.facts import describe_context

PIXEL = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 °C in {city}"


def texts(chat):
    return [(turn.role, turn.text) for turn in chat.conversation]


def test_a_fork_goes_its_own_direction():
    chat = Chat(Scripted("a", ["one"], ["two"], ["three"]), system="Be terse")("Hi")
    fork = chat.fork()
    assert (texts(fork), fork.cost, fork.context_fill) == (texts(chat), 0, chat.context_fill)
    chat("left")
    fork("right")
    assert texts(chat)[:3] == texts(fork)[:3] == [("system", "Be terse"), ("user", "Hi"), ("assistant", "one")]
    assert texts(chat)[3:] == [("user", "left"), ("assistant", "two")]
    assert texts(fork)[3:] == [("user", "right"), ("assistant", "three")]
    assert (chat.cost, fork.cost) == pytest.approx((22e-6, 11e-6))


def test_the_next_model_of_a_list_answers_where_the_first_cannot():
    first, second = Scripted("a", [RateLimitError("busy")], ["back"]), Scripted("b", ["two"])
    chat = Chat([first, second])("Hi")
    assert texts(chat) == [("user", "Hi"), ("assistant", "two")]
    chat("And?")  # each prompt goes to the first again
    assert chat.completion.text == "back"
    assert chat.completion.changes == ()


def test_another_model_goes_on_and_both_are_counted():
    first, second = Scripted("a", ["one"]), Scripted("b", ["two"], price=2.0)
    chat = Chat(first, system="Be terse", temperature=0)("Hi")
    assert chat.switch(second)("And?") is chat
    assert chat.completion.text == "two"
    assert second.prompts == [[("system", "Be terse"), ("user", "Hi"), ("assistant", "one"), ("user", "And?")]]
    assert second.requests[0]["temperature"] == 0
    assert chat.cost == pytest.approx(11e-6 + 22e-6)
    assert chat.usage.total_tokens == 22
    with pytest.raises(ModelNotFoundError):
        chat.switch("demo/nosuch")
    with pytest.raises(ConfigError):
        chat.switch(first, temprature=1)
    assert chat("Still there?").completion.text == "two"
    chat.switch(second, max_tokens=7)("And now?")
    assert [second.requests[-1].get(name) for name in ("max_tokens", "temperature")] == [7, None]
    assert chat.cost == pytest.approx(11e-6 + 3 * 22e-6)


def test_the_line_of_each_cell_has_the_cost_of_the_whole_chat():
    chat = Chat(Scripted("a", ["Hi"]))("Hi")
    assert "this chat $0.000011 " in chat._latest._display._totals()
    chat("Again")
    assert "this chat $0.000022 " in chat._latest._display._totals()
    assert chat.cost == 22e-6


def test_undo_takes_the_last_exchange_back_and_returns_its_prompt():
    chat = Chat("demo/swift", tools=[get_weather])("Hi")
    before = texts(chat)
    chat("The weather in Paris?")
    assert len(chat.conversation) == 6
    spent = chat.cost
    assert chat.undo() == "The weather in Paris?"
    assert (texts(chat), chat.completion, chat.cost, chat.context_fill) == (before, None, spent, None)
    assert chat.undo() == "Hi"
    with pytest.raises(ConversationError, match="nothing to undo"):
        chat.undo()
    chat = Chat("demo/sage")("What is this?", PIXEL)
    prompt = chat.undo()
    assert [entry.type for entry in prompt.content] == ["text", "image_url"]
    assert chat(prompt).completion.text


def test_undo_takes_a_prompt_back_that_failed():
    chat = Chat(Scripted("a", [RateLimitError("slow down")], ["fine"]))("Hi")
    with pytest.raises(RateLimitError):
        _ = chat.completion
    assert chat(chat.undo()).completion.text == "fine"
    assert texts(chat) == [("user", "Hi"), ("assistant", "fine")]


def test_files_go_with_a_prompt(tmp_path):
    (tmp_path / "pixel.png").write_bytes(PIXEL)
    model = Scripted("a", ["A pixel."])
    chat = Chat(model)("What is this?", tmp_path / "pixel.png", str(tmp_path / "pixel.png"), PIXEL)
    assert chat.completion.text == "A pixel."
    assert [part["type"] for part in model.requests[0]["messages"][0]["content"]] == ["text", *["image_url"] * 3]
    with pytest.raises(ConversationError, match="no such file"):
        chat("And this?", tmp_path / "none.png")
    with pytest.raises(ConversationError, match="a prompt that is a string"):
        chat(["And this?"], PIXEL)


def test_the_fill_of_the_context_is_that_of_the_last_call():
    chat = Chat("demo/swift", tools=[get_weather])
    assert chat.context_fill is None
    chat("The weather in Paris?")
    run = chat.completion.usage
    assert 0 < chat.context_fill * 128_000 < run.total_tokens  # which counts both calls
    assert Chat(Scripted("a", ["Hi"]))("Hi").context_fill is None  # the size of its context is not known
    swift = get_adapter("demo/swift")
    assert describe_context(15_360, swift) == ("12 % of 128k context", False)
    assert describe_context(200, swift) == ("under 1 % of 128k context", False)
    text, full = describe_context(110_000, swift)
    assert (text[:47], full) == ("86 % of 128k context: begin a new chat soon, or", True)
    assert describe_context(None, swift) is None
    assert describe_context(10**5, get_adapter("demo/scholar"))[0] == "10 % of 1M context"


def test_a_saved_chat_goes_on_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "sk-secret-1234567890")
    path = tmp_path / "chats" / "trip.json"
    adapter = get_adapter("demo/sage", api_key="sk-secret-1234567890")
    chat = Chat("demo/swift", system="Be \ud800 terse 🎉", temperature=0, max_turns=3, stop="END")("Hi")
    chat.switch(adapter)("What is this?", PIXEL)
    chat.save(path)
    assert "sk-secret" not in path.read_text()
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0
    other = Chat.load(str(path))
    assert other.conversation == chat.conversation
    assert (other.cost, other.usage, other.context_fill) == (chat.cost, chat.usage, chat.context_fill)
    assert repr(other) == "<Chat with demo/sage: 5 turns>"
    assert other._options == {"temperature": 0, "stop": ["END"]}
    assert other._limits == {"max_turns": 3, "max_cost": None}
    other("Go on").save(path)
    assert len(Chat.load(path).conversation) == 7
    assert Chat.load(path).cost > chat.cost
    changed = Chat.load(path, "demo/scholar", temperature=1)
    assert (changed._adapter.model_id, changed._options["temperature"]) == ("demo/scholar", 1)


def test_what_a_file_cannot_hold_must_be_given(tmp_path):
    path = tmp_path / "chat.json"
    tool = {"name": "look_up", "parameters": {"type": "object", "properties": {}}}
    options = {"tools": [get_weather, tool], "extra_headers": {"x-key": "sk-secret"}, "user": "me"}
    Chat("demo/swift", **options).save(path)
    assert "sk-secret" not in path.read_text()
    with pytest.raises(ConfigError, match="does not hold extra_headers and tools: pass extra_headers=, tools="):
        Chat.load(path)
    chat = Chat.load(path, tools=[get_weather], extra_headers=None)
    assert chat("The weather in Rome?").completion.text.startswith("The tool answered")
    assert chat._options["user"] == "me"
    Chat("demo/swift", tools=[tool]).save(path)
    assert Chat.load(path)._options["tools"][0]["name"] == "look_up"


def break_file(**changes):
    def change(text):
        return json.dumps(json.loads(text) | changes)

    return change


BROKEN = {
    "not a chat that nbkit saved: it is not JSON": lambda text: text[:40],
    "not a chat that nbkit saved: _File: expected": lambda text: "[1]",
    "not a chat that nbkit saved: format: missing": lambda text: "{}",
    "version 2 of the format, and this nbkit reads 1: install a newer one": break_file(version=2),
    "turn 0: role: expected one of": break_file(turns=[{"role": "robot"}]),
    "not a chat that nbkit saved: spent['demo/swift'].usd: expected a number, got 'much'": break_file(
        spent={"demo/swift": {"usd": "much"}}
    ),
    "extra": break_file(extra=1),
}


@pytest.mark.parametrize("problem", BROKEN)
def test_a_broken_file_gives_an_error_of_one_line(tmp_path, problem):
    path = tmp_path / "chat.json"
    Chat("demo/swift").save(path)
    path.write_text(BROKEN[problem](path.read_text()))
    with pytest.raises(ConversationError) as raised:
        Chat.load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
    assert problem in str(raised.value) or problem.startswith("not a chat that nbkit saved: _File")


def test_a_file_that_is_not_there_or_cannot_be_written(tmp_path):
    with pytest.raises(ConversationError, match="No such file"):
        Chat.load(tmp_path / "none.json")
    (tmp_path / "folder").write_text("")
    with pytest.raises(ConversationError, match="cannot be written"):
        Chat("demo/swift").save(tmp_path / "folder" / "chat.json")


def test_a_chat_begins_with_turns():
    chat = Chat("demo/swift", system="Be terse", conversation=["Hi", {"role": "assistant", "content": "Hello"}])
    assert repr(chat) == "<Chat with demo/swift: 3 turns>"
    assert isinstance(chat("Go on").conversation, Conversation)
    with pytest.raises(ConversationError, match="turn 0"):
        Chat("demo/swift", conversation=[5])


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


def test_a_cell_takes_no_questions_once_the_chat_goes_on_in_another(kernel):
    def catch_up(widget):
        page = Page()
        kernel.send(widget, {"type": "ready"})
        kernel.until(lambda: [page.receive(message) for message in kernel.sent(widget)] and page.foot)
        return page

    kernel.run("model = Scripted('a', ['Hi']); chat = Chat(model)('one'); chat.completion")
    first = kernel.widget()
    kernel.send(first, {"type": "ask", "text": "two"})
    kernel.until(lambda: kernel.value("len(chat.conversation)") == 4)
    kernel.run("chat('three'); chat.completion")
    second = kernel.widget()
    assert first != second
    kernel.send(first, {"type": "ask", "text": "lost"})
    kernel.send(second, {"type": "ask", "text": "four"})
    kernel.until(lambda: kernel.value("len(chat.conversation)") == 8)
    assert kernel.value("[turn.text for turn in chat.conversation if turn.role == 'user']") == [
        "one", "two", "three", "four",
    ]  # fmt: skip
    assert kernel.value("len(model.requests)") == 4
    kernel.until(lambda: catch_up(first).foot["closed"] == "The chat goes on in another cell.")
    assert catch_up(second).foot["closed"] == ""
    kernel.until(lambda: "this chat $0.000044 " in catch_up(second).foot["totals"])
    kernel.run("chat.undo()")
    kernel.until(lambda: catch_up(second).foot["closed"])
