"""A PostgreSQL server for the tests, from Debian's package; without it they are skipped, and say so."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


class Server:
    """A server on 127.0.0.1 in a folder of its own, which is not root's: PostgreSQL refuses to run as root."""

    def __init__(self, binaries, folder):
        self.binaries, self.folder = binaries, folder
        self.account = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        if self.account:
            shutil.chown(folder, "postgres", "postgres")
        (folder / "password").write_text("canary/@?%")
        (folder / "password").chmod(0o644)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"postgresql://nbkit:canary%2F%40%3F%25@127.0.0.1:{self.port}"
        self.run("initdb", "-D", folder / "data", "-U", "nbkit", "-A", "scram-sha-256", "--pwfile", folder / "password")

    def run(self, name, *arguments):
        command = [self.binaries / name, *arguments]
        with (self.folder / "log.txt").open("a") as log:  # not a pipe, which the server would keep open
            done = subprocess.run(command, cwd=self.folder, stdout=log, stderr=log, check=False, **self.account)
        assert done.returncode == 0, (self.folder / "log.txt").read_text()

    def start(self):
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder} -F"
        self.run(
            "pg_ctl",
            "-D",
            self.folder / "data",
            "-w",
            "-t",
            "120",
            "-l",
            self.folder / "server.txt",
            "-o",
            options,
            "start",
        )

    def stop(self):
        self.control("-m", "immediate", "stop")

    def control(self, *arguments):
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-t", "120", *arguments)

    def make_database(self):
        """Make an empty database and return its address."""
        import psycopg

        name = f"team{time.monotonic_ns()}"
        with psycopg.connect(f"{self.address}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{self.address}/{name}"


@pytest.fixture(scope="session")
def server():
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "")]
    if not places[-1].name:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with tempfile.TemporaryDirectory(prefix="nbkit-postgres-") as folder:
        one = Server(places[-1].parent, Path(folder))
        one.start()
        yield one
        one.stop()


@pytest.fixture
def database(server):
    """The address of a new database, which is the ledger while the test runs."""
    from nbkit.settings import override

    address = server.make_database()
    with override(ledger=address):
        yield address
