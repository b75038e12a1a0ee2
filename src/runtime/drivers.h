/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The drivers that runtime.c knows. A constructor touches nothing outside the process: probe does. `endpoint`
 * is copied, NULL: the driver's own. For runtime_free. */
#ifndef TEPUY_RUNTIME_DRIVERS_H
#define TEPUY_RUNTIME_DRIVERS_H

#include "runtime/runtime.h"

struct runtime *docker_runtime_new(const char *endpoint);
struct runtime *xen_runtime_new(const char *endpoint);

#endif
