#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""answer.py [QUESTION ANSWER]… -- COMMAND…: runs it on a terminal of its own, and types each answer (and Enter) when the
text of its question has come; an answer @FILE is that file's text. Shows all that came; ends with the command's exit status, 98 when a question did not come
within 60 seconds, or nothing came for as long."""
import os, pty, select, sys, time

cut = sys.argv.index("--")
pairs, command = sys.argv[1:cut], sys.argv[cut + 1:]
questions = list(zip(pairs[::2], pairs[1::2]))
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
seen, end = "", time.monotonic() + 60
while time.monotonic() < end:
    if not select.select([terminal], [], [], 0.1)[0]:
        continue
    try:
        data = os.read(terminal, 65536)
    except OSError:  # the other side is closed
        break
    if not data:
        break
    end = time.monotonic() + 60
    sys.stdout.buffer.write(data)
    sys.stdout.flush()
    seen += data.decode(errors="replace")
    if questions and questions[0][0] in seen:
        answer = questions.pop(0)[1]
        if answer.startswith("@"):
            answer = open(answer[1:], encoding="utf-8").read().rstrip("\n")
        os.write(terminal, (answer + "\n").encode())
        seen = ""
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if time.monotonic() < end else 98
sys.exit(98 if questions else status)
