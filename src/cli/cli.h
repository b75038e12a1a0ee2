/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a command is given: where to write, whether a person is there, and the agent. */
#ifndef TEPUY_CLI_CLI_H
#define TEPUY_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/command.h"

struct api;
struct dial;

struct cli {
	FILE *out, *err;
	bool terminal;      /* `out` is a terminal */
	bool person;        /* standard input and `err` are terminals: questions can be asked */
	bool colour;        /* `out` may be coloured: a terminal, and neither NO_COLOR nor TERM=dumb */
	const char *socket; /* of the agent */
	struct dial *dial;  /* the way to another host's agent (dial.h), or NULL */
	struct api *api;    /* NULL for commands without COMMAND_AGENT */
};

/* Looks at the terminal and the environment ($TEPUY_SOCKET, $NO_COLOR, $TERM). */
void cli_init(struct cli *cli);
void cli_release(struct cli *cli);
/* Who asks: "ana@srv1", the person behind sudo. The caller owns it. */
char *cli_author(void);
/* Width of the terminal now; 80 when there is none. */
int cli_columns(const struct cli *cli);

/* "tepuy: sentence." on `err`; both return the status that goes with it. */
enum status cli_failed(struct cli *cli, const struct err *err);
enum status cli_usage(struct cli *cli, const char *format, ...) _printf_(2, 3);
/* A remark on `err` that is no error. */
void cli_note(struct cli *cli, const char *format, ...) _printf_(2, 3);

/*
 * Asks a question that is answered by y or n; anything but yes is no. Without a person to ask it is an error that
 * says to use --yes. 1 yes, 0 no, -errno.
 */
int cli_ask(struct cli *cli, const char *question, struct err *err);
/* Reads a line from the terminal without showing it. The caller owns it. -ENOTTY without a terminal. */
int cli_read_hidden(struct cli *cli, const char *prompt, char **ret, struct err *err);

#endif
