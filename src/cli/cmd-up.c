/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>

#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/documents.h"
#include "cli/follow.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/pack-cache.h"
#include "cli/plan-view.h"
#include "cli/secrets.h"
#include "cli/view.h"
#include "image/image.h"

struct up {
	struct cli *cli;
	const struct arguments *args;
	struct bundles bundles;
	json_t *spec;    /* from the documents */
	json_t *now;     /* the service as it is */
	json_t *plan;    /* what would change */
	json_t *secrets; /* name: value, given by the operator */
	const char *service;
	bool json;
};

static void up_release(struct up *up)
{
	bundles_release(&up->bundles);
	json_decref(up->spec);
	json_decref(up->now);
	json_decref(up->plan);
	json_decref(up->secrets);
}

/* {"service","revision","changed","changes"}: what --json reports, before phase and reason. */
static json_t *report(const struct up *up, int64_t revision, bool changed)
{
	json_t *changes = json_object_get(up->plan, "changes");

	return json_pack("{s:s, s:I, s:b, s:O*}", "service", up->service, "revision", (json_int_t)revision, "changed",
			 changed, "changes", changes);
}

static const char *phase_now(const struct up *up)
{
	return json_text(json_object_get(up->now, "status"), "phase");
}

static int64_t revision_now(const struct up *up)
{
	return json_number(json_object_get(up->now, "spec"), "revision");
}

/* Has the leader finished with the revision that was submitted last, whatever came of it? */
static bool is_settled(const struct up *up)
{
	const json_t *status = json_object_get(up->now, "status");

	return json_number(status, "revision") == revision_now(up) && phase_is_final(phase_now(up));
}

static bool is_done(const struct up *up)
{
	return is_settled(up) && !strcmp(phase_now(up), "done");
}

/* The same documents as those that run, and all is done: one request has told. */
static bool is_same(const struct up *up)
{
	const char *digest = json_text(json_object_get(up->now, "spec"), "digest");

	return *digest && !strcmp(digest, json_text(up->spec, "digest")) && is_done(up);
}

static int nothing_to_do(const struct up *up)
{
	_cleanup_json_ json_t *all = NULL;

	if (up->json) {
		all = report(up, revision_now(up), false);
		json_object_set_new(all, "phase", json_string(phase_now(up)));
		json_object_set_new(all, "reason", json_string(""));
		output_json(up->cli->out, all);
	} else
		fprintf(up->cli->out, _("%s: nothing to do.\n"), up->service);
	return STATUS_DONE;
}

static int fetch_plan(struct up *up, struct err *err)
{
	_cleanup_json_ json_t *body = json_pack("{s:O}", "spec", up->spec);
	_cleanup_(freep) char *path = xasprintf("/v1/service/%s/plan", up->service);

	return api_call(up->cli->api, "POST", path, body, &up->plan, err);
}

static void show_plan(const struct up *up)
{
	_cleanup_buf_ struct buf buf = { 0 };

	if (up->json)
		return;
	plan_view(up->service, up->plan, up->cli->colour, &buf);
	fputs(buf_text(&buf), up->cli->out);
}

static int send_bundle(struct up *up, const char *sha256, const char *dir, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/v1/bundle/%s", sha256), *packed = NULL;
	_cleanup_buf_ struct buf tar = { 0 };
	int r = api_head(up->cli->api, path, err);

	if (r != 0)
		return r < 0 ? r : 0;
	r = bundle_pack(dir, &tar, &packed, err);
	if (r < 0)
		return r;
	if (strcmp(packed, sha256)) {
		pack_cache_forget(dir);
		return err_set(err, EBUSY, _("The recipe in %s was changed meanwhile; run 'tepuy up' again"), dir);
	}
	return api_put_bytes(up->cli->api, path, tar.data, tar.len, err);
}

static int send_bundles(struct up *up, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < up->bundles.hashes.n; i++)
		r = send_bundle(up, up->bundles.hashes.v[i], up->bundles.directories.v[i], err);
	return r;
}

/* The compare-and-set: what was shown is what is done, or nothing is. */
static int put_service(struct up *up, json_t **ret, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/v1/service/%s", up->service);
	_cleanup_json_ json_t *body = json_pack("{s:O, s:I, s:O}", "spec", up->spec, "index",
						(json_int_t)json_number(up->now, "index"), "secrets", up->secrets);
	int r = api_call(up->cli->api, "PUT", path, body, ret, err);

	if (r == -ESTALE)
		return err_set(err, ESTALE,
			       _("%s was changed by someone else meanwhile; run 'tepuy up' again to see what is new"),
			       up->service);
	return r;
}

static int submit(struct up *up)
{
	_cleanup_json_ json_t *answer = NULL, *all = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int64_t revision;

	if (send_bundles(up, &err) < 0 || put_service(up, &answer, &err) < 0)
		return cli_failed(up->cli, &err);
	revision = json_number(answer, "revision");
	if (!json_flag(answer, "changed") && is_done(up))
		return nothing_to_do(up);
	all = report(up, revision, true);
	return follow_request(up->cli, up->args, up->service, revision, "done", all);
}

static int dry_run(struct up *up, bool changed)
{
	_cleanup_json_ json_t *all = NULL;

	if (!changed)
		return nothing_to_do(up);
	if (up->json) {
		all = report(up, revision_now(up), true);
		output_json(up->cli->out, all);
	}
	return STATUS_WOULD_CHANGE;
}

/* It was submitted before and the agents are still at it. */
static int follow_running(struct up *up)
{
	_cleanup_json_ json_t *all = report(up, revision_now(up), false);

	return follow_request(up->cli, up->args, up->service, revision_now(up), "done", all);
}

static int ask_and_submit(struct up *up)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r = 1;

	if (!arguments_has(up->args, "yes"))
		r = cli_ask(up->cli, _("Do this?"), &err);
	if (r < 0)
		return cli_failed(up->cli, &err);
	if (r == 0) {
		cli_note(up->cli, _("Nothing was done"));
		return STATUS_FAILED;
	}
	return submit(up);
}

static int plan_and_do(struct up *up)
{
	bool changed, secrets = json_object_size(up->secrets) > 0, dry = arguments_has(up->args, "dry-run");
	_cleanup_err_ struct err err = ERR_INIT;

	if (fetch_plan(up, &err) < 0)
		return cli_failed(up->cli, &err);
	changed = json_flag(up->plan, "changed");
	if (changed)
		show_plan(up);
	else if (secrets && !up->json)
		fprintf(up->cli->out, _("%s: only secrets are given anew.\n"), up->service);
	if (dry)
		return dry_run(up, changed || secrets);
	if (changed || secrets)
		return ask_and_submit(up);
	if (!is_settled(up))
		return follow_running(up);
	/* The same again after a failure: another try, which asks for nothing new. */
	return is_done(up) ? nothing_to_do(up) : submit(up);
}

static int load(struct up *up, struct err *err)
{
	const char *word = arguments_word(up->args, 0);
	_cleanup_(freep) char *file = documents_service_file(word ? word : "service.yaml");
	int r = documents_load_spec(up->cli, file, arguments_list(up->args, "recipes"), &up->bundles, &up->spec);

	if (r < 0)
		return r;
	up->service = json_text(up->spec, "service");
	r = api_service(up->cli->api, up->service, &up->now, err);
	if (r == -ENOENT) {
		err_release(err);
		up->now = json_object();
		r = 0;
	}
	return r;
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_(up_release) struct up up = { .cli = cli, .args = args, .json = arguments_has(args, "json") };
	_cleanup_err_ struct err err = ERR_INIT;

	if (up.json && !arguments_has(args, "yes") && !arguments_has(args, "dry-run"))
		return cli_usage(cli, _("--json asks no questions: give --yes or --dry-run with it"));
	if (load(&up, &err) < 0)
		return err.code ? (int)cli_failed(cli, &err) : STATUS_FAILED;
	if (is_same(&up) && !arguments_has(args, "secret"))
		return nothing_to_do(&up);
	if (secrets_collect(cli, arguments_list(args, "secret"), json_object_get(up.spec, "secrets"),
			    json_object_get(json_object_get(up.now, "spec"), "secrets"), &up.secrets, &err) < 0)
		return cli_failed(cli, &err);
	return plan_and_do(&up);
}

static const struct command_option options[] = {
	OPTION_YES,
	{ .name = "dry-run", .letter = 'n', .help = N_("Only show what would be done") },
	OPTION_RECIPES,
	{ .name = "secret",
	  .letter = 's',
	  .type = OPTION_LIST,
	  .argument = "NAME[=@FILE]",
	  .help = N_("Give a secret from FILE, or typed at the terminal") },
	OPTION_DETACH,
	OPTION_TIMEOUT(N_("Wait no longer than this; the agents go on")),
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_up = {
	.name = "up",
	.group = GROUP_SERVICE,
	.flags = COMMAND_AGENT,
	.summary = N_("Make a service run as its file says"),
	.details = N_(
	    "FILE is service.yaml when it is not given; a directory means the service.yaml in it. What is to be done "
	    "is shown before it is asked for. With --dry-run the exit status is 0 when nothing would change and 4 "
	    "when something would."),
	.usage = "[FILE]",
	.max = 1,
	.word = WORD_FILE,
	.options = options,
	.exec = run,
};
