"""What every peer has: where it listens and whom it sends to, and how it is started."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..process import Process, find

# Clients at once that every peer allows, where a scenario does not need more.
CLIENTS = 8192


@dataclass
class Setup:
    """Where a peer listens and whom it sends to."""

    folder: Path
    http: int
    https: int
    admin: int
    blue: str
    green: str
    cert: Path | None
    key: Path | None
    workers: int
    weights: tuple = (95, 5)
    side: tuple | None = None       # two more addresses, for /side/: the tunnel and the download
    clients: int = CLIENTS          # connections of clients at once


class Peer:
    """A proxy that was found; `start` it, and it has a process."""

    reloads = False
    # What the program is called, and the variable that names another one.
    program, variable = None, None
    # Which line of what it says about its version tells it.
    version_line = ""

    def __init__(self, binary, setup, on):
        self.binary, self.setup, self.on, self.process = binary, setup, on, None

    def write(self, name, text):
        """Puts a file in place whole: whoever reads it sees the old or the new."""
        path, new = self.setup.folder / name, self.setup.folder / f"{name}.new"
        new.write_text(text)
        new.rename(path)
        return path

    def start(self, patience=30):
        self.process = Process(self.command(), self.setup.folder, self.name, self.on, environment=self.surroundings())
        try:
            self.process.await_port(self.setup.http, patience)
        except Exception:
            self.process.end()
            raise
        return self

    def surroundings(self):
        """Variables of the environment that it needs."""
        return {}

    @classmethod
    def find(cls):
        return os.environ.get(cls.variable) or find(cls.program)

    @classmethod
    def version(cls, binary):
        try:
            done = subprocess.run([binary, cls.version_option], capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired) as problem:
            return f"unknown ({problem})"
        said = (done.stdout + done.stderr).replace(str(binary), "")
        lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
        return next((line for line in lines if cls.version_line in line), lines[0] if lines else "unknown")
