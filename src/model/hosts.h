/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hosts that an operator prepares and reaches by SSH (tepuy-hosts(5)). */
#ifndef TEPUY_MODEL_HOSTS_H
#define TEPUY_MODEL_HOSTS_H

#include "model/recipe.h"
#include "model/schema.h"

struct hosts_defaults {
	struct model_item item;
	char *user; /* NULL: the one that ssh would take */
	uint16_t port;
	char *runtime; /* driver name */
};

struct hosts_consul {
	struct model_item item;
	char *datacenter;
	struct strv servers; /* names of hosts; empty: hosts_load puts the first host, or the first three */
};

/* A network that a Xen host's machines have a card in. */
struct hosts_card {
	struct model_item item;
	char *bridge;
	char *addresses;      /* "192.0.2.100-192.0.2.120/24" */
	char *gateway;        /* NULL: none */
	uint32_t first, last; /* of addresses, host byte order */
	int prefix;
};

struct hosts_xen {
	struct model_item item;
	char *bridge; /* as in hosts_card, of the first card */
	char *addresses;
	char *gateway;
	uint32_t first, last;
	int prefix;
	struct strv dns;     /* empty: what the host itself asks */
	char *volume_group;  /* NULL: disks are files */
	int64_t dom0_memory; /* bytes */
	char *type;          /* "pv" or "pvh"; NULL: what the host can do */
	struct hosts_card *more;
	size_t n_more;
};

struct host {
	struct model_item item; /* item.name: the host */
	char *address;          /* IPv4, IPv6 or a DNS name */
	char *user;             /* with the default filled in; may be NULL */
	uint16_t port;          /* of sshd, with the default filled in */
	char *runtime;          /* with the default filled in */
	char *fingerprint;      /* "SHA256:…" of the SSH host key, or NULL */
	struct pair *labels;
	size_t n_labels;
	struct hosts_xen xen;
};

struct hosts {
	struct model_item item;
	char *file;
	struct yaml_document *document;

	struct hosts_defaults defaults;
	struct hosts_consul consul;
	struct host *hosts;
	size_t n_hosts;
};

/* 0 with `ret` when there was no error; else -EINVAL, or -errno of reading, with the errors in `diag`. */
int hosts_load(const char *file, struct diag *diag, struct hosts **ret);
int hosts_parse(const char *file, const char *text, size_t len, struct diag *diag, struct hosts **ret);
void hosts_free(struct hosts *hosts);
void hosts_freep(struct hosts **hosts);
const struct host *hosts_find(const struct hosts *hosts, const char *name);

#endif
