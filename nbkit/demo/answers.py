"""What the simulated models say: the scripts in `script/`, chosen by the words of the prompt.

A script is one topic: a Markdown file of sections. `<!-- MODEL -->` opens that model's answer, `<!-- MODEL thinks -->`
its reasoning, `<!-- MODEL KIND -->` its answer to a follow-up of that kind, `<!-- KIND -->` that of all other models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nbkit.demo.arguments import arguments
from nbkit.demo.dialog import Request, Tool, Turn

# What a prompt asks for, by its words; the first pattern that matches decides.
TOPICS = {
    r"recurs": "recursion",
    r"\bsort|algorithm": "sorting",
    r"probab|bayes|\bmath|theorem|equation|formula|statistic": "probability",
    r"\bcompar|\btables?\b|\bversus\b|\bvs\b|difference between": "comparison",
    r"\bcode|python|function|program": "code",
}
FOLLOW_UPS = {
    r"\bexample|one line|one-liner": "example",
    r"\bshort|\bbrief|one sentence|summar": "shorter",
    r"\bwhy\b|how come|reason": "why",
}
FAILURES = {r"\bfail": "server_error", r"rate.?limit": "rate_limit", r"\bcut\b": "cut"}

FRAGILE = "brittle"  # the model that fails on request
THINKERS = ("sage", "scholar")  # the models that reason before they answer


@dataclass(frozen=True, slots=True)
class Call:
    """A tool to call."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says, before any limit is applied.

    `failure` is `server_error` or `rate_limit` (then there is no text), `cut` (the answer breaks off) or empty.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    failure: str = ""


def answer(request: Request) -> Answer:
    """The scripted answer to a request; the same request always gets the same answer."""
    prompts = [turn.text for turn in request.turns if turn.role == "user"] or [""]
    failure = _match(FAILURES, prompts[-1]) if request.model == FRAGILE else ""
    if failure in ("server_error", "rate_limit"):
        return Answer(failure=failure)
    if request.turns[-1].role == "tool":
        return Answer(_report(request.turns), failure=failure)
    if echo := re.search(r"\becho: ?(.*)", prompts[-1], re.DOTALL):
        return Answer(echo[1], failure=failure)
    if calls := _calls(request.tools, request.tool_choice, prompts[-1]):
        return Answer(calls=calls, failure=failure)
    text, reasoning = _scripted(request.model, prompts) or _confession(request, prompts)
    thinks = request.thinks and request.model in THINKERS
    return Answer(text, reasoning if thinks else "", failure=failure)


def _match(table: Mapping[str, str], text: str) -> str:
    return next((found for words, found in table.items() if re.search(words, text, re.IGNORECASE)), "")


@cache
def _script(topic: str) -> dict[str, str]:
    source = (Path(__file__).parent / "script" / f"{topic}.md").read_text(encoding="utf-8")
    parts = re.split(r"^<!-- (.+) -->\n", source, flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _scripted(model: str, prompts: Sequence[str]) -> tuple[str, str] | None:
    """The text and the reasoning for the last prompt; a follow-up keeps to the topic of the prompts before it."""
    kind = _match(FOLLOW_UPS, prompts[-1]) if len(prompts) > 1 else ""
    asked = reversed(prompts) if kind else prompts[-1:]
    topic = next((topic for prompt in asked if (topic := _match(TOPICS, prompt))), "")
    if not topic:
        return None
    script = _script(topic)
    if kind:
        thought = f"A follow-up. The topic is still {topic}, so I keep to it and answer briefly."
        return script.get(f"{model} {kind}") or script[kind], thought
    return script[model], script.get(f"{model} thinks", "")


def _confession(request: Request, prompts: Sequence[str]) -> tuple[str, str]:
    """What a model says to a prompt that no script knows: that it is simulated, and what it does know."""
    words = prompts[-1].split()
    start = " ".join(words[:8]) + (" …" if len(words) > 8 else "")
    images = request.turns[-1].images
    text = f"I am a simulated model, `demo/{request.model}`: I answer from a script."
    if images:
        text += f" I received {images} image{'s' if images > 1 else ''}, but I cannot see."
    text += f" Your prompt, “{start}”, is not in it." if words else " Your prompt was empty."
    if len(prompts) > 1:
        text += f" (This was turn {len(prompts)} of our conversation.)"
    text += " Ask me to *explain recursion*, about *sorting*, *Bayes' theorem*, a *comparison* or some *Python code*."
    return text, "Nothing in my script matches this prompt, so the honest thing is to say that."


def _calls(tools: Sequence[Tool], choice: str, prompt: str) -> tuple[Call, ...]:
    """The tools whose name, or a longer word of whose name, the prompt mentions; at least one where one is required."""
    if choice == "none":
        return ()
    if choice in ("auto", "required"):
        chosen = [tool for tool in tools if _mentions(prompt, tool.name)]
        chosen = chosen or (list(tools[:1]) if choice == "required" else [])
    else:
        chosen = [tool for tool in tools if tool.name == choice]
    return tuple(Call(tool.name, arguments(tool.schema, prompt)) for tool in chosen)


def _mentions(prompt: str, name: str) -> bool:
    words = [word for word in re.findall(r"[a-z]+", re.sub(r"([A-Z])", r" \1", name).lower()) if len(word) > 3]
    return any(word in prompt.lower() for word in [name.lower(), *words])


def _report(turns: Sequence[Turn]) -> str:
    """The answer to the tool outputs that end a conversation, quoting them."""
    outputs: list[str] = []
    for turn in reversed(turns):
        if turn.role != "tool":
            break
        outputs.insert(0, turn.text.strip() or "(nothing)")
    quoted = "\n\n".join("> " + text.replace("\n", "\n> ") for text in outputs)
    return f"The tool{'s' if len(outputs) > 1 else ''} answered:\n\n{quoted}\n\nThat is all a simulated model can add."
