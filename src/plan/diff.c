/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What `up` would do to each node, and why, from the two specs alone. */
#include "plan/plan-json.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/i18n.h"

#define WHY_MAX 50   /* reasons of a node that are told */
#define TEXT_MAX 60  /* bytes of a value that are shown */
#define DEPTH_MAX 16 /* deeper values are shown whole */

struct changes {
	struct plan_change *v;
	size_t n, cap;
};

/* A value as a person reads it, cut when it is long; NULL is shown as nothing. */
static char *show(const json_t *value)
{
	char *text;

	if (!value)
		return xstrdup("–");
	if (json_is_string(value))
		text = xasprintf("'%s'", json_string_value(value));
	else
		text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	if (text && strlen(text) > TEXT_MAX) {
		size_t at = TEXT_MAX;

		while (at && ((unsigned char)text[at] & 0xc0) == 0x80)
			at--;
		text[at] = '\0';
		text = xreallocarray(text, at + sizeof("…"), 1);
		memcpy(text + at, "…", sizeof("…"));
	}
	return text ? text : xstrdup("?");
}

static void tell(struct strv *why, const char *path, const json_t *from, const json_t *to)
{
	_cleanup_(freep) char *a = show(from);
	_cleanup_(freep) char *b = show(to);

	if (why->n < WHY_MAX)
		strv_addf(why, "%s: %s → %s", path, a, b);
	else if (why->n == WHY_MAX)
		strv_add(why, "…");
}

static void compare(struct strv *why, const char *path, const json_t *from, const json_t *to, int depth);

/* Also when neither is there. */
static bool same(const json_t *a, const json_t *b)
{
	return a == b || json_equal((json_t *)a, (json_t *)b);
}

static char *below(const char *path, const char *name)
{
	return path[0] ? xasprintf("%s.%s", path, name) : xstrdup(name);
}

/* Bundles are long hashes: that the recipe changed says more. */
static void compare_field(struct strv *why, const char *path, const char *name, const json_t *from, const json_t *to,
			  int depth)
{
	_cleanup_(freep) char *full = below(path, name);

	if (!path[0] && !strcmp(name, "bundle") && from && to) {
		if (!json_equal((json_t *)from, (json_t *)to))
			strv_add(why, _("the recipe's files changed"));
		return;
	}
	compare(why, full, from, to, depth + 1);
}

static void compare_objects(struct strv *why, const char *path, const json_t *from, const json_t *to, int depth)
{
	_cleanup_strv_ struct strv names = { 0 };
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)from, name, value) strv_add(&names, name);
	json_object_foreach((json_t *)to, name, value) if (!json_object_get(from, name)) strv_add(&names, name);
	strv_sort(&names);
	for (size_t i = 0; i < names.n; i++)
		compare_field(why, path, names.v[i], json_object_get(from, names.v[i]), json_object_get(to, names.v[i]),
			      depth);
}

static void compare(struct strv *why, const char *path, const json_t *from, const json_t *to, int depth)
{
	if (json_equal((json_t *)from, (json_t *)to))
		return;
	if (json_is_object(from) && json_is_object(to) && depth < DEPTH_MAX && !json_object_get(from, "secret") &&
	    !json_object_get(to, "secret"))
		compare_objects(why, path, from, to, depth);
	else if (from || to)
		tell(why, path, from, to);
}

static unsigned nodes_of(const json_t *component)
{
	const json_t *nodes = json_object_get(component, "nodes");
	json_int_t n = nodes ? json_integer_value(nodes) : 1;

	return !component || n < 0 ? 0 : n > PLAN_NODES_MAX ? PLAN_NODES_MAX : (unsigned)n;
}

static struct plan_change *add(struct changes *changes, const char *component, unsigned n, enum plan_change_kind kind)
{
	changes->v = grow_array(changes->v, changes->n, &changes->cap, sizeof(*changes->v));
	changes->v[changes->n] = (struct plan_change){ .node = xasprintf("%s/%u", component, n), .kind = kind };
	return &changes->v[changes->n++];
}

/* What changes around a node without replacing it. */
static void compare_around(struct strv *why, const json_t *from, const json_t *to)
{
	static const char *const keys[] = { "checks", "place", "update" };
	const json_t *place = json_object_get(from, "place"), *new_place = json_object_get(to, "place");

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		compare(why, keys[i], json_object_get(from, keys[i]), json_object_get(to, keys[i]), 0);
	/* Which host a node is on is not known here. */
	if (!json_is_true(json_object_get(to, "exclusive")) && !same(place, new_place))
		strv_add(why, _("a node whose host does not fit any more moves to one that does"));
}

static void compare_sizes(struct strv *why, const json_t *from, const json_t *to)
{
	const json_t *old = json_object_get(from, "volumes"), *new = json_object_get(to, "volumes"), *volume;
	const char *name;

	json_object_foreach((json_t *)new, name, volume)
	{
		_cleanup_(freep) char *path = xasprintf("volumes.%s.size", name);
		const json_t *had = json_object_get(json_object_get(old, name), "size");
		const json_t *has = json_object_get(volume, "size");

		if (json_object_get(old, name) && !same(had, has))
			strv_addf(why, _("%s: counts for disks that are made from now on"), path);
	}
}

/* Limits of nodes that run on. One that could not change before belongs to what is replaced anyway. */
static void compare_limits(struct strv *why, const json_t *from, const json_t *to)
{
	for (size_t i = 0; i < PLAN_LIMITS; i++) {
		const char *name = plan_limits[i].name, *most = plan_limits[i].most;
		const json_t *had = json_object_get(from, name), *has = json_object_get(to, name);

		if (json_object_get(from, most) && json_object_get(to, most) && !same(had, has))
			tell(why, name, had, has);
	}
}

static void compare_bodies(struct strv *body, struct strv *around, const json_t *from, const json_t *to)
{
	json_t *old = plan_body_lasting(from), *new = plan_body_lasting(to);

	compare(body, "", old, new, 0);
	compare_sizes(around, from, to);
	compare_limits(around, from, to);
	json_decref(old);
	json_decref(new);
}

static void diff_component(struct changes *changes, const char *name, const json_t *from, const json_t *to)
{
	const json_t *old_body = json_object_get(from, "body"), *new_body = json_object_get(to, "body");
	unsigned had = nodes_of(from), wants = nodes_of(to);
	_cleanup_strv_ struct strv body = { 0 };
	_cleanup_strv_ struct strv around = { 0 };

	if (from && to) {
		compare_bodies(&body, &around, old_body, new_body);
		compare_around(&around, from, to);
	}
	for (unsigned n = 1; n <= had || n <= wants; n++) {
		enum plan_change_kind kind = n > wants ? PLAN_REMOVE
					     : n > had ? PLAN_CREATE
					     : body.n  ? PLAN_REPLACE
						       : PLAN_KEEP;
		struct plan_change *change = add(changes, name, n, kind);

		if (kind == PLAN_REPLACE)
			strv_copy(&change->why, &body);
		if (kind == PLAN_REPLACE || kind == PLAN_KEEP)
			strv_copy(&change->why, &around);
		else if (from && to)
			strv_addf(&change->why, "%s: %u → %u", "nodes", had, wants);
	}
}

int plan_diff(const json_t *from, const json_t *to, struct plan_change **ret, size_t *ret_n, struct err *err)
{
	const json_t *old = json_is_true(json_object_get(from, "down")) ? NULL : json_object_get(from, "components");
	const json_t *new = json_is_true(json_object_get(to, "down")) ? NULL : json_object_get(to, "components");
	_cleanup_strv_ struct strv names = { 0 };
	struct changes changes = { 0 };
	const char *name;
	json_t *value;

	if (!json_is_object(to) || (old && !json_is_object(old)) || (new && !json_is_object(new)))
		return err_set(err, EINVAL, _("A spec must be an object with an object of components"));
	json_object_foreach((json_t *)old, name, value) strv_add(&names, name);
	json_object_foreach((json_t *)new, name, value) if (!json_object_get(old, name)) strv_add(&names, name);
	strv_sort(&names);
	for (size_t i = 0; i < names.n; i++)
		diff_component(&changes, names.v[i], json_object_get(old, names.v[i]),
			       json_object_get(new, names.v[i]));
	*ret = changes.v;
	*ret_n = changes.n;
	return 0;
}

void plan_changes_free(struct plan_change *changes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(changes[i].node);
		strv_release(&changes[i].why);
	}
	free(changes);
}

const char *plan_change_name(enum plan_change_kind kind)
{
	static const char *const names[] = { "keep", "create", "replace", "remove" };

	return names[kind];
}
