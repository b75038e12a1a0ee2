/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/recipe-files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "template/template.h"

#define MOST_TEMPLATE (1u << 20)

/* Whether a path of the recipe leads out of its directory by symbolic links. */
static bool leads_outside(const char *directory, const char *path)
{
	_cleanup_(freep) char *top = realpath(directory, NULL);
	_cleanup_(freep) char *real = realpath(path, NULL);
	size_t n;

	if (!top || !real)
		return true;
	n = strlen(top);
	return strncmp(real, top, n) != 0 || (real[n] != '/' && real[n] != '\0');
}

/* 0 with the path (owned by the caller) of a file that is there, else -EINVAL with an error at the place. */
static int check_source(const struct recipe *recipe, const char *from, const struct place *place, bool only_file,
			struct diag *diag, char **ret_path)
{
	_cleanup_(freep) char *path = fs_join(recipe->directory, from);
	struct stat st;

	if (stat(path, &st) < 0) {
		diag_error(diag, place, _("there is no %s in the recipe's directory: %s"), from, strerror(errno));
		return -EINVAL;
	}
	if (leads_outside(recipe->directory, path)) {
		diag_error(diag, place, _("%s leads out of the recipe's directory"), from);
		return -EINVAL;
	}
	if (!S_ISREG(st.st_mode) && (only_file || !S_ISDIR(st.st_mode))) {
		diag_error(diag, place, only_file ? _("%s is not a file") : _("%s is neither a file nor a directory"),
			   from);
		return -EINVAL;
	}
	*ret_path = TAKE_PTR(path);
	return 0;
}

static bool is_name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
	       c == '.';
}

/* Where a dotted name is first used in a template. The template's parser keeps no places of names. */
static struct place find_use(const char *file, const char *text, const char *name)
{
	struct place place = { .file = file, .line = 1, .column = 1, .length = (int)strlen(name) };
	size_t n = strlen(name);

	for (const char *p = text; *p; p++) {
		if (!strncmp(p, name, n) && !is_name_character(p[n]) && (p == text || !is_name_character(p[-1])))
			return place;
		if (*p == '\n') {
			place.line++;
			place.column = 1;
		} else if (((unsigned char)*p & 0xc0) != 0x80) {
			place.column++;
		}
	}
	return (struct place){ .file = file, .length = 1 };
}

static void unknown_config(const struct recipe *recipe, const char *name, const struct place *place, struct diag *diag)
{
	const char *names[DIAG_MOST];
	size_t n = 0;

	for (; n < recipe->n_config && n < DIAG_MOST; n++)
		names[n] = recipe->config[n].item.name;
	diag_unknown(diag, place, name, names, n, _("the recipe has no configuration value '%s'"), name);
}

static void unknown_link(const struct recipe *recipe, const char *name, const struct place *place, struct diag *diag)
{
	const char *names[DIAG_MOST];
	size_t n = 0;

	for (; n < recipe->n_links && n < DIAG_MOST; n++)
		names[n] = recipe->links[n].item.name;
	diag_unknown(diag, place, name, names, n, _("the recipe requires no link '%s'"), name);
}

/* Only names that begin at the root of the context can be known; others may belong to a section. */
static void check_template_name(const struct recipe *recipe, const char *file, const char *text, const char *used,
				struct diag *diag)
{
	_cleanup_(freep) char *name = NULL;
	bool config = text_starts(used, "config."), link = text_starts(used, "links.");
	struct place place;

	if (!config && !link)
		return;
	name = xstrdup(strchr(used, '.') + 1);
	name[strcspn(name, ".")] = '\0';
	if (config ? recipe_find_config(recipe, name) != NULL : recipe_find_link(recipe, name) != NULL)
		return;
	place = find_use(file, text, used);
	if (config)
		unknown_config(recipe, name, &place, diag);
	else
		unknown_link(recipe, name, &place, diag);
}

static void check_template_names(const struct recipe *recipe, const char *file, const char *text,
				 const struct template *template, struct diag *diag)
{
	_cleanup_strv_ struct strv names = { 0 };

	template_names(template, &names);
	strv_sort(&names);
	for (size_t i = 0; i < names.n; i++)
		if (i == 0 || strcmp(names.v[i], names.v[i - 1]) != 0)
			check_template_name(recipe, file, text, names.v[i], diag);
}

static void check_template(const struct recipe *recipe, const struct recipe_template *template, struct diag *diag)
{
	_cleanup_(template_freep) struct template *parsed = NULL;
	_cleanup_(freep) char *path = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_buf_ struct buf text = { 0 };
	struct place place = { .length = 1 };

	if (!template->from ||
	    check_source(recipe, template->from, item_place(&template->item, "from"), true, diag, &path) < 0)
		return;
	if (fs_read(path, MOST_TEMPLATE, &text, &err) < 0) {
		diag_file(diag, path, &err);
		return;
	}
	diag_source(diag, path, buf_text(&text), text.len);
	if (template_parse(path, buf_text(&text), text.len, &parsed, &err) < 0) {
		place.file = path;
		place.line = err.line;
		place.column = err.column;
		diag_error(diag, &place, "%s", err_text(&err));
		return;
	}
	check_template_names(recipe, path, buf_text(&text), parsed, diag);
}

static void check_archive(const struct recipe *recipe, struct diag *diag)
{
	const char *archive = recipe->base.archive;
	_cleanup_(freep) char *path = NULL;

	/* An absolute one is on the hosts, not here. */
	if (archive && *archive != '/')
		check_source(recipe, archive, item_place(&recipe->base.item, "archive"), true, diag, &path);
}

void recipe_check_files(const struct recipe *recipe, struct diag *diag)
{
	check_archive(recipe, diag);
	for (size_t i = 0; i < recipe->n_files; i++) {
		const struct recipe_file *file = &recipe->files[i];
		_cleanup_(freep) char *path = NULL;

		if (file->from)
			check_source(recipe, file->from, item_place(&file->item, "from"), false, diag, &path);
	}
	for (size_t i = 0; i < recipe->n_templates; i++)
		check_template(recipe, &recipe->templates[i], diag);
}
