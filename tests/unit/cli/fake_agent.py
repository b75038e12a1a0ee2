# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent for tests: speaks docs/api.md on a Unix socket, answers what a test told it to, keeps what it was asked."""
import http.server
import json
import os
import re
import socketserver
import struct
import sys
import threading
import urllib.parse


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Reply:
    """A status and a JSON body, or raw text."""

    def __init__(self, status, body=None, text=None):
        self.status, self.body, self.text = status, body, text


class Stream:
    """Lines of NDJSON; an Event among them is waited for; hold: the connection stays open at the end."""

    def __init__(self, lines, hold=False):
        self.lines, self.hold = lines, hold


class Exec:
    """A session: gets a Frames object."""

    def __init__(self, run):
        self.run = run


class Frames:
    def __init__(self, rfile, wfile):
        self.rfile, self.wfile = rfile, wfile

    def send(self, kind, data=b""):
        while len(data) > 65536:
            self.send(kind, data[:65536])
            data = data[65536:]
        self.wfile.write(kind.encode() + struct.pack(">I", len(data)) + data)
        self.wfile.flush()

    def receive(self):
        head = self.rfile.read(5)
        if len(head) < 5:
            return None, b""
        return chr(head[0]), self.rfile.read(struct.unpack(">I", head[1:])[0])

    def exit(self, status):
        self.send("4", struct.pack(">I", status))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def stream(self, answer):
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in answer.lines:
            if isinstance(line, threading.Event):
                line.wait(10)
                continue
            data = line if isinstance(line, bytes) else json.dumps(line).encode()
            self.chunk(data + b"\n")
        if answer.hold:
            self.server.agent.closing.wait(10)
        self.chunk(b"")

    def session(self, answer):
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tepuy-exec\r\nConnection: Upgrade\r\n\r\n")
        self.wfile.flush()
        answer.run(Frames(self.rfile, self.wfile))
        self.close_connection = True

    def plain(self, answer):
        data = answer.text.encode() if answer.text is not None else b""
        if answer.body is not None:
            data = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def handle_one(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        answer = self.server.agent.answer(self.command, self.path, body)
        if isinstance(answer, Stream):
            self.stream(answer)
        elif isinstance(answer, Exec):
            self.session(answer)
        else:
            self.plain(answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one


class FakeAgent:
    """Routes are (method, regular expression of the whole path with query) -> answer, or a list: one for each request."""

    def __init__(self, socket):
        self.socket, self.routes, self.requests = socket, [], []
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self.server = Server(socket, Handler)
        self.server.agent = self
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def on(self, method, path, answer):
        self.routes.append((method, re.compile(path + r"\Z"), answer))

    def answer(self, method, path, body):
        path = urllib.parse.unquote(path)
        with self.lock:
            try:
                content = json.loads(body) if body else None
            except (ValueError, UnicodeDecodeError):
                content = body
            self.requests.append((method, path, content))
            for route_method, pattern, answer in self.routes:
                if route_method != method or not pattern.match(path):
                    continue
                if isinstance(answer, list):
                    answer = answer.pop(0) if len(answer) > 1 else answer[0]
                return answer(content) if callable(answer) else answer
        return Reply(404, {"error": "There is no such thing: " + path, "code": "ENOENT"})

    def asked(self, method, path=""):
        return [r for r in self.requests if r[0] == method and path in r[1]]

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        os.unlink(self.socket)
