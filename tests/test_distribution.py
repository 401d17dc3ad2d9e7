"""What is given to others: the metadata, a source archive that is whole, and hints that name the distribution."""

import subprocess
import sys
import tarfile
import tomllib
from email import message_from_string
from pathlib import Path

import pytest

from nbkit.installed import name_distribution, name_extra

ROOT = Path(__file__).parents[1]
NAME = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["name"]


def run(*command, cwd):
    done = subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The source archive, unpacked."""
    pytest.importorskip("hatchling", reason="the test group brings it")
    folder = tmp_path_factory.mktemp("source")
    run("-c", f"from hatchling.build import build_sdist; build_sdist({str(folder)!r})", cwd=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def test_s17_the_distribution_has_a_name_of_its_own(source):
    assert source.name.startswith("nbkit_llm-")
    metadata = message_from_string((source / "PKG-INFO").read_text("utf-8"))
    assert metadata["Name"] == NAME == "nbkit-llm"
    assert metadata.get_all("Project-URL") == ["Model data, https://models.dev"]
    text = metadata.get_payload()
    assert "https://mybinder.org/v2/gh/OWNER/REPOSITORY/" in text
    assert "github.com/nbkit" not in text
    assert "gh/nbkit" not in text


def test_s18_the_source_archive_is_whole(source):
    for folder in ("docs", "binder", "benchmarks", "notebooks", "tests", ".ci"):
        here = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()}
        kept = {path for path in here if not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)}
        assert kept, folder
        assert [path for path in kept if path.suffix != ".pyc" and not (source / path).exists()] == []
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_docs.py", "tests/test_files.py", cwd=source)


def test_s17_hints_name_the_distribution_that_is_installed(tmp_path):
    """A copy whose metadata come first on the path, beside another project's command of that name."""
    for name, module in (("another", "another.cli"), ("nbkit_fork", "nbkit.cli.main")):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n", "utf-8"
        )
        (folder / "entry_points.txt").write_text(f"[console_scripts]\nnbkit = {module}:main\n", "utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from nbkit.installed import *; print(name_extra('nest'))"
    )
    assert run("-c", code, cwd=ROOT).strip() == "pip install 'nbkit-fork[nest]'"
    assert name_extra("bedrock") == f"pip install '{name_distribution()}[bedrock]'"


def test_s17_a_copy_that_is_not_installed_knows_its_name():
    code = "import sys; sys.path[1:] = [path for path in sys.path[1:] if 'site-packages' not in path]; "
    code += "from nbkit.installed import name_distribution; print(name_distribution())"
    assert run("-S", "-c", code, cwd=ROOT).strip() == NAME
