/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking machines what `tepuy doctor` wants to know, and showing what it found. */
#ifndef TEPUY_CLI_DOCTOR_H
#define TEPUY_CLI_DOCTOR_H

#include "base/buf.h"
#include "base/strv.h"
#include "cli/cli.h"
#include "host/doctor.h"
#include "ssh/remote.h"

/* One machine. */
struct patient {
	char *name;        /* NULL: this one */
	struct err err;    /* code 0: it answered */
	struct buf answer; /* of facts.sh */
	bool remote;
	bool machines; /* hosts.yaml says that machines are to run there */
	int64_t asked_ms, answered_ms;
	struct facts facts;
	struct doctor_report report;
};

/* The words behind `sh`: "-s", "--" and the ports whose holders are asked for. */
void doctor_words(struct strv *argv);
/* Asks this machine. What goes wrong is in the patient. */
void doctor_ask_here(struct patient *patient);
/* Asks one over SSH, with sudo or without; -EPERM: sudo refused. Nothing of tepuy need be there. */
int doctor_ask_remote(struct remote *remote, bool sudo, struct patient *patient, struct err *err);
/* From the answer to the report; nothing when it did not answer. */
void doctor_examine(struct patient *patient);
/* Returns the exit status. */
enum status doctor_show(struct cli *cli, const struct patient *patients, size_t n, bool json);
void patient_release(struct patient *patient);

#endif
