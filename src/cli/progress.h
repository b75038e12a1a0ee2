/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is under way, row by row: redrawn in place on a terminal, one plain line for each change elsewhere. The only
 * file that moves a cursor. Times are monotonic milliseconds.
 */
#ifndef TEPUY_CLI_PROGRESS_H
#define TEPUY_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum progress_kind { PROGRESS_WAITING, PROGRESS_WORKING, PROGRESS_GOOD, PROGRESS_BAD };

struct progress;

struct progress_style {
	FILE *to;
	bool redraw; /* `to` is a terminal */
	bool colour;
	bool ascii; /* the terminal shows no UTF-8 */
	int columns, rows;
};

/* For progress_free; the style is copied, its file borrowed. */
struct progress *progress_new(const struct progress_style *style);
/* What was last drawn stays on the screen. */
void progress_free(struct progress *progress);
void progress_freep(struct progress **progress);

/* The line above the rows. */
void progress_title(struct progress *progress, const char *text, int64_t now);
/*
 * How row `key` stands: `label` is what it is called, `text` what it does. The row's time runs until it is GOOD or BAD
 * and starts anew when it works again. Text from elsewhere is made safe for the terminal.
 */
void progress_set(struct progress *progress, const char *key, const char *label, enum progress_kind kind,
		  const char *text, int64_t now);
/* Begins an update of all rows; those that progress_set does not name until progress_end are dropped by it. */
void progress_begin(struct progress *progress);
void progress_end(struct progress *progress, int64_t now);
/* While it is held nothing is drawn, and what was drawn is cleared: the terminal is for a question. */
void progress_hold(struct progress *progress, bool hold);
/* Redraws five times a second, for the elapsed times, until progress_free: from a thread of its own. */
void progress_run(struct progress *progress);

/* A block of lines that is drawn over the one before it: for `status --watch`. */
struct region {
	FILE *to;
	int columns;
	size_t lines; /* on the screen now */
};

void region_draw(struct region *region, const char *text);

#endif
