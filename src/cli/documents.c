/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/documents.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/pack-cache.h"
#include "image/image.h"

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *documents_service_file(const char *path)
{
	return is_directory(path) ? fs_join(path, "service.yaml") : xstrdup(path);
}

static bool has_recipe(const char *dir)
{
	_cleanup_(freep) char *file = fs_join(dir, "recipe.yaml");

	return access(file, F_OK) == 0;
}

int documents_find_recipe(const char *name, const struct strv *given, char **ret_dir, struct err *err)
{
	_cleanup_strv_ struct strv search = { 0 };
	_cleanup_(freep) char *places = NULL;

	if (has_recipe(name)) {
		*ret_dir = xstrdup(name);
		return 0;
	}
	service_search_path("service.yaml", given, &search);
	for (size_t i = 0; i < search.n && text_is_name(name); i++) {
		_cleanup_(freep) char *dir = fs_join(search.v[i], name);

		if (has_recipe(dir)) {
			*ret_dir = TAKE_PTR(dir);
			return 0;
		}
	}
	places = strv_join(&search, ", ");
	return err_set(err, ENOENT, _("There is no recipe %s: neither a directory with a recipe.yaml, nor in %s"), name,
		       places);
}

void bundles_release(struct bundles *bundles)
{
	strv_release(&bundles->hashes);
	strv_release(&bundles->directories);
}

/* The bundle's hash, from memory if nothing in the directory changed. */
static int hash_bundle(const char *dir, char **ret_sha256, struct err *err)
{
	_cleanup_(pack_stamp_release) struct pack_stamp stamp = { 0 };
	_cleanup_buf_ struct buf tar = { 0 };
	int r;

	pack_stamp_take(dir, &stamp);
	*ret_sha256 = pack_cache_find(dir, &stamp);
	if (*ret_sha256)
		return 0;
	r = bundle_pack(dir, &tar, ret_sha256, err);
	if (r == 0)
		pack_cache_store(dir, &stamp, *ret_sha256);
	return r;
}

static int pack(void *data, const char *dir, char **ret_sha256, struct err *err)
{
	struct bundles *bundles = data;
	int r = hash_bundle(dir, ret_sha256, err);

	if (r < 0)
		return r;
	if (!strv_has(&bundles->hashes, *ret_sha256)) {
		strv_add(&bundles->hashes, *ret_sha256);
		strv_add(&bundles->directories, dir);
	}
	return 0;
}

void documents_print(struct cli *cli, struct diag *diag)
{
	_cleanup_buf_ struct buf buf = { 0 };

	if (!diag->n)
		return;
	fflush(cli->out);
	diag_format(diag, cli->colour && cli->person, &buf);
	fputs(buf_text(&buf), cli->err);
}

/* "2 errors and 1 warning". The caller owns it. */
static char *count(const struct diag *diag)
{
	_cleanup_(freep) char *errors = xasprintf(ngettext("%zu error", "%zu errors", diag->n_errors), diag->n_errors);
	_cleanup_(freep) char *warnings =
	    xasprintf(ngettext("%zu warning", "%zu warnings", diag->n_warnings), diag->n_warnings);

	return xasprintf(_("%s and %s"), errors, warnings);
}

enum status documents_report(struct cli *cli, struct diag *diag, bool json, const char *what)
{
	_cleanup_(freep) char *counted = count(diag);
	_cleanup_json_ json_t *all = NULL;

	if (json) {
		all = json_pack("{s:I, s:I, s:o}", "errors", (json_int_t)diag->n_errors, "warnings",
				(json_int_t)diag->n_warnings, "diagnostics", diag_to_json(diag));
		output_json(cli->out, all);
	} else {
		documents_print(cli, diag);
		if (diag->n)
			cli_note(cli, "%s: %s", what, counted);
		else
			fprintf(cli->out, _("%s: no errors, no warnings.\n"), what);
	}
	return diag->n_errors ? STATUS_FAILED : STATUS_DONE;
}

int documents_load_spec(struct cli *cli, const char *file, const struct strv *recipes, struct bundles *bundles,
			json_t **ret_spec)
{
	_cleanup_(service_freep) struct service *service = NULL;
	_cleanup_(freep) char *author = cli_author();
	_cleanup_strv_ struct strv search = { 0 };
	_cleanup_diag_ struct diag diag = { 0 };
	json_t *spec = NULL;
	int r;

	service_search_path(file, recipes, &search);
	r = service_load(file, &diag, &service);
	if (r == 0)
		r = service_resolve(service, &search, pack, bundles, &diag, &spec);
	documents_print(cli, &diag);
	if (r < 0) {
		_cleanup_(freep) char *counted = count(&diag);

		cli_note(cli, _("%s: %s; nothing was done"), file, counted);
		return r;
	}
	json_object_set_new(spec, "author", json_string(author));
	*ret_spec = spec;
	return 0;
}
