/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/node-image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/node-script.h"
#include "agent/peers.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"

#define MOST_BUILD_LOG (64u << 20)

static int load_recipe(const struct node_env *env, const char *name, const char *bundle, struct recipe **ret,
		       struct err *err)
{
	_cleanup_(freep) char *dir = NULL;
	_cleanup_diag_ struct diag diag = { 0 };
	int r = bundle_directory(env->store, bundle, &dir, err);

	if (r < 0)
		return err_wrap(err, _("The recipe %s (%.12s) is not on this host"), name, bundle);
	r = recipe_load(dir, &diag, ret);
	if (r < 0) {
		diag_result(&diag, err);
		return err_wrap(err, _("The recipe %s (%.12s) cannot be read"), name, bundle);
	}
	return 0;
}

int node_recipe(const struct node_env *env, const struct node_spec *spec, struct recipe **ret, struct err *err)
{
	return load_recipe(env, spec->recipe, spec->bundle, ret, err);
}

/* The builder's view of a recipe: borrowed strings in owned arrays. */
struct request {
	struct image_recipe recipe;
	struct image_file *files;
	struct image_text script;
};

static void request_release(struct request *request)
{
	free(request->files);
	free(request->script.content);
}

static void request_init(struct request *request, const struct recipe *recipe, const char *bundle, bool machine)
{
	*request = (struct request){
		.files = xcalloc(recipe->n_files, sizeof(*request->files)),
		.script = { .to = (char *)NODE_SCRIPT_PATH, .content = node_script(recipe), .mode = 0755 },
	};
	for (size_t i = 0; i < recipe->n_files; i++) {
		const struct recipe_file *file = &recipe->files[i];

		request->files[i] =
		    (struct image_file){ .from = file->from, .to = file->to, .owner = file->owner, .mode = file->mode };
	}
	request->recipe = (struct image_recipe){
		.name = recipe->name,
		.bundle = bundle,
		.suite = recipe->base.suite,
		.machine = machine,
		.external = recipe->base.image,
		.archive = recipe->base.archive,
		.packages = &recipe->packages,
		.files = request->files,
		.n_files = recipe->n_files,
		.build = recipe->build,
		.n_build = recipe->n_build,
		.texts = &request->script,
		.n_texts = 1,
	};
}

int node_image_find(const struct node_env *env, const struct node_spec *spec, struct node_image *ret, struct err *err)
{
	_cleanup_(request_release) struct request request = { 0 };
	struct node_image found = { 0 };
	int r = node_recipe(env, spec, &found.recipe, err);

	if (r < 0)
		return r;
	request_init(&request, found.recipe, spec->bundle, env->runtime->ops->machines);
	r = image_find(env->store, &request.recipe, &found.image, err);
	if (r < 0) {
		node_image_release(&found);
		return r;
	}
	*ret = found;
	return 0;
}

char *node_build_log(const struct node_env *env, const char *bundle)
{
	return xasprintf("%s/builds/%s.log", env->state_dir, bundle);
}

char *node_build_tail(const struct node_env *env, const char *bundle, size_t most)
{
	_cleanup_(freep) char *path = node_build_log(env, bundle);
	struct buf text = { 0 };

	fs_read(path, MOST_BUILD_LOG, &text, NULL);
	if (text.len > most)
		buf_consume(&text, text.len - most);
	return buf_take(&text);
}

static int open_build_log(const struct node_env *env, const char *name, struct err *err)
{
	_cleanup_(freep) char *path = node_build_log(env, name), *dir = fs_join(env->state_dir, "builds");
	int fd, r = fs_mkdirs(dir, 0755, err);

	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0644);
	return fd < 0 ? err_errno(err, errno, _("Cannot write %s"), path) : fd;
}

/* The bundle, whole: fetched when it is not there, or when it was changed in the store and had to be thrown away. */
static int have_bundle(const struct node_env *env, const char *bundle, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;
	int r = bundle_verify(env->store, bundle, &why);

	if (env->peers && (r == -ENOENT || r == -EBADMSG)) {
		if (r == -EBADMSG)
			log_warning("%s", err_text(&why));
		r = peers_bundle(env->peers, bundle, &why);
	}
	return r < 0 ? err_set(err, -r, "%s", err_text(&why)) : 0;
}

int node_image_build(const struct node_env *env, const struct node_spec *spec, struct err *err)
{
	_cleanup_(request_release) struct request request = { 0 };
	_cleanup_(node_image_release) struct node_image built = { 0 };
	_cleanup_(closep) int log = -1;
	int r = have_bundle(env, spec->bundle, err);

	if (r < 0)
		return err_wrap(err, _("The recipe %s cannot be used"), spec->recipe);
	if (node_image_find(env, spec, &built, NULL) == 0)
		return 0;
	r = node_recipe(env, spec, &built.recipe, err);
	if (r < 0)
		return r;
	log = open_build_log(env, spec->bundle, err);
	if (log < 0)
		return log;
	request_init(&request, built.recipe, spec->bundle, env->runtime->ops->machines);
	if (env->peers)
		return peers_image(env->peers, &request.recipe, log, err);
	return image_build(env->store, &request.recipe, log, 0, &built.image, err);
}

int node_image_build_for(const struct node_env *env, const char *bundle, bool machine, struct err *err)
{
	_cleanup_(freep) char *name = xasprintf("%s%s", bundle, machine ? "-machine" : "-asked");
	_cleanup_(request_release) struct request request = { 0 };
	_cleanup_(node_image_release) struct node_image built = { 0 };
	_cleanup_(closep) int log = -1;
	int r = have_bundle(env, bundle, err);

	if (r == 0)
		r = load_recipe(env, bundle, bundle, &built.recipe, err);
	if (r < 0)
		return r;
	log = open_build_log(env, name, err);
	if (log < 0)
		return log;
	request_init(&request, built.recipe, bundle, machine);
	return peers_image(env->peers, &request.recipe, log, err);
}

void node_image_release(struct node_image *image)
{
	recipe_free(image->recipe);
	image_release(&image->image);
	*image = (struct node_image){ 0 };
}
