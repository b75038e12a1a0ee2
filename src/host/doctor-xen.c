/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a host of machines needs besides: the hypervisor, a kernel for it, memory, its bridges, addresses, room. */
#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "host/doctor-work.h"

#define MEMORY_LEAST_MIB 192 /* of one machine */
#define ROOM_LEAST_MIB (2.0 * 1024)

#define _cleanup_json_value_ _cleanup_(json_value_release)

static void json_value_release(json_t **json)
{
	json_decref(*json);
}

static const char *get(const struct doctor_view *view, const char *key)
{
	return facts_get(view->facts, key);
}

/* What 'tepuy setup' wrote there; NULL: nothing, or nothing that can be read. The caller gives it back. */
static json_t *config_of(const struct doctor_view *view)
{
	json_t *config = json_loads(get(view, "xen_config"), 0, NULL);

	return config;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void not_booted(const struct doctor_view *view, struct doctor_report *report)
{
	const char *package = get(view, "xen_package"), *candidate = get(view, "xen_candidate");
	bool listed = !strcmp(get(view, "packages"), "listed");

	if (*package)
		doctor_add(report, "xen", DOCTOR_FAILED,
			   xasprintf(_("Xen %s is installed, and the host was booted without it"), package),
			   xstrdup(_("Reboot it: tepuy host apply --reboot does it; if it was rebooted, look at which "
				     "entry GRUB boots by itself")));
	else if (facts_has(view->facts, "xen_config"))
		doctor_say(report, "xen", DOCTOR_FAILED, _("Xen was set up here, and its package is gone"),
			   _("Run tepuy host apply, which installs it again"));
	else if (*candidate)
		doctor_add(
		    report, "xen", DOCTOR_OK,
		    xasprintf(_("Not installed yet; xen-system-amd64 %s can be, by tepuy host apply"), candidate),
		    NULL);
	else if (!listed)
		doctor_say(report, "xen", DOCTOR_UNKNOWN, _("Not installed, and apt does not know of it yet"),
			   _("Let apt read its sources: apt-get update; tepuy host apply does it too"));
	else
		doctor_say(report, "xen", DOCTOR_FAILED, _("There is no Xen, and apt's sources have none"),
			   _("Run apt-get update, or add Debian 12's main section to apt's sources"));
}

void doctor_xen(const struct doctor_view *view, struct doctor_report *report)
{
	const char *version = get(view, "xen"), *says = get(view, "xen_says"), *caps = get(view, "xen_caps");

	if (!doctor_has_machines(view))
		return;
	if (!facts_has(view->facts, "xen"))
		not_booted(view, report);
	else if (*version)
		doctor_add(
		    report, "xen", DOCTOR_OK,
		    xasprintf(_("Xen %s, for machines of the kind %s"), version, strstr(caps, "hvm") ? "PVH" : "PV"),
		    NULL);
	else if (!doctor_is_root(view))
		doctor_say(report, "xen", DOCTOR_UNKNOWN, _("Xen was booted; only root can ask it"), NULL);
	else
		doctor_add(
		    report, "xen", DOCTOR_FAILED,
		    xasprintf(_("Xen was booted, and xl does not answer: %s"), *says ? says : _("it says nothing")),
		    xstrdup(_("Look why: systemctl status xen; apt-get install xen-utils")));
}

void doctor_xen_kernel(const struct doctor_view *view, struct doctor_report *report)
{
	const char *fits = get(view, "xen_kernel");

	if (!doctor_has_machines(view))
		return;
	if (!strcmp(fits, "yes"))
		doctor_add(report, "xen-kernel", DOCTOR_OK,
			   xasprintf(_("Linux %s can run under Xen"), get(view, "kernel")), NULL);
	else if (!strcmp(fits, "no"))
		doctor_add(report, "xen-kernel", facts_has(view->facts, "xen_config") ? DOCTOR_FAILED : DOCTOR_WARNING,
			   xasprintf(_("Linux %s cannot run under Xen, as Debian's kernels for cloud machines"),
				     get(view, "kernel")),
			   xstrdup(_("Install linux-image-amd64 and boot it; tepuy host apply --reboot does both")));
	else
		doctor_say(report, "xen-kernel", DOCTOR_UNKNOWN, _("The machine does not say"), NULL);
}

void doctor_xen_memory(const struct doctor_view *view, struct doctor_report *report)
{
	double all, unused;

	if (!doctor_has_machines(view) || sscanf(get(view, "xen_memory"), "%lf %lf", &all, &unused) != 2)
		return;
	if (!strstr(get(view, "xen_command_line"), "dom0_mem="))
		doctor_say(report, "xen-memory", DOCTOR_WARNING,
			   _("How much memory the host keeps is not fixed, so each machine takes from it"),
			   _("Say it in hosts.yaml, as xen: {dom0_memory: 2G}, and run tepuy host apply --reboot"));
	else if (unused < MEMORY_LEAST_MIB)
		doctor_add(report, "xen-memory", DOCTOR_WARNING,
			   xasprintf(_("%.0f of %.0f MiB are free: no further machine fits"), unused, all),
			   xstrdup(_("Give machines less, move some elsewhere, or give the host more memory")));
	else
		doctor_add(report, "xen-memory", DOCTOR_OK,
			   xasprintf(_("%.0f of %.0f MiB are free for machines"), unused, all), NULL);
}

/* The addresses of a bridge, "" when it has none; NULL: there is no such bridge. Borrowed. */
static const char *bridge_of(const struct doctor_view *view, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < view->facts->n; i++) {
		const struct fact *fact = &view->facts->list[i];

		if (!strcmp(fact->key, "bridge") && !strncmp(fact->value, name, len) &&
		    (!fact->value[len] || fact->value[len] == ' '))
			return fact->value + len + strspn(fact->value + len, " ");
	}
	return NULL;
}

void doctor_xen_bridge(const struct doctor_view *view, struct doctor_report *report)
{
	_cleanup_json_value_ json_t *config = config_of(view);
	_cleanup_strv_ struct strv missing = { 0 };
	_cleanup_(freep) char *list = NULL;
	json_t *card;
	size_t i;

	if (!config)
		return;
	if (!bridge_of(view, text_of(config, "bridge")))
		strv_add(&missing, text_of(config, "bridge"));
	json_array_foreach(json_object_get(config, "more"), i, card) if (!bridge_of(view, text_of(card, "bridge")))
	    strv_add(&missing, text_of(card, "bridge"));
	list = strv_join(&missing, " ");
	if (missing.n)
		doctor_add(report, "xen-bridge", DOCTOR_FAILED, xasprintf(_("There is no bridge %s"), list),
			   xstrdup(_("tepuy host apply makes the first one; further ones are set up by hand")));
	else if (facts_has(view->facts, "network_change"))
		doctor_say(report, "xen-bridge", DOCTOR_WARNING,
			   _("The bridge is new, and is taken back soon unless it is confirmed"),
			   _("Run tepuy host apply again"));
	else
		doctor_add(report, "xen-bridge", DOCTOR_OK,
			   xasprintf(_("Machines are on the bridge %s"), text_of(config, "bridge")), NULL);
}

static bool read_ipv4(const char *text, size_t len, uint32_t *ret)
{
	_cleanup_(freep) char *copy = xstrndup(text, len);
	struct in_addr address;

	if (inet_pton(AF_INET, copy, &address) != 1)
		return false;
	*ret = ntohl(address.s_addr);
	return true;
}

/* "192.0.2.100-192.0.2.120/24" */
static bool read_range(const char *text, uint32_t *ret_first, uint32_t *ret_last)
{
	size_t dash = strcspn(text, "-");

	return text[dash] && read_ipv4(text, dash, ret_first) &&
	       read_ipv4(text + dash + 1, strcspn(text + dash + 1, "/"), ret_last) && *ret_first <= *ret_last;
}

/* Is the address in one of these networks, "192.0.2.21/24 …"? */
static bool is_in(uint32_t address, const char *networks)
{
	while (*networks) {
		size_t len = strcspn(networks, " "), slash = strcspn(networks, "/");
		uint32_t own;
		unsigned bits;

		if (slash < len && sscanf(networks + slash, "/%2u", &bits) == 1 && bits >= 1 && bits <= 32 &&
		    read_ipv4(networks, slash, &own) && (own ^ address) >> (32 - bits) == 0)
			return true;
		networks += len + strspn(networks + len, " ");
	}
	return false;
}

/* The host's own addresses that are in the range, one of them. */
static char *own_address_in(const struct doctor_view *view, uint32_t first, uint32_t last)
{
	for (const char *at = get(view, "addresses"); *at;) {
		size_t len;
		uint32_t address;

		at += strspn(at, " ");
		len = strcspn(at, " ");
		if (read_ipv4(at, len, &address) && address >= first && address <= last)
			return xstrndup(at, len);
		at += len;
	}
	return NULL;
}

void doctor_xen_addresses(const struct doctor_view *view, struct doctor_report *report)
{
	_cleanup_json_value_ json_t *config = config_of(view);
	const char *addresses = text_of(config, "addresses"), *bridge = bridge_of(view, text_of(config, "bridge"));
	_cleanup_(freep) char *own = NULL;
	uint32_t first, last;

	if (!config)
		return;
	if (!read_range(addresses, &first, &last)) {
		doctor_say(report, "xen-addresses", DOCTOR_FAILED, _("It does not know which addresses machines get"),
			   _("Say it in hosts.yaml, as xen: {addresses: 192.0.2.100-192.0.2.120/24}, and run tepuy "
			     "host apply"));
		return;
	}
	own = own_address_in(view, first, last);
	if (own)
		doctor_add(report, "xen-addresses", DOCTOR_FAILED,
			   xasprintf(_("Its own address %s is one of those for machines, %s"), own, addresses),
			   xstrdup(_("Give machines other addresses in hosts.yaml, and run tepuy host apply")));
	else if (bridge && !is_in(first, bridge))
		doctor_add(report, "xen-addresses", DOCTOR_WARNING,
			   xasprintf(_("Machines get %s, and the bridge %s has no address in their network"), addresses,
				     text_of(config, "bridge")),
			   xstrdup(_("Its agent must reach machines: give the bridge an address there, or a route")));
	else
		doctor_add(report, "xen-addresses", DOCTOR_OK, xasprintf(_("Machines get %s"), addresses), NULL);
}

void doctor_xen_disks(const struct doctor_view *view, struct doctor_report *report)
{
	_cleanup_json_value_ json_t *config = config_of(view);
	const char *group = text_of(config, "volume_group"), *room;
	double unused;

	if (!*group || !doctor_is_root(view))
		return;
	room = facts_of(view->facts, "volume_group", group);
	if (!room)
		doctor_add(report, "xen-disks", DOCTOR_FAILED, xasprintf(_("There is no volume group %s"), group),
			   xstrdup(_("Make it (vgcreate), or leave volume_group out of hosts.yaml")));
	else if (sscanf(room, "%lf", &unused) == 1 && unused < ROOM_LEAST_MIB)
		doctor_add(report, "xen-disks", DOCTOR_WARNING,
			   xasprintf(_("%.0f MiB are free in the volume group %s"), unused, group),
			   xstrdup(_("Add a disk to it (vgextend): machines' disks are made there")));
	else
		doctor_add(report, "xen-disks", DOCTOR_OK, xasprintf(_("Disks are in the volume group %s"), group),
			   NULL);
}
