/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/host-step.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "cli/output.h"

enum { MOST_LINE = 4 << 20, LONG_MS = 25 * 60 * 1000, SHORT_MS = 5 * 60 * 1000 };

/* The names of errno that steps are known to end with, and what most others mean: EIO. */
static int errno_of(const char *name)
{
	static const struct {
		const char *name;
		int code;
	} codes[] = { { "EINVAL", EINVAL },           { "EPERM", EPERM },     { "EBUSY", EBUSY },
		      { "ENOSPC", ENOSPC },           { "EEXIST", EEXIST },   { "ENOENT", ENOENT },
		      { "ETIMEDOUT", ETIMEDOUT },     { "EBADMSG", EBADMSG }, { "ENOTSUP", ENOTSUP },
		      { "EKEYEXPIRED", EKEYEXPIRED }, { "EAGAIN", EAGAIN } };

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (!strcmp(codes[i].name, name))
			return codes[i].code;
	return EIO;
}

/* The authority signs and makes tokens for others: its items are their names, and it is they that change. */
static struct member *whose_item(struct step_reader *reader, const json_t *line)
{
	const char *step = json_text(line, "step");
	struct member *other = NULL;

	if (!strcmp(step, "sign") || !strcmp(step, "acl"))
		other = cluster_find(reader->cluster, json_text(line, "item"));
	return other ? other : reader->host;
}

static void on_item(struct step_reader *reader, const json_t *line)
{
	struct member *host = whose_item(reader, line);
	const char *state = json_text(line, "state");

	if (!strcmp(state, "unchanged"))
		return;
	cluster_say(reader->cluster, host, PROGRESS_WORKING, "%s", json_text(line, "text"));
	if (!strcmp(state, "done") || !strcmp(state, "failed"))
		host->changes++;
}

static int on_line(struct step_reader *reader, const char *text, size_t len)
{
	_cleanup_json_ json_t *line = json_loadb(text, len, 0, NULL);
	const json_t *error = json_object_get(line, "error");
	json_t *result = json_object_get(line, "result");

	if (!json_is_object(line))
		return err_set(&reader->err, EPROTO, _("The host answered with something else than tepuy says: %.*s"),
			       (int)(len < 200 ? len : 200), text);
	if (error) {
		reader->over = true;
		return err_set(&reader->err, errno_of(json_text(error, "code")), "%s", json_text(error, "text"));
	}
	if (result) {
		reader->over = true;
		json_decref(reader->result);
		reader->result = json_incref(result);
		return 0;
	}
	on_item(reader, line);
	return 0;
}

int step_reader_feed(struct step_reader *reader, const char *bytes, size_t len)
{
	const char *end;

	buf_add(&reader->line, bytes, len);
	while (reader->line.len && (end = memchr(reader->line.data, '\n', reader->line.len))) {
		size_t n = (size_t)(end - reader->line.data);
		int r = n && !reader->err.code ? on_line(reader, reader->line.data, n) : 0;

		buf_consume(&reader->line, n + 1);
		if (r < 0 && !reader->over)
			return r;
	}
	return reader->line.len > MOST_LINE
		   ? err_set(&reader->err, EMSGSIZE, _("The host answered with a line that does not end"))
		   : 0;
}

void step_reader_release(struct step_reader *reader)
{
	buf_release(&reader->line);
	json_decref(reader->result);
	err_release(&reader->err);
	free(reader->item);
}

struct step_io {
	struct step_reader reader;
	struct buf complaints; /* standard error: of sudo, of a shell without tepuy */
};

static int on_output(void *data, bool is_stderr, const char *bytes, size_t len)
{
	struct step_io *io = data;

	if (!is_stderr)
		return step_reader_feed(&io->reader, bytes, len);
	if (io->complaints.len < 4096)
		buf_add(&io->complaints, bytes, len < 4096 ? len : 4096);
	return 0;
}

static const char *last_line(struct buf *buf)
{
	char *text = buf->len ? buf->data : NULL, *line;

	if (!text)
		return "";
	while (buf->len && strchr("\r\n ", text[buf->len - 1]))
		text[--buf->len] = '\0';
	line = strrchr(text, '\n');
	return line ? line + 1 : text;
}

/* The operator's language for what the host says; C.UTF-8 is on every Debian and lets LANGUAGE count. */
static const char *language(void)
{
	static const char *const names[] = { "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return value;
	}
	return "en";
}

static bool is_long(const char *step)
{
	return !strcmp(step, "runtime") || !strcmp(step, "consul-package");
}

/* How a stream without a last line came about. */
static int broken_off(struct step_io *io, const char *step, int status, struct err *err)
{
	const char *said = last_line(&io->complaints);

	if (status == 127)
		return err_set(err, ENOENT, _("There is no program tepuy on it; 'tepuy host apply' installs it"));
	if (*said)
		return err_set(err, EPIPE, _("'tepuy setup %s' ended with status %d: %s"), step, status, said);
	return err_set(err, EPIPE, _("'tepuy setup %s' broke off with status %d; run this again to go on"), step,
		       status);
}

int host_step(struct cluster *cluster, struct member *host, const char *step, const json_t *input, json_t **ret,
	      struct err *err)
{
	struct step_io io = { .reader = { .cluster = cluster, .host = host } };
	_cleanup_(freep) char *text = input ? json_dumps(input, JSON_COMPACT) : NULL;
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = { .argv = &argv, .sudo = true, .sink = on_output, .data = &io };
	int status = 0, r;

	strv_add_all(&argv, "env", "LC_ALL=C.UTF-8", NULL);
	strv_addf(&argv, "LANGUAGE=%s", language());
	strv_add_all(&argv, "tepuy", "setup", step, NULL);
	command.input = text;
	command.input_len = text ? strlen(text) : 0;
	command.timeout_ms = is_long(step) ? LONG_MS : SHORT_MS;
	r = remote_exec(host->remote, &command, &status, err);
	if (io.reader.err.code) {
		r = err_set(err, io.reader.err.code, "%s", err_text(&io.reader.err));
	} else if (r == 0 && !io.reader.over)
		r = broken_off(&io, step, status, err);
	if (r == 0 && ret) {
		json_decref(*ret);
		*ret = TAKE_PTR(io.reader.result);
	}
	step_reader_release(&io.reader);
	buf_release(&io.complaints);
	if (text)
		explicit_bzero(text, strlen(text));
	return r;
}

int host_run(struct member *host, struct buf *output, struct err *err, ...)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = { .argv = &argv, .sudo = true };
	const char *word;
	va_list ap;

	va_start(ap, err);
	while ((word = va_arg(ap, const char *)))
		strv_add(&argv, word);
	va_end(ap);
	return remote_checked(host->remote, &command, output, err);
}
