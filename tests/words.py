"""The house's words: `python tests/words.py nbkit/http` lists what breaks them, and tests/test_house.py wants none.

A name says what a thing is (a noun) or what a function does (a verb). Words that tell a story instead are out, and so
are participles as the names of functions: `encode_turns`, not `_written`.
"""

import ast
import io
import re
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1]
PUBLIC = {"parsed", "trimmed"}
"""Public methods: `ToolCall.parsed`, named like the property of completions, and `Conversation.trimmed`."""
STORY = {"said", "told", "asked", "way", "ways", "found", "heard", "came", "gone", "meant", "begun"}
VERBS = {"feed", "embed", "need", "seed", "speed", "proceed", "open", "listen", "shorten", "flatten", "happen", "widen"}
VERBS |= {"loosen"}
PARTICIPLE = re.compile(r"[a-z]+(ed|en|wn)|made|built|kept|sent|left|held|read_as|spelt|put_together")
PRONOUN = re.compile(r"(What|Who|That|Those|Which) \w+ \w+")
PROSE = [  # pattern in comments, docstrings and messages -> what to write instead
    (re.compile(r"\b(?:is|are|was|were|am) no (?!longer\b|more\b|less\b|such\b)[a-z]", re.I), "is not a ..."),
    (re.compile(r"\b(?:knows?|has|have|needs?|counts?|says?) not\b", re.I), "does not know ..."),
    (re.compile(r"\bis none of\b", re.I), "is not one of / unknown ..."),
    (re.compile(r"\bhas to be told\b", re.I), "must be told"),
]


def names(tree):
    """(line, name, whether it is a function that is not a property) of what a file defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = {ast.unparse(mark).split("(")[0].split(".")[-1] for mark in node.decorator_list}
            yield (
                node.lineno,
                node.name,
                not marks & {"property", "cached_property", "fixture", "validate", "contextmanager"},
            )
            every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg)
            yield from ((arg.lineno, arg.arg, False) for arg in every if arg)
        elif isinstance(node, ast.ClassDef):
            yield node.lineno, re.sub(r"(?<!^)(?=[A-Z])", "_", node.name).lower(), False
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id, False
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr, False


def prose(text):
    """(line, text) of comments and strings."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING) or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            yield token.start[0], token.string


def problems(path, *, functions=True):
    """What breaks the rules in a file, a line each. `functions`: also those named by participles."""
    text = path.read_text("utf-8")
    for line, name, acts in names(ast.parse(text)):
        words = name.strip("_").split("_")
        if name.startswith("__"):  # Python's own names
            continue
        if path.stem not in ("errors",) and STORY & set(words) and not name.endswith("not_found"):
            yield f"{path}:{line}: the name {name!r}"
        if functions and acts and name not in PUBLIC and words[0] not in VERBS and PARTICIPLE.fullmatch(words[0]):
            yield f"{path}:{line}: the function {name!r} is not a verb"
    for node in ast.walk(ast.parse(text)):
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if functions and isinstance(node, kinds) and (start := PRONOUN.match(ast.get_docstring(node) or "")):
            yield f"{path}:{getattr(node, 'lineno', 1)}: a docstring begins with {start[0]!r}, not a noun or verb"
    for line, words in prose(text):
        for pattern, instead in PROSE:
            if bad := pattern.search(words):
                yield f"{path}:{line}: {bad[0]!r}; write {instead!r}"


if __name__ == "__main__":
    for place in sys.argv[1:] or ["nbkit"]:
        where = Path(place)
        for file in sorted(where.rglob("*.py")) if where.is_dir() else [where]:
            for problem in problems(file, functions=not str(file).startswith("tests")):
                print(problem)
