/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The steps of an instance as jobs: copied out of the loop, worked on in a thread, taken up again. */
#ifndef TEPUY_AGENT_INSTANCE_JOB_H
#define TEPUY_AGENT_INSTANCE_JOB_H

#include "agent/instance.h"

/* Begins a step; the instance is busy until it is done and then looked at again. */
void instance_begin(struct instance *instance, enum converge_step step, json_t *context);

/* Tells Consul at once, without waiting for a thread, that the main process is gone. */
void instance_report_death(struct instance *instance, int exit_code);

/* For instance-job.c: what a finished step says of the instance. `log` is owned. */
void instance_failed(struct instance *instance, const char *why, char *log, int64_t first_ms, bool at_once);
void instance_succeeded(struct instance *instance);
/* The end of the log of one that ended; `log` is owned, NULL: it could not be read. */
void instance_last_words(struct instance *instance, char *log);

/* Reads the end of its log, and tells it with its state, that it failed; the runtime may have started it again by
 * itself meanwhile. */
void instance_ask_last_words(struct instance *instance);

#endif
