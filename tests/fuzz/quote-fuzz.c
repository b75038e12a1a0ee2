/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Words with NULs between them: a real shell must read the quoted line back as the same words. One shell reads all
 * lines, as a process for each would leave the fuzzer next to no runs.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "ssh/remote.h"

enum { MOST = 4096, MOST_WAIT_MS = 60000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int to_shell = -1, from_shell = -1;

static void start_shell(void)
{
	int in[2], out[2];

	signal(SIGPIPE, SIG_IGN);
	if (pipe(in) < 0 || pipe(out) < 0)
		abort();
	switch (fork()) {
	case -1:
		abort();
	case 0:
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[1]);
		close(out[0]);
		execl("/bin/sh", "sh", NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	to_shell = in[1];
	from_shell = out[0];
}

/* What the line prints. A shell that ended, or waits for the rest of a line, shows a quote that does not hold. */
static void run_line(const char *line, struct buf *output)
{
	static const char end[] = "\nprintf '\\0'\n";

	if (to_shell < 0)
		start_shell();
	if (fs_write_all(to_shell, line, strlen(line)) < 0 || fs_write_all(to_shell, end, strlen(end)) < 0)
		abort();
	while (!output->len || output->data[output->len - 1]) {
		struct pollfd fd = { .fd = from_shell, .events = POLLIN };
		ssize_t n;

		int r = poll(&fd, 1, MOST_WAIT_MS);

		if (r < 0 && errno == EINTR)
			continue; /* the fuzzer's clock */
		if (r <= 0)
			abort();
		n = read(from_shell, buf_reserve(output, 4096), 4096);
		if (n <= 0)
			abort();
		output->len += (size_t)n;
	}
	output->len--;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_strv_ struct strv words = { 0 };
	_cleanup_buf_ struct buf output = { 0 }, wanted = { 0 };
	_cleanup_(freep) char *text = NULL, *line = NULL;

	if (size > MOST)
		return 0;
	text = xcalloc(size + 1, 1);
	if (size)
		memcpy(text, data, size);
	strv_add_all(&words, "printf", "%s\\n", NULL);
	for (size_t at = 0; at <= size; at += strlen(text + at) + 1) {
		strv_add(&words, text + at);
		buf_printf(&wanted, "%s\n", text + at);
	}
	line = remote_quote(&words);
	run_line(line, &output);
	if (output.len != wanted.len || memcmp(output.data, wanted.data, wanted.len) != 0)
		abort();
	return 0;
}
