/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proxy/haproxy-config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/i18n.h"
#include "base/text.h"

enum {
	MOST_TEXT = 1 << 20,
	MOST_LINES = 100000,
	MOST_BACKENDS = 2048,
	MOST_SERVERS = 4096, /* in all */
	MOST_OPTION_WORDS = 64,
	MOST_OPTIONS = HAPROXY_MOST_LINE - 512,
};

/* A line that is not empty, its words with one blank between them. */
struct line {
	char *text;
	int backend; /* a `server` line that the socket could make: index of its backend; else -1 */
};

struct haproxy_config {
	struct line *lines;
	size_t n_lines, cap_lines;
	struct haproxy_backend *backends;
	size_t n_backends, cap_backends, n_servers;
	bool fixed[MOST_BACKENDS]; /* the backend has servers that the socket could not make */
};

/* Where the reader is in the file. */
struct place {
	struct haproxy_config *config;
	int backend; /* index of the backend whose section this is, -1: another section */
	bool in_defaults;
	bool bad_defaults;              /* their `default-server` cannot go through the socket */
	int conditions;                 /* `.if` that are open: nobody knows here whether their lines count */
	struct haproxy_server defaults; /* what `default-server` lines of the `defaults` section gave */
	struct haproxy_server server;   /* the same with those of this backend */
};

void haproxy_config_free(struct haproxy_config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->n_lines; i++)
		free(config->lines[i].text);
	free(config->lines);
	haproxy_backends_free(config->backends, config->n_backends);
	free(config);
}

void haproxy_config_freep(struct haproxy_config **config)
{
	haproxy_config_free(*config);
}

/* Takes the next word as it stands, quotes and all. False at the end of the line, where a comment begins one too. */
static bool next_word(const char **at, const char *end, const char **ret, size_t *ret_len, bool *unterminated)
{
	char quote = '\0';
	const char *s = *at;

	while (s < end && (*s == ' ' || *s == '\t' || *s == '\r'))
		s++;
	if (s == end || *s == '#')
		return false;
	*ret = s;
	for (; s < end && (quote || !strchr(" \t\r#", *s)); s++) {
		if (*s == '\\' && quote != '\'' && s + 1 < end)
			s++;
		else if (quote ? *s == quote : *s == '"' || *s == '\'')
			quote = quote ? '\0' : *s;
	}
	*ret_len = (size_t)(s - *ret);
	*unterminated = quote;
	*at = s;
	return true;
}

static int split_line(const char *from, const char *end, struct strv *words)
{
	bool unterminated = false;
	const char *word;
	size_t len;

	while (next_word(&from, end, &word, &len, &unterminated))
		strv_take(words, xstrndup(word, len));
	return unterminated ? -EINVAL : 0;
}

static void copy_server(struct haproxy_server *to, const struct haproxy_server *from)
{
	*to = (struct haproxy_server){ .state = from->state, .weight = from->weight, .check = from->check };
	strv_copy(&to->options, &from->options);
}

/* Makes the section the backend `name`, when there is none of that name yet. */
static void begin_backend(struct place *p, const char *name)
{
	struct haproxy_config *config = p->config;

	if (!haproxy_is_name(name) || config->n_backends == MOST_BACKENDS)
		return;
	for (size_t i = 0; i < config->n_backends; i++)
		if (!strcmp(config->backends[i].name, name))
			return;
	config->backends =
	    grow_array(config->backends, config->n_backends, &config->cap_backends, sizeof(*config->backends));
	p->backend = (int)config->n_backends++;
	config->backends[p->backend] = (struct haproxy_backend){ .name = xstrdup(name) };
	config->fixed[p->backend] = p->bad_defaults;
	copy_server(&p->server, &p->defaults);
}

/* The section that a line begins: sets where its `server` lines go. False when it begins none. */
static bool begin_section(struct place *p, const struct strv *words)
{
	static const char *const sections[] = {
		"global",  "defaults", "frontend", "backend",     "listen", "peers",       "userlist", "resolvers",
		"mailers", "program",  "cache",    "http-errors", "ring",   "log-forward", "fcgi-app",
	};
	const char *kind = words->v[0];
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		known = known || !strcmp(kind, sections[i]);
	if (!known)
		return false;
	p->backend = -1;
	p->in_defaults = !strcmp(kind, "defaults");
	haproxy_server_release(p->in_defaults ? &p->defaults : &p->server);
	if (p->in_defaults) {
		p->defaults.weight = 1;
		p->bad_defaults = false;
	}
	/* `backend b from d` takes named defaults: too rare to be followed. */
	if ((!strcmp(kind, "backend") || !strcmp(kind, "listen")) && words->n == 2 && !p->conditions)
		begin_backend(p, words->v[1]);
	return true;
}

static int take_weight(const char *text, unsigned int *ret)
{
	uint64_t weight;

	if (text_u64(text, &weight) < 0 || weight > HAPROXY_MOST_WEIGHT)
		return -EINVAL;
	*ret = (unsigned int)weight;
	return 0;
}

static bool fits(const struct haproxy_server *server, char *const *words, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < server->options.n; i++)
		len += strlen(server->options.v[i]) + 1;
	for (size_t i = 0; i < n; i++)
		len += strlen(words[i]) + 1;
	return len <= MOST_OPTIONS && server->options.n + n <= MOST_OPTION_WORDS;
}

static bool is_for_static_servers(const char *word)
{
	static const char *const words[] = { "cookie", "redir", "resolvers", "track", "init-addr" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(word, words[i]))
			return true;
	return false;
}

/* Takes the keywords from `words` on. -EINVAL when one of them cannot go through the socket. */
static int take_options(struct haproxy_server *server, char *const *words, size_t n)
{
	if (!fits(server, words, n))
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		const char *word = words[i];

		if (!strcmp(word, "weight")) {
			if (++i == n || take_weight(words[i], &server->weight) < 0)
				return -EINVAL;
		} else if (!strcmp(word, "check") || !strcmp(word, "no-check"))
			server->check = *word == 'c';
		else if (!strcmp(word, "disabled") || !strcmp(word, "enabled"))
			server->state = *word == 'd' ? HAPROXY_STATE_MAINT : HAPROXY_STATE_READY;
		else if (haproxy_is_word(word) && !is_for_static_servers(word))
			strv_add(&server->options, word);
		else
			return -EINVAL;
	}
	return 0;
}

/* "192.0.2.1:80", "[2001:db8::1]:80" */
static int take_address(struct haproxy_server *server, const char *word)
{
	const char *colon = strrchr(word, ':');
	bool brackets = *word == '[' && colon > word && colon[-1] == ']';
	unsigned char bytes[sizeof(struct in6_addr)];
	uint64_t port;

	if (!colon || text_u64(colon + 1, &port) < 0 || !port || port > UINT16_MAX)
		return -EINVAL;
	server->port = (uint16_t)port;
	server->address = xstrndup(word + brackets, (size_t)(colon - word) - 2 * brackets);
	if (inet_pton(brackets ? AF_INET6 : AF_INET, server->address, bytes) != 1)
		return -EINVAL;
	return 0;
}

static bool has_server(const struct haproxy_backend *backend, const char *name)
{
	for (size_t i = 0; i < backend->n_servers; i++)
		if (!strcmp(backend->servers[i].name, name))
			return true;
	return false;
}

/* Whether the line is a `server` that the socket could make; it is then in its backend. */
static bool take_server(struct place *p, const struct strv *words)
{
	struct haproxy_backend *backend;
	struct haproxy_server server;

	if (p->backend < 0 || p->conditions || words->n < 3 || strcmp(words->v[0], "server"))
		return false;
	backend = &p->config->backends[p->backend];
	if (!haproxy_is_name(words->v[1]) || p->config->n_servers == MOST_SERVERS || has_server(backend, words->v[1]))
		return false;
	copy_server(&server, &p->server);
	if (take_address(&server, words->v[2]) < 0 || take_options(&server, words->v + 3, words->n - 3) < 0) {
		haproxy_server_release(&server);
		return false;
	}
	server.name = xstrdup(words->v[1]);
	p->config->n_servers++;
	backend->servers =
	    grow_array(backend->servers, backend->n_servers, &backend->cap_servers, sizeof(*backend->servers));
	backend->servers[backend->n_servers++] = server;
	return true;
}

static void take_default_server(struct place *p, const struct strv *words)
{
	struct haproxy_server *server = p->in_defaults ? &p->defaults : &p->server;

	if (take_options(server, words->v + 1, words->n - 1) == 0)
		return;
	if (p->in_defaults)
		p->bad_defaults = true;
	else if (p->backend >= 0)
		p->config->fixed[p->backend] = true;
}

/* A line inside a section. */
static void take_setting(struct place *p, const struct strv *words, struct line *line)
{
	const char *kind = words->v[0];

	if (!strcmp(kind, "default-server"))
		take_default_server(p, words);
	else if (take_server(p, words))
		line->backend = p->backend;
	else if (p->backend >= 0 && (!strcmp(kind, "server") || !strcmp(kind, "server-template") || *kind == '.'))
		p->config->fixed[p->backend] = true;
}

static void take_line(struct place *p, const struct strv *words)
{
	struct haproxy_config *config = p->config;
	struct line line = { .backend = -1 };

	if (!begin_section(p, words))
		take_setting(p, words, &line);
	if (!strcmp(words->v[0], ".if"))
		p->conditions++;
	else if (!strcmp(words->v[0], ".endif") && p->conditions)
		p->conditions--;
	line.text = strv_join(words, " ");
	config->lines = grow_array(config->lines, config->n_lines, &config->cap_lines, sizeof(*config->lines));
	config->lines[config->n_lines++] = line;
}

/*
 * Drops the backends that are fixed. They must not be in the list even with the rest of their servers: for who makes it
 * so, a server that is not in the list is one to remove.
 */
static void drop_fixed(struct haproxy_config *config)
{
	int *moved = xcalloc(config->n_backends, sizeof(*moved));
	size_t kept = 0;

	for (size_t i = 0; i < config->n_backends; i++) {
		moved[i] = config->fixed[i] ? -1 : (int)kept;
		if (config->fixed[i])
			haproxy_backend_release(&config->backends[i]);
		else
			config->backends[kept++] = config->backends[i];
	}
	config->n_backends = kept;
	for (size_t i = 0; i < config->n_lines; i++)
		if (config->lines[i].backend >= 0)
			config->lines[i].backend = moved[config->lines[i].backend];
	free(moved);
}

int haproxy_config_parse(const char *text, size_t len, struct haproxy_config **ret, struct err *err)
{
	_cleanup_(haproxy_config_freep) struct haproxy_config *config = xcalloc(1, sizeof(*config));
	struct place p = { .config = config, .backend = -1, .defaults.weight = 1 };
	const char *end = text + len, *line_end;
	int number = 0, r = 0;

	if (len > MOST_TEXT)
		return err_set(err, EFBIG, _("The HAProxy configuration is larger than 1 MiB"));
	for (const char *line = text; r == 0 && line < end; line = line_end + 1) {
		_cleanup_strv_ struct strv words = { 0 };

		line_end = memchr(line, '\n', (size_t)(end - line));
		line_end = line_end ? line_end : end;
		if (++number > MOST_LINES || memchr(line, '\0', (size_t)(line_end - line)) ||
		    split_line(line, line_end, &words) < 0)
			r = err_set(err, EINVAL,
				    _("Line %d of the HAProxy configuration cannot be read: there is an open "
				      "quote or a zero byte in it, or it is one of too many"),
				    number);
		else if (words.n)
			take_line(&p, &words);
	}
	haproxy_server_release(&p.defaults);
	haproxy_server_release(&p.server);
	if (r < 0)
		return r;
	drop_fixed(config);
	*ret = TAKE_PTR(config);
	return 0;
}

const struct haproxy_backend *haproxy_config_backends(const struct haproxy_config *config, size_t *ret_n)
{
	*ret_n = config->n_backends;
	return config->backends;
}

/* The next line from `*at` that is structure, or NULL behind the last. */
static const char *next_structure(const struct haproxy_config *config, const struct strv *managed, size_t *at)
{
	while (*at < config->n_lines) {
		const struct line *line = &config->lines[(*at)++];

		if (line->backend < 0 || (managed && !strv_has(managed, config->backends[line->backend].name)))
			return line->text;
	}
	return NULL;
}

static bool same_structure(const struct haproxy_config *a, const struct haproxy_config *b, const struct strv *managed)
{
	size_t i = 0, j = 0;
	const char *x, *y;

	for (;;) {
		x = next_structure(a, managed, &i);
		y = next_structure(b, managed, &j);
		if (!x || !y)
			return !x && !y;
		if (strcmp(x, y))
			return false;
	}
}

static const struct haproxy_server *server_named(const struct haproxy_backend *backend, const char *name)
{
	for (size_t i = 0; i < backend->n_servers; i++)
		if (!strcmp(backend->servers[i].name, name))
			return &backend->servers[i];
	return NULL;
}

static enum haproxy_change compare_server(const struct haproxy_server *from, const struct haproxy_server *to)
{
	if (from->check != to->check || !strv_equal(&from->options, &to->options))
		return HAPROXY_MUST_RELOAD;
	if (strcmp(from->address, to->address) || from->port != to->port || from->weight != to->weight ||
	    from->state != to->state)
		return HAPROXY_SERVERS_CHANGED;
	return HAPROXY_SAME;
}

static enum haproxy_change compare_servers(const struct haproxy_backend *from, const struct haproxy_backend *to)
{
	enum haproxy_change change = HAPROXY_SAME;
	size_t kept = 0;

	for (size_t i = 0; i < to->n_servers && change != HAPROXY_MUST_RELOAD; i++) {
		const struct haproxy_server *old = server_named(from, to->servers[i].name);
		enum haproxy_change this = old ? compare_server(old, &to->servers[i]) : HAPROXY_SERVERS_CHANGED;

		kept += old != NULL;
		change = this > change ? this : change;
	}
	return change == HAPROXY_SAME && kept < from->n_servers ? HAPROXY_SERVERS_CHANGED : change;
}

enum haproxy_change haproxy_config_compare(const struct haproxy_config *from, const struct haproxy_config *to,
					   const struct strv *managed)
{
	enum haproxy_change change = HAPROXY_SAME;

	/* With the same structure they have the same backends in the same order. */
	if (!same_structure(from, to, managed) || from->n_backends != to->n_backends)
		return HAPROXY_MUST_RELOAD;
	for (size_t i = 0; i < to->n_backends; i++) {
		enum haproxy_change this = compare_servers(&from->backends[i], &to->backends[i]);

		if (strcmp(from->backends[i].name, to->backends[i].name))
			return HAPROXY_MUST_RELOAD;
		change = this > change ? this : change;
	}
	return change;
}
