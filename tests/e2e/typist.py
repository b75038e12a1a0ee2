# SPDX-License-Identifier: GPL-3.0-or-later
"""typist.py COMMAND…: sits at a terminal of 30 rows and 100 columns on which COMMAND, a shell in a node, runs: types, waits
for what comes back, makes the window larger, ends the shell with status 7. Prints how long a typed line took to come back
(median of 20, milliseconds) when all was as it should be; else what was shown, and exits with 1."""
import fcntl, os, pty, select, signal, statistics, struct, sys, termios, time

PATIENCE = 90
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
shown = b""


def fail(why):
    print(why, "; shown:", shown.decode(errors="replace"))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    sys.exit(1)


def wait_for(text, start=0, patience=None):
    """Until `text` is shown behind `start`; returns where it ends. With a patience of its own None when it did not come."""
    global shown
    end = time.monotonic() + (patience or PATIENCE)
    while (at := shown.find(text, start)) < 0:
        if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            if patience:
                return None
            fail(f"'{text.decode()}' did not come")
        try:
            data = os.read(terminal, 65536)
        except OSError:
            data = b""
        if not data:
            fail(f"the session ended before '{text.decode()}' came")
        shown += data
    return at + len(text)


def line(text):
    os.write(terminal, text.encode() + b"\n")


# The shell's answers are put together by it, so that the echo of what is typed is not taken for them.
line("echo be''gun")
at = wait_for(b"begun")
line("busybox stty size")
at = wait_for(b"30 100", at)
times = []
for i in range(20):
    begin = time.monotonic()
    line(f"echo a''nswer{i}")
    at = wait_for(f"answer{i}\r".encode(), at)
    times.append((time.monotonic() - begin) * 1000)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 41, 123, 0, 0))
end = time.monotonic() + PATIENCE
while True:  # the signal may be behind what is typed; and a shell that it interrupts forgets the line that it was reading
    line("busybox stty size; echo as''ked")
    before, at = at, wait_for(b"asked\r", at, 5) or at
    if b"41 123" in shown[before:at]:
        break
    if time.monotonic() > end:
        fail("the new size did not arrive")
line("exit 7")
while True:
    try:
        if not os.read(terminal, 65536):
            break
    except OSError:
        break
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if status != 7:
    fail(f"exit status {status} instead of 7")
print(f"{statistics.median(times):.1f}")
