#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""setup-rpc.py ADDRESS plain|tls [CERTIFICATE KEY]: does Consul's RPC port let us in? Prints "let in" or "refused: why".

`tls` prints also the sha256 of the server's certificate. Consul reads one byte that says what follows: 0 for
RPC in the clear, 3 for RPC in TLS.
"""
import hashlib
import socket
import ssl
import sys


def answers(connection):
    """Whoever is let in hears nothing, as nothing was asked; whoever is not hears an alert or the end, soon, but on a machine
    that is busy."""
    connection.settimeout(10)
    try:
        return "let in" if connection.recv(1) else "refused: it hung up"
    except TimeoutError:
        return "let in"
    except (ssl.SSLError, ConnectionError) as error:
        return f"refused: {error}"


def main():
    address, how, *identity = sys.argv[1:]
    plain = socket.create_connection((address, 8300), timeout=60)
    if how == "plain":
        plain.sendall(b"\x00")
        print(answers(plain))
        return
    plain.sendall(b"\x03")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if identity:
        context.load_cert_chain(*identity)
    try:
        secure = context.wrap_socket(plain)
    except (ssl.SSLError, ConnectionError) as error:
        print(f"refused: {error}")
        return
    certificate = secure.getpeercert(True)
    try:
        secure.sendall(b"\x00")  # RPC in it; whoever says nothing is hung up on after five seconds
    except OSError:
        pass
    print(answers(secure))
    print(hashlib.sha256(certificate).hexdigest())


main()
