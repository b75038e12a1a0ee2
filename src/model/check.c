/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/check.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "model/decode.h"

#define DEFAULT_INTERVAL_MS 10000

static const char *const kind_names[] = { "http", "tcp", "exec", "ttl" };

const char *check_kind_name(enum check_kind kind)
{
	return kind_names[kind];
}

static int64_t default_timeout(int64_t interval)
{
	int64_t half = interval / 2;

	return half < 1000 ? 1000 : half > 10000 ? 10000 : half;
}

static enum check_kind written_kind(const struct check *check)
{
	for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++)
		if (yaml_get(check->item.node, kind_names[i]))
			return (enum check_kind)i;
	return CHECK_HTTP; /* that there is one was checked with the table */
}

static void refuse_key(const struct check *check, const char *key, struct diag *diag)
{
	if (yaml_get(check->item.node, key))
		diag_error(diag, yaml_place(check->item.node, key), _("key '%s' has no meaning in a check of kind %s"),
			   key, check_kind_name(check->kind));
}

static void finish_times(struct check *check, struct diag *diag)
{
	bool remote = check->kind == CHECK_HTTP || check->kind == CHECK_TCP;

	if (check->kind == CHECK_TTL) {
		check->interval = check->timeout = 0;
		return;
	}
	if (!check->timeout)
		check->timeout = default_timeout(check->interval);
	if (remote && check->interval < CHECK_FLOOR_MS)
		diag_warning(
		    diag, item_place(&check->item, "interval"),
		    _("Consul documents one second as the least interval of http and tcp checks; a shorter one costs "
		      "more than it finds"));
}

static void finish(struct check *check, struct diag *diag)
{
	check->kind = written_kind(check);
	if (check->kind == CHECK_TCP && check->tcp) {
		free(check->port);
		check->port = TAKE_PTR(check->tcp);
	}
	if (check->kind != CHECK_HTTP)
		refuse_key(check, "port", diag);
	if (check->kind == CHECK_TTL) {
		refuse_key(check, "interval", diag);
		refuse_key(check, "timeout", diag);
	}
	finish_times(check, diag);
}

/* Ids need a place in a Consul key: they are names, and those that we make never meet in one list. */
static void finish_ids(struct check *checks, size_t n, struct diag *diag)
{
	int ordinals[ARRAY_SIZE(kind_names)] = { 0 };

	for (size_t i = 0; i < n; i++) {
		int ordinal = ++ordinals[checks[i].kind];

		if (!checks[i].id)
			checks[i].id = xasprintf("%s-%d", check_kind_name(checks[i].kind), ordinal);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(checks[i].id, checks[j].id))
				diag_error(diag, item_place(&checks[i].item, "id"), _("two checks have the id '%s'"),
					   checks[i].id);
	}
}

void checks_finish(struct check *checks, size_t n, struct diag *diag)
{
	for (size_t i = 0; i < n; i++)
		if (checks[i].item.node->kind == YAML_MAPPING)
			finish(&checks[i], diag);
	finish_ids(checks, n, diag);
}

json_t *check_to_json(const struct check *check)
{
	json_t *json = json_pack("{s:s,s:I,s:I}", "kind", check_kind_name(check->kind), "interval",
				 (json_int_t)check->interval, "timeout", (json_int_t)check->timeout);

	if (check->id)
		json_object_set_new(json, "id", json_string(check->id));
	if (check->kind == CHECK_HTTP)
		json_object_set_new(json, "path", json_string(check->path));
	if (check->kind == CHECK_TTL)
		json_object_set_new(json, "ttl", json_integer(check->ttl));
	if (check->kind == CHECK_EXEC)
		json_object_set_new(json, "argv", decode_strv_json(&check->argv));
	if (check->port)
		json_object_set_new(json, "port", json_string(check->port));
	return json;
}

static int decode_kind(const json_t *json, struct check *check, struct err *err)
{
	const char *kind = NULL;
	int r = decode_string(json, "kind", true, &kind, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++)
		if (!strcmp(kind, kind_names[i])) {
			check->kind = (enum check_kind)i;
			return 0;
		}
	return err_set(err, EINVAL, _("The check's kind '%s' is not one of http, tcp, exec, ttl"), kind);
}

static int decode_times(const json_t *json, struct check *check, struct err *err)
{
	int r;

	if (check->kind == CHECK_TTL)
		return decode_integer(json, "ttl", true, CHECK_FLOOR_MS, 7 * 86400000LL, &check->ttl, err);
	check->interval = DEFAULT_INTERVAL_MS;
	r = decode_integer(json, "interval", false, CHECK_MIN_MS, 86400000LL, &check->interval, err);
	check->timeout = default_timeout(check->interval);
	if (r == 0)
		r = decode_integer(json, "timeout", false, CHECK_MIN_MS, 3600000LL, &check->timeout, err);
	return r;
}

static int decode_target(const json_t *json, struct check *check, struct err *err)
{
	const char *path = NULL, *port = NULL;
	int r = 0;

	if (check->kind == CHECK_EXEC)
		return decode_argv(json, "argv", SCHEMA_MOST_ELEMENTS, &check->argv, err);
	if (check->kind == CHECK_HTTP)
		r = decode_string(json, "path", true, &path, err);
	if (r == 0 && (check->kind == CHECK_HTTP || check->kind == CHECK_TCP))
		r = decode_name(json, "port", false, &port, err);
	if (r < 0)
		return r;
	if (path && (*path != '/' || strlen(path) > CHECK_MOST_PATH || strpbrk(path, " \r\n\t")))
		return err_set(err, EINVAL, _("The check's path '%s' must begin with / and have no spaces"), path);
	check->path = xstrdup(path);
	check->port = xstrdup(port);
	return 0;
}

/* Members that each kind has. A ttl check written by us carries interval and timeout of 0. */
static int decode_members(const json_t *json, enum check_kind kind, struct err *err)
{
	static const char *const members[][8] = {
		[CHECK_HTTP] = { "id", "kind", "interval", "timeout", "path", "port", NULL },
		[CHECK_TCP] = { "id", "kind", "interval", "timeout", "port", NULL },
		[CHECK_EXEC] = { "id", "kind", "interval", "timeout", "argv", NULL },
		[CHECK_TTL] = { "id", "kind", "interval", "timeout", "ttl", NULL },
	};

	return decode_only(json, members[kind], err);
}

int check_from_json(const json_t *json, struct check *ret, struct err *err)
{
	struct check check = { 0 };
	const char *id = NULL;
	int r;

	if (!json_is_object(json))
		return err_set(err, EINVAL, _("A check must be a JSON object"));
	r = decode_kind(json, &check, err);
	if (r == 0)
		r = decode_members(json, check.kind, err);
	if (r == 0)
		r = decode_name(json, "id", false, &id, err);
	if (r == 0)
		r = decode_times(json, &check, err);
	if (r == 0)
		r = decode_target(json, &check, err);
	if (r < 0) {
		check_release(&check);
		return r;
	}
	check.id = xstrdup(id);
	*ret = check;
	return 0;
}

void check_release(struct check *check)
{
	schema_release(&check_schema, check);
}
