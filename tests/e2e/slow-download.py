#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""slow-download.py URL HEAD HURRY: reads URL slowly, 256 KiB a second, until there is a file HURRY; then as fast as it comes.
Writes the headers to the file HEAD when they are there, and at the end prints the status and the bytes that came."""
import os
import sys
import time
import urllib.request

url, head, hurry = sys.argv[1:]
size = 0
with urllib.request.urlopen(url, timeout=60) as answer:
    with open(head + ".new", "w", encoding="utf-8") as file:
        file.write(str(answer.headers))
    os.rename(head + ".new", head)
    while data := answer.read(1 << 18):
        size += len(data)
        if not os.path.exists(hurry):
            time.sleep(1)
print(answer.status, size)
