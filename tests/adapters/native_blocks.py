"""Answers of Anthropic with blocks that only its protocol has a form for, whole and as the events of a stream."""

import json

from answers import anthropic, block, delta

THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "cmVk"}
LEAD, DONE = {"type": "text", "text": "I look it up. "}, {"type": "text", "text": "It rains."}
SEARCH = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "rain"}}
RESULTS = {
    "type": "web_search_tool_result",
    "tool_use_id": "srv_1",
    "content": [{"type": "web_search_result", "url": "https://x", "title": "X", "encrypted_content": "ZW5j"}],
}
CITED = DONE | {
    "citations": [
        {
            "type": "web_search_result_location",
            "cited_text": "rain",
            "encrypted_index": "aW5k",
            "title": "X",
            "url": "https://x",
        }
    ]
}
FETCH = SEARCH | {"name": "web_fetch", "input": {"url": "https://x"}}
FETCHED = {
    "type": "web_fetch_tool_result",
    "tool_use_id": "srv_1",
    "content": {
        "type": "web_fetch_result",
        "url": "https://x",
        "retrieved_at": None,
        "content": {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Rain."}},
    },
}
CODE = SEARCH | {"name": "code_execution", "input": {"code": "1 + 1"}}
BASH = SEARCH | {"name": "bash_code_execution", "input": {"command": "ls"}}
EDIT = SEARCH | {"name": "text_editor_code_execution", "input": {"command": "view", "path": "a"}}
RAN = {"type": "code_execution_result", "return_code": 0, "stdout": "2", "stderr": "", "content": []}
FIND = SEARCH | {"name": "tool_search_tool_regex", "input": {"pattern": "rain"}}
MCP = {"type": "mcp_tool_use", "id": "mcp_1", "name": "rain", "server_name": "weather", "input": {"city": "Oslo"}}
MCP_RESULT = {
    "type": "mcp_tool_result",
    "tool_use_id": "mcp_1",
    "is_error": False,
    "content": [{"type": "text", "text": "Rain."}],
}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}}
BY_CODE = {"caller": {"type": "code_execution_20250825", "tool_id": "srv_1"}}
COMPACTION = {"type": "compaction", "content": "They spoke of rain.", "encrypted_content": "ZW5j"}


def ran(kind, **keys):
    return {"type": f"{kind}_tool_result", "tool_use_id": "srv_1", "content": RAN | {"type": f"{kind}_result"} | keys}


ANTHROPIC = {
    "a search with citations": ([THINKING, LEAD, SEARCH, RESULTS, THINKING, CITED], "end_turn"),
    "a fetch": ([FETCH, FETCHED, DONE], "end_turn"),
    "code": ([LEAD, CODE, ran("code_execution"), DONE], "end_turn"),
    "a shell": ([BASH, ran("bash_code_execution"), REDACTED, DONE], "end_turn"),
    "an editor": (
        [EDIT, {"type": "text_editor_code_execution_tool_result", "tool_use_id": "srv_1",
                "content": {"type": "text_editor_code_execution_view_result", "file_type": "text", "content": "a"}},
         DONE], "end_turn"),
    "a search for tools": (
        [FIND, {"type": "tool_search_tool_result", "tool_use_id": "srv_1", "content": {
            "type": "tool_search_tool_search_result",
            "tool_references": [{"type": "tool_reference", "tool_name": "f"}]}}, USE], "tool_use"),
    "MCP": ([MCP, MCP_RESULT, DONE], "end_turn"),
    "a file of the container": (
        [CODE, ran("code_execution"), {"type": "container_upload", "file_id": "f"}], "end_turn"),
    "a compaction": ([COMPACTION, DONE], "end_turn"),
    "nothing but a compaction": ([COMPACTION], "compaction"),
    "a pause behind results": ([LEAD, SEARCH, RESULTS], "pause_turn"),
    "a pause before results": ([LEAD, SEARCH], "pause_turn"),
    "a pause of text alone": ([DONE], "pause_turn"),
    "own tools beside the caller's": ([LEAD, SEARCH, USE], "tool_use"),
    "calls made by code": ([LEAD, CODE, USE | BY_CODE, USE | BY_CODE | {"id": "toolu_2"}], "tool_use"),
    "citations of a document": (
        [LEAD, DONE | {"citations": [{"type": "char_location", "cited_text": "rain", "document_index": 0,
                                      "document_title": None, "start_char_index": 0, "end_char_index": 4}]}],
        "end_turn"),
    "two texts": ([DONE, SEARCH, RESULTS, DONE, DONE], "end_turn"),
}  # fmt: skip


def stream_blocks(blocks, stop, container):
    events = []
    for index, one in enumerate(blocks):
        match one["type"]:
            case "text":
                events += [block(index, "text", text="", citations=None)]
                events += [delta(index, "text", text=piece) for piece in (one["text"][:3], one["text"][3:])]
                events += [delta(index, "citations", citation=citation) for citation in one.get("citations", ())]
            case "thinking":
                events += [block(index, "thinking", thinking="", signature="")]
                events += [delta(index, "thinking", thinking=one["thinking"])]
                events += [delta(index, "signature", signature=one["signature"])]
            case "server_tool_use" | "mcp_tool_use" | "tool_use":
                given = json.dumps(one["input"])
                keys = {key: value for key, value in one.items() if key != "type"} | {"input": {}}
                events += [block(index, one["type"], **keys)]
                events += [delta(index, "input_json", partial_json=piece) for piece in (given[:4], given[4:])]
            case "compaction":
                events += [block(index, "compaction", content=None)]
                events += [delta(index, "compaction", **{key: one[key] for key in ("content", "encrypted_content")})]
            case _:
                events += [{"type": "content_block_start", "index": index, "content_block": one}]
    end = anthropic(*events, stop=stop)
    end[-2]["delta"] |= {"container": container}
    return end
