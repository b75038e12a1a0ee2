/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a machine needs to be a host, held against what it says of itself (facts.h): a function of data. It judges a
 * bare machine, on which nothing of tepuy is, as well as a host that runs services: what is not there yet and can be
 * had is no fault.
 */
#ifndef TEPUY_HOST_DOCTOR_H
#define TEPUY_HOST_DOCTOR_H

#include "host/facts.h"

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_WARNING, /* it works, and will not always */
	DOCTOR_FAILED,  /* it cannot be, or is not, a working host */
	DOCTOR_UNKNOWN, /* the machine did not say */
};

struct doctor_finding {
	const char *check; /* "clock": the same in every language; constant */
	enum doctor_level level;
	char *text;   /* what is so */
	char *advice; /* what to do about it, or NULL */
};

struct doctor_report {
	struct doctor_finding *list;
	size_t n, cap;
};

/* What is known of the machine from elsewhere. All is the caller's. */
struct doctor_view {
	const struct facts *facts;
	bool remote; /* asked over the network: then there are two clocks */
	int64_t asked_ms,
	    answered_ms;     /* the operator's clock before the question and after the answer, since the epoch */
	bool machines;       /* hosts.yaml wants machines on it, not containers */
	const char *version; /* of the tepuy that asks */
	unsigned peer_port;  /* tepuy's own, between hosts */
	int64_t now_ms;      /* since the epoch */
};

#define _cleanup_doctor_ _cleanup_(doctor_release)

void doctor_judge(const struct doctor_view *view, struct doctor_report *ret);
void doctor_release(struct doctor_report *report);

/* "ok", "warning", "failed", "unknown": for programs. */
const char *doctor_level_name(enum doctor_level level);
/* The worst of all: failed, then unknown, then warning, then ok. */
enum doctor_level doctor_worst(const struct doctor_report *report);

#endif
