"""The vendors' own SDKs as clients of the simulated provider: what it serves is what they are made for.

Each client asks in five ways: plain, streamed, and with a tool in two turns of either. `Reply` is what all give.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from nbkit import settings

PROMPT = "Explain recursion"
ASK = "What is the weather in Oslo?"
OUTPUT = "4 degrees, rain"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ABOUT = "The weather of a city"
FUNCTION = {"name": "get_weather", "description": ABOUT, "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client made of an answer. `calls`: names and arguments."""

    text: str
    finish: str
    tokens: tuple[int, int]
    calls: tuple[tuple[str, dict], ...] = ()


@pytest.fixture(autouse=True)
def at_once():
    with settings.override(demo_tokens_per_second=0):
        yield


@pytest.fixture(scope="module")
def root(address):
    return address.removesuffix("/v1")


class OpenAIChat:
    model = "swift"
    tool = TOOL

    def __init__(self, root):
        import openai

        self.client = openai.OpenAI(base_url=f"{root}/v1", api_key="-", max_retries=0)

    def close(self):
        self.client.close()

    def start(self, text):
        return [{"role": "user", "content": text}]

    def read(self, completion):
        (choice,) = completion.choices
        calls = tuple((c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls or ())
        usage = completion.usage
        return Reply(
            choice.message.content or "", choice.finish_reason, (usage.prompt_tokens, usage.completion_tokens), calls
        )

    def plain(self, messages, tools=()):
        completion = self.client.chat.completions.create(
            model=self.model, messages=messages, **({"tools": tools} if tools else {})
        )
        return self.read(completion), [*messages, completion.choices[0].message]

    def streamed(self, messages, tools=()):
        options = {"tools": tools} if tools else {}
        with self.client.chat.completions.stream(
            model=self.model, messages=messages, stream_options={"include_usage": True}, **options
        ) as stream:
            for _ in stream:
                pass
            completion = stream.get_final_completion()
        return self.read(completion), [*messages, completion.choices[0].message]

    def answer(self, messages):
        calls = messages[-1].tool_calls
        return messages + [{"role": "tool", "tool_call_id": call.id, "content": OUTPUT} for call in calls]


class OpenAIResponses(OpenAIChat):
    model = "scholar"

    def __init__(self, root):
        super().__init__(root)
        self.tool = {"type": "function", "strict": False} | FUNCTION

    def read(self, response):
        calls = tuple((i.name, json.loads(i.arguments)) for i in response.output if i.type == "function_call")
        usage = response.usage
        return Reply(response.output_text, response.status, (usage.input_tokens, usage.output_tokens), calls)

    def plain(self, items, tools=()):
        response = self.client.responses.create(model=self.model, input=items, tools=tools, store=False)
        return self.read(response), [*items, *(item.to_dict() for item in response.output)]

    def streamed(self, items, tools=()):
        with self.client.responses.stream(model=self.model, input=items, tools=tools, store=False) as stream:
            for _ in stream:
                pass
            response = stream.get_final_response()
        return self.read(response), [*items, *(item.to_dict() for item in response.output)]

    def answer(self, items):
        calls = [item for item in items if item.get("type") == "function_call"]
        return items + [
            {"type": "function_call_output", "call_id": call["call_id"], "output": OUTPUT} for call in calls
        ]


class Anthropic(OpenAIChat):
    model, tool = "sage", {"name": "get_weather", "description": ABOUT, "input_schema": SCHEMA}

    def __init__(self, root):
        import anthropic

        self.client = anthropic.Anthropic(base_url=root, api_key="-", max_retries=0)

    def read(self, message):
        text = "".join(block.text for block in message.content if block.type == "text")
        calls = tuple((block.name, block.input) for block in message.content if block.type == "tool_use")
        usage = message.usage
        counts = usage.input_tokens + (usage.cache_read_input_tokens or 0), usage.output_tokens
        return Reply(text, message.stop_reason, counts, calls)

    def plain(self, messages, tools=()):
        message = self.client.messages.create(model=self.model, messages=messages, tools=tools, max_tokens=4000)
        return self.read(message), [*messages, {"role": "assistant", "content": message.content}]

    def streamed(self, messages, tools=()):
        with self.client.messages.stream(model=self.model, messages=messages, tools=tools, max_tokens=4000) as stream:
            text = "".join(stream.text_stream)
            message = stream.get_final_message()
        assert text == self.read(message).text
        return self.read(message), [*messages, {"role": "assistant", "content": message.content}]

    def answer(self, messages):
        calls = [block for block in messages[-1]["content"] if block.type == "tool_use"]
        outputs = [{"type": "tool_result", "tool_use_id": call.id, "content": OUTPUT} for call in calls]
        return [*messages, {"role": "user", "content": outputs}]


class Google(OpenAIChat):
    model, named = "tortoise", "parameters_json_schema"

    def __init__(self, root):
        from google import genai

        self.types = genai.types
        self.client = genai.Client(api_key="-", http_options={"base_url": root})
        self.tool = genai.types.Tool(
            function_declarations=[
                genai.types.FunctionDeclaration(name="get_weather", description=ABOUT, **{self.named: SCHEMA})
            ]
        )

    def start(self, text):
        return [self.types.Content(role="user", parts=[self.types.Part(text=text)])]

    def read(self, responses):
        last = responses[-1]
        parts = [part for response in responses for part in response.candidates[0].content.parts]
        calls = tuple((part.function_call.name, part.function_call.args) for part in parts if part.function_call)
        text = "".join(part.text for part in parts if part.text and not part.thought)
        usage = last.usage_metadata
        counts = usage.prompt_token_count, (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        turn = self.types.Content(role="model", parts=parts)
        return Reply(text, last.candidates[0].finish_reason.name, counts, calls), turn

    def config(self, tools):
        calling = self.types.AutomaticFunctionCallingConfig(disable=True)
        return self.types.GenerateContentConfig(tools=list(tools), automatic_function_calling=calling)

    def plain(self, contents, tools=()):
        response = self.client.models.generate_content(model=self.model, contents=contents, config=self.config(tools))
        reply, turn = self.read([response])
        return reply, [*contents, turn]

    def streamed(self, contents, tools=()):
        responses = list(
            self.client.models.generate_content_stream(model=self.model, contents=contents, config=self.config(tools))
        )
        reply, turn = self.read(responses)
        return reply, [*contents, turn]

    def answer(self, contents):
        parts = [
            self.types.Part.from_function_response(name=part.function_call.name, response={"output": OUTPUT})
            for part in contents[-1].parts
            if part.function_call
        ]
        return [*contents, self.types.Content(role="user", parts=parts)]


class GoogleOpenAPI(Google):
    """With the older `parameters`, whose types are written in capitals."""

    named = "parameters"


class Cohere(OpenAIChat):
    model = "brittle"

    def __init__(self, root):
        import cohere

        self.client = cohere.ClientV2("-", base_url=root)

    def close(self):
        self.client._client_wrapper.httpx_client.httpx_client.close()

    def plain(self, messages, tools=()):
        answer = self.client.chat(model=self.model, messages=messages, **({"tools": tools} if tools else {}))
        text = "".join(item.text for item in answer.message.content or () if item.type == "text")
        calls = tuple((c.function.name, json.loads(c.function.arguments)) for c in answer.message.tool_calls or ())
        units = answer.usage.billed_units
        reply = Reply(text, answer.finish_reason, (int(units.input_tokens), int(units.output_tokens)), calls)
        return reply, [*messages, answer.message]

    def streamed(self, messages, tools=()):
        text, calls, end = "", [], None
        stream = self.client.chat_stream(model=self.model, messages=messages, **({"tools": tools} if tools else {}))
        for event in stream:
            if event.type == "content-delta":
                text += event.delta.message.content.text or ""
            elif event.type == "tool-call-start":
                calls.append(event.delta.message.tool_calls.model_dump())
            elif event.type == "tool-call-delta":
                calls[-1]["function"]["arguments"] += event.delta.message.tool_calls.function.arguments
            elif event.type == "message-end":
                end = event.delta
        read = tuple((call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls)
        units = end.usage.billed_units
        message = {"role": "assistant"} | ({"tool_calls": calls} if calls else {"content": text})
        reply = Reply(text, end.finish_reason, (int(units.input_tokens), int(units.output_tokens)), read)
        return reply, [*messages, message]

    def answer(self, messages):
        last = messages[-1]
        calls = last["tool_calls"] if isinstance(last, dict) else [call.model_dump() for call in last.tool_calls]
        return messages + [{"role": "tool", "tool_call_id": call["id"], "content": OUTPUT} for call in calls]


class Ollama(OpenAIChat):
    def __init__(self, root):
        import ollama

        self.client = ollama.Client(host=root)

    def close(self):
        self.client._client.close()

    def plain(self, messages, tools=()):
        answer = self.client.chat(model=self.model, messages=messages, tools=tools)
        return self.read([answer], messages)

    def streamed(self, messages, tools=()):
        return self.read(
            list(self.client.chat(model=self.model, messages=messages, tools=tools, stream=True)), messages
        )

    def read(self, answers, messages):
        text = "".join(answer.message.content or "" for answer in answers)
        calls = [call for answer in answers for call in answer.message.tool_calls or ()]
        last = answers[-1]
        read = tuple((call.function.name, dict(call.function.arguments)) for call in calls)
        # as the SDK's own examples do it: without content where there is none
        message = {"role": "assistant"} | ({"tool_calls": calls} if calls else {"content": text})
        return Reply(text, last.done_reason, (last.prompt_eval_count, last.eval_count), read), [*messages, message]

    def answer(self, messages):
        calls = messages[-1]["tool_calls"]
        return messages + [{"role": "tool", "tool_name": call.function.name, "content": OUTPUT} for call in calls]


FINISH = {  # what the vendor calls the end of an answer, and that of a call
    OpenAIChat: ("stop", "tool_calls"),
    OpenAIResponses: ("completed", "completed"),
    Anthropic: ("end_turn", "tool_use"),
    Google: ("STOP", "STOP"),
    GoogleOpenAPI: ("STOP", "STOP"),
    Cohere: ("COMPLETE", "TOOL_CALL"),
    Ollama: ("stop", "stop"),
}


@pytest.fixture(scope="module", params=FINISH, ids=[f"R8: {sdk.__name__}" for sdk in FINISH])
def sdk(request, root):
    client = request.param(root)
    yield client
    client.close()


def test_an_answer_is_the_same_whole_and_streamed(sdk):
    whole, conversation = sdk.plain(sdk.start(PROMPT))
    streamed, _ = sdk.streamed(sdk.start(PROMPT))
    assert whole == streamed
    assert len(whole.text) > 100
    assert whole.finish == FINISH[type(sdk)][0]
    assert min(whole.tokens) > 1
    follow_up, _ = sdk.streamed([*conversation, *sdk.start("In one sentence, please")])
    assert 20 < len(follow_up.text) < len(whole.text)
    assert follow_up.tokens[0] > whole.tokens[0]


@pytest.mark.parametrize("ask", ["plain", "streamed"])
def test_a_tool_is_called_and_its_output_is_answered(sdk, ask):
    first, conversation = getattr(sdk, ask)(sdk.start(ASK), tools=[sdk.tool])
    assert first.calls == (("get_weather", {"city": "Oslo"}),)
    assert (first.text, first.finish) == ("", FINISH[type(sdk)][1])
    last, _ = getattr(sdk, ask)(sdk.answer(conversation), tools=[sdk.tool])
    assert OUTPUT in last.text
    assert (last.calls, last.finish) == ((), FINISH[type(sdk)][0])


def test_googles_chat_keeps_the_answer_that_was_streamed(root):
    """The SDK's history leaves a turn out in which one event has no parts."""
    from google import genai

    with genai.Client(api_key="-", http_options={"base_url": root}) as client:
        chat = client.chats.create(model="tortoise")
        text = "".join(chunk.text or "" for chunk in chat.send_message_stream(PROMPT))
        assert [content.role for content in chat.get_history(curated=True)][:2] == ["user", "model"]
        kept = "".join(p.text or "" for c in chat.get_history(curated=True) if c.role == "model" for p in c.parts)
        assert kept == text
        assert chat.send_message("In one sentence, please").text


def test_googles_own_function_calling_runs_a_python_function(root):
    from google import genai

    def get_weather(city: str) -> str:
        """The weather of a city."""
        return f"{city}: {OUTPUT}"

    with genai.Client(api_key="-", http_options={"base_url": root}) as client:
        config = genai.types.GenerateContentConfig(tools=[get_weather])
        assert f"Oslo: {OUTPUT}" in client.models.generate_content(model="tortoise", contents=ASK, config=config).text


def test_a_wrong_model_and_a_wrong_path_differ(root):
    import anthropic
    import openai

    with openai.OpenAI(base_url=f"{root}/v1", api_key="-", max_retries=0) as client:
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model="nope", messages=[{"role": "user", "content": "Hi"}])
        assert (caught.value.code, "nope" in caught.value.message) == ("model_not_found", True)
        with pytest.raises(openai.NotFoundError) as caught:
            client.embeddings.create(model="swift", input="Hi")
        assert (caught.value.code, "/v1/embeddings" in caught.value.message) == ("unknown_url", True)
        assert next(model.id for model in client.models.list()) == "swift"
        assert client.models.retrieve("sage").id == "sage"
    with anthropic.Anthropic(base_url=root, api_key="-", max_retries=0) as client:
        with pytest.raises(anthropic.NotFoundError, match="not_found_error"):
            client.messages.create(model="nope", messages=[{"role": "user", "content": "Hi"}], max_tokens=9)
        assert next(model.id for model in client.models.list()) == "swift"
