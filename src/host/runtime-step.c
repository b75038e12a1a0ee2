/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The step `runtime`: what runs nodes, installed, configured and answering. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "host/apt.h"
#include "host/daemon-json.h"
#include "host/place.h"
#include "host/service.h"
#include "host/stamp.h"
#include "host/step.h"
#include "host/xen-step.h"
#include "runtime/runtime.h"

#define ANSWER_MS 60000

/* A runtime that is a service with one file. */
struct installable {
	const char *name, *package, *unit, *config;
	int (*merge)(const char *text, char **ret, struct err *err);
};

static const struct installable installables[] = {
	{ "docker", "docker.io", "docker.service", "/etc/docker/daemon.json", daemon_json_merge },
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

/* Before the package, so that the first start reads it already. `*previous` is the text that was there, "" for none. */
static int configure(struct step *step, const struct installable *row, char **previous, struct err *err)
{
	_cleanup_(freep) char *merged = NULL, *directory = NULL;
	_cleanup_strv_ struct strv files = { 0 };
	_cleanup_buf_ struct buf now = { 0 };
	int r = place_read(row->config, &now, err);

	if (r >= 0)
		r = row->merge(buf_text(&now), &merged, err);
	if (r < 0)
		return r;
	strv_add(&files, row->config);
	stamp_adopt(row->unit, "config", buf_text(&now), &files);
	if (!merged) {
		step_unchanged(step, "daemon.json", _("%s says what it must"), row->config);
		*previous = xstrdup(buf_text(&now));
		return 0;
	}
	step_begin(step, "daemon.json", _("Completing %s"), row->config);
	directory = xstrndup(row->config, (size_t)(strrchr(row->config, '/') - row->config));
	r = fs_mkdirs(directory, 0755, err);
	if (r == 0)
		r = place_write_text(row->config, merged, 0, 0644, NULL, err);
	if (r < 0)
		return r;
	*previous = buf_take(&now);
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

/* A daemon that does not start with the new configuration gets the old one back. */
static int bring_up(struct step *step, const struct installable *row, const char *previous, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;
	_cleanup_strv_ struct strv files = { 0 };
	_cleanup_buf_ struct buf now = { 0 };
	bool active = service_active(row->unit), restart;
	int r = place_read(row->config, &now, err);

	if (r < 0)
		return r;
	/* The package has started it, after the file was written. */
	strv_add(&files, row->config);
	stamp_adopt(row->unit, "config", buf_text(&now), &files);
	restart = active && !stamp_is(row->unit, "config", buf_text(&now));
	/* live-restore counts from a reload on; the restart for what is left then stops no container. */
	if (restart)
		service_do("reload", row->unit, NULL);
	r = service_bring_up(step, row->unit, restart, false, &why);
	if (r == 0) {
		stamp_set(row->unit, "config", buf_text(&now));
		return 0;
	}
	if (active && *previous && strcmp(previous, buf_text(&now)) != 0) {
		place_write_text(row->config, previous, 0, 0644, NULL, NULL);
		service_do("restart", row->unit, NULL);
		err_wrap(&why, _("%s as it was before is back"), row->config);
	}
	return err_set(err, -r, "%s", err_text(&why));
}

static int set_up(struct step *step, const struct installable *row, int64_t lock_wait, char **ret_version,
		  struct err *err)
{
	_cleanup_(freep) char *previous = NULL;
	int r = configure(step, row, &previous, err);

	if (r == 0)
		r = install(step, row, lock_wait, err);
	if (r == 0)
		r = bring_up(step, row, previous, err);
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
