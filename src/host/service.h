/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the files of this folder only: services of systemd, through systemctl. */
#ifndef TEPUY_HOST_SERVICE_H
#define TEPUY_HOST_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/step.h"

bool service_active(const char *unit);
bool service_enabled(const char *unit);
bool service_known(const char *unit);                           /* is there such a unit? */
char *service_property(const char *unit, const char *property); /* "" when unknown; the caller owns it */

/* systemctl VERB UNIT; when it fails, the message ends with what the unit last wrote into the journal. */
int service_do(const char *verb, const char *unit, struct err *err);
int service_daemon_reload(struct err *err);

/*
 * An item of a step: enabled, and running with what it reads at its start. `restart`: that has changed; `reload`: only
 * what it reads again when told to.
 */
int service_bring_up(struct step *step, const char *unit, bool restart, bool reload, struct err *err);

#endif
