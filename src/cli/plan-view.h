/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_CLI_PLAN_VIEW_H
#define TEPUY_CLI_PLAN_VIEW_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"

/* Appends what a plan (the answer of POST …/plan) would do to a service's nodes and why. */
void plan_view(const char *service, const json_t *plan, bool colour, struct buf *to);

#endif
