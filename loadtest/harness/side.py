#!/usr/bin/env python3
"""What stays open while everything else changes: a WebSocket and a slow download.

    side.py serve PORT PORT     both, for a proxy to stand in front of
    side.py websocket PORT S    talks for S seconds over one WebSocket; prints JSON
    side.py download PORT S     reads one download that takes S seconds; prints JSON

The server speaks both by hand, over the standard library. The WebSocket client is the `websockets`
package where it is installed, and else by hand as well; the JSON says which.
"""

import asyncio
import base64
import hashlib
import json
import os
import struct
import sys
import time

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
# The download in all, sent in pieces this often.
DOWNLOAD, PAUSE = 4 << 20, 0.05
SAY_EVERY = 0.02


def pattern(length):
    """Bytes that do not repeat within a read, so that a lost piece changes the digest."""
    return b"".join(struct.pack(">I", number) for number in range(length // 4))


def frame(payload, opcode=2, mask=b""):
    """One whole frame; `mask` is four bytes from a client, none from a server."""
    n = len(payload)
    head = bytes([0x80 | opcode])
    bit = 0x80 if mask else 0
    head += bytes([bit | n]) if n < 126 else bytes([bit | 126]) + struct.pack(">H", n)
    if mask:
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return head + mask + payload


async def read_frame(reader):
    """(opcode, payload) of the next frame."""
    first, second = await reader.readexactly(2)
    n = second & 0x7F
    if n == 126:
        n = struct.unpack(">H", await reader.readexactly(2))[0]
    elif n == 127:
        n = struct.unpack(">Q", await reader.readexactly(8))[0]
    mask = await reader.readexactly(4) if second & 0x80 else b""
    payload = await reader.readexactly(n)
    if mask:
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return first & 0x0F, payload


def fields_of(head):
    lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return lines[0], {name.lower(): value.strip() for name, _, value in pairs}


def accept_for(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


async def answer(reader, writer):
    try:
        while True:
            request, fields = fields_of(await reader.readuntil(b"\r\n\r\n"))
            path = request.split()[1]
            if path.startswith("/side/websocket") and "sec-websocket-key" in fields:
                accept = accept_for(fields["sec-websocket-key"])
                writer.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
                return await echo(reader, writer)
            if not path.startswith("/side/download/"):
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            seconds = float(path.rpartition("/")[2])
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {DOWNLOAD}\r\n\r\n".encode())
            pieces = max(1, int(seconds / PAUSE))
            whole, size = pattern(DOWNLOAD), -(-DOWNLOAD // pieces)
            for at in range(0, DOWNLOAD, size):
                writer.write(whole[at:at + size])
                await writer.drain()
                await asyncio.sleep(PAUSE)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def echo(reader, writer):
    while True:
        opcode, payload = await read_frame(reader)
        if opcode == 8:
            writer.write(frame(payload, opcode=8))
            return await writer.drain()
        if opcode in (1, 2):
            writer.write(frame(payload, opcode=opcode))
        elif opcode == 9:
            writer.write(frame(payload, opcode=10))
        await writer.drain()


async def serve(ports):
    servers = [await asyncio.start_server(answer, "127.0.0.1", port) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def by_library(port, seconds, websockets):
    async with websockets.connect(f"ws://127.0.0.1:{port}/side/websocket", proxy=None) as socket:
        async def say(text):
            await socket.send(text)
            return await socket.recv()
        seen = await talk(say, seconds)
    return {**seen, "client": f"websockets {websockets.__version__}", "close_code": socket.close_code}


async def by_hand(port, seconds):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(f"GET /side/websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    line, fields = fields_of(await reader.readuntil(b"\r\n\r\n"))
    if " 101 " not in line or fields.get("sec-websocket-accept") != accept_for(key):
        raise ConnectionError(f"no WebSocket: {line}")

    async def say(text):
        writer.write(frame(text, mask=os.urandom(4)))
        return (await read_frame(reader))[1]
    seen = await talk(say, seconds)
    writer.write(frame(struct.pack(">H", 1000), opcode=8, mask=os.urandom(4)))
    opcode, payload = await asyncio.wait_for(read_frame(reader), 5)
    code = struct.unpack(">H", payload[:2])[0] if opcode == 8 and len(payload) >= 2 else None
    writer.close()
    return {**seen, "client": "by hand", "close_code": code}


async def talk(say, seconds):
    """Says something small, sometimes something large, and wants to hear it again."""
    end, said, heard, slowest = time.monotonic() + seconds, 0, 0, 0.0
    while time.monotonic() < end:
        text = pattern(16384 if said % 10 == 9 else 64)
        began = time.monotonic()
        said += 1
        heard += await asyncio.wait_for(say(text), 10) == text
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(SAY_EVERY)
    return {"said": said, "heard": heard, "slowest_ms": round(1000 * slowest, 1)}


async def websocket(port, seconds):
    try:
        import websockets
        from websockets.asyncio.client import connect  # noqa: F401  (only the new client has `proxy`)
    except ImportError:
        return await by_hand(port, seconds)
    return await by_library(port, seconds, websockets)


async def download(port, seconds):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /side/download/{seconds} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    line, fields = fields_of(await reader.readuntil(b"\r\n\r\n"))
    digest, got, began = hashlib.sha256(), 0, time.monotonic()
    while got < int(fields.get("content-length", DOWNLOAD)):
        piece = await asyncio.wait_for(reader.read(65536), 10)
        if not piece:
            break
        digest.update(piece)
        got += len(piece)
    writer.close()
    right = digest.digest() == hashlib.sha256(pattern(DOWNLOAD)).digest()
    return {"status": line.split()[1], "bytes": got, "of": DOWNLOAD, "right": right,
            "seconds": round(time.monotonic() - began, 2)}


def main():
    command, *rest = sys.argv[1:]
    if command == "serve":
        return asyncio.run(serve([int(port) for port in rest]))
    what = {"websocket": websocket, "download": download}[command]
    try:
        print(json.dumps(asyncio.run(what(int(rest[0]), float(rest[1])))))
    except Exception as error:  # noqa: BLE001  (whatever it was, the harness wants to hear of it)
        print(json.dumps({"failed": f"{type(error).__name__}: {error}"}))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
