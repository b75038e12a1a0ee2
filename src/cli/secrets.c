/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/secrets.h"

#include <errno.h>
#include <string.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "cli/output.h"

enum { MOST_SECRET = 65536 };

/* Editors and echo end a file with a newline that is no part of a password: one is taken off. */
static int read_file(const char *path, struct buf *value, struct err *err)
{
	int r = fs_read(path, MOST_SECRET, value, err);

	if (r < 0)
		return r;
	if (value->len && value->data[value->len - 1] == '\n')
		value->data[--value->len] = '\0';
	return 0;
}

static int store(json_t *secrets, const char *name, const char *value, size_t len, struct err *err)
{
	json_t *text = json_stringn(value, len);

	if (!text || memchr(value, '\0', len)) {
		json_decref(text);
		return err_set(err, EINVAL, _("The secret %s is not text in UTF-8"), name);
	}
	if (len == 0) {
		json_decref(text);
		return err_set(err, EINVAL, _("The secret %s is empty"), name);
	}
	json_object_set_new(secrets, name, text);
	return 0;
}

static int ask(struct cli *cli, json_t *secrets, const char *name, struct err *err)
{
	_cleanup_(freep) char *prompt = xasprintf(_("Secret %s"), name), *value = NULL;
	int r = cli_read_hidden(cli, prompt, &value, err);

	if (r < 0)
		return r;
	r = store(secrets, name, value, strlen(value), err);
	explicit_bzero(value, strlen(value));
	return r;
}

static int take(struct cli *cli, json_t *secrets, const char *given, const json_t *declared, struct err *err)
{
	size_t len = strcspn(given, "=");
	_cleanup_(freep) char *name = xstrndup(given, len);
	_cleanup_buf_ struct buf value = { 0 };
	int r;

	if (!json_object_get(declared, name))
		return err_set(err, EINVAL, _("The service has no secret %s"), name);
	if (!given[len])
		return ask(cli, secrets, name, err);
	if (given[len + 1] != '@')
		return err_set(
		    err, EINVAL,
		    _("A secret is not written on the command line, where everybody on this machine can read it; use "
		      "--secret %s=@FILE, or --secret %s to be asked for it"),
		    name, name);
	r = read_file(given + len + 2, &value, err);
	if (r == 0)
		r = store(secrets, name, buf_text(&value), value.len, err);
	if (value.data)
		explicit_bzero(value.data, value.len);
	return r;
}

int secrets_collect(struct cli *cli, const struct strv *given, const json_t *declared, const json_t *known,
		    json_t **ret, struct err *err)
{
	_cleanup_json_ json_t *secrets = json_object();
	const json_t *secret;
	const char *name;
	int r = 0;

	for (size_t i = 0; r == 0 && i < given->n; i++)
		r = take(cli, secrets, given->v[i], declared, err);
	json_object_foreach((json_t *)declared, name, secret)
	{
		if (r < 0 || !cli->person || json_number(secret, "generate") || json_object_get(secrets, name) ||
		    json_object_get(known, name))
			continue;
		r = ask(cli, secrets, name, err);
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(secrets);
	return 0;
}
