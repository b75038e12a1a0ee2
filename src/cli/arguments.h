/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words and options of one command line, parsed as the command's row says. */
#ifndef TEPUY_CLI_ARGUMENTS_H
#define TEPUY_CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"
#include "cli/command.h"

struct option_value {
	bool set;
	struct strv texts; /* as given */
	int64_t number;    /* of OPTION_NUMBER, and of OPTION_DURATION in milliseconds */
};

struct arguments {
	const struct command *command;
	struct strv words;
	size_t argv;                 /* index of the first word behind "--"; words.n when there is none */
	struct option_value *values; /* one for each row of command->options */
	char *host;                  /* --host, which every command with COMMAND_AGENT has; NULL: not given */
	bool help;
};

#define _cleanup_arguments_ _cleanup_(arguments_release)

/* Parses what follows the command's name. -EINVAL with a sentence; `ret` is released by the caller on success. */
int arguments_parse(const struct command *command, int argc, char *const *argv, struct arguments *ret, struct err *err);
void arguments_release(struct arguments *args);

/* The accessors take the option's long name, which must be one of the command's: anything else aborts. */
bool arguments_has(const struct arguments *args, const char *name);
const char *arguments_text(const struct arguments *args, const char *name, const char *otherwise);
int64_t arguments_number(const struct arguments *args, const char *name, int64_t otherwise);
const struct strv *arguments_list(const struct arguments *args, const char *name);
/* The word of that index, or NULL. */
const char *arguments_word(const struct arguments *args, size_t index);

#endif
