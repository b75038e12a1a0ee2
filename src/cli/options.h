/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows that several commands' option tables share. */
#ifndef TEPUY_CLI_OPTIONS_H
#define TEPUY_CLI_OPTIONS_H

#include "base/i18n.h"

/* clang-format off */
#define OPTIONS_END { .name = NULL }
#define OPTION_JSON { .name = "json", .help = N_("Write JSON, for programs") }
#define OPTION_YES { .name = "yes", .letter = 'y', .help = N_("Do it without asking") }
#define OPTION_DETACH { .name = "detach", .letter = 'd', .help = N_("Do not wait until it is done") }
#define OPTION_TIMEOUT(text) { .name = "timeout", .type = OPTION_DURATION, .argument = "DURATION", .help = text }
#define OPTION_RECIPES { .name = "recipes", .letter = 'r', .type = OPTION_LIST, .word = WORD_DIRECTORY, \
	.argument = "DIR", .help = N_("Look for recipes in DIR too; may be given several times") }
/* clang-format on */

#endif
