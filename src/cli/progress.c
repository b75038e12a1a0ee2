/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/progress.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"
#include "base/thread.h"
#include "cli/output.h"

struct row {
	char *key, *label, *text;
	enum progress_kind kind;
	int64_t since, until; /* until 0: still running */
	bool seen;
};

struct progress {
	struct progress_style style;
	struct region region;
	char *title;
	struct row *rows;
	size_t n, cap;
	pthread_mutex_t lock; /* over all of the above, once the thread runs */
	pthread_cond_t stop;
	pthread_t thread;
	bool running, stopping, held;
};

struct progress *progress_new(const struct progress_style *style)
{
	struct progress *progress = xcalloc(1, sizeof(*progress));
	pthread_condattr_t monotonic;

	progress->style = *style;
	progress->region = (struct region){ .to = style->to, .columns = style->columns };
	progress->title = xstrdup("");
	pthread_mutex_init(&progress->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&progress->stop, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return progress;
}

static void row_release(struct row *row)
{
	free(row->key);
	free(row->label);
	free(row->text);
}

void progress_free(struct progress *progress)
{
	if (!progress)
		return;
	if (progress->running) {
		pthread_mutex_lock(&progress->lock);
		progress->stopping = true;
		pthread_cond_signal(&progress->stop);
		pthread_mutex_unlock(&progress->lock);
		pthread_join(progress->thread, NULL);
	}
	for (size_t i = 0; i < progress->n; i++)
		row_release(&progress->rows[i]);
	free(progress->rows);
	free(progress->title);
	pthread_cond_destroy(&progress->stop);
	pthread_mutex_destroy(&progress->lock);
	free(progress);
}

void progress_freep(struct progress **progress)
{
	progress_free(*progress);
}

/* Up to where the block began, each line cut to the width so that none wraps, the rest of the screen cleared. */
void region_draw(struct region *region, const char *text)
{
	_cleanup_buf_ struct buf out = { 0 };

	if (region->lines)
		buf_printf(&out, "\r\033[%zuA", region->lines);
	region->lines = 0;
	while (*text) {
		size_t len = strcspn(text, "\n");
		_cleanup_(freep) char *line = xstrndup(text, len);

		buf_add(&out, line, output_fit(line, (size_t)region->columns));
		buf_adds(&out, "\033[0m\033[K\n");
		region->lines++;
		text += len + (text[len] == '\n');
	}
	buf_adds(&out, "\033[J");
	fwrite(buf_text(&out), 1, out.len, region->to);
	fflush(region->to);
}

static const char *mark(const struct progress *progress, enum progress_kind kind, int64_t now)
{
	static const char *const spinner[] = { "⠋", "⠙", "⠸", "⠴", "⠦", "⠇" };

	if (progress->style.ascii)
		return (const char *[]){ ".", "*", "+", "!" }[kind];
	if (kind == PROGRESS_WORKING)
		return spinner[(now / 200) % (int64_t)ARRAY_SIZE(spinner)];
	return (const char *[]){ "·", "", "✓", "✗" }[kind];
}

static enum colour kind_colour(enum progress_kind kind)
{
	return (enum colour[]){ DIM, YELLOW, GREEN, RED }[kind];
}

static void draw_row(struct progress *progress, const struct row *row, size_t label, size_t text, int64_t now,
		     struct buf *to)
{
	_cleanup_(freep) char *elapsed = text_ago((row->until ? row->until : now) - row->since);
	size_t width = output_width(row->text);

	buf_addc(to, ' ');
	output_colour(to, progress->style.colour, kind_colour(row->kind), mark(progress, row->kind, now));
	buf_printf(to, " %s%*s  ", row->label, (int)(label - output_width(row->label)), "");
	output_colour(to, progress->style.colour, row->kind == PROGRESS_BAD ? RED : PLAIN, row->text);
	if (row->kind != PROGRESS_WAITING) {
		buf_printf(to, "%*s  ", width < text ? (int)(text - width) : 0, "");
		output_colour(to, progress->style.colour, DIM, elapsed);
	}
	buf_addc(to, '\n');
}

/* When there are more rows than lines, those that are finished and well are left out first. */
static bool is_shown(const struct row *row, size_t room, size_t n)
{
	return n <= room || row->kind != PROGRESS_GOOD;
}

static void draw(struct progress *progress, int64_t now)
{
	size_t label = 0, text = 0, shown = 0, room = progress->style.rows > 4 ? (size_t)progress->style.rows - 3 : 4;
	_cleanup_buf_ struct buf out = { 0 };

	if (!progress->style.redraw || progress->held)
		return;
	for (size_t i = 0; i < progress->n; i++) {
		size_t l = output_width(progress->rows[i].label), t = output_width(progress->rows[i].text);

		label = l > label ? l : label;
		text = t > text && t <= 40 ? t : text;
	}
	if (*progress->title)
		output_colour(&out, progress->style.colour, BOLD, progress->title), buf_addc(&out, '\n');
	for (size_t i = 0; i < progress->n && shown < room; i++) {
		if (!is_shown(&progress->rows[i], room, progress->n))
			continue;
		draw_row(progress, &progress->rows[i], label, text, now, &out);
		shown++;
	}
	if (shown < progress->n)
		buf_printf(&out, ngettext("   and %zu more\n", "   and %zu more\n", progress->n - shown),
			   progress->n - shown);
	region_draw(&progress->region, buf_text(&out));
}

static void draw_plain(struct progress *progress, const struct row *row)
{
	_cleanup_(freep) char *elapsed = row->until ? text_ago(row->until - row->since) : NULL;

	if (progress->style.redraw)
		return;
	if (elapsed)
		fprintf(progress->style.to, "%s: %s (%s)\n", row->label, row->text, elapsed);
	else
		fprintf(progress->style.to, "%s: %s\n", row->label, row->text);
	fflush(progress->style.to);
}

static bool replace(char **old, const char *text)
{
	_cleanup_(freep) char *safe = xstrdup(text);

	text_printable(safe, false);
	if (*old && !strcmp(*old, safe))
		return false;
	free(*old);
	*old = TAKE_PTR(safe);
	return true;
}

void progress_title(struct progress *progress, const char *text, int64_t now)
{
	pthread_mutex_lock(&progress->lock);
	if (replace(&progress->title, text)) {
		if (!progress->style.redraw)
			fprintf(progress->style.to, "%s\n", progress->title);
		draw(progress, now);
	}
	pthread_mutex_unlock(&progress->lock);
}

/* The row of that key, made in the order of the labels when it is new. */
static struct row *find_row(struct progress *progress, const char *key, const char *label, int64_t now)
{
	size_t at = 0;

	for (size_t i = 0; i < progress->n; i++) {
		if (!strcmp(progress->rows[i].key, key))
			return &progress->rows[i];
		if (strverscmp(progress->rows[i].label, label) <= 0)
			at = i + 1;
	}
	progress->rows = grow_array(progress->rows, progress->n, &progress->cap, sizeof(*progress->rows));
	memmove(&progress->rows[at + 1], &progress->rows[at], (progress->n - at) * sizeof(*progress->rows));
	progress->rows[at] = (struct row){ .key = xstrdup(key), .since = now };
	progress->n++;
	return &progress->rows[at];
}

static bool is_over(enum progress_kind kind)
{
	return kind == PROGRESS_GOOD || kind == PROGRESS_BAD;
}

void progress_set(struct progress *progress, const char *key, const char *label, enum progress_kind kind,
		  const char *text, int64_t now)
{
	struct row *row;
	bool changed;

	pthread_mutex_lock(&progress->lock);
	row = find_row(progress, key, label, now);
	if (row->until && !is_over(kind))
		row->since = now, row->until = 0;
	if (!row->until && is_over(kind))
		row->until = now;
	row->kind = kind;
	row->seen = true;
	changed = replace(&row->label, label);
	if (replace(&row->text, text) || changed)
		draw_plain(progress, row);
	pthread_mutex_unlock(&progress->lock);
}

void progress_begin(struct progress *progress)
{
	pthread_mutex_lock(&progress->lock);
	for (size_t i = 0; i < progress->n; i++)
		progress->rows[i].seen = false;
	pthread_mutex_unlock(&progress->lock);
}

void progress_end(struct progress *progress, int64_t now)
{
	size_t kept = 0;

	pthread_mutex_lock(&progress->lock);
	for (size_t i = 0; i < progress->n; i++)
		if (progress->rows[i].seen)
			progress->rows[kept++] = progress->rows[i];
		else
			row_release(&progress->rows[i]);
	progress->n = kept;
	draw(progress, now);
	pthread_mutex_unlock(&progress->lock);
}

void progress_hold(struct progress *progress, bool hold)
{
	pthread_mutex_lock(&progress->lock);
	if (hold && progress->style.redraw)
		region_draw(&progress->region, "");
	progress->held = hold;
	draw(progress, clock_monotonic_ms());
	pthread_mutex_unlock(&progress->lock);
}

static void *tick(void *data)
{
	struct progress *progress = data;

	pthread_mutex_lock(&progress->lock);
	while (!progress->stopping) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += 200000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (pthread_cond_timedwait(&progress->stop, &progress->lock, &until) == ETIMEDOUT)
			draw(progress, clock_monotonic_ms());
	}
	pthread_mutex_unlock(&progress->lock);
	return NULL;
}

void progress_run(struct progress *progress)
{
	if (progress->style.redraw && !progress->running)
		progress->running = thread_create(&progress->thread, NULL, tick, progress) == 0;
}
