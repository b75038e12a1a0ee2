# SPDX-License-Identifier: GPL-3.0-or-later
"""Talks to an emulated machine of tests/lab/xen.sh through QEMU's sockets.

  qemu.py monitor SOCKET COMMAND…         commands of QEMU's monitor, each to its end; status 1 when one complains
  qemu.py exec SOCKET SECONDS WORD…       runs a program as root in the machine, without its network: through the agent
                                          that Debian calls qemu-guest-agent; its output and status become ours
  qemu.py script SOCKET SECONDS           the same with `sh -s` and our standard input
"""
import base64
import contextlib
import itertools
import json
import os
import socket
import sys
import time

PAUSE = 0.1


def connect(path, deadline):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(max(0.1, deadline - time.monotonic()))
    s.connect(path)
    return s


class Lines:
    """Lines of JSON, both ways."""

    def __init__(self, s):
        self.s, self.rest = s, b""

    def send(self, what, before=b""):
        self.s.sendall(before + json.dumps(what).encode() + b"\n")

    def until(self, mark):
        while mark not in self.rest:
            more = self.s.recv(65536)
            if not more:
                raise OSError("the other end closed the connection")
            self.rest += more
        line, self.rest = self.rest.split(mark, 1)
        return line

    def answer(self):
        while True:
            said = json.loads(self.until(b"\n"))
            if "return" in said:
                return said["return"]
            if "error" in said:
                raise RuntimeError(said["error"].get("desc", str(said["error"])))


def monitor(path, commands):
    lines = Lines(connect(path, time.monotonic() + 900))
    lines.until(b"\n")
    lines.send({"execute": "qmp_capabilities"})
    lines.answer()
    failed = False
    for command in commands:
        if command == "quit":
            # Not gone before it was read: that is when the other end is, which may not wait for what we say.
            lines.send({"execute": "quit"})
            with contextlib.suppress(ConnectionError):
                while lines.s.recv(65536):
                    pass
            break
        lines.send({"execute": "human-monitor-command", "arguments": {"command-line": command}})
        said = lines.answer()
        sys.stdout.write(said)
        failed |= said.startswith("Error")
    return 1 if failed else 0


numbers = itertools.count(os.getpid() * 1000)


def agent(path, deadline):
    """A connection to the agent that has answered: what was under way before, or before a snapshot, is dropped."""
    while True:
        s = None
        try:
            s = connect(path, deadline)
            s.settimeout(max(0.1, min(20, deadline - time.monotonic())))
            lines, number = Lines(s), next(numbers)
            lines.send({"execute": "guest-sync-delimited", "arguments": {"id": number}}, b"\xff")
            while True:
                lines.until(b"\xff")
                if json.loads(lines.until(b"\n")).get("return") == number:
                    s.settimeout(max(0.1, deadline - time.monotonic()))
                    return lines
        except (OSError, ValueError) as why:
            if s:
                s.close()
            if time.monotonic() >= deadline:
                raise TimeoutError(f"the machine's agent does not answer: {why}") from why
            time.sleep(PAUSE)


def run(path, seconds, words, given):
    deadline = time.monotonic() + float(seconds)
    lines = agent(path, deadline)
    arguments = {"path": words[0], "arg": words[1:], "capture-output": True}
    if given is not None:
        arguments["input-data"] = base64.b64encode(given).decode()
    lines.send({"execute": "guest-exec", "arguments": arguments})
    pid = lines.answer()["pid"]
    while True:
        lines.send({"execute": "guest-exec-status", "arguments": {"pid": pid}})
        now = lines.answer()
        if now["exited"]:
            break
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{words[0]} did not end in {seconds} s")
        time.sleep(PAUSE)
    sys.stdout.buffer.write(base64.b64decode(now.get("out-data", "")))
    sys.stderr.buffer.write(base64.b64decode(now.get("err-data", "")))
    return now["exitcode"] if "exitcode" in now else 128 + now.get("signal", 0)


def main(words):
    try:
        if len(words) >= 3 and words[0] == "monitor":
            return monitor(words[1], words[2:])
        if len(words) >= 4 and words[0] == "exec":
            return run(words[1], words[2], words[3:], None)
        if len(words) == 3 and words[0] == "script":
            return run(words[1], words[2], ["/bin/sh", "-s"], sys.stdin.buffer.read())
    except (OSError, RuntimeError, ValueError) as why:
        print(f"qemu.py: {why}", file=sys.stderr)
        return 125
    print(__doc__, file=sys.stderr)
    return 2


sys.exit(main(sys.argv[1:]))
