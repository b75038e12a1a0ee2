/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The step `runtime`: what runs nodes, installed, configured and answering. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/run.h"
#include "host/apt.h"
#include "host/daemon-json.h"
#include "host/kept-file.h"
#include "host/place.h"
#include "host/service.h"
#include "host/stamp.h"
#include "host/step.h"
#include "host/xen-step.h"
#include "runtime/runtime.h"

#define ANSWER_MS 60000
#define RELOAD_MS 30000
#define INFO_MS 10000

/* A runtime that is a service with one file. */
struct installable {
	const char *name, *package, *unit, *config;
	int (*merge)(const char *text, char **ret, struct err *err);
	/* Do the nodes that run go on while the service is restarted, as it runs now? */
	int (*keeps_nodes)(bool *ret, struct err *err);
};

static int docker_keeps_nodes(bool *ret, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = INFO_MS };
	_cleanup_buf_ struct buf output = { 0 };
	int r;

	strv_add_all(&run.argv, "docker", "info", "--format", "{{.LiveRestoreEnabled}}", NULL);
	r = run_checked(&run, &output, err);
	return r < 0 ? r : daemon_json_keeps(buf_text(&output), ret, err);
}

static const struct installable installables[] = {
	{ "docker", "docker.io", "docker.service", "/etc/docker/daemon.json", daemon_json_merge, docker_keeps_nodes },
};

/* A runtime that is more than that. What is in neither list must be there already. */
static const struct {
	const char *name;
	int (*set_up)(struct step *step, const char *name, int64_t lock_wait, json_t **ret, struct err *err);
} systems[] = {
	{ "xen", xen_set_up },
};

static const struct installable *find_installable(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(installables); i++)
		if (!strcmp(installables[i].name, name))
			return &installables[i];
	return NULL;
}

static enum runtime_probe probe(const char *name, char **ret_version, struct err *err)
{
	struct runtime *rt = NULL;
	enum runtime_probe answer;

	if (runtime_open(name, NULL, &rt, err) < 0)
		return RUNTIME_BROKEN_HERE;
	answer = rt->ops->probe(rt, ret_version, err);
	runtime_free(rt);
	return answer;
}

/* Before the package, so that the first start reads it already. */
static int configure(struct step *step, const struct installable *row, struct kept_file *kept, struct err *err)
{
	_cleanup_(freep) char *merged = NULL;
	_cleanup_strv_ struct strv files = { 0 };
	int r = kept_file_read(row->config, kept, err);

	if (r == 0)
		r = row->merge(kept->text, &merged, err);
	if (r < 0)
		return r;
	strv_add(&files, row->config);
	stamp_adopt(row->unit, "config", kept->text, &files);
	if (!merged) {
		step_unchanged(step, "daemon.json", _("%s says what it must"), row->config);
		return 0;
	}
	step_begin(step, "daemon.json", _("Completing %s"), row->config);
	r = kept_file_write(kept, merged, err);
	if (r < 0)
		return r;
	step_done(step, _("%s keeps containers over restarts of the service and limits their logs"), row->config);
	return 0;
}

static int install(struct step *step, const struct installable *row, int64_t lock_wait, struct err *err)
{
	_cleanup_(freep) char *version = NULL;
	int r;

	/* One that came from elsewhere (Docker's own packages) serves as well; a unit that dpkg just unpacked does not.
	 */
	if (!apt_interrupted(row->package) && (apt_installed(row->package) || service_known(row->unit) ||
					       probe(row->name, &version, NULL) == RUNTIME_MINE)) {
		step_unchanged(step, "package", _("%s is installed"), row->name);
		return 0;
	}
	step_begin(step, "package", _("Installing %s"), row->package);
	r = apt_install(step, row->package, lock_wait, err);
	if (r < 0)
		return r;
	step_done(step, _("%s is installed"), row->package);
	return 0;
}

static int wait_until_it_answers(struct step *step, const struct installable *row, char **ret_version, struct err *err)
{
	int64_t until = clock_monotonic_ms() + ANSWER_MS;

	for (;;) {
		_cleanup_err_ struct err why = ERR_INIT;
		_cleanup_(freep) char *text = NULL;
		int r;

		if (probe(row->name, ret_version, &why) == RUNTIME_MINE)
			return 0;
		text = xasprintf(_("%s was started and does not answer (%s); see journalctl -u %s"), row->unit,
				 err_text(&why), row->unit);
		r = step_pause(step, until, text, err);
		if (r < 0)
			return r;
		step_waiting(step, _("Waiting for %s"), row->unit);
	}
}

/*
 * Before a restart: what keeps the nodes over it counts from a reload on. A daemon that refuses the file, as it does
 * when its command line says one of the same things, says so in its log only, and would not start with it.
 */
static int reload(struct step *step, const struct installable *row, struct err *err)
{
	int64_t until = clock_monotonic_ms() + RELOAD_MS;

	service_do("reload", row->unit, NULL);
	for (;;) {
		_cleanup_err_ struct err why = ERR_INIT;
		bool keeps = false;
		int r = row->keeps_nodes(&keeps, &why);

		if (r == 0 && keeps)
			return 0;
		if (step_pause(step, until, "", NULL) == 0)
			continue;
		if (r < 0)
			return err_set(err, EIO,
				       _("%s was told to read %s and does not answer (%s), so it was not restarted; "
					 "see journalctl -u %s"),
				       row->unit, row->config, err_text(&why), row->unit);
		return err_set(err, EINVAL,
			       _("%s does not take %s over: a restart would stop its containers, and was left out. See "
				 "journalctl -u %s; what its command line says must be in that file instead"),
			       row->unit, row->config, row->unit);
	}
}

/* A daemon that does not take the new configuration gets the old one back. */
static void put_back(const struct installable *row, const struct kept_file *kept, const char *verb, struct err *why)
{
	_cleanup_err_ struct err own = ERR_INIT;
	int r;

	if (!kept->written)
		return;
	r = kept_file_put_back(kept, &own);
	if (r == 0 && verb) {
		/* One that failed too often is not started any more without this. */
		service_do("reset-failed", row->unit, NULL);
		r = service_do(verb, row->unit, &own);
	}
	if (r == 0)
		err_wrap(why, _("%s as it was before is back"), row->config);
	else
		err_wrap(why, _("Going back to %s as it was before failed too (%s)"), row->config, err_text(&own));
}

static int bring_up(struct step *step, const struct installable *row, const struct kept_file *kept, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;
	_cleanup_strv_ struct strv files = { 0 };
	_cleanup_buf_ struct buf now = { 0 };
	bool active = service_active(row->unit), restart;
	const char *verb = NULL;
	int r = place_read(row->config, &now, err);

	if (r < 0)
		return r;
	/* The package has started it, after the file was written. */
	strv_add(&files, row->config);
	stamp_adopt(row->unit, "config", buf_text(&now), &files);
	restart = active && !stamp_is(row->unit, "config", buf_text(&now));
	r = restart ? reload(step, row, &why) : 0;
	if (r < 0) {
		verb = "reload";
	} else {
		r = service_bring_up(step, row->unit, restart, false, &why);
		verb = active ? "restart" : NULL;
	}
	if (r == 0) {
		stamp_set(row->unit, "config", buf_text(&now));
		return 0;
	}
	put_back(row, kept, verb, &why);
	return err_set(err, -r, "%s", err_text(&why));
}

static int set_up(struct step *step, const struct installable *row, int64_t lock_wait, char **ret_version,
		  struct err *err)
{
	_cleanup_kept_file_ struct kept_file kept = { 0 };
	int r = configure(step, row, &kept, err);

	if (r == 0)
		r = install(step, row, lock_wait, err);
	if (r == 0)
		r = bring_up(step, row, &kept, err);
	if (r == 0)
		r = wait_until_it_answers(step, row, ret_version, err);
	if (r == 0 && step->item)
		step_done(step, _("%s answers"), row->unit);
	return r;
}

/* What tepuy does not install must answer already. */
static int must_be_there(struct step *step, const char *name, char **ret_version, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;

	if (probe(name, ret_version, &why) == RUNTIME_MINE) {
		step_unchanged(step, "service", _("%s answers"), name);
		return 0;
	}
	return err_set(err, ENOTSUP, _("The runtime %s is not on this host, and tepuy cannot install it: %s"), name,
		       err_text(&why));
}

int step_runtime(struct step *step, json_t **ret, struct err *err)
{
	static const char *const keys[] = { "runtime", "xen", "lock_wait", NULL };
	const struct installable *row;
	_cleanup_(freep) char *version = NULL;
	const char *name;
	int64_t lock_wait;
	int r = input_keys(step->input, keys, err);

	if (r == 0)
		r = input_name(step->input, "runtime", &name, err);
	if (r == 0)
		r = input_number(step->input, "lock_wait", 0, 3600000, 300000, &lock_wait, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(systems); i++)
		if (!strcmp(systems[i].name, name))
			return systems[i].set_up(step, name, lock_wait, ret, err);
	row = find_installable(name);
	r = row ? set_up(step, row, lock_wait, &version, err) : must_be_there(step, name, &version, err);
	if (r < 0)
		return r;
	*ret = json_pack("{s:s, s:s*}", "runtime", name, "version", version);
	return 0;
}
