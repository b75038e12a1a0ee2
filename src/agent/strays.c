/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/strays.h"

#include <string.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/text.h"
#include "model/canonical.h"

#define PREFIX "tepuy."

/* "portal" of "tepuy.portal.web.1.5"; NULL when it has no such name. The caller owns it. */
static char *service_of(const char *name)
{
	char *service;

	if (!text_starts(name, PREFIX))
		return NULL;
	service = xstrndup(name + strlen(PREFIX), strcspn(name + strlen(PREFIX), "."));
	if (text_is_name(service))
		return service;
	free(service);
	return NULL;
}

static void tell(struct agent *agent, const char *name)
{
	_cleanup_(freep) char *service = service_of(name), *key = NULL, *value = NULL;
	_cleanup_(freep) char *text =
	    xasprintf(_("On host %s runs %s, which nothing here made; it is left alone. Whoever "
			"needs it no more ends it by hand"),
		      agent->env.host, name);
	int64_t now = clock_realtime_ms();
	_cleanup_json_ json_t *json = NULL;

	log_warning("%s.", text);
	if (!service)
		return;
	json = json_pack("{sI ss ss ss sI}", "time", (json_int_t)now, "host", agent->env.host, "kind", "ghost", "text",
			 text, "revision", (json_int_t)0);
	value = json_canonical(json);
	key = xasprintf("tepuy/event/%s/%013lld-ghost-%s", service, (long long)now, agent->env.host);
	kv_level_put(agent->kv, key, value);
}

void strays_found(struct agent *agent, struct strv *names)
{
	for (size_t i = 0; i < names->n; i++)
		if (!strv_has(&agent->strays, names->v[i]))
			tell(agent, names->v[i]);
	strv_release(&agent->strays);
	agent->strays = *names;
	*names = (struct strv){ 0 };
}
