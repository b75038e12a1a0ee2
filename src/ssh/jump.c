/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ssh/jump.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "ssh/mux.h"

struct jump {
	struct jump *next;
	char *key;
	unsigned users;
	pthread_mutex_t opening; /* held by whoever connects, so that others wait for that session */
	struct mux *mux;
};

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct jump *all;

static struct jump *enter(const char *key)
{
	struct jump *jump;

	pthread_mutex_lock(&list_lock);
	for (jump = all; jump && strcmp(jump->key, key); jump = jump->next)
		;
	if (!jump) {
		jump = xcalloc(1, sizeof(*jump));
		jump->key = xstrdup(key);
		pthread_mutex_init(&jump->opening, NULL);
		jump->next = all;
		all = jump;
	}
	jump->users++;
	pthread_mutex_unlock(&list_lock);
	return jump;
}

void jump_release(struct jump *jump)
{
	bool last;

	if (!jump)
		return;
	pthread_mutex_lock(&list_lock);
	last = --jump->users == 0;
	for (struct jump **at = &all; last && *at; at = &(*at)->next)
		if (*at == jump) {
			*at = jump->next;
			break;
		}
	pthread_mutex_unlock(&list_lock);
	if (!last)
		return;
	mux_free(jump->mux);
	pthread_mutex_destroy(&jump->opening);
	free(jump->key);
	free(jump);
}

/* "user@host:port", "[address]:port", "ssh://…": its parts, each owned by `text`, which is changed. */
static int take_apart(char *text, struct remote_host *ret, struct err *err)
{
	char *at, *close, *port = NULL;
	uint64_t number;

	if (text_starts(text, "ssh://"))
		text += strlen("ssh://");
	at = strrchr(text, '@');
	if (at) {
		*at = '\0';
		ret->user = text;
		text = at + 1;
	}
	close = *text == '[' ? strchr(text, ']') : NULL;
	if (close) {
		text++;
		*close++ = '\0';
		port = *close == ':' ? close : NULL;
	} else if (strchr(text, ':') == strrchr(text, ':'))
		port = strchr(text, ':');
	if (port) {
		*port++ = '\0';
		if (text_u64(port, &number) < 0 || !number || number > 65535)
			return err_set(err, EINVAL, _("'%s' is no port of a jump host"), port);
		ret->port = (uint16_t)number;
	}
	if (!*text)
		return err_set(err, EINVAL, _("ProxyJump names no host"));
	ret->name = text;
	return 0;
}

static int open_jump(struct jump *jump, const char *spec, const struct remote_options *options, int depth,
		     struct err *err)
{
	_cleanup_(freep) char *copy = xstrdup(spec);
	char *comma = strrchr(copy, ','), *last = comma ? comma + 1 : copy;
	struct remote_host host = { 0 };
	struct remote *remote = NULL;
	int r;

	if (comma)
		*comma = '\0';
	r = take_apart(last, &host, err);
	/* The hosts before it in the list are the way to it; without any, what the configuration says. */
	if (r == 0)
		r = session_open(&host, options, comma ? copy : NULL, depth + 1, &remote, err);
	if (r == 0)
		r = mux_new(remote, &jump->mux, err);
	if (r < 0 && err)
		err_wrap(err, _("the jump host"));
	return r;
}

int jump_acquire(const char *spec, const struct remote_options *options, int depth, struct jump **ret, struct err *err)
{
	_cleanup_(freep) char *key = xasprintf("%s\n%s\n%s", options->config ? options->config : "",
					       options->known_hosts ? options->known_hosts : "", spec);
	struct jump *jump = enter(key);
	int r = 0;

	pthread_mutex_lock(&jump->opening);
	if (jump->mux && !mux_is_alive(jump->mux)) {
		mux_free(jump->mux);
		jump->mux = NULL;
	}
	if (!jump->mux)
		r = open_jump(jump, spec, options, depth, err);
	pthread_mutex_unlock(&jump->opening);
	if (r < 0) {
		jump_release(jump);
		return r;
	}
	*ret = jump;
	return 0;
}

int jump_connect(struct jump *jump, const char *host, uint16_t port, struct err *err)
{
	return mux_forward(jump->mux, host, port, err);
}

char *jump_trouble(struct jump *jump)
{
	return mux_trouble(jump->mux);
}
