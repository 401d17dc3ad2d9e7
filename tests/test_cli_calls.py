"""S14: the commands that ask models, providers and the servers of this machine."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from nbkit.cli.main import main

ASK, COMPARE = ["ask", "demo/swift"], ["compare", "demo/swift", "demo/sage"]


@pytest.fixture
def run(capsys, monkeypatch):
    def run(*arguments, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        status = main(arguments)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.mark.parametrize(
    ("words", "stdin", "prompt"),
    [
        (["Say hello"], "", "Say hello"),
        (["Say", "hello"], "not read", "Say hello"),
        ([], "from a pipe\n", "from a pipe"),
        (["Sum up:", "-"], "from a pipe\n", "Sum up: from a pipe"),
        (["-"], "Gr\u00fc\u00dfe", "Gr\u00fc\u00dfe"),
    ],
)
@pytest.mark.parametrize("command", [ASK, COMPARE], ids=["ask", "compare"])
def test_the_prompt_is_the_words_or_standard_input(run, command, words, stdin, prompt):
    status, out, err = run(*command, *words, stdin=stdin)
    assert status == 0
    assert f"Your prompt, \u201c{prompt}\u201d" in out
    assert out.endswith("\n")
    assert "$" in err


def test_an_answer_as_json(run):
    status, out, _ = run(*ASK, "Hi", "--json", "--max-tokens", "5", "--temperature", "0", "--system", "Be brief")
    answer = json.loads(out)
    assert (status, answer["model"], answer["usage"]["output"]) == (0, "swift", 5)


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask", "--max-tokens", "5", "demo/swift", "Say", "hi"],
        ["ask", "demo/swift", "--max-tokens", "5", "Say", "hi"],
        ["ask", "demo/swift", "Say", "--max-tokens=5", "hi"],
        ["compare", "demo/swift", "--max-tokens", "5", "Say", "hi"],
    ],
)
def test_options_stand_anywhere_among_the_words(run, arguments):
    status, out, err = run(*arguments)
    assert (status, "I am a simulated" in out, " 5 tokens" in f"{out}{err}") == (0, True, True)


def test_the_fallback_answers_where_the_first_has_no_key(run, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    status, out, err = run("ask", "openai/gpt-5-mini", "Hi", "--fallback", "demo/swift")
    assert (status, "Your prompt" in out) == (0, True)
    assert err.endswith("; answered by demo/swift: openai/gpt-5-mini failed: no API key for openai\n")


def test_each_model_has_a_block_and_a_failure_is_one(run):
    status, out, _ = run("compare", "demo/swift", "openai/gpt-5-mini", "Hi")
    assert status == 0
    heads = [line for line in out.splitlines() if line.startswith("== ")]
    assert [head.split(",")[0] for head in heads] == ["== demo/swift", "== openai/gpt-5-mini"]
    assert "failed: no API key for openai: set OPENAI_API_KEY" in out
    status, out, _ = run("compare", "demo/swift", "demo/sage", "Hi", "--json")
    assert [row["model"] for row in json.loads(out)] == ["demo/swift", "demo/sage"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*ASK], "the prompt is empty"),
        ([*COMPARE], "the prompt is empty"),
        (["ask", "demo/swfit", "Hi"], "no model 'demo/swfit'; did you mean demo/swift?"),
        (["compare", "demo/swfit", "demo/sage", "Hi"], "no model 'demo/swfit'; did you mean demo/swift?"),
        (["compare", "Hello there"], "compare: expected the ids of models, then the prompt"),
        (["ask", "openai/gpt-5-mini", "Hi"], "no API key for openai: set OPENAI_API_KEY"),
        (["health", "opnai"], "unknown provider 'opnai'; did you mean openai?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_fails_is_one_line_and_exit_status_1(run, monkeypatch, arguments, message):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    status, out, err = run(*arguments)
    assert (status, out) == (1, "")
    assert message in err
    assert (err.startswith("nbkit: "), err.count("\n")) == (True, 1)


def test_an_answer_cannot_control_the_terminal(run, json_server, unregistered):
    choice = {"index": 0, "message": {"role": "assistant", "content": "a\x1b[2Jb"}, "finish_reason": "stop"}
    server = json_server({"/v1/chat/completions": {"id": "1", "object": "chat.completion", "choices": [choice]}})
    status, out, _ = run("ask", "lab/m", "Hi", "--base-url", f"{server.url}/v1")
    assert (status, out) == (0, "a\u27e8U+001B\u27e9[2Jb\n")


class Interrupted(io.BytesIO):
    def read(self, *_):
        raise KeyboardInterrupt


def test_an_interrupt_is_exit_status_130(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Interrupted()))
    assert main([*ASK, "-"]) == 130
    assert capsys.readouterr().err == "\nnbkit: interrupted\n"


def test_health_has_a_row_for_each_provider(run):
    status, out, _ = run("health", "demo", "--json")
    (row,) = json.loads(out)
    assert (status, row["provider"], row["status"]) == (0, "demo", "ok")


def test_local_models_are_listed(run, monkeypatch, json_server, unregistered):
    server = json_server({"/api/tags": {"models": [{"name": "llama3.2:latest", "model": "llama3.2:latest"}]}})
    monkeypatch.setenv("OLLAMA_HOST", server.url)
    status, out, _ = run("local", "--json", "--seconds", "30")
    assert status == 0
    assert "ollama/llama3.2" in {row["id"] for row in json.loads(out)}


def test_the_commands_run_as_a_program():
    environment = {"NBKIT_OFFLINE": "1", "NBKIT_DEMO_TOKENS_PER_SECOND": "0"}
    code = "import sys; from nbkit.cli.main import main; sys.exit(main(['ask', 'demo/swift']))"
    done = subprocess.run(
        [sys.executable, "-c", code], input="Hi", env=environment, capture_output=True, text=True, check=True
    )
    assert "\u201cHi\u201d" in done.stdout
