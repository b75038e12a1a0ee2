/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The operator's answers for SSH: on the controlling terminal, whatever standard input is. A password and sudo's are
 * asked for once and given to all hosts; host keys and passphrases each time.
 */
#ifndef TEPUY_CLI_ASK_H
#define TEPUY_CLI_ASK_H

#include "cli/cli.h"
#include "ssh/remote.h"

struct ask;

/* Without a terminal it is there too, and answers nothing. */
struct ask *ask_new(void);
void ask_free(struct ask *ask); /* wipes what it was told */
void ask_freep(struct ask **ask);
/* Of remote.h, with `ask` for ask and ask_data. */
struct remote_options ask_options(struct ask *ask);
/* More hosts than the soft limit of descriptors: raises it as far as the machine allows. */
void ask_raise_limits(void);

#endif
