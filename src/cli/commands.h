/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_CLI_COMMANDS_H
#define TEPUY_CLI_COMMANDS_H

#include <stdbool.h>

#include "base/err.h"
#include "cli/command.h"

/* All commands, in the order of the help; NULL behind the last. */
extern const struct command *const commands[];

/*
 * The command that the words of argv name ("recipe", "lint", …); `ret_words` says how many words its name took.
 * -ENOENT with a sentence and, where there is one, the command that was meant.
 */
int commands_find(int argc, char *const *argv, const struct command **ret, int *ret_words, struct err *err);
/* Is `word` the first word of commands of two words ("recipe")? */
bool commands_has_family(const char *word);

/* The program: finds the command, parses its options, runs it. Returns the exit status. */
int commands_main(struct cli *cli, int argc, char **argv);

extern const struct command cmd_agent;
extern const struct command cmd_check_add;
extern const struct command cmd_check_remove;
extern const struct command cmd_check_report;
extern const struct command cmd_checks;
extern const struct command cmd_completion;
extern const struct command cmd_connect;
extern const struct command cmd_copy;
extern const struct command cmd_dial_stdio;
extern const struct command cmd_disconnect;
extern const struct command cmd_doctor;
extern const struct command cmd_down;
extern const struct command cmd_events;
extern const struct command cmd_exec;
extern const struct command cmd_graph;
extern const struct command cmd_help;
extern const struct command cmd_host_apply;
extern const struct command cmd_host_bundle;
extern const struct command cmd_host_drain;
extern const struct command cmd_host_list;
extern const struct command cmd_host_remove;
extern const struct command cmd_host_renew;
extern const struct command cmd_host_rotate_keys;
extern const struct command cmd_host_show;
extern const struct command cmd_host_undrain;
extern const struct command cmd_host_upgrade;
extern const struct command cmd_logs;
extern const struct command cmd_ps;
extern const struct command cmd_recipe_lint;
extern const struct command cmd_recipe_new;
extern const struct command cmd_recipe_show;
extern const struct command cmd_revisions;
extern const struct command cmd_rollback;
extern const struct command cmd_run;
extern const struct command cmd_schema;
extern const struct command cmd_service_lint;
extern const struct command cmd_setup;
extern const struct command cmd_status;
extern const struct command cmd_up;
extern const struct command cmd_version;

#endif
