# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad requests to the agent's socket, 200 connections at once and clients that say nothing: faults-input.py SOCKET."""
import json
import socket
import sys
import threading
import time

PATH = sys.argv[1]
problems = []


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(PATH)
    return s


def ask(raw):
    """The status and the body of the answer to these bytes; 0 when the agent closes without a word."""
    answer = b""
    s = connect()
    try:
        s.sendall(raw)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before all of it was sent
    try:
        while data := s.recv(65536):
            answer += data
            head, _, body = answer.partition(b"\r\n\r\n")
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:") and len(body) >= int(line.split(b":")[1]):
                    return int(head.split()[1]), body
    except (TimeoutError, ConnectionResetError):
        pass
    finally:
        s.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), body


def request(method, path, body=b"", more=""):
    head = f"{method} {path} HTTP/1.1\r\nHost: tepuy\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode("latin-1") + body


def expect(what, wanted, raw):
    status, body = ask(raw)
    if status not in wanted:
        problems.append(f"{what}: status {status}, wanted {wanted}")
    elif status >= 400 and status not in (405, 400, 413, 414, 431) or (status == 400 and body.startswith(b"{")):
        answer = json.loads(body)
        if not answer["error"].strip() or not answer["code"]:
            problems.append(f"{what}: no sentence in {answer}")


def alive(when):
    started = time.monotonic()
    status, _ = ask(request("GET", "/v1/version"))
    if status != 200:
        problems.append(f"{when}: the version is not answered, status {status}")
    elif time.monotonic() - started > 15:  # others on this machine included; less than any of the agent's own bounds
        problems.append(f"{when}: the version took {time.monotonic() - started:.1f} s")


def bad_requests():
    spec = b'{"spec":' + b"[" * 50000 + b"]" * 50000 + b"}"
    expect("no such path", {404}, request("GET", "/v1/nothing"))
    expect("a path out of the tree", {404}, request("GET", "/../../etc/passwd"))
    expect("a long path", {404, 414, 0}, request("GET", "/" + "a" * 100000))
    expect("the wrong method", {405}, request("DELETE", "/v1/version"))
    expect("no JSON", {400}, request("PUT", "/v1/service/x", b"{"))
    expect("JSON that is no object", {400}, request("PUT", "/v1/service/x", b"[]"))
    expect("JSON with a key twice", {400}, request("PUT", "/v1/service/x", b'{"spec":{},"spec":{}}'))
    expect("JSON with NUL", {400}, request("PUT", "/v1/service/x", b'{"spec":"\\u0000"}'))
    expect("no UTF-8", {400}, request("PUT", "/v1/service/x", b'{"spec":"\xff\xfe"}'))
    expect("deep JSON", {400}, request("PUT", "/v1/service/x", spec))
    expect("an empty spec", {400}, request("PUT", "/v1/service/x", b'{"spec":{},"index":0}'))
    expect("a spec of wrong types", {400},
           request("PUT", "/v1/service/x", b'{"spec":{"service":1,"components":[],"revision":"x"},"index":-1}'))
    expect("a plan without a spec", {400}, request("POST", "/v1/service/x/plan", b"{}"))
    expect("a bundle that lies", {400}, request("PUT", "/v1/bundle/" + "0" * 64, b"x" * 1000))
    expect("a bundle with no name", {400, 404}, request("PUT", "/v1/bundle/..%2f..%2fx", b"x"))
    expect("a body of 5 MiB where 4 are the most", {413}, request("PUT", "/v1/service/x", b" " * (5 << 20)))
    expect("a check for nobody", {400, 404}, request("PUT", "/v1/check/none/x", b'{"check":{"kind":"tcp"}}'))
    expect("a check of an unknown kind", {400, 404}, request("PUT", "/v1/check/none", b'{"check":{"kind":"?"}}'))
    expect("a rollback to nothing", {404, 400}, request("POST", "/v1/service/none/rollback", b'{"revision":99}'))
    expect("a service with an odd name", {400, 404}, request("POST", "/v1/service/..%2F..%2Fleader/down", b"{}"))
    expect("a target with a line break", {400, 404}, request("GET", "/v1/logs/a%0Ab"))
    expect("an exec without its upgrade", {400, 404, 426}, request("POST", "/v1/exec/none/x/1", b'{"argv":["true"]}'))
    expect("an exec with no command", {400, 404}, request("POST", "/v1/exec/none/x/1", b'{"argv":[]}'))
    expect("a number that is none", {400, 200}, request("GET", "/v1/events?tail=abc&service=x"))
    expect("no HTTP", {400, 0}, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500 + b"\r\n\r\n")
    expect("two lengths", {400, 0}, b"PUT /v1/service/x HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n"
           b"Content-Length: 90\r\n\r\n{}")
    expect("a negative length", {400, 413, 0}, b"PUT /v1/service/x HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n")


def many():
    """200 connections at once, each with a question: all are answered."""
    statuses = []
    go = threading.Barrier(200)

    def one():
        go.wait()
        try:
            statuses.append(ask(request("GET", "/v1/version"))[0])
        except OSError as error:
            statuses.append(str(error))

    threads = [threading.Thread(target=one) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if statuses.count(200) != 200:
        problems.append(f"200 connections at once: answered {statuses.count(200)}, others {set(statuses) - {200}}")


def silent():
    """More silent clients than the agent takes at once: it sends them away in time, then answers again."""
    clients = []
    for _ in range(300):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(2)
        try:
            s.connect(PATH)
            s.sendall(b"PUT /v1/service/x HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{")
        except OSError:
            pass
        clients.append(s)
    until = time.monotonic() + 90
    answered = False
    while not answered and time.monotonic() < until:
        try:
            answered = ask(request("GET", "/v1/version"))[0] == 200
        except OSError:
            pass
        time.sleep(0.5)
    if not answered:
        problems.append("with 300 silent clients: the version is not answered within 90 s")
    time.sleep(1)
    alive("with 300 silent clients")
    for s in clients:
        s.close()


def slow():
    s = connect()
    s.sendall(b"GET /v1/ver")
    alive("with a slow client")
    time.sleep(1)
    s.sendall(b"sion HTTP/1.1\r\nHost: t\r\n\r\n")
    if b" 200 " not in s.recv(200):
        problems.append("a slow client gets no answer")
    s.close()


def gone():
    """Clients that follow something and vanish."""
    for path in ("/v1/events?follow=1", "/v1/watch", "/v1/watch?service=x"):
        for _ in range(20):
            s = connect()
            s.sendall(request("GET", path))
            s.close()
    alive("after clients that vanished")


for step in (bad_requests, many, slow, gone, silent):
    step()
    alive(f"after {step.__name__}")
for problem in problems:
    print(problem)
sys.exit(1 if problems else 0)
