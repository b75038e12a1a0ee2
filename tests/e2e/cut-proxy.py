# SPDX-License-Identifier: GPL-3.0-or-later
"""cut-proxy.py PORT TO-HOST:PORT [BYTES]: a TCP relay whose first connection over BYTES towards the client is cut there.

Stands for a link that breaks. Without BYTES it cuts nothing. Ends with its standard input's program (SIGTERM)."""
import socket
import sys
import threading

port, to = int(sys.argv[1]), sys.argv[2].rsplit(":", 1)
cut = [int(sys.argv[3])] if len(sys.argv) > 3 else []


def relay(source, sink, limited):
    passed = 0
    try:
        while data := source.recv(65536):
            passed += len(data)
            if limited and cut and passed > cut[0]:
                print(f"cut after {cut.pop()} bytes", flush=True)
                break
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client):
    try:
        server = socket.create_connection((to[0], int(to[1])), 5)
    except OSError:
        client.close()
        return
    threading.Thread(target=relay, args=(client, server, False), daemon=True).start()
    relay(server, client, True)


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", port))
listener.listen(64)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
