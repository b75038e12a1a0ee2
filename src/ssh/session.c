/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ssh/session.h"

#include <errno.h>
#include <libssh/server.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "ssh/jump.h"
#include "ssh/known-hosts.h"

#define NO_CONFIG "" /* as the name of a file of which nothing is read */

enum { CONNECT_MS = 10000, SILENCE_MS = 15000, MOST_TRIES = 3, MOST_DEPTH = 8 };

static const struct {
	const char *type, *algorithms;
} key_types[] = {
	{ "ssh-ed25519", "ssh-ed25519" },
	{ "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256" },
	{ "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384" },
	{ "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521" },
	{ "ssh-rsa", "rsa-sha2-512,rsa-sha2-256" },
};

static void init_library(void)
{
	struct sigaction now;

	ssh_init();
	/* libssh writes to sockets without MSG_NOSIGNAL; a host that goes away must not end the program. */
	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
}

int64_t session_left_ms(const struct opening *opening)
{
	int64_t left = opening->deadline - clock_monotonic_ms();

	return left > 0 ? left : 1;
}

void session_wipe(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

char *session_ask(const struct remote_options *options, enum remote_question question, const char *host,
		  const char *prompt, int64_t *deadline)
{
	static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
	int64_t start = clock_monotonic_ms();
	char *answer;

	if (!options->ask)
		return NULL;
	pthread_mutex_lock(&one_at_a_time);
	answer = options->ask(options->ask_data, question, host, prompt);
	pthread_mutex_unlock(&one_at_a_time);
	if (deadline)
		*deadline += clock_monotonic_ms() - start;
	return answer;
}

/* One file is read once, however many hosts are asked for. */
static int shared_config(const char *file, const struct ssh_config **ret, struct err *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct known {
		struct known *next;
		char *file;
		struct ssh_config *config;
	} * all;
	struct known *known;
	int r = 0;

	pthread_mutex_lock(&lock);
	for (known = all; known; known = known->next)
		if (known->file == file || (file && known->file && !strcmp(known->file, file)))
			break;
	if (!known) {
		struct ssh_config *config;

		r = file && !*file ? ssh_config_parse(file, "", 0, &config, err) : ssh_config_load(file, &config, err);
		if (r == 0) {
			known = xcalloc(1, sizeof(*known));
			*known = (struct known){ .next = all, .file = xstrdup(file), .config = config };
			all = known;
		}
	}
	if (r == 0)
		*ret = known->config;
	pthread_mutex_unlock(&lock);
	return r;
}

static int set(ssh_session ssh, enum ssh_options_e option, const void *value, struct err *err)
{
	if (ssh_options_set(ssh, option, value) == SSH_OK)
		return 0;
	return err_set(err, EINVAL, _("The SSH library does not take a setting: %s"), ssh_get_error(ssh));
}

/* All algorithms for host keys, those of `first` before the others. The caller owns it. */
static char *key_algorithms(const struct strv *first)
{
	_cleanup_strv_ struct strv list = { 0 };

	for (size_t i = 0; i < first->n; i++)
		for (size_t j = 0; j < ARRAY_SIZE(key_types); j++)
			if (!strcmp(first->v[i], key_types[j].type))
				strv_add(&list, key_types[j].algorithms);
	for (size_t j = 0; j < ARRAY_SIZE(key_types); j++)
		if (!strv_has(first, key_types[j].type))
			strv_add(&list, key_types[j].algorithms);
	return strv_join(&list, ",");
}

/* libssh leaves a descriptor that it was given open, unless it forgets that it was. */
static void drop_session(struct remote *remote)
{
	if (!remote->ssh)
		return;
	ssh_options_set(remote->ssh, SSH_OPTIONS_FD, NULL);
	if (ssh_is_connected(remote->ssh))
		ssh_disconnect(remote->ssh);
	ssh_free(remote->ssh);
	remote->ssh = NULL;
}

/* Of the algorithms those that cost least: the order counts, the rest stays possible. */
static int prepare(struct opening *opening, struct err *err)
{
	static const char kex[] =
	    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"
	    "ecdh-sha2-nistp521,diffie-hellman-group18-sha512,diffie-hellman-group16-sha512,"
	    "diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha256";
	static const char ciphers[] = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,"
				      "aes256-ctr,aes192-ctr,aes128-ctr";
	struct remote *remote = opening->remote;
	_cleanup_(freep) char *keys = key_algorithms(&opening->types);
	unsigned int port = opening->settings.port;
	int off = 0, on = 1, r;

	drop_session(remote);
	remote->ssh = ssh_new();
	if (!remote->ssh)
		return err_set(err, ENOMEM, _("The SSH library cannot be used"));
	r = set(remote->ssh, SSH_OPTIONS_HOST, opening->settings.hostname, err);
	r = r < 0 ? r : set(remote->ssh, SSH_OPTIONS_PROCESS_CONFIG, &off, err);
	r = r < 0 ? r : set(remote->ssh, SSH_OPTIONS_PORT, &port, err);
	r = r < 0 ? r : set(remote->ssh, SSH_OPTIONS_USER, opening->settings.user, err);
	r = r < 0 ? r : set(remote->ssh, SSH_OPTIONS_NODELAY, &on, err);
	/* Host keys are our own business (known-hosts.h): libssh would read the files for every host. */
	r = r < 0 ? r : set(remote->ssh, SSH_OPTIONS_KNOWNHOSTS, "/dev/null", err);
	r = r < 0 ? r : set(remote->ssh, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null", err);
	r = r < 0 ? r : set(remote->ssh, SSH_OPTIONS_HOSTKEYS, keys, err);
	r = r < 0 ? r : set(remote->ssh, SSH_OPTIONS_KEY_EXCHANGE, kex, err);
	r = r < 0 ? r : set(remote->ssh, SSH_OPTIONS_CIPHERS_C_S, ciphers, err);
	r = r < 0 ? r : set(remote->ssh, SSH_OPTIONS_CIPHERS_S_C, ciphers, err);
	remote->counter = (struct ssh_counter_struct){ 0 };
	ssh_set_counters(remote->ssh, &remote->counter, NULL);
	return r;
}

static int limit_time(struct opening *opening, struct err *err)
{
	int64_t left = session_left_ms(opening);
	long seconds = (long)(left / 1000), microseconds = (long)(left % 1000) * 1000;
	int r = set(opening->remote->ssh, SSH_OPTIONS_TIMEOUT, &seconds, err);

	return r < 0 ? r : set(opening->remote->ssh, SSH_OPTIONS_TIMEOUT_USEC, &microseconds, err);
}

static int no_session(struct opening *opening, struct err *err)
{
	const struct remote *remote = opening->remote;
	struct remote_dial *through = opening->options->through;
	_cleanup_(freep) char *why = remote->jump ? jump_trouble(remote->jump)
				     : through    ? remote_dial_trouble(through)
						  : NULL;

	if (clock_monotonic_ms() >= opening->deadline)
		return err_set(err, ETIMEDOUT, _("%s (%s:%u) does not answer as an SSH server in time"), remote->name,
			       opening->settings.hostname, opening->settings.port);
	return err_set(err, EHOSTUNREACH, _("No SSH session with %s (%s:%u) came about: %s"), remote->name,
		       opening->settings.hostname, opening->settings.port, why ? why : ssh_get_error(remote->ssh));
}

/* One connection, up to the host's key. 1: it was closed before a word was said, as a busy sshd does. */
static int handshake(struct opening *opening, struct err *err)
{
	struct remote *remote = opening->remote;
	int r = prepare(opening, err), fd;

	if (r == 0 && opening->settings.proxy_command)
		r = set(remote->ssh, SSH_OPTIONS_PROXYCOMMAND, opening->settings.proxy_command, err);
	if (r == 0 && !opening->settings.proxy_command) {
		r = fd = session_connect(opening, err);
		if (r >= 0)
			r = set(remote->ssh, SSH_OPTIONS_FD, &fd, err);
	}
	r = r < 0 ? r : limit_time(opening, err);
	if (r < 0)
		return r;
	if (ssh_connect(remote->ssh) == SSH_OK)
		return 0;
	no_session(opening, err);
	if (!ssh_get_serverbanner(remote->ssh) && clock_monotonic_ms() < opening->deadline &&
	    !opening->settings.proxy_command)
		return 1;
	return err && err->code ? -err->code : -EHOSTUNREACH;
}

static void pause_before(int try)
{
	struct timespec time = { .tv_nsec = 150000000L * try };

	nanosleep(&time, NULL);
}

static int connect_and_check(struct opening *opening, struct err *err)
{
	bool again = true;
	int r = 1;

	for (int try = 1; r == 1 && try <= MOST_TRIES; try++) {
		if (try > 1)
			pause_before(try);
		r = handshake(opening, err);
	}
	if (r != 0)
		return r < 0 ? r : -EHOSTUNREACH;
	r = session_check_key(opening, &again, err);
	/* A fingerprint may be that of a key of another type: the host is asked for its others, each once. */
	while (r == -EKEYREJECTED && again) {
		r = handshake(opening, err);
		if (r != 0)
			return r < 0 ? r : -EHOSTUNREACH;
		r = session_check_key(opening, &again, err);
	}
	return r;
}

/* Under which name its key is known, and of which types. */
static int know_as(struct opening *opening, char *name, struct err *err)
{
	const struct ssh_settings *settings = &opening->settings;
	int r;

	free(opening->known_name);
	opening->known_name = name;
	r = known_hosts_types(&settings->known_hosts, name, &opening->types, err);
	return r < 0 ? r : known_hosts_types(&settings->global_known_hosts, name, &opening->types, err);
}

static int find_known(struct opening *opening, struct err *err)
{
	const struct ssh_settings *settings = &opening->settings;
	int r = 0;

	if (settings->host_key_alias)
		return know_as(opening, known_hosts_name(settings->host_key_alias, 22), err);
	if (opening->host->known_by_name)
		r = know_as(opening, known_hosts_name(opening->host->name, settings->port), err);
	if (r < 0 || opening->types.n)
		return r;
	return know_as(opening, known_hosts_name(settings->hostname, settings->port), err);
}

/* Nothing of the operator's own: this key, and the fingerprint that the caller has. */
static void only_identity(struct ssh_settings *settings, const char *identity)
{
	strv_release(&settings->identities);
	strv_add(&settings->identities, identity);
	settings->identities_only = true;
	strv_release(&settings->known_hosts);
	strv_release(&settings->global_known_hosts);
}

static int settle(struct opening *opening, const char *via, struct err *err)
{
	const struct remote_host *host = opening->host;
	const struct remote_options *options = opening->options;
	struct ssh_settings *settings = &opening->settings;
	const struct ssh_config *config = NULL;
	int r = shared_config(options->identity ? NO_CONFIG : options->config, &config, err);

	if (r < 0)
		return r;
	ssh_config_resolve(config, host->name, host->user, host->port, settings);
	if (options->identity)
		only_identity(settings, options->identity);
	if (host->address) {
		free(settings->hostname);
		settings->hostname = xstrdup(host->address);
	}
	if (via) {
		free(settings->proxy_jump);
		settings->proxy_jump = *via ? xstrdup(via) : NULL;
	}
	if (options->known_hosts) {
		strv_release(&settings->known_hosts);
		strv_add(&settings->known_hosts, options->known_hosts);
	}
	opening->deadline = clock_monotonic_ms() + (options->connect_ms    ? options->connect_ms
						    : settings->connect_ms ? settings->connect_ms
									   : CONNECT_MS);
	opening->remote->user = xstrdup(settings->user);
	return find_known(opening, err);
}

static void opening_release(struct opening *opening)
{
	ssh_settings_release(&opening->settings);
	free(opening->known_name);
	strv_release(&opening->types);
}

int session_open(const struct remote_host *host, const struct remote_options *options, const char *via, int depth,
		 struct remote **ret, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	_cleanup_(remote_closep) struct remote *remote = xcalloc(1, sizeof(*remote));
	_cleanup_(opening_release) struct opening opening = {
		.host = host, .options = options, .remote = remote, .depth = depth
	};
	_cleanup_err_ struct err own = ERR_INIT;
	int r;

	pthread_once(&once, init_library);
	remote->name = xstrdup(host->name);
	remote->silence_ms = options->silence_ms ? options->silence_ms : SILENCE_MS;
	remote->ask = options->ask;
	remote->ask_data = options->ask_data;
	r = depth > MOST_DEPTH ? err_set(&own, ELOOP, _("The way to %s leads through too many jump hosts"), host->name)
			       : settle(&opening, via, &own);
	if (r == 0)
		r = connect_and_check(&opening, &own);
	if (r == 0)
		r = limit_time(&opening, &own);
	if (r == 0)
		r = session_authenticate(&opening, &own);
	if (r == 0 &&
	    (!(remote->event = ssh_event_new()) || ssh_event_add_session(remote->event, remote->ssh) != SSH_OK))
		r = err_set(&own, ENOMEM, _("The SSH library cannot be used"));
	if (r < 0)
		return err_set(err, -r, "%s", err_text(&own));
	ssh_set_blocking(remote->ssh, 0);
	*ret = TAKE_PTR(remote);
	return 0;
}

bool remote_is_configured(const char *name, const struct remote_options *options)
{
	_cleanup_ssh_settings_ struct ssh_settings settings = { 0 };
	const struct ssh_config *config = NULL;

	if (shared_config(options->config, &config, NULL) < 0)
		return false;
	ssh_config_resolve(config, name, NULL, 0, &settings);
	return settings.proxy_jump || settings.proxy_command || strcmp(settings.hostname, name) != 0;
}

int remote_open(const struct remote_host *host, const struct remote_options *options, struct remote **ret,
		struct err *err)
{
	return session_open(host, options, NULL, 0, ret, err);
}

void remote_close(struct remote *remote)
{
	if (!remote)
		return;
	if (remote->event) {
		ssh_event_remove_session(remote->event, remote->ssh);
		ssh_event_free(remote->event);
	}
	drop_session(remote);
	jump_release(remote->jump);
	session_wipe(&remote->sudo_password);
	free(remote->name);
	free(remote->user);
	free(remote);
}

void remote_closep(struct remote **remote)
{
	remote_close(*remote);
}

const char *remote_name(const struct remote *remote)
{
	return remote->name;
}

int session_lost(struct remote *remote, struct err *err)
{
	const char *why = ssh_get_error(remote->ssh);

	return err_set(err, EHOSTUNREACH, _("The connection to %s broke: %s"), remote->name,
		       why && *why ? why : _("it was closed"));
}

int session_pulse(struct remote *remote, struct err *err)
{
	int64_t now = clock_monotonic_ms(), third = remote->silence_ms / 3 + 1, silent;
	uint64_t sent;

	if (remote->counter.in_bytes != remote->bytes_heard) {
		remote->bytes_heard = remote->counter.in_bytes;
		remote->heard = now;
	}
	silent = now - remote->heard;
	if (silent >= remote->silence_ms)
		return err_set(err, ETIMEDOUT,
			       _("%s has not answered for %lld seconds; it hangs or the way to it is cut"),
			       remote->name, (long long)((silent + 500) / 1000));
	if (silent >= third && now - remote->asked >= third) {
		remote->asked = now;
		sent = remote->counter.out_bytes;
		ssh_send_keepalive(remote->ssh);
		/* The first call may only have taken the answer to the one before. */
		if (remote->counter.out_bytes == sent)
			ssh_send_keepalive(remote->ssh);
	}
	return (int)(third < 1000 ? third : 1000);
}

int session_wait(struct remote *remote, int64_t ms, struct err *err)
{
	int next = session_pulse(remote, err);

	if (next < 0)
		return next;
	if (!ssh_is_connected(remote->ssh))
		return session_lost(remote, err);
	if (ssh_event_dopoll(remote->event, (int)(ms < next ? (ms > 0 ? ms : 0) : next)) == SSH_ERROR &&
	    !ssh_is_connected(remote->ssh))
		return session_lost(remote, err);
	return 0;
}
