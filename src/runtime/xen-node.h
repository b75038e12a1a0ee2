/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the Xen driver keeps of a node, as two small files:
 *   nodes/<name>/node.json   what it is; written before anything else is made, and again when its limits change
 *   state/<name>.json        how it is doing; written last when the node is made, and at each change. A node without
 *                            one is half made or half removed
 */
#ifndef TEPUY_RUNTIME_XEN_NODE_H
#define TEPUY_RUNTIME_XEN_NODE_H

#include "runtime/runtime.h"

struct xen_node {
	char *name, *host_name, *image;
	char *stop_signal; /* "TERM" */
	char *fingerprint; /* of its SSH host key: "SHA256:…" */
	struct strv labels, argv, env;
	struct runtime_mount *mounts;
	size_t n_mounts;
	struct runtime_port *ports;
	size_t n_ports;
	struct runtime_network *networks; /* its own addresses; eth0, eth1 … */
	size_t n_networks;
	uint64_t memory, log_size;
	double cpus;
	uint64_t memory_max; /* what it can grow to while it runs; 0: it stays as it is */
	double cpus_max;     /* likewise */
	bool isolated;
};

#define _cleanup_xen_node_ _cleanup_(xen_node_release)

enum xen_phase {
	XEN_MADE,     /* never started */
	XEN_STARTING, /* its domain was or is being created; its main process does not run yet */
	XEN_RUNNING,
	XEN_ENDED,
};

struct xen_record {
	enum xen_phase phase;
	bool wanted;        /* it is to run again when it ended by itself, also after the host's restart */
	int64_t run;        /* how many times it was started */
	int64_t sequence;   /* order of the first starts on this host; 0: none yet */
	int64_t started_ms; /* realtime */
	int exit_code;      /* of the last run that ended */
	bool out_of_memory;
};

void xen_node_release(struct xen_node *node);
/* A copy of what the caller asked for, without its fingerprint. */
void xen_node_from_spec(const struct runtime_spec *spec, struct xen_node *ret);
/* The caller owns the text; NULL when something in it is no UTF-8. */
char *xen_node_encode(const struct xen_node *node);
char *xen_record_encode(const struct xen_record *record);
/* -EBADMSG: this is not what the encoder writes. */
int xen_node_decode(const char *text, size_t len, struct xen_node *ret, struct err *err);
int xen_record_decode(const char *text, size_t len, struct xen_record *ret, struct err *err);

/* A name that may be a file's and a domain's: letters, digits, '.', '_', '-', at most 120, not beginning with '.'. */
bool xen_name_is_sane(const char *name);
/* Bytes for the whole machine: its limit and what the system needs. */
struct xen_config;
uint64_t xen_node_memory(const struct xen_config *config, const struct xen_node *node);
/* What it may ever have, Xen's `maxmem` and `maxvcpus`: at least what it has now. */
uint64_t xen_node_most_memory(const struct xen_config *config, const struct xen_node *node);
unsigned xen_node_vcpus(const struct xen_node *node);
unsigned xen_node_most_vcpus(const struct xen_node *node);
/* The share of its processors, in per cent of one; 0: all of them. */
unsigned xen_node_cap(const struct xen_node *node);
/* "02:c0:00:02:64:00" of address 192.0.2.100 and card 0: no two nodes of a cluster have one. The caller owns it. */
char *xen_mac(const char *address, size_t card);

/*
 * The file for `xl create`. Refuses with -EINVAL what xl cannot be told (quotes, line breaks). `disks` are in the order
 * xvda, xvdb ….
 */
struct xen_disk_line {
	const char *path;
	bool read_only;
};
int xen_encode_config(const struct xen_config *config, const struct xen_node *node, bool pvh,
		      const struct xen_disk_line *disks, size_t n_disks, char **ret, struct err *err);

/* One of `xl list`: the plain one, as the long one leaves out those that are half made. */
enum xen_domain_state {
	XEN_ALIVE,
	XEN_HELD,   /* paused: it is just being made, or was left half made */
	XEN_HALTED, /* its system has ended or crashed, and nobody has destroyed it yet; or somebody does */
};
struct xen_domain {
	int id;
	char *name;
	enum xen_domain_state state;
};
struct xen_domains {
	struct xen_domain *list;
	size_t n;
};
#define _cleanup_xen_domains_ _cleanup_(xen_domains_release)
void xen_domains_release(struct xen_domains *domains);
/* -EBADMSG when it is not what xl writes; at most 4096. Domain-0 and those without a name are left out. */
int xen_decode_domains(const char *text, struct xen_domains *ret, struct err *err);
const struct xen_domain *xen_find_domain(const struct xen_domains *domains, const char *name);
/* Of the same: memory in bytes, vcpus, seconds. */
int xen_decode_usage(const char *text, const char *name, struct runtime_usage *ret, struct err *err);
/* A value of `xl info` ("xen_version : 4.17.5"); NULL when it is not there. The caller owns it. */
char *xen_info_value(const char *text, const char *key);

/* What the guest wrote when its main process ended: "RUN CODE STATUS RESULT OOMKILLS" (xen-unit.h). -EBADMSG, or
 * -ESTALE when it is about another run. */
int xen_decode_exit(const char *text, int64_t run, int *ret_code, bool *ret_out_of_memory);

#endif
