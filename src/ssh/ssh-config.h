/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * OpenSSH's client configuration, as far as it says how a host is reached: read once, then asked for each host. First
 * value wins, Host and Match (all, host, originalhost, user, localuser), Include. Keywords that are not listed in
 * struct ssh_settings are left alone.
 */
#ifndef TEPUY_SSH_SSH_CONFIG_H
#define TEPUY_SSH_SSH_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

struct ssh_config;

/* `file` NULL: ~/.ssh/config and /etc/ssh/ssh_config, either of which may be absent; a named file must be there. */
int ssh_config_load(const char *file, struct ssh_config **ret, struct err *err);
/* As ssh_config_load of one file's text, for tests and fuzzing. Include is followed. */
int ssh_config_parse(const char *file, const char *text, size_t len, struct ssh_config **ret, struct err *err);
void ssh_config_free(struct ssh_config *config);
void ssh_config_freep(struct ssh_config **config);

/* All strings are owned; NULL or empty: not said. Tokens (%h, ~) are expanded but in proxy_command. */
struct ssh_settings {
	char *hostname; /* the name itself when nothing is said */
	char *user;     /* the operator's when nothing is said */
	uint16_t port;  /* 22 when nothing is said */
	struct strv identities;
	bool identities_only;
	bool agent; /* IdentityAgent is not "none" */
	char *identity_agent;
	bool public_key, password, keyboard; /* which ways in are allowed */
	char *proxy_jump;                    /* "none" is NULL */
	char *proxy_command;
	struct strv known_hosts, global_known_hosts;
	char *host_key_alias;
	bool hash_known_hosts;
	bool strict;        /* StrictHostKeyChecking yes: a new key is refused without asking */
	int64_t connect_ms; /* 0: not said */
};

#define _cleanup_ssh_settings_ _cleanup_(ssh_settings_release)

/* `user` (may be NULL) and `port` (may be 0) go before what the configuration says, as on ssh's command line. */
void ssh_config_resolve(const struct ssh_config *config, const char *name, const char *user, uint16_t port,
			struct ssh_settings *ret);
void ssh_settings_release(struct ssh_settings *settings);

/* ssh's patterns: "*.example.org,!bad.example.org" or separated by spaces; a negated match decides. */
bool ssh_pattern_list(const char *text, const char *list);

#endif
