/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_CLI_HELP_H
#define TEPUY_CLI_HELP_H

#include <stdio.h>

#include "cli/command.h"

void help_all(FILE *to);
/* The commands that begin with `word` ("recipe"). */
void help_family(FILE *to, const char *word);
void help_command(FILE *to, const struct command *command);
/* "-y, --yes", "    --timeout DURATION": as the help and tepuy.1 write it. The caller owns it. */
char *help_option_usage(const struct command_option *option);

#endif
