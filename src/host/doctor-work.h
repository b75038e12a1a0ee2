/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between the files of the doctor. Private to src/host. */
#ifndef TEPUY_HOST_DOCTOR_WORK_H
#define TEPUY_HOST_DOCTOR_WORK_H

#include "base/i18n.h"
#include "base/strv.h"
#include "host/doctor.h"

/* Looks at one thing and adds what it found; nothing when it does not apply to this machine now. */
typedef void (*doctor_look)(const struct doctor_view *view, struct doctor_report *report);

/* Takes ownership of both texts; `advice` may be NULL. */
void doctor_add(struct doctor_report *report, const char *check, enum doctor_level level, char *text, char *advice);
/* The same with copies. */
void doctor_say(struct doctor_report *report, const char *check, enum doctor_level level, const char *text,
		const char *advice);

static inline bool doctor_is_root(const struct doctor_view *view)
{
	return facts_number(view->facts, "uid") == 0;
}

/* Members of Consul's cluster that are alive. */
size_t doctor_alive(const struct doctor_view *view);

/* Machines run on it, or will: hosts.yaml says so, or 'tepuy setup' has said it there. */
static inline bool doctor_has_machines(const struct doctor_view *view)
{
	return view->machines || facts_has(view->facts, "xen_config");
}

/* doctor-xen.c: nothing on a host without machines. */
void doctor_xen(const struct doctor_view *view, struct doctor_report *report);
void doctor_xen_kernel(const struct doctor_view *view, struct doctor_report *report);
void doctor_xen_memory(const struct doctor_view *view, struct doctor_report *report);
void doctor_xen_bridge(const struct doctor_view *view, struct doctor_report *report);
void doctor_xen_addresses(const struct doctor_view *view, struct doctor_report *report);
void doctor_xen_disks(const struct doctor_view *view, struct doctor_report *report);

/* doctor-machine.c */
void doctor_os(const struct doctor_view *view, struct doctor_report *report);
void doctor_architecture(const struct doctor_view *view, struct doctor_report *report);
void doctor_root(const struct doctor_view *view, struct doctor_report *report);
void doctor_clock(const struct doctor_view *view, struct doctor_report *report);
void doctor_clock_kept(const struct doctor_view *view, struct doctor_report *report);
void doctor_zone(const struct doctor_view *view, struct doctor_report *report);
void doctor_name(const struct doctor_view *view, struct doctor_report *report);
void doctor_resolving(const struct doctor_view *view, struct doctor_report *report);
void doctor_disk(const struct doctor_view *view, struct doctor_report *report);
void doctor_memory(const struct doctor_view *view, struct doctor_report *report);
void doctor_kernel(const struct doctor_view *view, struct doctor_report *report);
void doctor_cgroups(const struct doctor_view *view, struct doctor_report *report);
void doctor_mirror(const struct doctor_view *view, struct doctor_report *report);

/* doctor-cluster.c */
void doctor_runtime(const struct doctor_view *view, struct doctor_report *report);
void doctor_live_restore(const struct doctor_view *view, struct doctor_report *report);
void doctor_consul(const struct doctor_view *view, struct doctor_report *report);
void doctor_members(const struct doctor_view *view, struct doctor_report *report);
void doctor_acl(const struct doctor_view *view, struct doctor_report *report);
void doctor_encryption(const struct doctor_view *view, struct doctor_report *report);
void doctor_ports(const struct doctor_view *view, struct doctor_report *report);
void doctor_agent(const struct doctor_view *view, struct doctor_report *report);
void doctor_certificate(const struct doctor_view *view, struct doctor_report *report);
void doctor_firewall(const struct doctor_view *view, struct doctor_report *report);

#endif
