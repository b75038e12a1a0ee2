/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Programs in a node: run to their end, and interactively. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "contract-kit.h"
#include "runtime/frame.h"

#define LISTEN_MS 120000

static int run(struct kit *kit, const char *id, struct runtime_exec *exec, struct buf *output, ...)
{
	_cleanup_strv_ struct strv argv = { 0 };
	const char *word;
	va_list ap;

	va_start(ap, output);
	while ((word = va_arg(ap, const char *)))
		strv_add(&argv, word);
	va_end(ap);
	exec->argv = &argv;
	return kit->rt->ops->exec(kit->rt, id, exec, output, NULL);
}

static void exit_codes(struct kit *kit, const char *id)
{
	_cleanup_(freep) char *output = NULL;
	int64_t began = now_us();

	expect(kit_exec(kit, id, &output, "/bin/echo", "ready", NULL) == 0 && !strcmp(output, "ready\n"),
	       "a program runs", NULL);
	measured("exec", now_us() - began);
	expect(kit_exec(kit, id, NULL, "/bin/sh", "-c", "exit 42", NULL) == 42, "its exit status is told", NULL);
	expect(kit_exec(kit, id, NULL, "/bin/sh", "-c", "kill -9 $$", NULL) == 137, "its death by a signal too", NULL);
	expect(kit_exec(kit, id, NULL, "no-such-program", NULL) == 127, "a program that is not there gives 127", NULL);
	expect(kit_exec(kit, id, NULL, "/etc/passwd", NULL) == 126, "one that cannot be run gives 126", NULL);
}

static void streams(struct kit *kit, const char *id)
{
	_cleanup_buf_ struct buf both = { 0 }, user = { 0 }, kept = { 0 }, echo = { 0 };
	struct runtime_exec exec = { 0 }, as_web = { .user = "web" }, short_of = { .most_output = 100 };
	struct runtime_exec with_input = { .input = "one\ntwo\n", .input_len = 8 };

	run(kit, id, &exec, &both, "/bin/sh", "-c", "echo out; echo err >&2", NULL);
	expect(strstr(buf_text(&both), "out\n") && strstr(buf_text(&both), "err\n"), "both streams are kept", NULL);
	run(kit, id, &as_web, &user, "/bin/busybox", "id", NULL);
	expect(!strncmp(buf_text(&user), "uid=4101(web) gid=4102(web)", 27), "a program runs as a user", NULL);
	expect(run(kit, id, &short_of, &kept, "/bin/sh", "-c", "yes a | head -n 200000; echo end", NULL) == 0 &&
		   kept.len == 100 && !strcmp(kept.data + 96, "end\n"),
	       "only the last bytes are kept", NULL);
	expect(run(kit, id, &with_input, &echo, "/bin/cat", NULL) == 0 && !strcmp(buf_text(&echo), "one\ntwo\n"),
	       "input is given and ended", NULL);
	expect(run(kit, id, &with_input, NULL, "/bin/true", NULL) == 0, "input that is not read is no error", NULL);
}

/* Backup and restore: megabytes through descriptors. */
static void descriptors(struct kit *kit, const char *id)
{
	int lines = kit_kilobytes(kit, 500000); /* of 7 bytes */
	_cleanup_(freep) char *script = xasprintf("yes backup | head -n %d; echo said >&2", lines);
	_cleanup_(freep) char *count = xasprintf("%d\n", lines * 7);
	struct runtime_exec backup = { .output_fd = memfd_create("backup", MFD_CLOEXEC) };
	struct runtime_exec restore = { .input_fd = backup.output_fd };
	_cleanup_buf_ struct buf output = { 0 };
	off_t size;

	expect(run(kit, id, &backup, &output, "/bin/sh", "-c", script, NULL) == 0,
	       "a program's output goes to a descriptor", NULL);
	size = lseek(backup.output_fd, 0, SEEK_CUR);
	expect(size == lines * 7, "all of it", NULL);
	expect(!strcmp(buf_text(&output), "said\n"), "what it says on the other stream is kept", NULL);
	buf_release(&output);
	lseek(backup.output_fd, 0, SEEK_SET);
	expect(run(kit, id, &restore, &output, "/bin/busybox", "wc", "-c", NULL) == 0 &&
		   !strcmp(buf_text(&output), count),
	       "all of it", NULL);
	close(backup.output_fd);
}

static bool gone(struct kit *kit, const char *id, const char *pattern)
{
	_cleanup_(freep) char *script = xasprintf("/bin/busybox ps | grep -q '%s'", pattern);
	int64_t deadline = clock_monotonic_ms() + kit_ms(kit, 60000);

	while (clock_monotonic_ms() < deadline) {
		if (kit_exec(kit, id, NULL, "/bin/sh", "-c", script, NULL) == 1)
			return true;
		poll(NULL, 0, 20);
	}
	return false;
}

static void timeouts(struct kit *kit, const char *id)
{
	struct runtime_exec exec = { .timeout_ms = kit_ms(kit, 8000) };
	_cleanup_buf_ struct buf output = { 0 };
	int64_t began = clock_monotonic_ms();

	expect(run(kit, id, &exec, &output, "/bin/sh", "-c", "echo begun; sleep 4321; true", NULL) == -ETIMEDOUT,
	       "a program that takes too long is given up", NULL);
	expect(clock_monotonic_ms() - began < kit_ms(kit, 40000), "in time", NULL);
	expect(!strcmp(buf_text(&output), "begun\n"), "what it said so far is kept", NULL);
	expect(gone(kit, id, "[s]leep 4321"), "it is killed, and its children", NULL);
}

void contract_exec(struct kit *kit, const char *id)
{
	exit_codes(kit, id);
	streams(kit, id);
	descriptors(kit, id);
	timeouts(kit, id);
}

/* What came out of an interactive program. */
struct heard {
	struct buf raw, text, errors;
	int status; /* -1 before */
	bool ended, nonsense;
};

static void heard_release(struct heard *heard)
{
	buf_release(&heard->raw);
	buf_release(&heard->text);
	buf_release(&heard->errors);
}

static void take_frames(struct heard *heard)
{
	struct frame frame;
	int r;

	while ((r = frame_peek(&heard->raw, &frame)) > 0) {
		if (frame.type == FRAME_STDOUT)
			buf_add(&heard->text, frame.bytes, frame.len);
		else if (frame.type == FRAME_STDERR)
			buf_add(&heard->errors, frame.bytes, frame.len);
		else if (frame.type == FRAME_EXIT)
			heard->status = (int)frame_exit(&frame);
		frame_drop(&heard->raw, &frame);
	}
	heard->nonsense |= r < 0;
}

/* Listens until the text appears (NULL: until the end), at most 30 s, or as long as an emulated machine may take. */
static bool listen_for(int fd, struct heard *heard, const char *text)
{
	int64_t deadline = clock_monotonic_ms() + LISTEN_MS;

	while (!heard->ended && clock_monotonic_ms() < deadline) {
		struct pollfd in = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (text && strstr(buf_text(&heard->text), text))
			return true;
		if (poll(&in, 1, 100) <= 0)
			continue;
		n = read(fd, buf_reserve(&heard->raw, 65536), 65536);
		heard->ended = n <= 0;
		heard->raw.len += n > 0 ? (size_t)n : 0;
		take_frames(heard);
	}
	return text ? strstr(buf_text(&heard->text), text) != NULL : heard->ended && !heard->nonsense;
}

static void send_frames(int fd, struct buf *frames)
{
	/* What is not taken shows: the program then does not answer. */
	fs_write_all(fd, frames->data, frames->len);
	buf_release(frames);
}

static int begin(struct kit *kit, const char *id, bool tty, int rows, int columns, const char *script)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_strv_ struct strv argv = { 0 };
	int fd = -1;

	strv_add_all(&argv, "/bin/sh", "-c", script, NULL);
	expect(kit->rt->ops->attach(kit->rt, id, &argv, tty, rows, columns, &fd, &err) == 0, "attach works", &err);
	return fd;
}

static void without_terminal(struct kit *kit, const char *id)
{
	_cleanup_(heard_release) struct heard heard = { .status = -1 };
	struct buf frames = { 0 };
	int fd = begin(kit, id, false, 0, 0, "cat; echo bad >&2; exit 7");

	frame_add(&frames, FRAME_INPUT, "hello ", 6);
	frame_add(&frames, FRAME_INPUT, "there", 5);
	frame_add(&frames, FRAME_END_OF_INPUT, NULL, 0);
	send_frames(fd, &frames);
	expect(listen_for(fd, &heard, NULL), "it ends when the program does", NULL);
	expect(!strcmp(buf_text(&heard.text), "hello there"), "input goes in and output comes out", NULL);
	expect(!strcmp(buf_text(&heard.errors), "bad\n"), "errors come apart", NULL);
	expect(heard.status == 7, "the exit status comes last", NULL);
	close(fd);
}

static void with_terminal(struct kit *kit, const char *id)
{
	_cleanup_(heard_release) struct heard heard = { .status = -1 };
	struct buf frames = { 0 };
	int fd = begin(kit, id, true, 41, 99, "while read -r line; do stty size; [ \"$line\" != end ] || exit 5; done");

	/* The size is set just after the program's start, so it is asked for until it is there. */
	for (int i = 0; i < 50 && !strstr(buf_text(&heard.text), "41 99"); i++) {
		frame_add(&frames, FRAME_INPUT, "ask\n", 4);
		send_frames(fd, &frames);
		poll(NULL, 0, 20);
		listen_for(fd, &heard, "ask");
	}
	expect(listen_for(fd, &heard, "41 99"), "a terminal has the size that was given", NULL);
	frame_add_resize(&frames, 50, 120);
	frame_add(&frames, FRAME_INPUT, "end\n", 4);
	send_frames(fd, &frames);
	expect(listen_for(fd, &heard, "50 120"), "it is resized", NULL);
	expect(listen_for(fd, &heard, NULL) && heard.status == 5, "it ends with its exit status", NULL);
	close(fd);
}

static void much_output(struct kit *kit, const char *id)
{
	_cleanup_(heard_release) struct heard heard = { .status = -1 };
	int lines = kit_kilobytes(kit, 1000000); /* of 8 bytes */
	_cleanup_(freep) char *script = xasprintf("yes 1234567 | head -n %d", lines);
	int fd = begin(kit, id, false, 0, 0, script);

	poll(NULL, 0, 300); /* a reader that is slow at first */
	expect(listen_for(fd, &heard, NULL) && heard.text.len == (size_t)lines * 8 && heard.status == 0,
	       "a slow reader loses nothing", NULL);
	close(fd);
}

static void hang_up(struct kit *kit, const char *id)
{
	_cleanup_(heard_release) struct heard heard = { .status = -1 };
	int fd = begin(kit, id, true, 24, 80, "echo begun; sleep 8765; true");

	expect(listen_for(fd, &heard, "begun"), "it has begun", NULL);
	close(fd);
	expect(gone(kit, id, "[s]leep 8765"), "closing it early ends the program", NULL);
}

void contract_attach(struct kit *kit, const char *id)
{
	if (!kit->rt->ops->attach)
		return;
	without_terminal(kit, id);
	with_terminal(kit, id);
	much_output(kit, id);
	hang_up(kit, id);
}
