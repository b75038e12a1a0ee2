/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/added-checks.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/log.h"
#include "base/text.h"
#include "model/canonical.h"

#define PREFIX "tepuy/service/"

static int read_one(const struct consul_kv *kv, const char *service, const char *id, struct added_check *ret,
		    struct err *err)
{
	_cleanup_json_ json_t *json = json_loadb(kv->value, kv->len, 0, NULL);
	const char *target = json_string_value(json_object_get(json, "target"));
	int r;

	if (!target)
		return err_set(err, EINVAL, _("It has no target"));
	r = check_from_json(json_object_get(json, "check"), &ret->check, err);
	if (r < 0)
		return r;
	free(ret->check.id);
	ret->check.id = xstrdup(id);
	ret->service = xstrdup(service);
	ret->target = xstrdup(target);
	return 0;
}

void added_checks_read(const struct consul_kvs *kvs, struct added_checks *ret)
{
	struct added_checks added = { .list = xcalloc(kvs->n, sizeof(*added.list)) };

	for (size_t i = 0; i < kvs->n; i++) {
		_cleanup_(freep) char *key = xstrdup(kvs->v[i].key);
		_cleanup_err_ struct err err = ERR_INIT;
		char *service = key + strlen(PREFIX), *kind, *id;

		if (!text_starts(key, PREFIX) || !(kind = strchr(service, '/')))
			continue;
		*kind++ = '\0';
		if (!text_starts(kind, "check/"))
			continue;
		id = kind + strlen("check/");
		if (read_one(&kvs->v[i], service, id, &added.list[added.n], &err) < 0)
			log_warning("The check %s of %s cannot be read: %s", id, service, err_text(&err));
		else
			added.n++;
	}
	added_checks_release(ret);
	*ret = added;
}

void added_checks_release(struct added_checks *added)
{
	for (size_t i = 0; i < added->n; i++) {
		free(added->list[i].service);
		free(added->list[i].target);
		check_release(&added->list[i].check);
	}
	free(added->list);
	*added = (struct added_checks){ 0 };
}

static bool applies(const struct added_check *added, const struct instance_id *id)
{
	return !strcmp(added->service, id->service) &&
	       (!*added->target || !strcmp(added->target, id->component) || !strcmp(added->target, id->node));
}

struct check *added_checks_for(const struct added_checks *added, const struct instance_id *id, size_t *ret_n)
{
	struct check *list = xcalloc(added->n, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < added->n; i++)
		if (applies(&added->list[i], id))
			list[n++] = added->list[i].check;
	*ret_n = n;
	return list;
}
