"""Processes of the load test: starting, placing, weighing and ending them."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
# Debian keeps nginx and HAProxy where only root's PATH looks.
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


class Failed(Exception):
    """Something that ends a run, in words for the person who started it."""


def find(name):
    return shutil.which(name, path=SEARCH)


def cpus(text):
    """`0`, `0,2`, `0-3` as a set; `any` as None."""
    if text == "any":
        return None
    chosen = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        chosen.update(range(int(first), int(last or first) + 1))
    return chosen


def placed(on):
    """What to call in a child so that it stays on these processors."""
    return (lambda: os.sched_setaffinity(0, on)) if on else None


def free_ports(count):
    """Ports that nobody listens on, held all at once so that they differ."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


class Cpu:
    """Processor time in seconds: in ticks of 10 ms by user and system, in nanoseconds by thread."""

    def __init__(self, user, system, threads):
        self.user, self.system, self.threads = user, system, threads

    def since(self, before):
        """(user, system, all, all of threads called worker-N) between two looks, in seconds.

        All is exact where the kernel tells each thread's time. A thread that ended in between is
        missing there, so the ticks are believed when they say clearly more.
        """
        user, system = self.user - before.user, self.system - before.system
        spent = {key: ns - before.threads.get(key, 0) for key, ns in self.threads.items()}
        exact = sum(spent.values()) / 1e9
        worker = sum(ns for (_, name), ns in spent.items() if name.startswith("worker-")) / 1e9
        ticks = user + system
        return user, system, exact if exact > ticks - 4 / TICKS else ticks, worker


class Process:
    """One started program with everything it says in a log file."""

    def __init__(self, argv, folder, name, on=None, out=None, environment=None):
        self.name, self.log = name, Path(folder) / f"{name}.log"
        with open(self.log, "w") as log:
            self.child = subprocess.Popen(
                [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out or log, stderr=log,
                text=True, preexec_fn=placed(on), env={**os.environ, **(environment or {})})

    def said(self):
        return self.log.read_text(errors="replace")[-2000:]

    def await_port(self, port, seconds=15):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise Failed(f"{self.name} ended with {self.child.returncode} before it listened:\n{self.said()}")
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise Failed(f"{self.name} did not listen on {port} within {seconds} s:\n{self.said()}")

    def family(self):
        """Its pid and those of all that it started."""
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                fields = stat_fields(entry.name)
                if fields:
                    parents.setdefault(int(fields[1]), []).append(int(entry.name))
        found = [self.child.pid]
        for pid in found:
            found.extend(parents.get(pid, []))
        return found

    def cpu(self):
        """Processor time so far of it and all that it started."""
        family = self.family()
        fields = [f for f in map(stat_fields, family) if f]
        threads = [t for pid in family for t in threads_of(pid)]
        return Cpu(sum(int(f[11]) for f in fields) / TICKS, sum(int(f[12]) for f in fields) / TICKS, dict(threads))

    def memory_kib(self, kind="Pss"):
        """Its proportional set size and that of all it started, or the part of it that is of a kind.

        `Pss_Anon` leaves files out, whose pages several processes of one program share.
        """
        total = 0
        for pid in self.family():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{kind}:"))
        return total

    def place(self, on):
        """Moves it to these processors, or to any; where it was."""
        was = os.sched_getaffinity(self.child.pid)
        for thread in Path(f"/proc/{self.child.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), on or os.sched_getaffinity(0))
        return was

    def signal(self, number):
        self.child.send_signal(number)

    def end(self):
        """Ends it and what it started; asks first."""
        if self.child.poll() is not None:
            return
        family = self.family()
        self.child.terminate()
        try:
            self.child.wait(2)
        except subprocess.TimeoutExpired:
            pass
        for pid in family:
            if pid != self.child.pid or self.child.poll() is None:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        self.child.wait(5)


def stat_fields(pid):
    """The fields of /proc/PID/stat after the name: state, parent, …; None when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def threads_of(pid):
    """((thread, name), nanoseconds on a processor) for each thread; none where the kernel does not tell."""
    found = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return found
    for task in tasks:
        try:
            ns = int((task / "schedstat").read_text().split()[0])
            found.append(((int(task.name), (task / "comm").read_text().strip()), ns))
        except (OSError, ValueError):
            pass
    return found


def allow_files():
    """Raises the limit of open files as far as it goes, for all that is started; that limit."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def apart(options):
    """(proxy's, load's) processors, not the same ones: for what counts time that passes.

    The processors that were asked for, where they differ already or may be any; else the first two.
    """
    if options.proxy_cpus != options.load_cpus or options.proxy_cpus is None:
        return options.proxy_cpus, options.load_cpus
    there = sorted(os.sched_getaffinity(0))
    return ({there[0]}, {there[1]}) if len(there) > 1 else (options.proxy_cpus, options.load_cpus)


def client_ports(server_ports):
    """The local ports of all established connections on this machine to these ports."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote, state = fields[1], fields[2], fields[3]
        if state == "01" and int(remote.rpartition(":")[2], 16) in server_ports:
            found.add(int(local.rpartition(":")[2], 16))
    return found
