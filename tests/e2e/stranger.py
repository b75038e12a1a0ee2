#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A neighbour of a machine that begins TCP connections in unusual ways; for firewall-bridge.sh.

    stranger.py listen PORT...        the machine: listens
    stranger.py HOW PORT              0: the machine at 192.0.2.100 answers its SYN

HOW is plain, fragments, or the VLAN tags before the packet, as 8100,8100.
"""
import select
import socket
import struct
import sys
import time

US, MACHINE = "192.0.2.50", "192.0.2.100"
SYN, ANSWER = 0x02, 0x12
OUR_PORT = 40000 + time.monotonic_ns() // 1000 % 20000


def checksum(data):
    words = struct.unpack("!%dH" % (len(data) // 2), data)
    total = sum(words)
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def segment(port):
    head = struct.pack("!HHIIBBHHH", OUR_PORT, port, 1000, 0, 5 << 4, SYN, 8192, 0, 0)
    pseudo = socket.inet_aton(US) + socket.inet_aton(MACHINE) + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(head))
    return head[:16] + struct.pack("!H", checksum(pseudo + head)) + head[18:]


def packet(payload, offset=0, more=False):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 77, (0x2000 if more else 0) | offset, 64,
                       socket.IPPROTO_TCP, 0, socket.inet_aton(US), socket.inet_aton(MACHINE))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def hardware_of_machine():
    """As ARP has it, which a packet to a port that nobody reads makes the kernel ask."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", (MACHINE, 40000))
        with open("/proc/net/arp", encoding="ascii") as table:
            for line in table:
                words = line.split()
                if words[0] == MACHINE and words[3] != "00:00:00:00:00:00":
                    return bytes.fromhex(words[3].replace(":", ""))
        time.sleep(0.05)
    sys.exit("the machine does not answer ARP")


def send(how, port):
    card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    card.bind(("eth0", 0))
    ours = card.getsockname()[4]
    tags = [] if how in ("plain", "fragments") else [int(tag, 16) for tag in how.split(",")]
    ethernet = hardware_of_machine() + ours + b"".join(struct.pack("!HH", tag, 0) for tag in tags) + b"\x08\x00"
    tcp = segment(port)
    pieces = [packet(tcp)]
    if how == "fragments":
        pieces = [packet(tcp[:8], 0, True), packet(tcp[8:], 1)]
    for piece in pieces:
        card.send(ethernet + piece)


def is_answer(data, port):
    tcp = data[(data[0] & 15) * 4:]
    return data[12:16] == socket.inet_aton(MACHINE) and struct.unpack("!HH", tcp[:4]) == (port, OUR_PORT) and \
        tcp[13] & ANSWER == ANSWER


def reach(how, port):
    answers = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    # A few times, as on a busy machine one may be late; together longer than any answer takes.
    for _ in range(4):
        send(how, port)
        end = time.monotonic() + 1.5
        while (left := end - time.monotonic()) > 0:
            if select.select([answers], [], [], left)[0] and is_answer(answers.recv(2000), port):
                return True
    return False


def listen(ports):
    sockets = []
    for port in ports:
        one = socket.create_server(("", int(port)))
        sockets.append(one)
    while True:
        for one in select.select(sockets, [], [])[0]:
            one.accept()[0].close()


if sys.argv[1] == "listen":
    listen(sys.argv[2:])
sys.exit(0 if reach(sys.argv[1], int(sys.argv[2])) else 1)
