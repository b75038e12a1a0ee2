/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/service.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"

#define SYSTEMCTL_MS 120000
#define JOURNAL_MS 20000

static int systemctl(const char *verb, const char *argument, const char *unit, struct buf *output, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = SYSTEMCTL_MS };

	strv_add_all(&run.argv, "systemctl", "--no-pager", "--no-ask-password", verb, NULL);
	if (argument)
		strv_add(&run.argv, argument);
	if (unit)
		strv_add(&run.argv, unit);
	strv_add(&run.env, "LC_ALL=C.UTF-8");
	return run_program(&run, output, err);
}

bool service_active(const char *unit)
{
	return systemctl("is-active", "--quiet", unit, NULL, NULL) == 0;
}

bool service_enabled(const char *unit)
{
	return systemctl("is-enabled", "--quiet", unit, NULL, NULL) == 0;
}

bool service_known(const char *unit)
{
	return systemctl("cat", "--", unit, NULL, NULL) == 0;
}

char *service_property(const char *unit, const char *property)
{
	_cleanup_(freep) char *which = xasprintf("--property=%s", property);
	_cleanup_run_ struct run run = { .timeout_ms = SYSTEMCTL_MS };
	_cleanup_buf_ struct buf output = { 0 };

	strv_add_all(&run.argv, "systemctl", "--no-pager", "show", "--value", which, unit, NULL);
	if (run_program(&run, &output, NULL) != 0)
		return xstrdup("");
	while (output.len && strchr(" \n", output.data[output.len - 1]))
		output.data[--output.len] = '\0';
	return buf_take(&output);
}

static bool is_systemds(const char *line)
{
	static const char *const starts[] = { "Started ", "Stopped ", "Starting ", "Stopping ", "Failed to start " };
	bool is = strstr(line, ".service: ") != NULL;

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
		is |= text_starts(line, starts[i]);
	return is;
}

/* The last two lines that the unit itself wrote, in one; owned by the caller, NULL: nothing. */
static char *last_words(const char *unit)
{
	_cleanup_run_ struct run run = { .timeout_ms = JOURNAL_MS };
	_cleanup_buf_ struct buf output = { 0 };
	const char *last = NULL, *before = NULL;
	char *words;

	strv_add_all(&run.argv, "journalctl", "--no-pager", "--quiet", "-b", "-o", "cat", "-n", "20", "-u", unit, NULL);
	if (run_program(&run, &output, NULL) != 0)
		return NULL;
	for (char *rest = output.data, *line; rest && (line = strsep(&rest, "\n"));)
		if (*line && !is_systemds(line)) {
			before = last && strcmp(last, line) != 0 ? last : before;
			last = line;
		}
	if (!last)
		return NULL;
	words = before ? xasprintf("%.300s | %.300s", before, last) : xstrndup(last, 300);
	text_printable(words, false);
	return words;
}

int service_do(const char *verb, const char *unit, struct err *err)
{
	_cleanup_buf_ struct buf output = { 0 };
	_cleanup_(freep) char *words = NULL;
	int r = systemctl(verb, NULL, unit, &output, err);

	if (r <= 0)
		return r;
	words = last_words(unit);
	if (words)
		return err_set(err, EIO, _("systemctl %s %s failed; its last words: %s"), verb, unit, words);
	while (output.len && output.data[output.len - 1] == '\n')
		output.data[--output.len] = '\0';
	return err_set(err, EIO, _("systemctl %s %s failed: %s"), verb, unit, buf_text(&output));
}

int service_daemon_reload(struct err *err)
{
	int r = systemctl("daemon-reload", NULL, NULL, NULL, err);

	return r > 0 ? err_set(err, EIO, _("systemctl daemon-reload failed")) : r;
}

int service_bring_up(struct step *step, const char *unit, bool restart, bool reload, struct err *err)
{
	bool enabled = service_enabled(unit), active = service_active(unit);
	int r = 0;

	if (enabled && active && !restart && !reload) {
		step_unchanged(step, "service", _("%s is enabled and runs"), unit);
		return 0;
	}
	step_begin(step, "service", active ? _("Bringing %s up to date") : _("Starting %s"), unit);
	if (!enabled)
		r = service_do("enable", unit, err);
	if (r == 0 && !active)
		/* One that failed too often is not started any more without this. */
		systemctl("reset-failed", NULL, unit, NULL, NULL);
	if (r == 0 && (!active || restart))
		r = service_do("restart", unit, err);
	else if (r == 0 && reload)
		r = service_do("reload", unit, err);
	return r;
}
