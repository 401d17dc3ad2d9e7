"""The workflow files of GitHub: they parse, and what they run exists."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from nbkit.cli.main import main
from nbkit.modelsdev import snapshot
from nbkit.modelsdev.current import current_snapshot
from nbkit.providers.credentials import key_variables

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def read_steps(path):
    (job,) = yaml.safe_load(path.read_text("utf-8"))["jobs"].values()
    return job["steps"]


@each_file
def test_a_workflow_has_a_start_little_rights_and_an_end(path):
    flow = yaml.safe_load(path.read_text("utf-8"))
    assert flow["name"] == path.stem
    assert flow[True]  # YAML's reading of `on`
    assert flow["permissions"]["contents"] == "read"
    assert all(job["timeout-minutes"] for job in flow["jobs"].values())
    assert [step for step in read_steps(path) if ("uses" in step) == ("run" in step)] == []


@each_file
def test_the_files_and_commands_that_it_runs_exist(path):
    for line in (line for step in read_steps(path) for line in step.get("run", "").splitlines()):
        words = shlex.split(line.split("||")[0].split(">")[0], comments=True)
        assert [word for word in words if word.startswith(("tests/", ".ci/")) and not (ROOT / word).exists()] == []
        if words[:1] == ["nbkit"]:
            with pytest.raises(SystemExit) as ended:
                main([words[1], "--help"])
            assert ended.value.code == 0


def test_what_the_catalogs_workflow_does(tmp_path, capsys):
    """Its two commands, with the bundled snapshot in the place of models.dev."""
    new = tmp_path / "new.snapshot"
    new.write_bytes(snapshot.BUNDLED.read_bytes())
    assert main(["changes", "bundled", str(new)]) == 1
    out, why = capsys.readouterr()
    assert (out, "no changes" in why) == ("", True)


def test_the_secrets_of_live_calls_are_keys_of_the_catalog():
    text = (ROOT / ".github" / "workflows" / "live.yml").read_text("utf-8")
    secrets = re.findall(r"(\w+): \$\{\{ secrets\.(\w+) \}\}", text)
    known = {name for provider in current_snapshot().providers.values() for name in key_variables(provider.env)}
    assert len(secrets) > 5
    assert [pair for pair in secrets if pair[0] != pair[1] or pair[0] not in known] == []
