/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/follow.h"

#include <errno.h>
#include <langinfo.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/left-behind.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/view.h"

enum { AWAY_MS = 60000, RETRY_MS = 250 };
/* How long what is on dead hosts is waited for when nothing else is left, and how often their state is looked at. */
enum { LEFT_MS = 10000, LOOK_MS = 15000 };

static char interrupted_text[512];

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	(void)!write(STDERR_FILENO, interrupted_text, strlen(interrupted_text));
	_exit(STATUS_INTERRUPTED);
}

void follow_explain_interrupt(const char *service)
{
	snprintf(interrupted_text, sizeof(interrupted_text),
		 _("\ntepuy: The agents go on with it; 'tepuy status %s --watch' shows how it goes.\n"), service);
	signal(SIGINT, on_interrupt);
}

struct watch {
	follow_fn fn;
	void *data;
	bool heard;
};

static int on_service(void *data, json_t *line, struct err *err)
{
	struct watch *watch = data;

	watch->heard = true;
	return watch->fn(watch->data, line, err);
}

static bool is_away(int r)
{
	return r == 0 || r == -ECONNREFUSED || r == -ECONNRESET || r == -EAGAIN;
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static int too_late(const char *service, struct err *err)
{
	return err_set(err, ETIMEDOUT,
		       _("%s is not there yet, and the time given is over; the agents go on with it: "
			 "'tepuy status %s --watch' shows how it goes"),
		       service, service);
}

/* One connection after another, until the answer is there, time is over, or the agent stays away. */
int follow_watch(struct cli *cli, const char *service, int64_t timeout_ms, follow_fn fn, void *data, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/v1/watch?service=%s", service);
	int64_t end = timeout_ms ? clock_monotonic_ms() + timeout_ms : INT64_MAX;
	int64_t heard = clock_monotonic_ms();
	struct watch watch = { .fn = fn, .data = data };
	int r;

	for (;;) {
		int64_t left = timeout_ms ? end - clock_monotonic_ms() : 0;

		if (left < 0)
			return too_late(service, err);
		watch.heard = false;
		r = api_stream(cli->api, path, left, on_service, &watch, err);
		if (r == -ETIMEDOUT)
			return too_late(service, err);
		if (r == 1 || !is_away(r))
			return r;
		if (watch.heard)
			heard = clock_monotonic_ms();
		else if (clock_monotonic_ms() - heard > AWAY_MS)
			return r < 0 ? r : api_away(cli->socket, ECONNREFUSED, err);
		pause_ms(RETRY_MS);
	}
}

struct follower {
	const struct follow *follow;
	struct progress *progress;
	json_t *troubles; /* the last that was seen of each node that did not work: it may be gone when all is over */
	json_t *last;
	struct left_behind *left; /* NULL: what is on dead hosts does not matter */
	int64_t heard_ms;         /* when the agent last said something */
	int64_t left_ms;          /* clock_monotonic_ms: since when only such nodes are there; 0: it is not so */
	enum { FOLLOW_GOING, FOLLOW_SUCCESS, FOLLOW_FAILURE, FOLLOW_SUPERSEDED, FOLLOW_LEFT } outcome;
};

static bool in_trouble(const json_t *node)
{
	const char *health = json_text(node, "health"), *state = json_text(node, "state");

	return node_has_failed(node) || (!strcmp(state, "running") && !strcmp(health, "critical"));
}

/* Remembers the trouble of the followed revision's nodes; forgets it when they work after all. */
static void note_trouble(struct follower *f, const char *key, json_t *node)
{
	const char *health = json_text(node, "health"), *state = json_text(node, "state");
	const char *desired = json_text(node, "desired");

	if (!strcmp(desired, "drain") || !strcmp(desired, "stop"))
		return; /* it is taken out: what was said before that is what matters */
	if (in_trouble(node))
		json_object_set(f->troubles, key, node);
	else if (!strcmp(state, "running") && !strcmp(health, "passing"))
		json_object_del(f->troubles, key);
}

static void show_node(struct follower *f, json_t *node, int64_t now)
{
	long long gen = json_number(node, "gen");
	_cleanup_(freep) char *key = xasprintf("%s.%lld", json_text(node, "node"), gen), *label = NULL, *text = NULL;
	struct node_view view = node_view(node);
	const char *why = json_text(node, "why");

	note_trouble(f, key, node);
	if (!f->progress)
		return;
	if (json_number(node, "revision") && json_number(node, "revision") < f->follow->revision)
		label = xasprintf(_("%s (revision %lld)"), json_text(node, "node"),
				  (long long)json_number(node, "revision"));
	else
		label = xstrdup(json_text(node, "node"));
	text = *why ? xasprintf("%s: %s", view.text, why) : xstrdup(view.text);
	progress_set(f->progress, key, label, view.kind, text, now);
}

static void show_title(struct follower *f, const json_t *status, int64_t now)
{
	const char *phase = json_text(status, "phase"), *reason = json_text(status, "reason");
	_cleanup_(freep) char *title = NULL;

	title = xasprintf(*reason ? "%s: %s: %s" : "%s: %s", f->follow->service,
			  *phase ? phase_text(phase) : _("accepted"), reason);
	progress_title(f->progress, title, now);
}

static void judge(struct follower *f, const json_t *status)
{
	const char *phase = json_text(status, "phase");
	int64_t revision = json_number(status, "revision");

	if (revision > f->follow->revision)
		f->outcome = FOLLOW_SUPERSEDED;
	else if (revision == f->follow->revision && phase_is_final(phase))
		f->outcome = !strcmp(phase, f->follow->goal) ? FOLLOW_SUCCESS : FOLLOW_FAILURE;
}

/* Whether all that is left is on dead hosts has changed: how long is waited for it changes, too. */
static bool look_for_left(struct follower *f, int64_t now)
{
	bool before = f->left_ms != 0;

	/* Until the leader took the request up, nothing says what will be left. */
	if (json_number(json_object_get(f->last, "status"), "revision") < f->follow->revision)
		return false;
	if (!left_behind_look(f->left, f->follow->service, f->last, f->progress))
		f->left_ms = 0;
	else if (!f->left_ms)
		f->left_ms = now;
	return before != (f->left_ms != 0);
}

static int on_change(void *data, const json_t *service, struct err *err)
{
	const json_t *status = json_object_get(service, "status");
	struct follower *f = data;
	int64_t now = clock_monotonic_ms();
	json_t *node;
	size_t i;

	(void)err;
	json_decref(f->last);
	f->last = json_incref((json_t *)service);
	f->heard_ms = now;
	judge(f, status);
	/* Until the leader took the request up, the phase is that of the revision before. */
	if (f->progress && json_number(status, "revision") >= f->follow->revision)
		show_title(f, status, now);
	if (f->progress)
		progress_begin(f->progress);
	json_array_foreach(json_object_get(service, "nodes"), i, node) show_node(f, node, now);
	if (f->progress)
		progress_end(f->progress, now);
	if (f->outcome != FOLLOW_GOING)
		return 1;
	return f->left && look_for_left(f, now);
}

struct progress *follow_progress(struct cli *cli)
{
	struct progress_style style = { .to = cli->out, .redraw = cli->terminal, .colour = cli->colour };
	struct winsize size = { 0 };
	struct progress *progress;

	style.columns = cli_columns(cli);
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		style.rows = size.ws_row;
	style.ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
	progress = progress_new(&style);
	progress_run(progress);
	return progress;
}

/* Is that what is said of a node, too? */
static bool is_told(const struct follower *f, const char *detail)
{
	const json_t *node;
	const char *key;

	json_object_foreach(f->troubles, key, node)
	{
		const char *why = json_text(node, "why");

		/* Whose last words were not seen is told by the leader, who has them. */
		if (*why && text_starts(detail, why) && (!detail[strlen(why)] || *json_text(node, "log")))
			return true;
	}
	return false;
}

static void explain_failure(struct cli *cli, const struct follower *f)
{
	const json_t *status = json_object_get(f->last, "status"), *node;
	const char *reason = json_text(status, "reason"), *detail = json_text(status, "detail"), *key;
	_cleanup_buf_ struct buf buf = { 0 };

	cli_note(cli, _("%s: revision %lld %s"), f->follow->service, (long long)f->follow->revision,
		 phase_text(json_text(status, "phase")));
	view_lines(*reason ? reason : _("The agents gave no reason; 'tepuy events' may tell more."), 2, &buf);
	if (*detail && !is_told(f, detail))
		view_lines(detail, 4, &buf);
	json_object_foreach(f->troubles, key, node) view_node_trouble(node, false, &buf);
	fputs(buf_text(&buf), cli->err);
}

static enum status conclude(struct cli *cli, const struct follower *f)
{
	if (f->outcome == FOLLOW_SUCCESS)
		return STATUS_DONE;
	if (f->outcome == FOLLOW_LEFT) {
		left_behind_conclude(f->left, f->follow->service);
		return STATUS_PARTLY;
	}
	if (f->outcome == FOLLOW_SUPERSEDED)
		cli_note(cli,
			 _("%s: someone else submitted revision %lld meanwhile; revision %lld is no longer followed"),
			 f->follow->service, (long long)json_number(json_object_get(f->last, "status"), "revision"),
			 (long long)f->follow->revision);
	else
		explain_failure(cli, f);
	return STATUS_FAILED;
}

/* follow_watch in pieces: a host that dies or comes back need not change what is said of the service. */
static int watch_pieces(struct cli *cli, struct follower *f, struct err *err)
{
	int64_t timeout_ms = f->follow->timeout_ms, end = clock_monotonic_ms() + timeout_ms, now, piece;
	int r;

	f->heard_ms = clock_monotonic_ms();
	if (!f->left)
		return follow_watch(cli, f->follow->service, timeout_ms, on_change, f, err);
	for (;;) {
		now = clock_monotonic_ms();
		piece = f->left_ms ? f->left_ms + LEFT_MS - now : LOOK_MS;
		if (f->left_ms && piece <= 0) {
			f->outcome = FOLLOW_LEFT;
			return 1;
		}
		if (timeout_ms && end - now < piece)
			return follow_watch(cli, f->follow->service, end > now ? end - now : 1, on_change, f, err);
		r = follow_watch(cli, f->follow->service, piece, on_change, f, err);
		if (f->outcome != FOLLOW_GOING || (r < 0 && r != -ETIMEDOUT))
			return r;
		if (clock_monotonic_ms() - f->heard_ms > AWAY_MS)
			return api_away(cli->socket, ECONNREFUSED, err);
		err_release(err);
	}
}

enum status follow_service(struct cli *cli, const struct follow *follow, json_t **ret_service)
{
	struct follower f = { .follow = follow, .troubles = json_object() };
	_cleanup_err_ struct err err = ERR_INIT;
	enum status status;
	int r;

	if (!follow->quiet)
		f.progress = follow_progress(cli);
	follow_explain_interrupt(follow->service);
	if (!strcmp(follow->goal, "removed"))
		f.left = left_behind_new(cli);
	r = watch_pieces(cli, &f, &err);
	progress_free(f.progress);
	status = r < 0 ? cli_failed(cli, &err) : conclude(cli, &f);
	if (ret_service)
		*ret_service = json_incref(f.last);
	json_decref(f.last);
	json_decref(f.troubles);
	left_behind_free(f.left);
	return status;
}

enum status follow_request(struct cli *cli, const struct arguments *args, const char *service, int64_t revision,
			   const char *goal, json_t *report)
{
	struct follow follow = { .service = service, .revision = revision, .goal = goal };
	enum status status = STATUS_DONE;
	json_t *last = NULL, *state;

	follow.timeout_ms = arguments_number(args, "timeout", 0);
	follow.quiet = arguments_has(args, "json");
	if (!arguments_has(args, "detach"))
		status = follow_service(cli, &follow, &last);
	else if (!follow.quiet)
		fprintf(cli->out, _("%s: revision %lld is accepted; 'tepuy status %s --watch' shows how it goes.\n"),
			service, (long long)revision, service);
	if (follow.quiet) {
		state = json_object_get(last, "status");
		json_object_set_new(report, "phase", json_string(last ? json_text(state, "phase") : "accepted"));
		json_object_set_new(report, "reason", json_string(json_text(state, "reason")));
		output_json(cli->out, report);
	}
	json_decref(last);
	return status;
}
