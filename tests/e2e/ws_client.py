# SPDX-License-Identifier: MIT
"""A WebSocket client of the tests' own, frame by frame."""
import base64
import json
import os
import socket
import struct

from harness import PATIENCE, equal

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class WebSocket:
    """status is that of the answer; when it is not 101, body is its body."""

    def __init__(self, port, target, context=None, origin=None, protocols=None):
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        if context is not None:
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                          f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                          "Sec-WebSocket-Version: 13\r\n"
                          f"{f'Origin: {origin}' if origin else 'X-None: '}\r\n"
                          f"{self.offer(protocols)}\r\n".encode())
        self.file = self.sock.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = headers = {}
        for line in iter(self.file.readline, b"\r\n"):
            name, value = line.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        if self.status != 101:
            self.body = self.file.read(int(headers["content-length"]))

    @staticmethod
    def offer(protocols):
        return f"Sec-WebSocket-Protocol: {', '.join(protocols)}\r\n" if protocols else ""

    def send(self, payload, kind=TEXT, fin=True):
        payload = payload.encode() if isinstance(payload, str) else payload
        n, mask = len(payload), os.urandom(4)
        size = (bytes([0x80 | n]) if n < 126 else struct.pack(">BH", 0xfe, n) if n < 65536
                else struct.pack(">BQ", 0xff, n))
        key = (mask * (n // 4 + 1))[:n]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(n, "big")
        self.sock.sendall(bytes([(0x80 if fin else 0) | kind]) + size + mask + masked)

    def ask(self, **request):
        self.send(json.dumps(request))

    def receive(self):
        """Kind and payload of the next frame; (None, b"") at the end."""
        head = self.file.read(2)
        if len(head) < 2:
            return None, b""
        n = head[1] & 127
        if n > 125:
            n = int.from_bytes(self.file.read(2 if n == 126 else 8), "big")
        return head[0] & 15, self.file.read(n)

    def json(self):
        kind, payload = self.receive()
        equal(kind, TEXT, "kind of frame")
        return json.loads(payload)

    def close(self):
        self.send(struct.pack(">H", 1000), CLOSE)
        equal(self.receive(), (CLOSE, struct.pack(">H", 1000)), "close")
        equal(self.receive(), (None, b""), "end")
