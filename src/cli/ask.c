/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "cli/terminal.h"

enum { MOST_ANSWER = 1024 };

struct ask {
	int tty; /* -1: there is none */
	char *password, *sudo;
};

static void wipe(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

struct ask *ask_new(void)
{
	struct ask *ask = xcalloc(1, sizeof(*ask));

	ask->tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	return ask;
}

void ask_free(struct ask *ask)
{
	if (!ask)
		return;
	if (ask->tty >= 0)
		close(ask->tty);
	wipe(&ask->password);
	wipe(&ask->sudo);
	free(ask);
}

void ask_freep(struct ask **ask)
{
	ask_free(*ask);
}

/* A line, without stdio's copies of it. NULL at the end. */
static char *read_line(int fd)
{
	char line[MOST_ANSWER], *answer = NULL;
	size_t n = 0;
	char c;

	for (;;) {
		ssize_t r = read(fd, &c, 1);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0 && !n)
			break;
		if (r <= 0 || c == '\n') {
			answer = xstrndup(line, n);
			break;
		}
		if (n < sizeof(line) - 1)
			line[n++] = c;
	}
	explicit_bzero(line, sizeof(line));
	return answer;
}

static char *put_question(struct ask *ask, const char *prompt, const char *end, bool hidden)
{
	_cleanup_(freep) char *text = xasprintf("%s%s", prompt, end);
	char *answer;

	text_printable(text, true);
	if (hidden && terminal_set_on(ask->tty, TERMINAL_HIDDEN, NULL) < 0)
		return NULL;
	fs_write_all(ask->tty, text, strlen(text));
	answer = read_line(ask->tty);
	if (hidden) {
		terminal_restore();
		fs_write_all(ask->tty, "\n", 1);
	}
	return answer;
}

/* Only whole words count: a host key is nothing to accept by a slip of the hand. */
static char *ask_key(struct ask *ask, const char *prompt)
{
	for (;;) {
		char *answer = put_question(ask, prompt, _(" [yes/no] "), false);

		if (!answer)
			return NULL;
		if (!strcasecmp(answer, "yes") || !strcasecmp(answer, _("yes"))) {
			free(answer);
			return xstrdup("yes");
		}
		if (!strcasecmp(answer, "no") || !strcasecmp(answer, _("no"))) {
			free(answer);
			return NULL;
		}
		free(answer);
	}
}

static char *ask_once(struct ask *ask, char **kept, const char *prompt)
{
	if (!*kept)
		*kept = put_question(ask, prompt, _(" (for all hosts): "), true);
	return xstrdup(*kept);
}

static char *answer(void *data, enum remote_question question, const char *host, const char *prompt)
{
	struct ask *ask = data;
	_cleanup_(freep) char *on_host = NULL;

	if (ask->tty < 0)
		return NULL;
	switch (question) {
	case REMOTE_NEW_HOST_KEY:
		return ask_key(ask, prompt);
	case REMOTE_SUDO:
		return ask_once(ask, &ask->sudo, prompt);
	case REMOTE_PASSWORD:
		/* What a host asks besides (a one-time code) is no password for others. */
		if (strcasestr(prompt, "password"))
			return ask_once(ask, &ask->password, prompt);
		on_host = xasprintf("%s: %s", host, prompt);
		return put_question(ask, on_host, " ", true);
	case REMOTE_PASSPHRASE:
		return put_question(ask, prompt, ": ", true);
	}
	return NULL;
}

struct remote_options ask_options(struct ask *ask)
{
	return (struct remote_options){ .ask = ask->tty >= 0 ? answer : NULL, .ask_data = ask };
}

void ask_raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}
