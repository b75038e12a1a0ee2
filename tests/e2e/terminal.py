# SPDX-License-Identifier: GPL-3.0-or-later
"""terminal.py COLUMNS ROWS INPUT COMMAND…: runs it on a terminal of that size, types INPUT, shows what the terminal would."""
import fcntl, os, pty, struct, sys, termios

columns, rows, typed, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.execvp(command[0], command)
os.write(terminal, typed.encode())
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:  # the other side is closed
        break
    if not data:
        break
    sys.stdout.buffer.write(data)
    sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
