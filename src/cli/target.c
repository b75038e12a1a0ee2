/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/target.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/strv.h"
#include "base/text.h"

static void split(const char *text, struct strv *parts)
{
	for (;;) {
		size_t len = strcspn(text, "/");

		strv_take(parts, xstrndup(text, len));
		if (!text[len])
			return;
		text += len + 1;
	}
}

int target_parse(const char *text, struct target *ret, struct err *err)
{
	_cleanup_strv_ struct strv parts = { 0 };
	uint64_t node = 0;
	bool good;

	split(text, &parts);
	good = parts.n <= 3 && text_is_name(parts.v[0]) && (parts.n < 2 || text_is_name(parts.v[1])) &&
	       (parts.n < 3 || (text_u64(parts.v[2], &node) == 0 && node > 0 && node < 10000));
	if (!good)
		return err_set(err, EINVAL,
			       _("'%s' is no service, component or node; write portal, portal/web or portal/web/1"),
			       text);
	*ret = (struct target){ .text = xstrdup(text), .service = xstrdup(parts.v[0]), .node = (unsigned)node };
	ret->component = xstrdup(parts.n > 1 ? parts.v[1] : NULL);
	return 0;
}

void target_release(struct target *target)
{
	free(target->text);
	free(target->service);
	free(target->component);
	*target = (struct target){ 0 };
}

bool target_has(const struct target *target, const char *node)
{
	_cleanup_(freep) char *name = NULL;

	if (!target->component)
		return true;
	if (target->node) {
		name = xasprintf("%s/%u", target->component, target->node);
		return !strcmp(node, name);
	}
	name = xasprintf("%s/", target->component);
	return text_starts(node, name);
}
