/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ssh/ssh-config.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <pthread.h>
#include <pwd.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"

enum { MOST_FILE = 1 << 20, MOST_DEPTH = 16, MOST_DIRECTIVES = 100000 };

enum directive_kind { DIRECTIVE_OPTION, DIRECTIVE_HOST, DIRECTIVE_MATCH, DIRECTIVE_BEGIN, DIRECTIVE_END };

/* One line, in the order in which it counts; a file stands between BEGIN and END. */
struct directive {
	enum directive_kind kind;
	char *keyword; /* lower case */
	struct strv words;
	char *rest; /* the words as they were written, for those that take a whole line */
};

struct ssh_config {
	struct directive *directives;
	size_t n, cap;
};

struct reader {
	struct ssh_config *config;
	const char *file;
	int line, depth;
	struct err *err;
};

/* Who runs us. getpwuid() is for one thread only, and costs the reading of a file: it is called once. */
struct operator
{
	char *name, *home;
};

static struct operator self;

static void find_operator(void)
{
	const struct passwd *user = getpwuid(getuid());

	self.name = xstrdup(user ? user->pw_name : "root");
	self.home = xstrdup(user ? user->pw_dir : "/");
}

static const struct operator* operator(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_operator);
	return &self;
}

static char *home_directory(void)
{
	const char *home = getenv("HOME");

	return xstrdup(home && *home ? home : operator()->home);
}

static int read_file(struct reader *from, struct ssh_config *config, const char *file, bool needed, int depth,
		     struct err *err);

static struct directive *add(struct ssh_config *config, enum directive_kind kind)
{
	struct directive *directive;

	config->directives = grow_array(config->directives, config->n, &config->cap, sizeof(*config->directives));
	directive = &config->directives[config->n++];
	*directive = (struct directive){ .kind = kind };
	return directive;
}

static int wrong(struct reader *reader, const char *what)
{
	return err_set(reader->err, EINVAL, "%s:%d: %s", reader->file, reader->line, what);
}

/* The next word at `*at`, up to one of `end`, which may be quoted; NULL at the end or at a comment. */
static char *next_word(const char **at, const char *end)
{
	const char *p = *at + strspn(*at, " \t=");
	struct buf word = { 0 };
	char quote = 0;

	if (!*p || *p == '#') {
		*at = p + strlen(p);
		return NULL;
	}
	for (; *p && (quote || !strchr(end, *p)); p++) {
		if (quote ? *p == quote : *p == '"' || *p == '\'')
			quote = quote ? 0 : *p;
		else if (*p == '\\' && (p[1] == '"' || p[1] == '\'' || p[1] == '\\'))
			buf_addc(&word, *++p);
		else
			buf_addc(&word, *p);
	}
	*at = p;
	return buf_take(&word);
}

/* A relative name in Include is looked for beside the file that OpenSSH would take: ~/.ssh, or /etc/ssh. */
static char *include_path(const struct reader *reader, const char *word)
{
	_cleanup_(freep) char *home = home_directory();

	if (*word == '/')
		return xstrdup(word);
	if (text_starts(word, "~/"))
		return xasprintf("%s/%s", home, word + 2);
	if (text_starts(reader->file, "/etc/ssh/"))
		return xasprintf("/etc/ssh/%s", word);
	return xasprintf("%s/.ssh/%s", home, word);
}

static int include(struct reader *reader, const struct strv *words)
{
	for (size_t i = 0; i < words->n; i++) {
		_cleanup_(freep) char *path = include_path(reader, words->v[i]);
		glob_t found = { 0 };
		int r = 0;

		if (glob(path, 0, NULL, &found) == 0)
			for (size_t j = 0; r == 0 && j < found.gl_pathc; j++)
				r = read_file(reader, reader->config, found.gl_pathv[j], false, reader->depth + 1,
					      reader->err);
		globfree(&found);
		if (r < 0)
			return r;
	}
	return 0;
}

static void lower(char *text)
{
	for (; *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

static int take_line(struct reader *reader, const char *text)
{
	_cleanup_(freep) char *keyword = next_word(&text, " \t="), *rest = NULL;
	_cleanup_strv_ struct strv words = { 0 };
	struct directive *directive;
	char *word;

	if (!keyword)
		return 0;
	lower(keyword);
	text += strspn(text, " \t=");
	rest = xstrdup(text);
	while ((word = next_word(&text, " \t")))
		strv_take(&words, word);
	if (!words.n)
		return wrong(reader, _("the keyword has no value"));
	if (!strcmp(keyword, "include"))
		return include(reader, &words);
	if (reader->config->n > MOST_DIRECTIVES)
		return wrong(reader, _("the SSH configuration is too long"));
	directive = add(reader->config, !strcmp(keyword, "host")    ? DIRECTIVE_HOST
					: !strcmp(keyword, "match") ? DIRECTIVE_MATCH
								    : DIRECTIVE_OPTION);
	directive->keyword = TAKE_PTR(keyword);
	directive->words = words;
	directive->rest = TAKE_PTR(rest);
	words = (struct strv){ 0 };
	return 0;
}

static int read_text(struct reader *reader, const char *text, size_t len)
{
	const char *at = text, *end = text + len;
	int r = 0;

	add(reader->config, DIRECTIVE_BEGIN);
	while (r == 0 && at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((newline ? newline : end) - at);
		_cleanup_(freep) char *line = NULL;

		reader->line++;
		if (memchr(at, '\0', n))
			return wrong(reader, _("the line has a NUL in it"));
		line = xstrndup(at, n);
		while (n && isspace((unsigned char)line[n - 1]))
			line[--n] = '\0';
		r = take_line(reader, line);
		at = newline ? newline + 1 : end;
	}
	add(reader->config, DIRECTIVE_END);
	return r;
}

static int read_file(struct reader *from, struct ssh_config *config, const char *file, bool needed, int depth,
		     struct err *err)
{
	struct reader reader = { .config = config, .file = file, .depth = depth, .err = err };
	_cleanup_buf_ struct buf text = { 0 };
	_cleanup_err_ struct err own = ERR_INIT;
	int r;

	if (depth > MOST_DEPTH)
		return wrong(from, _("files include each other too deeply"));
	r = fs_read(file, MOST_FILE, &text, &own);
	if (r < 0 && (needed || (r != -ENOENT && r != -ENOTDIR && r != -EACCES)))
		return err_set(err, -r, _("The SSH configuration cannot be read: %s"), err_text(&own));
	return r < 0 ? 0 : read_text(&reader, buf_text(&text), text.len);
}

int ssh_config_load(const char *file, struct ssh_config **ret, struct err *err)
{
	_cleanup_(ssh_config_freep) struct ssh_config *config = xcalloc(1, sizeof(*config));
	_cleanup_(freep) char *home = home_directory(), *own = xasprintf("%s/.ssh/config", home);
	int r = read_file(NULL, config, file ? file : own, file != NULL, 0, err);

	if (r == 0 && !file)
		r = read_file(NULL, config, "/etc/ssh/ssh_config", false, 0, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(config);
	return 0;
}

int ssh_config_parse(const char *file, const char *text, size_t len, struct ssh_config **ret, struct err *err)
{
	_cleanup_(ssh_config_freep) struct ssh_config *config = xcalloc(1, sizeof(*config));
	struct reader reader = { .config = config, .file = file, .err = err };
	int r = read_text(&reader, text, len);

	if (r < 0)
		return r;
	*ret = TAKE_PTR(config);
	return 0;
}

void ssh_config_free(struct ssh_config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->n; i++) {
		free(config->directives[i].keyword);
		free(config->directives[i].rest);
		strv_release(&config->directives[i].words);
	}
	free(config->directives);
	free(config);
}

void ssh_config_freep(struct ssh_config **config)
{
	ssh_config_free(*config);
}

/* '*' and '?' only. Linear in text times stars: the last star is the only one that is taken back. */
static bool glob_match(const char *text, const char *pattern, size_t len)
{
	const char *end = pattern + len, *star = NULL, *resume = NULL;

	while (*text) {
		if (pattern < end && *pattern == '*') {
			star = ++pattern;
			resume = text;
		} else if (pattern < end &&
			   (*pattern == '?' || tolower((unsigned char)*pattern) == tolower((unsigned char)*text))) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++resume;
		} else
			return false;
	}
	while (pattern < end && *pattern == '*')
		pattern++;
	return pattern == end;
}

bool ssh_pattern_list(const char *text, const char *list)
{
	bool matched = false;

	while (*list) {
		size_t len = strcspn(list, ", \t");
		bool negated = *list == '!';

		if (len && glob_match(text, list + negated, len - negated)) {
			if (negated)
				return false;
			matched = true;
		}
		list += len;
		list += strspn(list, ", \t");
	}
	return matched;
}

/* What has been found so far; Match looks at it too. */
struct resolver {
	const char *name;
	const char *local_user;
	struct ssh_settings *to;
	bool port_given, seen_only, seen_agent, seen_public_key, seen_password, seen_keyboard, seen_jump, seen_command;
	bool seen_hash, seen_strict, seen_timeout, seen_known, seen_global;
};

static const char *host_now(const struct resolver *r)
{
	return r->to->hostname ? r->to->hostname : r->name;
}

static bool match_one(const struct resolver *r, const char *what, const char *value)
{
	if (!strcmp(what, "host"))
		return ssh_pattern_list(host_now(r), value);
	if (!strcmp(what, "originalhost"))
		return ssh_pattern_list(r->name, value);
	if (!strcmp(what, "user"))
		return ssh_pattern_list(r->to->user ? r->to->user : r->local_user, value);
	if (!strcmp(what, "localuser"))
		return ssh_pattern_list(r->local_user, value);
	return false; /* exec, tagged, …: what cannot be told does not apply */
}

static bool match_block(const struct resolver *r, const struct directive *directive)
{
	const struct strv *words = &directive->words;
	bool all = true;

	if (directive->kind == DIRECTIVE_HOST) {
		_cleanup_(freep) char *list = strv_join(words, " ");

		return ssh_pattern_list(r->name, list);
	}
	for (size_t i = 0; all && i < words->n; i++) {
		_cleanup_(freep) char *what = xstrdup(words->v[i]);
		bool negated = *what == '!', met;

		lower(what);
		if (!strcmp(what + negated, "all"))
			met = true;
		else if (!strcmp(what + negated, "canonical") || !strcmp(what + negated, "final"))
			met = false;
		else if (++i < words->n)
			met = match_one(r, what + negated, words->v[i]);
		else
			return false;
		all = met != negated;
	}
	return all;
}

static void set_text(char **to, const char *value)
{
	if (!*to)
		*to = xstrdup(value);
}

static bool first(bool *seen)
{
	bool was = *seen;

	*seen = true;
	return !was;
}

static bool is_yes(const char *value)
{
	return !strcasecmp(value, "yes") || !strcasecmp(value, "true");
}

static bool is_none(const char *value)
{
	return !strcasecmp(value, "none");
}

/* A jump and a command exclude each other: whichever is said first is the way. */
static void set_proxy(struct resolver *r, char **to, const char *value)
{
	if (!first(&r->seen_jump))
		return;
	if (!is_none(value))
		*to = xstrdup(value);
}

static void set_flag(bool *seen, bool *to, const char *value)
{
	if (first(seen))
		*to = is_yes(value);
}

static void set_list(bool *seen, struct strv *to, const struct strv *words)
{
	if (first(seen))
		for (size_t i = 0; i < words->n; i++)
			if (!is_none(words->v[i]))
				strv_add(to, words->v[i]);
}

/* Seconds, or with a unit as in 1m30s; only the plain forms are taken. */
static void set_timeout(struct resolver *r, const char *value)
{
	uint64_t seconds;

	if (first(&r->seen_timeout) && text_u64(value, &seconds) == 0 && seconds && seconds < 86400)
		r->to->connect_ms = (int64_t)seconds * 1000;
}

static void set_agent(struct resolver *r, const char *value)
{
	if (!first(&r->seen_agent))
		return;
	r->to->agent = !is_none(value);
	if (r->to->agent && strcmp(value, "SSH_AUTH_SOCK") != 0)
		r->to->identity_agent = xstrdup(*value == '$' ? getenv(value + 1) : value);
}

static void set_port(struct resolver *r, const char *value)
{
	uint64_t port;

	if (!r->to->port && text_u64(value, &port) == 0 && port > 0 && port < 65536)
		r->to->port = (uint16_t)port;
}

static void take_reach(struct resolver *r, const struct directive *directive)
{
	const char *keyword = directive->keyword, *value = directive->words.v[0];
	struct ssh_settings *to = r->to;

	if (!strcmp(keyword, "hostname"))
		set_text(&to->hostname, value);
	else if (!strcmp(keyword, "user"))
		set_text(&to->user, value);
	else if (!strcmp(keyword, "port"))
		set_port(r, value);
	else if (!strcmp(keyword, "proxyjump"))
		set_proxy(r, &to->proxy_jump, value);
	else if (!strcmp(keyword, "proxycommand"))
		set_proxy(r, &to->proxy_command, directive->rest);
	else if (!strcmp(keyword, "connecttimeout"))
		set_timeout(r, value);
}

static void take_keys(struct resolver *r, const struct directive *directive)
{
	const char *keyword = directive->keyword, *value = directive->words.v[0];
	struct ssh_settings *to = r->to;

	if (!strcmp(keyword, "identityfile"))
		strv_add(&to->identities, value);
	else if (!strcmp(keyword, "identitiesonly"))
		set_flag(&r->seen_only, &to->identities_only, value);
	else if (!strcmp(keyword, "identityagent"))
		set_agent(r, value);
	else if (!strcmp(keyword, "pubkeyauthentication"))
		set_flag(&r->seen_public_key, &to->public_key, value);
	else if (!strcmp(keyword, "passwordauthentication"))
		set_flag(&r->seen_password, &to->password, value);
	else if (!strcmp(keyword, "kbdinteractiveauthentication") ||
		 !strcmp(keyword, "challengeresponseauthentication"))
		set_flag(&r->seen_keyboard, &to->keyboard, value);
	else if (!strcmp(keyword, "userknownhostsfile"))
		set_list(&r->seen_known, &to->known_hosts, &directive->words);
	else if (!strcmp(keyword, "globalknownhostsfile"))
		set_list(&r->seen_global, &to->global_known_hosts, &directive->words);
	else if (!strcmp(keyword, "hostkeyalias"))
		set_text(&to->host_key_alias, value);
	else if (!strcmp(keyword, "hashknownhosts"))
		set_flag(&r->seen_hash, &to->hash_known_hosts, value);
	else if (!strcmp(keyword, "stricthostkeychecking"))
		set_flag(&r->seen_strict, &to->strict, value);
}

static void walk(const struct ssh_config *config, struct resolver *r)
{
	bool active[MOST_DEPTH + 2] = { true }, outer[MOST_DEPTH + 2] = { true };
	size_t depth = 0;

	for (size_t i = 0; i < config->n; i++) {
		const struct directive *directive = &config->directives[i];

		switch (directive->kind) {
		case DIRECTIVE_BEGIN:
			outer[depth + 1] = active[depth];
			active[depth + 1] = active[depth];
			depth++;
			break;
		case DIRECTIVE_END:
			depth--;
			break;
		case DIRECTIVE_HOST:
		case DIRECTIVE_MATCH:
			active[depth] = outer[depth] && match_block(r, directive);
			break;
		case DIRECTIVE_OPTION:
			if (active[depth]) {
				take_reach(r, directive);
				take_keys(r, directive);
			}
			break;
		}
	}
}

/* ~ and the tokens of ssh_config(5) that a file's name can have. */
static char *expand(const struct resolver *r, const char *text, const char *home)
{
	struct buf to = { 0 };

	if (text_starts(text, "~/")) {
		buf_adds(&to, home);
		text++;
	}
	for (; *text; text++) {
		if (*text != '%' || !text[1]) {
			buf_addc(&to, *text);
			continue;
		}
		switch (*++text) {
		case 'h':
			buf_adds(&to, host_now(r));
			break;
		case 'n':
			buf_adds(&to, r->name);
			break;
		case 'p':
			buf_printf(&to, "%u", r->to->port);
			break;
		case 'r':
			buf_adds(&to, r->to->user);
			break;
		case 'u':
			buf_adds(&to, r->local_user);
			break;
		case 'd':
			buf_adds(&to, home);
			break;
		case '%':
			buf_addc(&to, '%');
			break;
		default:
			buf_addc(&to, '%');
			buf_addc(&to, *text);
		}
	}
	return buf_take(&to);
}

static void expand_all(const struct resolver *r, struct strv *list, const char *home)
{
	for (size_t i = 0; i < list->n; i++) {
		char *expanded = expand(r, list->v[i], home);

		free(list->v[i]);
		list->v[i] = expanded;
	}
}

static void expand_one(const struct resolver *r, char **text, const char *home)
{
	char *expanded = *text ? expand(r, *text, home) : NULL;

	free(*text);
	*text = expanded;
}

static void fill_defaults(struct resolver *r)
{
	struct ssh_settings *to = r->to;

	if (!to->port)
		to->port = 22;
	if (!to->user)
		to->user = xstrdup(r->local_user);
	if (!to->identities.n)
		strv_add_all(&to->identities, "~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa", NULL);
	if (!r->seen_known)
		strv_add_all(&to->known_hosts, "~/.ssh/known_hosts", "~/.ssh/known_hosts2", NULL);
	if (!r->seen_global)
		strv_add_all(&to->global_known_hosts, "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2", NULL);
}

/* HostName may contain %h, the name that was asked for. */
static void expand_hostname(struct resolver *r)
{
	char *hostname = r->to->hostname, *expanded;

	if (!hostname) {
		r->to->hostname = xstrdup(r->name);
		return;
	}
	r->to->hostname = NULL;
	expanded = expand(r, hostname, "");
	free(hostname);
	r->to->hostname = expanded;
}

void ssh_config_resolve(const struct ssh_config *config, const char *name, const char *user, uint16_t port,
			struct ssh_settings *ret)
{
	_cleanup_(freep) char *home = home_directory();
	struct resolver r = { .name = name, .local_user = operator()->name, .to = ret };

	*ret = (struct ssh_settings){ .user = xstrdup(user),
				      .port = port,
				      .agent = true,
				      .public_key = true,
				      .password = true,
				      .keyboard = true };
	walk(config, &r);
	fill_defaults(&r);
	expand_hostname(&r);
	expand_all(&r, &ret->identities, home);
	expand_all(&r, &ret->known_hosts, home);
	expand_all(&r, &ret->global_known_hosts, home);
	expand_one(&r, &ret->identity_agent, home);
}

void ssh_settings_release(struct ssh_settings *settings)
{
	free(settings->hostname);
	free(settings->user);
	free(settings->identity_agent);
	free(settings->proxy_jump);
	free(settings->proxy_command);
	free(settings->host_key_alias);
	strv_release(&settings->identities);
	strv_release(&settings->known_hosts);
	strv_release(&settings->global_known_hosts);
	*settings = (struct ssh_settings){ 0 };
}
