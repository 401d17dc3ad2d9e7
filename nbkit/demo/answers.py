"""The answers of the simulated models: the scripts in `script/`, chosen by the words of the prompt.

A script is one topic: a Markdown file of sections. `<!-- MODEL -->` opens that model's answer, `<!-- MODEL thinks -->`
its reasoning, `<!-- MODEL KIND -->` its answer to a follow-up of that kind, `<!-- KIND -->` that of all other models.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct

from nbkit.demo.arguments import make_arguments
from nbkit.demo.request import DemoRequest, DemoTool, DemoTurn

# Words of a prompt -> its topic, its kind of follow-up, its failure; the first pattern that matches decides.
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

JUDGED = re.compile(r"<answer-1 (\w+)>\n(.*?)\n</answer-1 \1>.*<answer-2 \1>\n(.*?)\n</answer-2 \1>", re.DOTALL)
"""Two answers to judge, as `nbkit.judging.judge` writes them."""

FRAGILE = "brittle"  # the model that fails on request
THINKERS = ("sage", "scholar")  # the models that reason before they answer


class DemoCall(Struct, frozen=True):
    """A tool to call."""

    name: str
    arguments: dict[str, Any]


class DemoAnswer(Struct, frozen=True):
    """A model's answer, before any limit is applied.

    `failure` is `server_error` or `rate_limit` (both without text), `cut` (the answer ends too early) or empty.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[DemoCall, ...] = ()
    failure: str = ""


def answer(request: DemoRequest) -> DemoAnswer:
    """Answer a request by the script; the same request always gets the same answer."""
    prompts = [turn.text for turn in request.turns if turn.role == "user"] or [""]
    failure = _match(FAILURES, prompts[-1]) if request.model == FRAGILE else ""
    if failure in ("server_error", "rate_limit"):
        return DemoAnswer(failure=failure)
    if request.turns[-1].role == "tool":
        text = _fill(request.schema, request.turns[-1].text) if request.schema else _quote_outputs(request.turns)
        return DemoAnswer(text, failure=failure)
    if pair := JUDGED.search(prompts[-1]):
        system = next((turn.text for turn in request.turns if turn.role == "system"), "")
        return DemoAnswer(_judge(request.model, system, pair[2], pair[3]), failure=failure)
    if echo := re.search(r"\becho: ?(.*)", prompts[-1], re.DOTALL):
        return DemoAnswer(echo[1], failure=failure)
    if calls := _call_tools(request.tools, request.tool_choice, prompts[-1]):
        return DemoAnswer(calls=calls, failure=failure)
    if request.schema:
        return DemoAnswer(_fill(request.schema, prompts[-1]), failure=failure)
    text, reasoning = _find_script(request.model, prompts) or _admit_simulation(request, prompts)
    thinks = request.thinks and request.model in THINKERS
    return DemoAnswer(text, reasoning if thinks else "", failure=failure)


def _match(table: Mapping[str, str], text: str) -> str:
    """Return the value of the first pattern in the table that matches the text, "" for none."""
    return next((value for pattern, value in table.items() if re.search(pattern, text, re.IGNORECASE)), "")


@cache
def _read_script(topic: str) -> dict[str, str]:
    source = (Path(__file__).parent / "script" / f"{topic}.md").read_text(encoding="utf-8")
    parts = re.split(r"^<!-- (.+) -->\n", source, flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _find_script(model: str, prompts: Sequence[str]) -> tuple[str, str] | None:
    """Find text and reasoning for the last prompt; a follow-up keeps to the topic of the prompts before it."""
    kind = _match(FOLLOW_UPS, prompts[-1]) if len(prompts) > 1 else ""
    candidates = reversed(prompts) if kind else prompts[-1:]
    topic = next((topic for prompt in candidates if (topic := _match(TOPICS, prompt))), "")
    if not topic:
        return None
    script = _read_script(topic)
    if kind:
        thought = f"A follow-up. The topic is still {topic}, so I keep to it and answer briefly."
        return script.get(f"{model} {kind}") or script[kind], thought
    return script[model], script.get(f"{model} thinks", "")


def _admit_simulation(request: DemoRequest, prompts: Sequence[str]) -> tuple[str, str]:
    """Answer a prompt that no script has: the model is simulated, and these are the topics that it has."""
    words = prompts[-1].split()
    start = " ".join(words[:8]) + (" …" if len(words) > 8 else "")
    media = Counter(request.turns[-1].media)
    text = f"I am a simulated model, `demo/{request.model}`: I answer from a script."
    if media:
        received = " and ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in media.items())
        text += f" I received {received}, but I cannot see."
    text += f" Your prompt, “{start}”, is not in it." if words else " Your prompt was empty."
    if len(prompts) > 1:
        text += f" (This was turn {len(prompts)} of our conversation.)"
    text += " Ask me to *explain recursion*, about *sorting*, *Bayes' theorem*, a *comparison* or some *Python code*."
    return text, "Nothing in my script matches this prompt, so the honest thing is to say that."


def _judge(model: str, criterion: str, first: str, second: str) -> str:
    """Judge two answers by their length, as a judge model would write it; `swift` prefers the first place."""
    counts, wants_short = [len(text.split()) for text in (first, second)], bool(re.search(r"\bshort|brief", criterion))
    better = "tie" if counts[0] == counts[1] else "1" if (counts[0] < counts[1]) == wants_short else "2"
    if model == "swift":
        better = "1"
    why = f"The first has {counts[0]} words, the second {counts[1]}; a simulated judge counts words."
    return json.dumps({"reason": why, "better": better})


def _call_tools(tools: Sequence[DemoTool], choice: str, prompt: str) -> tuple[DemoCall, ...]:
    """Call the tools whose name, or a longer word of it, the prompt mentions; at least one where one is required."""
    if choice == "none":
        return ()
    if choice in ("auto", "required"):
        chosen = [tool for tool in tools if _mentions(prompt, tool.name)]
        chosen = chosen or (list(tools[:1]) if choice == "required" else [])
    else:
        chosen = [tool for tool in tools if tool.name == choice]
    return tuple(DemoCall(tool.name, make_arguments(tool.schema, prompt)) for tool in chosen)


def _mentions(prompt: str, name: str) -> bool:
    words = [word for word in re.findall(r"[a-z]+", re.sub(r"([A-Z])", r" \1", name).lower()) if len(word) > 3]
    return any(word in prompt.lower() for word in [name.lower(), *words])


def _fill(schema: dict[str, Any], text: str) -> str:
    """Answer in the form of a schema, with names and numbers of the text."""
    return json.dumps(make_arguments(schema, text))


def _quote_outputs(turns: Sequence[DemoTurn]) -> str:
    """Answer the tool outputs that end a conversation, quoting them."""
    outputs: list[str] = []
    for turn in reversed(turns):
        if turn.role != "tool":
            break
        outputs.insert(0, turn.text.strip() or "(nothing)")
    quoted = "\n\n".join("> " + text.replace("\n", "\n> ") for text in outputs)
    return f"The tool{'s' if len(outputs) > 1 else ''} answered:\n\n{quoted}\n\nThat is all a simulated model can add."
