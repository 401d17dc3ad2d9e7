#!/usr/bin/env bash
# Calls the simulated models through a real LiteLLM proxy. The proxy has an environment of its own, of the dependency group
# `proxy`: its requirements are many and pinned. The tests run in the project's environment, or that of $PYTHON.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work"
"$work/bin/pip" install -q --upgrade pip
"$work/bin/pip" install -q --group proxy
NBKIT_TEST_LITELLM=$work/bin/litellm "$python" -m pytest tests/proxy
