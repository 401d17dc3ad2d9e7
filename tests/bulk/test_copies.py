"""A conversation of a comparison, taken along as Markdown, as Python code, as a chat."""

import contextlib
import io

import nbkit


def tool_for_nothing() -> str:
    """Do nothing."""
    return ""


def test_the_code_asks_the_same_again():
    answers = nbkit.compare("echo: 'a' \"b\" \u202e", ["demo/swift"], system="Be brief", temperature=0.5)
    answers["demo/swift"].set_options(max_tokens=7)
    answers.ask("Hi {x}")
    code = answers["demo/swift"].to_code()
    assert "\u202e" not in code
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        names = {}
        exec(code, names)  # noqa: S102
    completion = names["completion"]
    assert (completion.model, completion.text) == ("swift", answers.completions["demo/swift"].text)
    assert completion.usage.prompt_tokens == answers.completions["demo/swift"].usage.prompt_tokens
    assert completion.usage.output <= 7
    assert shown.getvalue() == completion.text + "\n"


def test_what_may_hold_a_key_is_not_written():
    options = {"extra_headers": {"x-key": "sk-canary"}, "tools": [tool_for_nothing]}
    code = nbkit.compare("Hi", ["demo/swift"], **options)["demo/swift"].to_code()
    assert "canary" not in code
    assert "# not written here: extra_headers, tools" in code


def test_markdown_has_the_prompts_and_the_answers_as_they_are():
    answers = nbkit.compare("echo: **one**\n# two", ["demo/swift"])
    name = "**Swift (simulated)** (`demo/swift`)"
    assert answers["demo/swift"].to_markdown() == f"> echo: **one**\n> # two\n\n{name}\n\n**one**\n# two\n"


def test_a_chat_goes_on_where_the_comparison_is():
    answers = nbkit.compare("One", ["demo/swift", "demo/sage"], max_tokens=5)
    chat = answers["demo/swift"].to_chat()
    chat("Two")
    assert [turn.text for turn in chat.conversation][::2] == ["One", "Two"]
    assert chat.completion.usage.output <= 5
    assert chat.usage.completion_tokens < answers.spent.usage.completion_tokens


def test_the_code_of_a_list_of_models_has_the_list():
    code = nbkit.compare("Hi", [["demo/swift", "demo/sage"]])["demo/swift"].to_code()
    assert "adapter = nbkit.get_adapter(['demo/swift', 'demo/sage'])" in code
