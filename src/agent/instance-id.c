/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/instance-id.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/i18n.h"
#include "base/strv.h"
#include "base/text.h"

/* Splits in place; the parts point into `text`. */
static size_t split(char *text, const char *separators, char **parts, size_t most)
{
	char *state = NULL, *part;
	size_t n = 0;

	for (part = strtok_r(text, separators, &state); part && n < most; part = strtok_r(NULL, separators, &state))
		parts[n++] = part;
	return part ? most + 1 : n;
}

int instance_id_parse(const char *text, struct instance_id *ret, struct err *err)
{
	_cleanup_(freep) char *copy = xstrdup(text), *again = NULL;
	char *parts[4];
	uint64_t n, gen;
	bool valid;

	valid = split(copy, "/.", parts, 4) == 4 && text_is_name(parts[0]) && text_is_name(parts[1]) &&
		text_u64(parts[2], &n) == 0 && text_u64(parts[3], &gen) == 0 && n >= 1 && n <= 100000 &&
		gen <= INT64_MAX;
	if (valid) /* one instance, one text: no other separators, no leading zeros */
		again =
		    xasprintf("%s/%s/%llu.%llu", parts[0], parts[1], (unsigned long long)n, (unsigned long long)gen);
	if (!valid || strcmp(again, text))
		return err_set(err, EINVAL, _("'%s' does not name an instance, such as portal/web/1.5"), text);
	*ret = (struct instance_id){
		.service = xstrdup(parts[0]),
		.component = xstrdup(parts[1]),
		.n = (unsigned)n,
		.gen = gen,
		.text = xstrdup(text),
		.node = xasprintf("%s/%u", parts[1], (unsigned)n),
		.runtime_name = xasprintf("tepuy.%s.%s.%s.%s", parts[0], parts[1], parts[2], parts[3]),
		.catalog_name = xasprintf("%s-%s", parts[0], parts[1]),
		.catalog_id = xasprintf("%s-%s-%s.%s", parts[0], parts[1], parts[2], parts[3]),
	};
	return 0;
}

void instance_id_release(struct instance_id *id)
{
	free(id->service);
	free(id->component);
	free(id->text);
	free(id->node);
	free(id->runtime_name);
	free(id->catalog_name);
	free(id->catalog_id);
	*id = (struct instance_id){ 0 };
}
