#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""'tepuy dial-stdio' ends with its caller, though the agent has nothing to say: dial-hangup.py TEPUY"""
import os
import socket
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory() as directory:
    path = directory + "/agent.sock"
    agent = socket.socket(socket.AF_UNIX)
    agent.settimeout(60)
    agent.bind(path)
    agent.listen()
    ours, theirs = socket.socketpair()  # as sshd gives its commands
    dial = subprocess.Popen([sys.argv[1], "dial-stdio"], stdin=theirs, stdout=theirs,
                            env=dict(os.environ, TEPUY_SOCKET=path))
    theirs.close()
    try:
        connection = agent.accept()[0]
        connection.settimeout(60)
        ours.sendall(b"hello")
        assert connection.recv(5) == b"hello"
        ours.close()
        dial.wait(60)
    finally:
        dial.kill()
        dial.wait()
