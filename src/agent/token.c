/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/token.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"

#define MOST_TOKEN 4096
/* While Consul refuses: how often to look into the file. */
#define LOOK_USEC (2000 * 1000ULL)
/* Watches and the lock try again at the latest after ten seconds: silence for longer means that all is well again. */
#define QUIET_MS 30000

struct token {
	struct agent *agent;
	char *path;
	char *unreadable; /* what was last said about the file, so that it is said once */
	int fd;           /* eventfd: a refusal, told by whatever thread got it */
	int64_t refused_ms;
	sd_event_source *source, *timer;
};

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

int token_read(const char *path, char **ret, struct err *err)
{
	_cleanup_buf_ struct buf text = { 0 };
	struct stat st;
	int r;

	if (stat(path, &st) == 0 && (st.st_mode & 077))
		return err_set(err, EACCES, _("%s holds a token and may be read by others; give it mode 0600"), path);
	r = fs_read(path, MOST_TOKEN, &text, err);
	if (r < 0)
		return r;
	*ret = buf_take(&text);
	(*ret)[strcspn(*ret, "\r\n \t")] = '\0';
	return 0;
}

/* Consul's word on a token comes to many requests at once: one line is enough. */
static void say_refused(const struct token *token)
{
	if (token->path)
		log_error("Consul refuses this host's token, or what it is asked with it. Nothing that runs here is "
			  "touched; put a valid token into %s, and it is taken up at once.",
			  token->path);
	else
		log_error(
		    "Consul refuses what it is asked without a token. Nothing that runs here is touched; start the "
		    "agent with --consul-token-file.");
}

static int on_look(sd_event_source *source, uint64_t usec, void *data);

static void look_later(struct token *token)
{
	token->timer = sd_event_source_disable_unref(token->timer);
	sd_event_add_time_relative(token->agent->event, &token->timer, CLOCK_MONOTONIC, LOOK_USEC, 0, on_look, token);
}

static int on_look(sd_event_source *source, uint64_t usec, void *data)
{
	struct token *token = data;

	(void)source, (void)usec;
	token->timer = sd_event_source_disable_unref(token->timer);
	if (clock_monotonic_ms() - token->refused_ms > QUIET_MS) {
		log_info("Consul accepts this host's token again.");
		token->agent->env.token_refused = false;
		return 0;
	}
	token_renew(token);
	if (token->agent->env.token_refused)
		look_later(token);
	return 0;
}

static int on_told(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct token *token = data;
	uint64_t n;

	(void)source, (void)events;
	if (read(fd, &n, sizeof(n)) != sizeof(n))
		return 0;
	token->refused_ms = clock_monotonic_ms();
	if (token->agent->env.token_refused)
		return 0;
	token->agent->env.token_refused = true;
	say_refused(token);
	look_later(token);
	return 0;
}

/* From any thread. */
static void on_refusal(void *data)
{
	const struct token *token = data;
	uint64_t one = 1;

	(void)!write(token->fd, &one, sizeof(one));
}

void token_renew(struct token *token)
{
	const char *present = consul_token(token->agent->env.consul);
	_cleanup_err_ struct err err = ERR_INIT;
	char *text = NULL;

	if (!token->path)
		return;
	if (token_read(token->path, &text, &err) < 0) {
		if (!token->unreadable || strcmp(token->unreadable, err_text(&err)) != 0)
			log_warning("The token stays as it was: %s", err_text(&err));
		free(token->unreadable);
		token->unreadable = xstrdup(err_text(&err));
		return;
	}
	free(TAKE_PTR(token->unreadable));
	if (text && *text && (!present || strcmp(present, text) != 0)) {
		consul_set_token(token->agent->env.consul, text);
		token->agent->env.token_refused = false;
		log_info("The new token in %s is taken up.", token->path);
		kv_level_retry(token->agent->kv);
	}
	wipe(text);
}

int token_new(struct agent *agent, const char *path, struct token **ret, struct err *err)
{
	struct token *token = xcalloc(1, sizeof(*token));
	int r;

	token->agent = agent;
	token->path = xstrdup(path);
	token->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = token->fd < 0 ? -errno : sd_event_add_io(agent->event, &token->source, token->fd, EPOLLIN, on_told, token);
	if (r < 0) {
		token_free(token);
		return err_errno(err, -r, _("Cannot watch Consul's refusals"));
	}
	consul_on_refusal(agent->env.consul, on_refusal, token);
	*ret = token;
	return 0;
}

void token_free(struct token *token)
{
	if (!token)
		return;
	consul_on_refusal(token->agent->env.consul, NULL, NULL);
	sd_event_source_disable_unref(token->source);
	sd_event_source_disable_unref(token->timer);
	closep(&token->fd);
	free(token->unreadable);
	free(token->path);
	free(token);
}
