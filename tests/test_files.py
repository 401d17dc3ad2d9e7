"""Files that are written whole or not at all, and never another user's."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from nbkit.files import check_owner, make_private_directory, write_atomically

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no modes")
NOBODY = 65534


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_file_is_this_users_alone_unless_a_mode_is_given(tmp_path):
    write_atomically(tmp_path / "a" / "one", b"1")
    write_atomically(tmp_path / "a" / "two", b"2", mode=0o644)
    assert {path.name: mode(path) for path in (tmp_path / "a").iterdir()} == {"one": 0o600, "two": 0o644}
    assert mode(tmp_path / "a") == 0o700


def test_a_file_is_replaced_whole_with_its_mode(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before, and longer")
    path.chmod(0o666)
    write_atomically(path, b"after")
    assert (path.read_bytes(), mode(path), list(tmp_path.iterdir())) == (b"after", 0o600, [path])


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path):
    (tmp_path / "target").write_bytes(b"another file")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", b"new")
    assert not (tmp_path / "link").is_symlink()
    assert ((tmp_path / "link").read_bytes(), (tmp_path / "target").read_bytes()) == (b"new", b"another file")


def test_a_write_that_fails_leaves_the_file_and_nothing_else(tmp_path):
    (tmp_path / "taken" / "by a directory").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "taken", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_long_names_can_be_written(tmp_path):
    write_atomically(tmp_path / ("x" * 250), b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["x" * 250]


@pytest.mark.parametrize(("bits", "closed"), [(0o600, True), (0o644, True), (0o620, False), (0o602, False)])
def test_a_file_that_others_can_write_is_not_closed(tmp_path, bits, closed):
    path = tmp_path / "file"
    path.touch()
    path.chmod(bits)
    check_owner(path.stat())
    if closed:
        check_owner(path.stat(), closed=True)
    else:
        with pytest.raises(PermissionError, match="others can write to it"):
            check_owner(path.stat(), closed=True)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a directory away")
def test_another_users_directory_is_refused_also_behind_a_link(tmp_path):
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", NOBODY, NOBODY)
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    for name in ("theirs", "link"):
        with pytest.raises(PermissionError, match=f"{name}: it belongs to another user"):
            make_private_directory(tmp_path / name)


def test_a_private_directory_is_made_with_its_parents(tmp_path):
    for _ in range(2):
        make_private_directory(tmp_path / "a" / "b" / "c")
    assert [mode(tmp_path / place) for place in ("a", "a/b", "a/b/c")] == [0o700] * 3
    (tmp_path / "link").symlink_to(tmp_path / "a")  # a cache that its user keeps elsewhere
    make_private_directory(tmp_path / "link")
    write_atomically(tmp_path / "link" / "file", b"1")
    assert (tmp_path / "a" / "file").read_bytes() == b"1"


@pytest.mark.parametrize(("bits", "refused"), [(0o777, True), (0o1777, True), (0o702, True), (0o2770, False)])
def test_a_directory_that_everybody_can_write_to_is_refused(tmp_path, bits, refused):
    tmp_path.chmod(bits)
    if refused:
        with pytest.raises(PermissionError, match="everybody can write to it"):
            make_private_directory(tmp_path)
    else:  # a volume of Kubernetes
        make_private_directory(tmp_path)


WRITER = """
import sys
from pathlib import Path
from nbkit.files import write_atomically

path = Path(sys.argv[1])
while True:
    for letter in b"ab":
        write_atomically(path, bytes([letter]) * 3_000_000)
        print(flush=True)
"""


def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path):
    path = tmp_path / "file"
    for writes in range(1, 9):
        with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as writer:
            for _ in range(writes):
                writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
        assert path.read_bytes() in (b"a" * 3_000_000, b"b" * 3_000_000)
    left = [one for one in tmp_path.iterdir() if one != path]
    assert {mode(one) for one in left} <= {0o600}

    (tmp_path / ".file.0123abcd").touch()
    (tmp_path / ".other.0123abcd").touch()
    long_ago = time.time() - 7200
    for one in tmp_path.iterdir():
        os.utime(one, (long_ago, long_ago))
    (tmp_path / ".file.new").touch()  # of a writer that is at work
    write_atomically(path, b"c")
    assert {one.name for one in tmp_path.iterdir()} == {"file", ".file.new", ".other.0123abcd"}
