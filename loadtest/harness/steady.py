"""What soak and chaos share: an instance with an admin API, origins that can die, and figures over time."""

import asyncio
import base64
import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from .process import Process, free_ports

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Instance:
    """A tidegate with its configuration file."""

    def __init__(self, binary, folder, text, http, admin, name="tidegate", environment=None, wrapper=()):
        self.folder, self.http, self.admin = Path(folder), http, admin
        self.file = self.folder / f"{name}.toml"
        self.write(text)
        argv = [*wrapper, binary, "run", "-c", self.file]
        self.process = Process(argv, folder, name, environment=environment)
        self.process.await_port(admin)
        self.process.await_port(http)

    def write(self, text):
        beside = self.file.with_suffix(".new")
        beside.write_text(text)
        os.replace(beside, self.file)

    def ask(self, path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}{path}", method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().decode()

    def reload(self, text):
        """Replaces the file; answers when it is live. What was answered where it is refused."""
        self.write(text)
        return json.loads(self.ask("/api/v1/config/reload", "POST"))

    def metric(self, name, **labels):
        """The sum of a family's samples that have these labels."""
        total = 0.0
        for line in self.ask("/metrics").splitlines():
            series, _, value = line.rpartition(" ")
            family, _, has = series.partition("{")
            if family == name and all(f'{key}="{value_}"' in has for key, value_ in labels.items()):
                total += float(value)
        return total

    def pid(self):
        """The proxy's own, not that of what wraps it."""
        return self.process.family()[-1]

    def resident_kib(self):
        status = Path(f"/proc/{self.pid()}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid()}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid()}/task"))


class Origin:
    """An HTTP/1 server that answers GET and POST, echoes WebSockets byte by byte, and can die."""

    def __init__(self, name):
        self.name, self.port = name, free_ports(1)[0]
        self.server, self.open = None, set()
        self.delay = 0.0

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, backlog=4096)

    async def die(self):
        """Ends without a word."""
        self.server.close()
        for writer in list(self.open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def serve(self, reader, writer):
        self.open.add(writer)
        try:
            while await self.exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def exchange(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        if fields.get(b"upgrade") == b"websocket":
            key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")).split(b": ")[1]
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                         b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            return False
        body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        if self.delay:
            await asyncio.sleep(self.delay)
        return await self.answer(head, body, writer)

    async def answer(self, head, body, writer):
        said = self.name.encode() + b" " + hashlib.sha256(body).hexdigest().encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
        await writer.drain()
        return True


class Cut(Exception):
    """An answer that ended before its end, or none at all."""


class Client:
    """An HTTP/1 connection; opens another one when the last is gone."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    async def ask(self, target="/", body=b"", fields=b"", patience=30):
        """(status, body). Raises `Cut` where the answer is not whole."""
        return await asyncio.wait_for(self._ask(target, body, fields), patience)

    async def _ask(self, target, body, fields):
        if self.writer is None or self.writer.is_closing() or self.reader.at_eof():
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        method = b"POST" if body else b"GET"
        head = b"%s %s HTTP/1.1\r\nHost: edge.test\r\n%sContent-Length: %d\r\n\r\n"
        try:
            self.writer.write(head % (method, target.encode(), fields, len(body)) + body)
            answer = await self.reader.readuntil(b"\r\n\r\n")
            while answer.startswith(b"HTTP/1.1 1"):
                answer = await self.reader.readuntil(b"\r\n\r\n")
            lower = answer.lower()
            at = lower.find(b"content-length: ")
            if at < 0:
                got = await self.chunks() if b"chunked" in lower else b""
            else:
                got = await self.reader.readexactly(int(answer[at + 16:].split(b"\r\n")[0]))
        except (OSError, ValueError, asyncio.IncompleteReadError) as problem:
            self.close()
            raise Cut(str(problem)) from None
        if b"connection: close" in lower:
            self.close()
        return int(answer[9:12]), got

    async def chunks(self):
        got = b""
        # The end of the connection is no size, and a `ValueError`.
        while size := int(await self.reader.readline() or b"x", 16):
            got += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return got

    def close(self):
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


async def websocket(port):
    """An open WebSocket through the proxy, as (reader, writer)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /ws HTTP/1.1\r\nHost: edge.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                 b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        raise Cut(f"no WebSocket: {head[:40]!r}")
    return reader, writer


async def echoes(socket):
    """Whether what is sent comes back; the proxy passes bytes on and looks at none of them."""
    reader, writer = socket
    sent = os.urandom(24)
    writer.write(sent)
    return await asyncio.wait_for(reader.readexactly(len(sent)), 20) == sent


class Samples:
    """Resident memory and descriptors over time."""

    def __init__(self, instance):
        self.instance, self.began, self.rows = instance, time.monotonic(), []

    def take(self, progress, **more):
        row = {"seconds": time.monotonic() - self.began, "progress": progress, "kib": self.instance.resident_kib(),
               "descriptors": self.instance.descriptors(), **more}
        self.rows.append(row)
        print(f"{row['seconds']:8.1f} s  {progress:>8}  {row['kib'] / 1024:8.1f} MiB  {row['descriptors']:6} descriptors"
              + "".join(f"  {key} {value}" for key, value in more.items()), flush=True)

    def growth_kib(self, warm=1 / 2):
        """By how much memory grew after a first part, by the line through what was seen: slope times length."""
        rows = self.rows[int(len(self.rows) * warm):]
        n = len(rows)
        if n < 3:
            return 0.0
        mean_x, mean_y = (n - 1) / 2, sum(row["kib"] for row in rows) / n
        above = sum((x - mean_x) * (row["kib"] - mean_y) for x, row in enumerate(rows))
        below = sum((x - mean_x) ** 2 for x in range(n))
        return above / below * (n - 1)

    def table(self, every=1):
        lines = ["| s | done | MiB | descriptors |", "|---|---|---|---|"]
        for n, row in enumerate(self.rows):
            if n % every == 0 or n == len(self.rows) - 1:
                lines.append(f"| {row['seconds']:.0f} | {row['progress']} | {row['kib'] / 1024:.1f} | {row['descriptors']} |")
        return "\n".join(lines)


def get(url):
    """The status of a URL; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0
