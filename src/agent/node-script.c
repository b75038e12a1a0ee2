/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/node-script.h"

#include <string.h>

#include "base/buf.h"
#include "base/quote.h"

static void add_argv(struct buf *to, const struct strv *argv, const char *file)
{
	for (size_t i = 0; i < argv->n; i++) {
		if (i)
			buf_addc(to, ' ');
		quote_shell(to, file && !strcmp(argv->v[i], "{}") ? file : argv->v[i]);
	}
}

static void add_owners(struct buf *to, const struct recipe *recipe)
{
	buf_adds(to, "for pair in ${TEPUY_SECRETS:-}; do\n"
		     "\tchown \"${pair#*=}\" \"/run/secrets/${pair%%=*}\"\n"
		     "done\n");
	for (size_t i = 0; i < recipe->n_volumes; i++) {
		if (!recipe->volumes[i].owner)
			continue;
		buf_adds(to, "chown ");
		quote_shell(to, recipe->volumes[i].owner);
		buf_addc(to, ' ');
		quote_shell(to, recipe->volumes[i].path);
		buf_addc(to, '\n');
	}
}

static void add_validation(struct buf *to, const struct recipe *recipe)
{
	for (size_t i = 0; i < recipe->n_templates; i++) {
		const struct recipe_template *file = &recipe->templates[i];

		if (!file->validate.n)
			continue;
		add_argv(to, &file->validate, file->to);
		buf_printf(to, " >/run/tepuy-validate 2>&1 || { cat /run/tepuy-validate >&2; exit %d; }\n",
			   NODE_SCRIPT_INVALID);
	}
}

/* The marker lies with the data, so that it shares its fate: a restored or moved volume is not made anew. */
static void add_init(struct buf *to, const struct recipe *recipe)
{
	_cleanup_buf_ struct buf marker = { 0 };
	_cleanup_(freep) char *path = NULL;

	if (!recipe->init.n)
		return;
	path = xasprintf("%s/.tepuy-init", recipe->n_volumes ? recipe->volumes[0].path : "/var/lib");
	quote_shell(&marker, path);
	buf_printf(to, "if [ ! -e %s ]; then\n\t", buf_text(&marker));
	add_argv(to, &recipe->init, NULL);
	buf_printf(to, "\n\t: > %s\nfi\n", buf_text(&marker));
}

char *node_script(const struct recipe *recipe)
{
	struct buf to = { 0 };

	buf_printf(&to, "#!/bin/sh\n# Made by tepuy from the recipe %s: how a node of it starts.\nset -eu\n",
		   recipe->name);
	add_owners(&to, recipe);
	add_validation(&to, recipe);
	add_init(&to, recipe);
	buf_adds(&to, "exec ");
	add_argv(&to, &recipe->start, NULL);
	buf_addc(&to, '\n');
	return buf_take(&to);
}
