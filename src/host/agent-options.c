/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/agent-options.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/i18n.h"
#include "base/text.h"
#include "host/place.h"

static const char variable[] = "TEPUY_AGENT_OPTIONS=";

/*
 * systemd.exec(5): inside the double quotes of an environment file a backslash goes before what is special to a shell;
 * what comes out is split again for the command line. Rather than quote twice, what would need it is refused.
 */
static bool may_be_carried(const char *text)
{
	static const char special[] = "\"'\\$`%";

	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p == 0x7f || strchr(special, *p))
			return false;
	return true;
}

int agent_options(const char *name, const char *address, const char *runtime, const json_t *labels, char **ret,
		  struct err *err)
{
	_cleanup_buf_ struct buf text = { 0 };
	const char *key;
	json_t *value;

	buf_printf(&text, "--name %s --address %s --consul-token-file " PLACE_TOKEN " --tls-dir " PLACE_TLS, name,
		   address);
	if (runtime)
		buf_printf(&text, " --runtime %s", runtime);
	json_object_foreach((json_t *)labels, key, value)
	{
		const char *word = json_string_value(value);

		if (!text_is_name(key) || !word || !may_be_carried(word))
			return err_set(
			    err, EINVAL,
			    _("The label '%s' must have a name and a text without quotes, backslashes, '$' and "
			      "'%%'"),
			    key);
		if (strpbrk(word, " \t"))
			buf_printf(&text, " --label '%s=%s'", key, word);
		else
			buf_printf(&text, " --label %s=%s", key, word);
	}
	*ret = buf_take(&text);
	return 0;
}

char *agent_defaults(const char *now, const char *options)
{
	_cleanup_buf_ struct buf text = { 0 };
	bool set = false;

	if (!*now)
		buf_adds(&text,
			 "# Options of tepuy-agent.service: see tepuy-agent(8). 'tepuy setup agent' sets this one.\n");
	while (*now) {
		size_t len = strcspn(now, "\n");

		if (!text_starts(now, variable)) {
			buf_add(&text, now, len);
			buf_addc(&text, '\n');
		} else if (!set) {
			buf_printf(&text, "%s\"%s\"\n", variable, options);
			set = true;
		}
		now += len + (now[len] == '\n');
	}
	if (!set)
		buf_printf(&text, "%s\"%s\"\n", variable, options);
	return buf_take(&text);
}
