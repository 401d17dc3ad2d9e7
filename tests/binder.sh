#!/usr/bin/env bash
# Does what Binder does with this repository: a fresh environment of the Python in binder/runtime.txt (or, where this machine
# has none, of python3), binder/requirements.txt installed from the repository's root, and the quickstart run from top to
# bottom. Prints where it stands; exits with 1 when something fails.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python=$(sed 's/-//' binder/runtime.txt)
command -v "$python" >/dev/null && "$python" -c "" 2>/dev/null || python=python3
echo "binder: $("$python" --version), requirements from binder/requirements.txt"
"$python" -m venv "$work/env"
"$work/env/bin/pip" install -q -r binder/requirements.txt
mkdir "$work/home"
cd "$work" # nothing of the repository is importable here: the installed package runs
HOME=$work/home NBKIT_OFFLINE=1 NBKIT_DEMO_TOKENS_PER_SECOND=0 "$work/env/bin/jupyter" nbconvert \
  --log-level=WARN --to notebook --execute --output-dir "$work" --output ran.ipynb "$OLDPWD/notebooks/quickstart.ipynb"
"$work/env/bin/jupyter" lab --version >/dev/null
"$work/env/bin/python" - "$work/ran.ipynb" <<'CHECK'
import json, sys
cells = [cell for cell in json.load(open(sys.argv[1]))["cells"] if cell["cell_type"] == "code"]
assert cells and all(cell["execution_count"] for cell in cells)
print(f"binder: the quickstart ran, {len(cells)} cells")
CHECK
