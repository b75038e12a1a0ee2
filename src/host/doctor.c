/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/doctor.h"

#include <string.h>

#include "base/text.h"
#include "host/doctor-work.h"

/* In the order in which they are shown. */
static const doctor_look looks[] = {
	doctor_os,        doctor_architecture, doctor_root,        doctor_clock,      doctor_clock_kept,
	doctor_zone,      doctor_name,         doctor_resolving,   doctor_disk,       doctor_memory,
	doctor_kernel,    doctor_cgroups,      doctor_mirror,      doctor_runtime,    doctor_live_restore,
	doctor_xen,       doctor_xen_kernel,   doctor_xen_memory,  doctor_xen_bridge, doctor_xen_addresses,
	doctor_xen_disks, doctor_consul,       doctor_members,     doctor_acl,        doctor_encryption,
	doctor_ports,     doctor_agent,        doctor_certificate, doctor_firewall,
};

void doctor_add(struct doctor_report *report, const char *check, enum doctor_level level, char *text, char *advice)
{
	/* A word of the machine's that was cut may have lost the end of its last character. */
	text_printable(text, false);
	report->list = grow_array(report->list, report->n, &report->cap, sizeof(*report->list));
	report->list[report->n++] = (struct doctor_finding){ check, level, text, advice };
}

void doctor_say(struct doctor_report *report, const char *check, enum doctor_level level, const char *text,
		const char *advice)
{
	doctor_add(report, check, level, xstrdup(text), xstrdup(advice));
}

size_t doctor_alive(const struct doctor_view *view)
{
	size_t n = 0;

	for (size_t i = 0; i < view->facts->n; i++) {
		const struct fact *fact = &view->facts->list[i];
		size_t len = strlen(fact->value);

		n += !strcmp(fact->key, "member") && len > 2 && !strcmp(fact->value + len - 2, " 1");
	}
	return n;
}

void doctor_judge(const struct doctor_view *view, struct doctor_report *ret)
{
	struct doctor_report report = { 0 };

	/* What is missing from half an answer may yet be there. */
	if (facts_has(view->facts, "done"))
		for (size_t i = 0; i < ARRAY_SIZE(looks); i++)
			looks[i](view, &report);
	else
		doctor_say(&report, "questions", DOCTOR_UNKNOWN, _("The machine did not answer all questions"),
			   _("Ask again; look for what keeps it busy, or for a full /tmp"));
	*ret = report;
}

void doctor_release(struct doctor_report *report)
{
	for (size_t i = 0; i < report->n; i++) {
		free(report->list[i].text);
		free(report->list[i].advice);
	}
	free(report->list);
	*report = (struct doctor_report){ 0 };
}

const char *doctor_level_name(enum doctor_level level)
{
	static const char *const names[] = {
		[DOCTOR_OK] = "ok",
		[DOCTOR_WARNING] = "warning",
		[DOCTOR_FAILED] = "failed",
		[DOCTOR_UNKNOWN] = "unknown",
	};

	return names[level];
}

enum doctor_level doctor_worst(const struct doctor_report *report)
{
	static const enum doctor_level order[] = { DOCTOR_FAILED, DOCTOR_UNKNOWN, DOCTOR_WARNING };

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		for (size_t j = 0; j < report->n; j++)
			if (report->list[j].level == order[i])
				return order[i];
	return DOCTOR_OK;
}
