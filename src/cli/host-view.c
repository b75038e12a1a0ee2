/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/host-view.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/table.h"

enum { POLL_MS = 250 };

const char *host_state(const json_t *host)
{
	if (json_flag(host, "removed"))
		return _("removed");
	if (!json_flag(host, "alive"))
		return _("away");
	if (json_flag(host, "drained"))
		return json_number(host, "nodes") ? _("draining") : _("drained");
	return json_flag(host, "cordoned") ? _("closed") : _("ready");
}

enum colour host_colour(const json_t *host)
{
	if (!json_flag(host, "alive"))
		return RED;
	return json_flag(host, "drained") || json_flag(host, "cordoned") ? YELLOW : GREEN;
}

char *host_labels(const json_t *host)
{
	struct buf text = { 0 };
	const json_t *value;
	const char *name;

	json_object_foreach(json_object_get(host, "labels"), name, value) buf_printf(
	    &text, "%s%s=%s", text.len ? ", " : "", name, json_is_string(value) ? json_string_value(value) : "");
	return buf_take(&text);
}

static void add_line(struct buf *to, const char *what, const char *value)
{
	if (*value)
		buf_printf(to, "  %s: %s\n", what, value);
}

static void add_nodes(const json_t *nodes, bool colour, struct buf *to)
{
	_cleanup_(table_freep) struct table *table =
	    table_new(_("NODE"), _("REVISION"), _("STATE"), _("FOR"), _("DATA"), NULL);
	const json_t *node;
	size_t i;

	if (!json_array_size(nodes))
		return;
	json_array_foreach(nodes, i, node)
	{
		_cleanup_(freep) char *since = output_since(json_number(node, "since"));

		table_add(table, PLAIN, json_text(node, "node"));
		table_addf(table, PLAIN, "%lld", (long long)json_number(node, "gen"));
		table_add(table, PLAIN, json_text(node, "state"));
		table_add(table, PLAIN, since);
		table_add(table, PLAIN, json_flag(node, "volumes") ? _("on this host") : "");
	}
	buf_addc(to, '\n');
	table_render(table, colour, 2, to);
}

void host_describe(const json_t *host, bool colour, struct buf *to)
{
	_cleanup_(freep) char *labels = host_labels(host), *by = NULL, *since = NULL, *memory = NULL, *runtime = NULL;

	buf_printf(to, "%s: ", json_text(host, "name"));
	output_colour(to, colour, host_colour(host), host_state(host));
	buf_addc(to, '\n');
	add_line(to, _("address"), json_text(host, "address"));
	runtime = xasprintf("%s %s", json_text(host, "runtime"), json_text(host, "version"));
	add_line(to, _("runtime"), runtime);
	add_line(to, "tepuy", json_text(host, "agent"));
	memory = xasprintf(_("%lld processors, %lld MiB of memory"), (long long)json_number(host, "cpus"),
			   (long long)(json_number(host, "memory") >> 20));
	add_line(to, _("size"), memory);
	add_line(to, _("labels"), labels);
	if (*json_text(host, "by")) {
		since = output_time(json_number(host, "since"));
		by = xasprintf(_("%s, %s"), json_text(host, "by"), since);
		add_line(to, _("last opened or closed by"), by);
	}
	if (json_flag(host, "leader"))
		add_line(to, _("leader"), _("its agent decides which nodes run where"));
	add_nodes(json_object_get(host, "assignments"), colour, to);
}

int host_path(const char *name, const char *rest, char **ret, struct err *err)
{
	if (!text_is_name(name))
		return err_set(err, EINVAL, _("'%s' cannot be the name of a host"), name);
	*ret = xasprintf("/v1/host/%s%s", name, rest);
	return 0;
}

int host_refuse_data(const json_t *host, struct err *err)
{
	const json_t *data = json_object_get(host, "data"), *node;
	const char *name = json_text(host, "name");
	_cleanup_buf_ struct buf nodes = { 0 };
	size_t i;

	json_array_foreach(data, i, node)
	    buf_printf(&nodes, "%s%s", i ? ", " : "", json_is_string(node) ? json_string_value(node) : "");
	if (!nodes.len)
		return 0;
	return err_set(
	    err, EBUSY,
	    _("The data of %s is on %s, also while the service is down. When it is copied, or not wanted any "
	      "more: 'tepuy down' the service, 'sudo tepuy setup leave' on %s, then 'tepuy host remove %s "
	      "--force'; the nodes then begin anew elsewhere"),
	    buf_text(&nodes), name, name, name);
}

int host_order(struct api *api, const char *name, const char *order, json_t **ret, struct err *err)
{
	_cleanup_(freep) char *rest = xasprintf("/%s", order), *path = NULL, *author = cli_author();
	_cleanup_json_ json_t *body = json_pack("{s:s}", "author", author);
	int r = host_path(name, rest, &path, err);

	return r < 0 ? r : api_call(api, "POST", path, body, ret, err);
}

/* Those that go; `ret_stay`: those whose data is there. */
static int count_nodes(const json_t *host, int *ret_stay)
{
	const json_t *node;
	int go = 0, stay = 0;
	size_t i;

	json_array_foreach(json_object_get(host, "assignments"), i, node)
	{
		if (json_flag(node, "volumes"))
			stay++;
		else
			go++;
	}
	*ret_stay = stay;
	return go;
}

static void say_left(struct progress *progress, const char *name, int go, int64_t now)
{
	_cleanup_(freep) char *text = NULL;

	if (!progress)
		return;
	text = xasprintf(ngettext("%d node is being moved", "%d nodes are being moved", (unsigned)go), go);
	progress_set(progress, name, name, go ? PROGRESS_WORKING : PROGRESS_GOOD, go ? text : _("drained"), now);
}

int host_wait_drained(struct api *api, struct progress *progress, const char *name, int64_t timeout_ms, json_t **ret,
		      struct err *err)
{
	int64_t end = timeout_ms ? clock_monotonic_ms() + timeout_ms : INT64_MAX;
	_cleanup_(freep) char *path = NULL;
	int r = host_path(name, "", &path, err);

	while (r >= 0) {
		_cleanup_json_ json_t *host = NULL;
		int go, stay;

		r = api_get(api, path, &host, err);
		if (r < 0)
			break;
		go = count_nodes(host, &stay);
		say_left(progress, name, go, clock_monotonic_ms());
		if (!go) {
			if (ret)
				*ret = json_incref(host);
			return stay;
		}
		if (clock_monotonic_ms() > end)
			return err_set(
			    err, ETIMEDOUT,
			    _("%s still has nodes, and the time given is over; the agents go on with it: 'tepuy "
			      "host show %s' shows what is left"),
			    name, name);
		nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
	}
	return r;
}
