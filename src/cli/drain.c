/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/drain.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "cli/api.h"
#include "cli/follow.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/view.h"

struct drain {
	const struct target *target;
	enum drain_goal goal;
	struct progress *progress; /* NULL: quiet */
	bool late;                 /* the deadline is over: sessions that are left are not waited for */
	long long sessions;        /* left, of all its nodes */
};

static bool is(const json_t *node, const char *key, const char *text)
{
	return !strcmp(json_text(node, key), text);
}

bool drain_reached(const json_t *node, enum drain_goal goal)
{
	switch (goal) {
	case DRAIN_STOP:
		return is(node, "state", "stopped");
	case DRAIN_DISCONNECT:
		if (json_number(node, "sessions") > 0)
			return false;
		return is(node, "state", "stopped") || is(node, "health", "maintenance");
	case DRAIN_CONNECT:
		return json_flag(node, "connected") && is(node, "state", "running") &&
		       (is(node, "health", "passing") || is(node, "health", "warning"));
	}
	return false;
}

static void show(struct drain *drain, const json_t *node, bool reached, int64_t now)
{
	struct node_view view = node_view(node);
	const char *why = json_text(node, "why");
	_cleanup_(freep) char *text = xasprintf(*why ? "%s: %s" : "%s", view.text, why);

	if (drain->progress)
		progress_set(drain->progress, json_text(node, "node"), json_text(node, "node"),
			     reached                     ? PROGRESS_GOOD
			     : view.kind == PROGRESS_BAD ? PROGRESS_BAD
							 : PROGRESS_WORKING,
			     text, now);
}

static int on_change(void *data, const json_t *service, struct err *err)
{
	int64_t now = clock_monotonic_ms();
	struct drain *drain = data;
	const json_t *node;
	bool all = true;
	size_t i;

	if (drain->progress)
		progress_begin(drain->progress);
	drain->sessions = 0;
	json_array_foreach(json_object_get(service, "nodes"), i, node)
	{
		bool reached = drain_reached(node, drain->goal) || (drain->late && is(node, "health", "maintenance"));

		if (!target_has(drain->target, json_text(node, "node")))
			continue;
		drain->sessions += json_number(node, "sessions") > 0 ? json_number(node, "sessions") : 0;
		all = all && reached;
		show(drain, node, reached, now);
		if (node_has_failed(node))
			return err_set(err, EIO, _("%s has failed: %s"), json_text(node, "node"),
				       json_text(node, "why"));
	}
	if (drain->progress)
		progress_end(drain->progress, now);
	return all;
}

/* Sessions end by themselves or at the deadline; without --stop nobody cuts those that are left. */
static int watch(struct cli *cli, const struct arguments *args, struct drain *drain, struct err *err)
{
	int64_t timeout = arguments_number(args, "timeout", 0);
	int64_t deadline = drain->goal == DRAIN_DISCONNECT ? arguments_number(args, "deadline", 0) : 0;
	int r;

	if (!deadline || (timeout && timeout <= deadline))
		return follow_watch(cli, drain->target->service, timeout, on_change, drain, err);
	r = follow_watch(cli, drain->target->service, deadline, on_change, drain, err);
	if (r != -ETIMEDOUT)
		return r;
	err_release(err);
	drain->late = true;
	return follow_watch(cli, drain->target->service, timeout ? timeout - deadline : 0, on_change, drain, err);
}

static enum status wait_for(struct cli *cli, const struct arguments *args, struct drain *drain)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	if (!arguments_has(args, "json"))
		drain->progress = follow_progress(cli);
	follow_explain_interrupt(drain->target->service);
	r = watch(cli, args, drain, &err);
	progress_free(drain->progress);
	if (r < 0)
		return cli_failed(cli, &err);
	if (drain->late && drain->sessions)
		cli_note(cli,
			 ngettext("The deadline is over: %s gets nothing new, and %lld session that it has goes on; "
				  "--stop would end it.",
				  "The deadline is over: %s gets nothing new, and %lld sessions that it has go on; "
				  "--stop would end them.",
				  (unsigned long)drain->sessions),
			 drain->target->text, drain->sessions);
	return STATUS_DONE;
}

enum status drain_request(struct cli *cli, const struct arguments *args, const struct target *target,
			  enum drain_goal goal, const json_t *body)
{
	const char *verb = goal == DRAIN_CONNECT ? "connect" : "disconnect";
	_cleanup_(freep) char *path = xasprintf("/v1/%s/%s", verb, target->text);
	struct drain drain = { .target = target, .goal = goal };
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	enum status status = STATUS_DONE;

	if (api_call(cli->api, "POST", path, body, &answer, &err) < 0)
		return cli_failed(cli, &err);
	if (!arguments_has(args, "detach"))
		status = wait_for(cli, args, &drain);
	if (arguments_has(args, "json"))
		output_json(cli->out, answer);
	return status;
}
