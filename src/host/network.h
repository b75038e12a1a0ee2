/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shared by the files of this folder only: the host's network card put into a bridge, without losing the host. Before
 * anything is changed, the files as they are now are kept in one file and a timer is armed, over restarts too, that
 * puts them back and takes the bridge down. Whoever reaches the host through the bridge confirms, and the timer is
 * gone.
 */
#ifndef TEPUY_HOST_NETWORK_H
#define TEPUY_HOST_NETWORK_H

#include <stdbool.h>

#include "host/step.h"

enum { NETWORK_CONFIRM_SECONDS = 90 };

/* An item of a step: there is a bridge of that name. *ret_pending: it is new, and is taken back unless confirmed. */
int network_bridge(struct step *step, const char *bridge, bool *ret_pending, struct err *err);

#endif
