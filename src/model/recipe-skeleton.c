/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `tepuy recipe new`: a small recipe that works, to be changed. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "model/recipe.h"

/* @NAME@ becomes the recipe's name. */
static const char recipe_yaml[] =
    "# How a node is made. Every key is explained in tepuy-recipe(5); `tepuy recipe lint` checks this file.\n"
    "recipe: @NAME@\n"
    "version: \"1.0\"                # in quotes: YAML would read 1.10 as 1.1\n"
    "summary: {en: A page that says hello, es: Una página que saluda}\n"
    "\n"
    "# What it is built on: a Debian release, made from the apt sources of the host. Other bases: {image: name:tag}, "
    "an\n"
    "# existing Docker image, or {archive: root.tar}, a root file system.\n"
    "base: {suite: bookworm}\n"
    "packages: [busybox]\n"
    "\n"
    "# Files of this directory that go into the image as they are, and programs run there once. No shell is involved:\n"
    "# each program is a list of its arguments.\n"
    "files:\n"
    "  - {from: files/healthy.txt, to: /srv/@NAME@/healthy.txt}\n"
    "build:\n"
    "  - [chmod, -R, \"a+rX\", /srv/@NAME@]\n"
    "\n"
    "# What a service can set, with `config: {greeting: …}`. Types: string integer boolean list size duration secret.\n"
    "config:\n"
    "  greeting:\n"
    "    type: string\n"
    "    default: Hello\n"
    "    max: 200\n"
    "    description: {en: The first words of the page, es: Las primeras palabras de la página}\n"
    "\n"
    "# Files rendered from the configuration and the links, again whenever these change. A file is checked with\n"
    "# `validate` before it takes its place ({} stands for the new file).\n"
    "templates:\n"
    "  - from: templates/index.html\n"
    "    to: /srv/@NAME@/index.html\n"
    "    validate: [test, -s, \"{}\"]\n"
    "    on_change: none             # reload, restart or none: this server reads its files at every request\n"
    "\n"
    "# Other components that a node uses, by the interface that they provide. In templates: links.NAME.nodes.\n"
    "# requires:\n"
    "#   database: {interface: postgresql}\n"
    "\n"
    "# Where the node serves. The first port is the one that Consul's catalog shows.\n"
    "provides:\n"
    "  http: {port: 8080, interface: http}\n"
    "\n"
    "# Data that outlives the node.\n"
    "# volumes:\n"
    "#   data: {path: /var/lib/@NAME@}\n"
    "\n"
    "# The main process, in the foreground. `init` runs once before the first start; `reload` makes it read its files "
    "again.\n"
    "start: [busybox, httpd, -f, -p, \"8080\", -h, /srv/@NAME@]\n"
    "# This server has nothing to finish; most others want TERM, which is the default, and some time.\n"
    "stop: {signal: KILL, timeout: 1s}\n"
    "\n"
    "# Until these pass, a new node is not used, and an update goes no further.\n"
    "checks:\n"
    "  - {http: /healthy.txt, port: http, interval: 2s}\n";

static const char index_html[] = "<!DOCTYPE html>\n"
				 "<meta charset=\"utf-8\">\n"
				 "<title>{{service.name}}</title>\n"
				 "<p>{{config.greeting}} from {{node.name}} on {{host.name}}.</p>\n";

static const struct skeleton_file {
	const char *path, *content;
} files[] = {
	{ "recipe.yaml", recipe_yaml },
	{ "templates/index.html", index_html },
	{ "files/healthy.txt", "ok\n" },
};

static char *put_name(const char *content, const char *name)
{
	struct buf buf = { 0 };
	const char *at;

	while ((at = strstr(content, "@NAME@"))) {
		buf_add(&buf, content, (size_t)(at - content));
		buf_adds(&buf, name);
		content = at + strlen("@NAME@");
	}
	buf_adds(&buf, content);
	return buf_take(&buf);
}

static int check_empty(const char *path, struct err *err)
{
	const struct dirent *entry;
	DIR *dir = opendir(path);
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_errno(err, errno, _("Cannot make the recipe in %s"), path);
	while (r == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = err_set(err, EEXIST, _("%s exists and is not empty; choose another directory"), path);
	closedir(dir);
	return r;
}

static int write_file(const char *dir, const struct skeleton_file *file, const char *name, struct err *err)
{
	_cleanup_(freep) char *path = fs_join(dir, file->path);
	_cleanup_(freep) char *content = put_name(file->content, name);
	_cleanup_(freep) char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	int r = fs_mkdirs(parent, 0755, err);

	return r < 0 ? r : fs_write(path, content, strlen(content), 0644, err);
}

int recipe_skeleton(const char *name, const char *dir, struct err *err)
{
	int r;

	if (!text_is_name(name))
		return err_set(
		    err, EINVAL,
		    _("'%s' is no name for a recipe; use 1 to 48 lower case letters, digits and hyphens, beginning "
		      "with a letter"),
		    name);
	r = check_empty(dir, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		r = write_file(dir, &files[i], name, err);
	return r;
}
