/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keys of hosts.yaml. */
#include "base/i18n.h"
#include "model/hosts.h"

#define USER_PATTERN "^[a-z_][a-z0-9_.-]{0,31}$"
#define USER_EXPECTED N_("the name of a user")
#define ADDRESS_PATTERN "^[0-9A-Za-z][0-9A-Za-z.:-]{0,252}$"
#define ADDRESS_EXPECTED N_("an IP address or a DNS name")

static const struct key defaults_keys[] = {
	{ .name = "user",
	  .type = KEY_STRING,
	  .pattern = USER_PATTERN,
	  .expected = USER_EXPECTED,
	  .description = N_("User to log in as; what the SSH configuration says if it is not given."),
	  KEY_FIELD(struct hosts_defaults, user) },
	{ .name = "port",
	  .type = KEY_INTEGER,
	  .fallback = "22",
	  .min = 1,
	  .max = 65535,
	  .description = N_("Port of the SSH servers."),
	  KEY_FIELD(struct hosts_defaults, port) },
	{ .name = "runtime",
	  .type = KEY_NAME,
	  .fallback = "docker",
	  .description = N_("Runtime of the hosts, as docker or xen."),
	  KEY_FIELD(struct hosts_defaults, runtime) },
};

static const struct schema defaults_schema = {
	.name = "defaults",
	.keys = defaults_keys,
	.n_keys = ARRAY_SIZE(defaults_keys),
	.size = sizeof(struct hosts_defaults),
	.description = N_("Values for hosts that do not say otherwise."),
};

static const struct key consul_keys[] = {
	{ .name = "datacenter",
	  .type = KEY_NAME,
	  .fallback = "tepuy",
	  .description = N_("Name of Consul's datacenter."),
	  KEY_FIELD(struct hosts_consul, datacenter) },
	{ .name = "servers",
	  .type = KEY_STRINGS,
	  .description =
	      N_("Hosts that are Consul's servers, best three or five. Without it: the first three, or the first one "
		 "when there are fewer."),
	  KEY_FIELD(struct hosts_consul, servers) },
};

static const struct schema consul_schema = {
	.name = "consul",
	.keys = consul_keys,
	.n_keys = ARRAY_SIZE(consul_keys),
	.size = sizeof(struct hosts_consul),
	.description = N_("The Consul cluster."),
};

#define BRIDGE_PATTERN "^[A-Za-z0-9_.-]{1,15}$"
#define BRIDGE_EXPECTED N_("the name of a network interface")

static const struct key card_keys[] = {
	{ .name = "bridge",
	  .type = KEY_STRING,
	  .required = true,
	  .pattern = BRIDGE_PATTERN,
	  .expected = BRIDGE_EXPECTED,
	  .description = N_("Bridge that this card is on; it must be there already."),
	  KEY_FIELD(struct hosts_card, bridge) },
	{ .name = "addresses",
	  .type = KEY_STRING,
	  .required = true,
	  .description = N_("Addresses for it: the first, the last and the prefix, as 198.51.100.10-198.51.100.30/24."),
	  KEY_FIELD(struct hosts_card, addresses) },
	{ .name = "gateway",
	  .type = KEY_STRING,
	  .description = N_("The gateway behind it; none if it is not given."),
	  KEY_FIELD(struct hosts_card, gateway) },
};

static const struct schema card_schema = {
	.name = "card",
	.keys = card_keys,
	.n_keys = ARRAY_SIZE(card_keys),
	.size = sizeof(struct hosts_card),
	.description = N_("A further network card of each machine."),
};

static const char *const guest_types[] = { "pv", "pvh", NULL };

static const struct key xen_keys[] = {
	{ .name = "bridge",
	  .type = KEY_STRING,
	  .fallback = "xenbr0",
	  .pattern = BRIDGE_PATTERN,
	  .expected = BRIDGE_EXPECTED,
	  .description =
	      N_("Bridge that the machines' network cards are on. Where there is none of that name, the card with the "
		 "host's default route is put into it."),
	  KEY_FIELD(struct hosts_xen, bridge) },
	{ .name = "addresses",
	  .type = KEY_STRING,
	  .required = true,
	  .description =
	      N_("Addresses for machines: the first, the last and the prefix, as 192.0.2.100-192.0.2.120/24."),
	  KEY_FIELD(struct hosts_xen, addresses) },
	{ .name = "gateway",
	  .type = KEY_STRING,
	  .description = N_("The machines' gateway; none if it is not given."),
	  KEY_FIELD(struct hosts_xen, gateway) },
	{ .name = "dns",
	  .type = KEY_STRINGS,
	  .max = 3,
	  .description = N_("Name servers of the machines; without it, those that the host itself asks."),
	  KEY_FIELD(struct hosts_xen, dns) },
	{ .name = "volume_group",
	  .type = KEY_STRING,
	  .pattern = "^[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}$",
	  .expected = N_("the name of an LVM volume group"),
	  .description = N_("Volume group for the machines' disks; without it they are files."),
	  KEY_FIELD(struct hosts_xen, volume_group) },
	{ .name = "dom0_memory",
	  .type = KEY_SIZE,
	  .fallback = "2G",
	  .min = INT64_C(512) << 20,
	  .max = INT64_C(1) << 40,
	  .description = N_("Memory that the host keeps for itself; the machines get the rest."),
	  KEY_FIELD(struct hosts_xen, dom0_memory) },
	{ .name = "type",
	  .type = KEY_WORD,
	  .choices = guest_types,
	  .description = N_("Kind of the machines; without it, pvh where the processor can, else pv."),
	  KEY_FIELD(struct hosts_xen, type) },
	{ .name = "more",
	  .type = KEY_LIST,
	  .object = &card_schema,
	  .max = 7,
	  .description = N_("Further network cards: each machine gets one address of each."),
	  KEY_FIELDS(struct hosts_xen, more, n_more) },
};

static const struct schema xen_schema = {
	.name = "xen",
	.keys = xen_keys,
	.n_keys = ARRAY_SIZE(xen_keys),
	.size = sizeof(struct hosts_xen),
	.description = N_("A Xen host's machines: their network and disks, and what the host keeps for itself."),
};

/* What the step `agent` can put onto the agent's command line (host/agent-options.c). Each control character by itself:
 * a range would be another one in another language. */
#define CONTROLS                                                                                                       \
	"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b" \
	"\x1c\x1d\x1e\x1f\x7f"

static const struct key label_keys[] = {
	{ .name = "value",
	  .type = KEY_STRING,
	  .pattern = "^[^" CONTROLS "\"'`$%\\\\]*$",
	  .expected = N_("one line of text without quotes, backslashes, '$' and '%'"),
	  .description = N_("Value of the label."),
	  KEY_FIELD(struct pair, value) },
};

static const struct schema label_schema = {
	.name = "label",
	.keys = label_keys,
	.n_keys = ARRAY_SIZE(label_keys),
	.size = sizeof(struct pair),
	.scalar = true,
	.key_label = "<label>",
	.description = N_("A label, for the placement of components."),
};

static const struct key host_keys[] = {
	{ .name = "address",
	  .type = KEY_STRING,
	  .required = true,
	  .pattern = ADDRESS_PATTERN,
	  .expected = ADDRESS_EXPECTED,
	  .description = N_("IP address or DNS name, as the operator and the other hosts reach it."),
	  KEY_FIELD(struct host, address) },
	{ .name = "user",
	  .type = KEY_STRING,
	  .pattern = USER_PATTERN,
	  .expected = USER_EXPECTED,
	  .description = N_("User to log in as."),
	  KEY_FIELD(struct host, user) },
	{ .name = "port",
	  .type = KEY_INTEGER,
	  .min = 1,
	  .max = 65535,
	  .description = N_("Port of its SSH server."),
	  KEY_FIELD(struct host, port) },
	{ .name = "runtime",
	  .type = KEY_NAME,
	  .description = N_("Its runtime, as docker or xen."),
	  KEY_FIELD(struct host, runtime) },
	{ .name = "fingerprint",
	  .type = KEY_STRING,
	  .pattern = "^SHA256:[A-Za-z0-9+/]{43}=?$",
	  .expected = N_("a fingerprint as ssh-keygen -l shows it, SHA256:…"),
	  .description = N_("Fingerprint of its SSH host key, so that nobody is asked about it."),
	  KEY_FIELD(struct host, fingerprint) },
	{ .name = "labels",
	  .type = KEY_MAP,
	  .object = &label_schema,
	  .description = N_("Labels for the placement of components."),
	  KEY_FIELDS(struct host, labels, n_labels) },
	{ .name = "xen",
	  .type = KEY_OBJECT,
	  .object = &xen_schema,
	  .description = N_("For a host whose runtime is xen: its machines."),
	  KEY_FIELD(struct host, xen) },
};

static const struct schema host_schema = {
	.name = "host",
	.keys = host_keys,
	.n_keys = ARRAY_SIZE(host_keys),
	.size = sizeof(struct host),
	.key_label = "<host>",
	.description = N_("A physical server."),
};

static const struct key keys[] = {
	{ .name = "defaults",
	  .type = KEY_OBJECT,
	  .object = &defaults_schema,
	  .description = N_("Values for hosts that do not say otherwise."),
	  KEY_FIELD(struct hosts, defaults) },
	{ .name = "consul",
	  .type = KEY_OBJECT,
	  .object = &consul_schema,
	  .description = N_("The Consul cluster."),
	  KEY_FIELD(struct hosts, consul) },
	{ .name = "hosts",
	  .type = KEY_MAP,
	  .required = true,
	  .object = &host_schema,
	  .max = 1000,
	  .description = N_("The hosts, by name."),
	  KEY_FIELDS(struct hosts, hosts, n_hosts) },
};

const struct schema hosts_schema = {
	.name = "hosts",
	.keys = keys,
	.n_keys = ARRAY_SIZE(keys),
	.size = sizeof(struct hosts),
	.description = N_("The hosts that an operator prepares and runs services on."),
};
