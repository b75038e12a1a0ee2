/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/bundle-images.h"

#include <errno.h>
#include <string.h>

#include "agent/node-image.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "cli/documents.h"
#include "cli/output.h"
#include "image/carry.h"

#define MOST_TAIL 2000 /* of a build's log, in the error */

/* Bundles of all recipes that are wanted, each once. */
static int find_bundles(struct cli *cli, const struct bundle_images_wish *wish, struct bundles *bundles,
			struct err *err)
{
	for (size_t i = 0; wish->services && i < wish->services->n; i++) {
		_cleanup_(freep) char *file = documents_service_file(wish->services->v[i]);
		_cleanup_json_ json_t *spec = NULL;

		if (documents_load_spec(cli, file, wish->recipes, bundles, &spec) < 0)
			return err_set(err, EINVAL, _("%s has errors"), file);
	}
	for (size_t i = 0; wish->recipe_names && i < wish->recipe_names->n; i++) {
		_cleanup_(freep) char *dir = NULL, *sha256 = NULL;
		_cleanup_buf_ struct buf tar = { 0 };
		int r = documents_find_recipe(wish->recipe_names->v[i], wish->recipes, &dir, err);

		if (r == 0)
			r = bundle_pack(dir, &tar, &sha256, err);
		if (r < 0)
			return r;
		if (!strv_has(&bundles->hashes, sha256)) {
			strv_add(&bundles->hashes, sha256);
			strv_add(&bundles->directories, dir);
		}
	}
	return 0;
}

/* What the store has under that name from now on is what was packed just now. */
static int store_bundle(struct image_store *store, const char *dir, const char *sha256, struct err *err)
{
	_cleanup_(freep) char *packed = NULL;
	_cleanup_buf_ struct buf tar = { 0 };
	int r = bundle_pack(dir, &tar, &packed, err);

	if (r < 0)
		return r;
	if (strcmp(packed, sha256) != 0)
		return err_set(err, EBUSY, _("The recipe in %s was changed meanwhile; run this again"), dir);
	return bundle_store(store, sha256, tar.data, tar.len, err);
}

static int build(const struct bundle_images_wish *wish, struct node_env *env, const char *dir, const char *sha256,
		 struct err *err)
{
	const char *slash = strrchr(dir, '/');
	_cleanup_(freep) char *name = xstrdup(slash && slash[1] ? slash + 1 : dir), *line = NULL, *tail = NULL;
	struct node_spec spec = { .recipe = name, .bundle = (char *)sha256 };
	int r;

	line = xasprintf(env->runtime->ops->machines ? _("building the image of %s for machines")
						     : _("building the image of %s"),
			 name);
	wish->say(wish->data, line);
	r = node_image_build(env, &spec, err);
	if (r == 0)
		return 0;
	tail = node_build_tail(env, sha256, MOST_TAIL);
	text_printable(tail, true);
	err_wrap(err, _("The image of %s cannot be built"), name);
	return *tail ? err_set(err, -r, "%s\n%s", err_text(err), tail) : r;
}

int bundle_images(struct cli *cli, const struct bundle_images_wish *wish, const char *directory, const char *work,
		  struct err *err)
{
	_cleanup_(image_store_freep) struct image_store *store = NULL;
	_cleanup_(bundles_release) struct bundles bundles = { 0 };
	/* Of the hosts' runtime counts here only what its nodes are. */
	const struct runtime_ops kinds[] = { { .machines = false }, { .machines = true } };
	int r = find_bundles(cli, wish, &bundles, err);

	if (r == 0)
		r = image_store_open(wish->store, &store, err);
	for (size_t i = 0; r == 0 && i < bundles.hashes.n; i++)
		r = store_bundle(store, bundles.directories.v[i], bundles.hashes.v[i], err);
	for (size_t kind = 0; r == 0 && kind < (wish->machines ? 2 : 1); kind++) {
		struct runtime rt = { .ops = &kinds[kind] };
		struct node_env env = { .state_dir = work, .store = store, .runtime = &rt };

		for (size_t i = 0; r == 0 && i < bundles.hashes.n; i++)
			r = build(wish, &env, bundles.directories.v[i], bundles.hashes.v[i], err);
	}
	return r < 0 ? r : image_carry_out(store, &bundles.hashes, directory, err);
}
