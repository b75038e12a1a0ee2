/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine itself: what must be there before anything of ours is. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "host/doctor-work.h"

#define CLOCK_FINE_MS 1000
#define CLOCK_WRONG_MS 30000
#define GIB (1024.0 * 1024) /* in KiB */
#define DISK_FINE_KIB (10 * GIB)
#define DISK_LEAST_KIB (2 * GIB)
#define MEMORY_FINE_KIB (900 * 1024)
#define MEMORY_LEAST_KIB (400 * 1024)

static const char *get(const struct doctor_view *view, const char *key)
{
	return facts_get(view->facts, key);
}

/* The machine did not say: one sentence for all. */
static void silent(struct doctor_report *report, const char *check)
{
	doctor_say(report, check, DOCTOR_UNKNOWN, _("The machine does not say"), NULL);
}

void doctor_os(const struct doctor_view *view, struct doctor_report *report)
{
	const char *id = get(view, "os_id"), *version = get(view, "os_version"), *name = get(view, "os_name");

	if (!*id)
		silent(report, "os");
	else if (!strcmp(id, "debian") && !strcmp(version, "12"))
		doctor_say(report, "os", DOCTOR_OK, name, NULL);
	else if (!strcmp(id, "debian"))
		doctor_say(report, "os", DOCTOR_WARNING, name,
			   _("tepuy is made for and tried on Debian 12; other releases may work"));
	else
		doctor_say(report, "os", DOCTOR_FAILED, name,
			   _("Install Debian 12: tepuy knows its packages and places"));
}

void doctor_architecture(const struct doctor_view *view, struct doctor_report *report)
{
	const char *name = get(view, "architecture");

	if (!*name)
		silent(report, "architecture");
	else if (!strcmp(name, "x86_64"))
		doctor_say(report, "architecture", DOCTOR_OK, name, NULL);
	else if (!strcmp(name, "aarch64"))
		doctor_say(report, "architecture", DOCTOR_WARNING, name,
			   _("tepuy was not tried on it; all hosts of a cluster must be of the same"));
	else
		doctor_say(report, "architecture", DOCTOR_FAILED, name, _("Use a machine with a 64-bit x86 processor"));
}

void doctor_root(const struct doctor_view *view, struct doctor_report *report)
{
	if (facts_number(view->facts, "uid") < 0)
		silent(report, "sudo");
	else if (doctor_is_root(view))
		doctor_say(report, "sudo", DOCTOR_OK, _("Commands can be run as root"), NULL);
	else if (view->remote)
		doctor_say(report, "sudo", DOCTOR_FAILED, _("The user may not run commands as root"),
			   _("Add the user to the group sudo, or name another one in hosts.yaml"));
	else
		doctor_say(report, "sudo", DOCTOR_UNKNOWN, _("Asked as a user who is not root, who sees less"),
			   _("Run: sudo tepuy doctor"));
}

/* The distance between the clocks is at least this: the times of the question and its answer leave an interval. */
static int64_t least_skew(const struct doctor_view *view, int64_t begin, int64_t end)
{
	int64_t most = begin - view->asked_ms, least = end - view->answered_ms;

	if (least > 0)
		return least;
	return most < 0 ? most : 0;
}

void doctor_clock(const struct doctor_view *view, struct doctor_report *report)
{
	int64_t begin = facts_number(view->facts, "time"), end = facts_number(view->facts, "time_end"), skew, distance;
	_cleanup_(freep) char *by = NULL;
	enum doctor_level level;

	if (!view->remote)
		return;
	if (begin < 0 || begin > INT64_MAX / 2 || end < begin || end > INT64_MAX / 2) {
		silent(report, "clock");
		return;
	}
	skew = least_skew(view, begin, end);
	distance = skew < 0 ? -skew : skew;
	if (distance < CLOCK_FINE_MS) {
		doctor_say(report, "clock", DOCTOR_OK, _("Its clock and this machine's agree within a second"), NULL);
		return;
	}
	level = distance > CLOCK_WRONG_MS ? DOCTOR_FAILED : DOCTOR_WARNING;
	by = text_ago(distance);
	doctor_add(report, "clock", level,
		   skew < 0 ? xasprintf(_("Its clock is %s behind this machine's"), by)
			    : xasprintf(_("Its clock is %s ahead of this machine's"), by),
		   xstrdup(_("Set the clock that is wrong; certificates and logs need the same time everywhere")));
}

void doctor_clock_kept(const struct doctor_view *view, struct doctor_report *report)
{
	const char *service = get(view, "clock_service"), *container = get(view, "container");

	if (!strcmp(get(view, "clock_synchronized"), "yes"))
		doctor_say(report, "clock-kept", DOCTOR_OK, _("The clock is synchronised over the network"), NULL);
	else if (*container && strcmp(container, "none"))
		doctor_say(report, "clock-kept", DOCTOR_OK,
			   _("A container: its clock is that of the machine around it"), NULL);
	else if (*service)
		doctor_add(report, "clock-kept", DOCTOR_WARNING,
			   xasprintf(_("%s runs and has not synchronised the clock"), service),
			   xstrdup(_("Give it a time server that it can reach")));
	else
		doctor_say(report, "clock-kept", DOCTOR_WARNING, _("Nothing keeps the clock right"),
			   _("Install one: apt-get install systemd-timesyncd"));
}

void doctor_zone(const struct doctor_view *view, struct doctor_report *report)
{
	const char *zone = get(view, "zone"), *offset = get(view, "zone_offset");

	if (*zone)
		doctor_add(report, "time-zone", DOCTOR_OK, xasprintf("%s (%s)", zone, offset), NULL);
	else if (*offset)
		doctor_add(report, "time-zone", DOCTOR_WARNING,
			   xasprintf(_("Not set; the time differs from UTC by %s"), offset),
			   xstrdup(_("Set it: timedatectl set-timezone America/Caracas")));
	else
		silent(report, "time-zone");
}

/* A word of a list that blanks separate. */
static bool has_word(const char *list, const char *word, size_t len)
{
	while (*list) {
		size_t n;

		list += strspn(list, " ");
		n = strcspn(list, " ");
		if (n && n == len && !strncmp(list, word, len))
			return true;
		list += n;
	}
	return false;
}

/* Debian's installer gives the machine's own name 127.0.1.1: that is its own address too. */
void doctor_name(const struct doctor_view *view, struct doctor_report *report)
{
	const char *name = get(view, "name"), *to = get(view, "name_address"), *own = get(view, "addresses");
	const char *advice = _("Correct /etc/hosts: a line with the machine's address and its name");
	size_t len;

	if (!*name) {
		silent(report, "name");
		return;
	}
	to += strspn(to, " ");
	if (!*to) {
		doctor_add(report, "name", DOCTOR_WARNING, xasprintf(_("Its own name, %s, does not resolve"), name),
			   xstrdup(advice));
		return;
	}
	for (const char *at = to; *at; at += strspn(at, " ")) {
		len = strcspn(at, " ");
		if (*own && strncmp(at, "127.", 4) && !has_word(own, at, len)) {
			doctor_add(report, "name", DOCTOR_FAILED,
				   xasprintf(_("Its own name, %s, leads to %.*s, which is not its own address"), name,
					     (int)len, at),
				   xstrdup(advice));
			return;
		}
		at += len;
	}
	doctor_add(report, "name", DOCTOR_OK, xasprintf(_("%s, which leads to itself"), name), NULL);
}

void doctor_resolving(const struct doctor_view *view, struct doctor_report *report)
{
	const char *not = get(view, "unresolved"), *yes = get(view, "resolves");

	if (*not )
		doctor_add(report, "names", DOCTOR_FAILED,
			   xasprintf(_("The name of its mirror, %s, cannot be resolved"), not ),
			   xstrdup(_("Correct the name servers in /etc/resolv.conf")));
	else if (*yes)
		doctor_add(report, "names", DOCTOR_OK, xasprintf(_("Names are resolved, as %s"), yes), NULL);
}

/* "/var/lib/docker ext2/ext3 123 456": place, file system, KiB free and in all. */
static void one_disk(const char *fact, struct doctor_report *report)
{
	char place[64], type[32];
	double free_kib, all_kib;
	enum doctor_level level = DOCTOR_OK;
	const char *check, *advice = NULL;

	if (sscanf(fact, "%63s %31s %lf %lf", place, type, &free_kib, &all_kib) != 4) {
		silent(report, "disk");
		return;
	}
	check = strstr(place, "tepuy") ? "disk-tepuy" : "disk-runtime";
	if (free_kib < DISK_FINE_KIB) {
		level = free_kib < DISK_LEAST_KIB ? DOCTOR_FAILED : DOCTOR_WARNING;
		advice = _("Make room, or put a larger disk there: images and nodes' data need it");
	}
	if (strstr(type, "overlay")) {
		level = DOCTOR_FAILED;
		advice = _("Put a file system of its own there: images cannot be built on an overlay");
	}
	doctor_add(report, check, level,
		   xasprintf(_("%s: %.1f GiB of %.1f free (%s)"), place, free_kib / GIB, all_kib / GIB, type),
		   xstrdup(advice));
}

void doctor_disk(const struct doctor_view *view, struct doctor_report *report)
{
	bool any = false;

	for (size_t i = 0; i < view->facts->n; i++) {
		if (strcmp(view->facts->list[i].key, "disk"))
			continue;
		/* Where there are machines no container needs room. */
		if (doctor_has_machines(view) && strstr(view->facts->list[i].value, "/docker "))
			continue;
		one_disk(view->facts->list[i].value, report);
		any = true;
	}
	if (!any)
		silent(report, "disk");
}

void doctor_memory(const struct doctor_view *view, struct doctor_report *report)
{
	enum doctor_level level = DOCTOR_OK;
	double all, available;

	if (sscanf(get(view, "memory"), "%lf %lf", &all, &available) != 2) {
		silent(report, "memory");
		return;
	}
	if (all < MEMORY_FINE_KIB)
		level = all < MEMORY_LEAST_KIB ? DOCTOR_FAILED : DOCTOR_WARNING;
	doctor_add(report, "memory", level, xasprintf(_("%.1f GiB, %.1f available"), all / GIB, available / GIB),
		   level == DOCTOR_OK ? NULL : xstrdup(_("Give it more: a host without nodes needs 300 MiB")));
}

void doctor_kernel(const struct doctor_view *view, struct doctor_report *report)
{
	static const char *const features[] = { "namespaces", "overlayfs", "bridge", "veth", "nftables" };
	_cleanup_strv_ struct strv missing = { 0 }, untold = { 0 };
	_cleanup_(freep) char *list = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		const char *there = facts_of(view->facts, "feature", features[i]);

		if (!there)
			strv_add(&untold, features[i]);
		else if (strcmp(there, "yes"))
			strv_add(&missing, features[i]);
	}
	list = strv_join(missing.n ? &missing : &untold, " ");
	if (missing.n)
		doctor_add(report, "kernel", DOCTOR_FAILED,
			   xasprintf(_("Linux %s lacks: %s"), get(view, "kernel"), list),
			   xstrdup(_("Boot Debian's own kernel (linux-image-amd64), and the one that is installed")));
	else if (untold.n == ARRAY_SIZE(features))
		doctor_add(report, "kernel", DOCTOR_UNKNOWN,
			   xasprintf(_("Linux %s; only root can try what it has"), get(view, "kernel")), NULL);
	else if (untold.n)
		doctor_add(report, "kernel", DOCTOR_OK,
			   xasprintf(_("Linux %s; not tried, as the tool for it is not installed: %s"),
				     get(view, "kernel"), list),
			   NULL);
	else
		doctor_add(
		    report, "kernel", DOCTOR_OK,
		    xasprintf(_("Linux %s with name spaces, overlays, bridges and nftables"), get(view, "kernel")),
		    NULL);
}

void doctor_cgroups(const struct doctor_view *view, struct doctor_report *report)
{
	const char *fact = get(view, "cgroup");
	bool cpu = has_word(fact, "cpu", 3), memory = has_word(fact, "memory", 6);

	if (!*fact)
		silent(report, "cgroups");
	else if (cpu && memory)
		doctor_add(report, "cgroups", DOCTOR_OK,
			   xasprintf(_("Version %c, with limits of memory and processors"), fact[1]), NULL);
	else
		doctor_add(report, "cgroups", DOCTOR_FAILED,
			   xasprintf(_("Version %c, without limits of %s"), fact[1] ? fact[1] : '?',
				     memory ? "cpu"
				     : cpu  ? "memory"
					    : "memory, cpu"),
			   xstrdup(_("Boot without cgroup_disable= in the kernel's command line")));
}

void doctor_mirror(const struct doctor_view *view, struct doctor_report *report)
{
	_cleanup_strv_ struct strv away = { 0 };
	_cleanup_(freep) char *list = NULL;
	size_t reached = 0;

	for (size_t i = 0; i < view->facts->n; i++) {
		const struct fact *fact = &view->facts->list[i];

		if (strcmp(fact->key, "mirror"))
			continue;
		if (text_starts(fact->value, "reached "))
			reached++;
		else if (text_starts(fact->value, "away "))
			strv_add(&away, fact->value + strlen("away "));
	}
	list = strv_join(&away, ", ");
	if (away.n)
		doctor_add(
		    report, "mirror", reached ? DOCTOR_WARNING : DOCTOR_FAILED,
		    xasprintf(_("apt does not reach: %s"), list),
		    xstrdup(_("Correct /etc/apt/sources.list or the way to it; without a mirror bring the packages: "
			      "tepuy host apply --offline")));
	else if (reached)
		doctor_add(report, "mirror", DOCTOR_OK, xasprintf(_("apt reaches all %zu of its sources"), reached),
			   NULL);
	else if (!strcmp(get(view, "mirror"), "none"))
		doctor_say(report, "mirror", DOCTOR_FAILED, _("apt has no sources"),
			   _("Write the institution's mirror into /etc/apt/sources.list"));
	else
		silent(report, "mirror");
}
