/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/node-files.h"

#include <errno.h>
#include <string.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"
#include "template/template.h"

#define MOST_TEMPLATE (1u << 20)
#define MOST_RENDERED (16u << 20)

static char *memory_of(const struct node_env *env, const struct instance_id *id)
{
	return xasprintf("%s/nodes/%s", env->state_dir, id->runtime_name);
}

/* The remembered copy of the node's file `to`: its path with every '/' as '%'. */
static char *copy_of(const struct node_env *env, const struct instance_id *id, const char *to)
{
	_cleanup_(freep) char *dir = memory_of(env, id);
	char *path = xasprintf("%s/%s", dir, to);

	for (char *p = path + strlen(dir) + 1; *p; p++)
		if (*p == '/')
			*p = '%';
	return path;
}

/* {{> name}} is the recipe's templates/name. */
static char *partial(void *data, const char *name)
{
	const struct recipe *recipe = data;
	_cleanup_(freep) char *path = NULL;
	struct buf text = { 0 };

	if (strchr(name, '/') || *name == '.')
		return NULL;
	path = xasprintf("%s/templates/%s", recipe->directory, name);
	if (fs_read(path, MOST_TEMPLATE, &text, NULL) < 0) {
		buf_release(&text);
		return NULL;
	}
	return buf_take(&text);
}

static int render_one(const struct recipe *recipe, const struct recipe_template *from, json_t *context, struct buf *to,
		      struct err *err)
{
	_cleanup_(freep) char *path = fs_join(recipe->directory, from->from);
	_cleanup_(template_freep) struct template *template = NULL;
	_cleanup_buf_ struct buf text = { 0 };
	int r = fs_read(path, MOST_TEMPLATE, &text, err);

	if (r < 0)
		return r;
	r = template_parse(from->from, buf_text(&text), text.len, &template, err);
	if (r < 0)
		return r;
	return template_render(template, context, partial, (void *)recipe, to, err);
}

static void compare(const struct node_env *env, const struct instance_id *id, struct node_file *file)
{
	_cleanup_(freep) char *copy = copy_of(env, id, file->from->to);
	int r = fs_read(copy, MOST_RENDERED, &file->before, NULL);

	file->changed = r < 0 || file->before.len != file->text.len ||
			(file->text.len && memcmp(file->before.data, file->text.data, file->text.len));
}

int node_files_render(const struct node_env *env, const struct instance_id *id, const struct recipe *recipe,
		      json_t *context, struct node_files *ret, struct err *err)
{
	struct node_files files = { .list = xcalloc(recipe->n_templates, sizeof(*files.list)),
				    .n = recipe->n_templates };
	int r = 0;

	for (size_t i = 0; r == 0 && i < files.n; i++) {
		files.list[i].from = &recipe->templates[i];
		r = render_one(recipe, files.list[i].from, context, &files.list[i].text, err);
		if (r == 0)
			compare(env, id, &files.list[i]);
	}
	if (r < 0) {
		node_files_release(&files);
		return err_wrap(err, _("A template of the recipe %s cannot be rendered"), recipe->name);
	}
	*ret = files;
	return 0;
}

void node_files_release(struct node_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		buf_release(&files->list[i].text);
		buf_release(&files->list[i].before);
	}
	free(files->list);
	*files = (struct node_files){ 0 };
}

static int remember(const struct node_env *env, const struct instance_id *id, const char *name, const char *data,
		    size_t len, struct err *err)
{
	_cleanup_(freep) char *dir = memory_of(env, id), *copy = copy_of(env, id, name);
	int r = fs_mkdirs(dir, 0700, err);

	return r < 0 ? r : fs_write(copy, data, len, 0600, err);
}

int node_files_remember(const struct node_env *env, const struct instance_id *id, const struct node_file *file,
			struct err *err)
{
	return remember(env, id, file->from->to, buf_text(&file->text), file->text.len, err);
}

char *node_files_context(const struct node_env *env, const struct instance_id *id)
{
	_cleanup_(freep) char *copy = copy_of(env, id, "context");
	struct buf text = { 0 };

	if (fs_read(copy, 256, &text, NULL) < 0 || !text.len) {
		buf_release(&text);
		return NULL;
	}
	return buf_take(&text);
}

int node_files_set_context(const struct node_env *env, const struct instance_id *id, const char *fingerprint,
			   struct err *err)
{
	return remember(env, id, "context", fingerprint, strlen(fingerprint), err);
}

void node_files_forget(const struct node_env *env, const struct instance_id *id)
{
	_cleanup_(freep) char *dir = memory_of(env, id);
	_cleanup_err_ struct err err = ERR_INIT;

	if (fs_remove_tree(dir, &err) < 0)
		log_warning("%s", err_text(&err));
}
