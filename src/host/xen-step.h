/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the files of this folder only: the part of the step `runtime` that is Xen's. */
#ifndef TEPUY_HOST_XEN_STEP_H
#define TEPUY_HOST_XEN_STEP_H

#include "host/step.h"
#include "runtime/runtime.h"

/* Reads `xen` of the step's input. `name` is the driver's. What it answers is in docs/setup.md. */
int xen_set_up(struct step *step, const char *name, int64_t lock_wait, json_t **ret, struct err *err);

#endif
