# SPDX-License-Identifier: GPL-3.0-or-later
"""server-states.py SOCKET: writes `NANOSECONDS SERVER STATE` whenever a server of HAProxy's `backend` changes, until ended.

The state is ready only while HAProxy sends it new requests."""
import socket, sys, time

seen = {}
while True:
    try:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(2)
        s.connect(sys.argv[1])
        s.sendall(b"show servers state backend\n")
        answer = b""
        while data := s.recv(65536):
            answer += data
    except OSError:
        time.sleep(0.01)
        continue
    now = time.time_ns()
    present = {}
    for line in answer.decode().splitlines():
        fields = line.split()
        if len(fields) > 7 and fields[1] == "backend":
            # operational state 0 is down, administrative state other than 0 is maintenance or drain
            present[fields[3]] = "ready" if fields[5] != "0" and fields[6] == "0" else "out"
    for server in sorted(present.keys() | seen.keys()):
        state = present.get(server, "absent")
        if seen.get(server) != state:
            print(now, server, state, flush=True)
        seen[server] = state
    time.sleep(0.01)
