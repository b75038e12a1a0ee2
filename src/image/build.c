/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/quote.h"
#include "base/text.h"
#include "image/apt.h"
#include "image/base.h"
#include "image/beneath.h"
#include "image/pack.h"
#include "image/place.h"
#include "image/sandbox.h"

struct work {
	const struct build *build;
	struct sandbox sandbox;
	char *dir, *root, *upper; /* of build/<key> */
	struct strv lowers;       /* the base, unpacked: names in rootfs/, the thread's working directory */
	int root_fd;
	struct image_layer *ret;
};

static bool needs_programs(const struct image_recipe *recipe)
{
	return (recipe->packages && recipe->packages->n) || recipe->n_build;
}

/* Debian policy 5.6.1, and what apt-get takes after a name: ":arch", "=version", "/suite". A final '-' would remove it.
 */
static bool package_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+.-");

	if (n < 2 || n > 128 || !strchr("abcdefghijklmnopqrstuvwxyz0123456789", name[0]) || name[n - 1] == '-')
		return false;
	if (name[n] == '\0')
		return true;
	return strchr(":=/", name[n]) && name[n + 1] && strlen(name) < 256 && !text_ends(name, "-") &&
	       strspn(name + n, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:=/+.~-") ==
		   strlen(name + n);
}

int build_check(const struct image_recipe *recipe, struct err *err)
{
	int bases = (recipe->suite != NULL) + (recipe->external != NULL) + (recipe->archive != NULL);

	if (bases != 1)
		return err_set(err, EINVAL,
			       _("The recipe %s must have exactly one base: a suite, an image or an archive"),
			       recipe->name);
	if (recipe->suite && !base_suite_valid(recipe->suite))
		return err_set(err, EINVAL,
			       _("The recipe %s has the suite '%s', which is not a name of a Debian suite"),
			       recipe->name, recipe->suite);
	if (recipe->machine && !recipe->suite)
		return err_set(
		    err, EOPNOTSUPP,
		    _("The recipe %s has %s as its base, which is made for containers and cannot boot as a "
		      "machine: place its nodes on hosts that run containers (`place: {runtime: docker}`), or "
		      "give the recipe a suite as its base"),
		    recipe->name, recipe->external ? recipe->external : recipe->archive);
	if (recipe->external && needs_programs(recipe))
		return err_set(err, EOPNOTSUPP,
			       _("The recipe %s has packages or build steps on the runtime's image %s, which stays "
				 "with the runtime: use a suite or an archive as base, or an image that has them"),
			       recipe->name, recipe->external);
	for (size_t i = 0; recipe->packages && i < recipe->packages->n; i++)
		if (!package_valid(recipe->packages->v[i]))
			return err_set(err, EINVAL, _("The recipe %s wants '%s', which is not a name of a package"),
				       recipe->name, recipe->packages->v[i]);
	for (size_t i = 0; i < recipe->n_build; i++)
		if (!recipe->build[i].n)
			return err_set(err, EINVAL, _("The recipe %s has an empty build step"), recipe->name);
	return 0;
}

static char *quoted(const struct strv *argv)
{
	struct buf text = { 0 };

	for (size_t i = 0; i < argv->n; i++) {
		if (i)
			buf_addc(&text, ' ');
		quote_shell(&text, argv->v[i]);
	}
	return buf_take(&text);
}

static void log_line(const struct work *w, const char *text)
{
	_cleanup_(freep) char *line = xasprintf("+ %s\n", text);

	if (w->build->log_fd > 0)
		fs_write_all(w->build->log_fd, line, strlen(line));
}

static int disk_full(const struct work *w, struct err *err)
{
	return store_write_error(w->build->store, ENOSPC, w->dir, err);
}

/* Runs one of apt's programs; what apt complains of becomes the error. */
static int run_apt(struct work *w, const struct strv *argv, const char *suite, struct err *err)
{
	const char *recipe = w->build->recipe->name;
	_cleanup_(freep) char *command = quoted(argv);
	_cleanup_buf_ struct buf output = { 0 };
	int status, r;

	log_line(w, command);
	status = sandbox_run(&w->sandbox, argv, &output, err);
	if (status < 0)
		err_wrap(err, _("Cannot install the packages of the recipe %s"), recipe);
	if (status <= 0)
		return status;
	r = apt_explain(buf_text(&output), recipe, suite, err);
	if (r == -ENOSPC)
		return disk_full(w, err);
	return r < 0 ? r
		     : err_set(err, EIO,
			       _("Cannot install the packages of the recipe %s: %s ended with status %d; its output "
				 "is in the build log"),
			       recipe, command, status);
}

/* The suite that an archive's tree is of, from its os-release(5); owned by the caller, NULL when it is not Debian. */
static char *suite_of_tree(int root)
{
	_cleanup_(closep) int fd = beneath_open(root, "etc/os-release", O_RDONLY | O_NONBLOCK, 0, BENEATH_FOLLOW);
	char text[4096], *name;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return NULL;
	text[n] = '\0';
	name = strstr(text, "VERSION_CODENAME=");
	if (!name)
		return NULL;
	name += strlen("VERSION_CODENAME=");
	name += *name == '"';
	return xstrndup(name, strcspn(name, "\"\n"));
}

static int install(struct work *w, struct err *err)
{
	const struct image_recipe *recipe = w->build->recipe;
	_cleanup_(freep) char *suite = recipe->suite ? xstrdup(recipe->suite) : suite_of_tree(w->root_fd);
	_cleanup_(freep) char *apt = fs_join(w->dir, "apt");
	_cleanup_strv_ struct strv update = { 0 }, get = { 0 };
	_cleanup_sources_ struct sources sources = { 0 };
	int r;

	if (!base_suite_valid(suite))
		return err_set(err, EOPNOTSUPP,
			       _("The recipe %s has packages, but its archive %s is not a Debian system that says its "
				 "suite in /etc/os-release"),
			       recipe->name, recipe->archive);
	r = base_sources(w->build->store, suite, &sources, err);
	if (r == 0)
		r = apt_prepare(&sources, apt, APT_INSIDE, err);
	if (r < 0) {
		err_wrap(err, _("Cannot install the packages of the recipe %s"), recipe->name);
		return r;
	}
	strv_add_all(&update, "apt-get", "-q", "update", NULL);
	strv_add_all(&get, "apt-get", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confdef",
		     "-o", "Dpkg::Options::=--force-confold", "install", "--", NULL);
	strv_copy(&get, recipe->packages);
	r = run_apt(w, &update, suite, err);
	return r < 0 ? r : run_apt(w, &get, suite, err);
}

static int run_step(struct work *w, size_t i, struct err *err)
{
	const struct strv *argv = &w->build->recipe->build[i];
	_cleanup_(freep) char *command = quoted(argv);
	_cleanup_buf_ struct buf output = { 0 };
	int status;

	log_line(w, command);
	status = sandbox_run(&w->sandbox, argv, &output, err);
	if (status < 0)
		err_wrap(err, _("Build step %zu of the recipe %s (%s)"), i + 1, w->build->recipe->name, command);
	if (status <= 0)
		return status;
	if (strstr(buf_text(&output), "No space left on device"))
		return disk_full(w, err);
	return err_set(err, EIO,
		       _("Build step %zu of the recipe %s ended with status %d: %s; its output is in the build log"),
		       i + 1, w->build->recipe->name, status, command);
}

/* A file of the builder's own, over whatever link the image has there; it is left out when the layer is packed. */
static int put_own(struct work *w, const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
	const char *name;
	_cleanup_(closep) int dir = beneath_parent(w->root_fd, path, BENEATH_FOLLOW, &name), fd = -1;
	int r = dir;

	if (r >= 0)
		r = unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	if (r == 0) {
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		r = fd < 0 || fchmod(fd, mode) < 0 ? -errno : fs_write_all(fd, data, len);
	}
	if (r == -ENOSPC)
		return disk_full(w, err);
	return r < 0 ? err_errno(err, -r, _("Cannot write /%s for the build"), path) : 0;
}

/* The host's way to reach its mirror, and a policy by which no package starts a service (policy-rc.d: 101, forbidden).
 */
static int put_own_files(struct work *w, struct err *err)
{
	static const char policy[] = "#!/bin/sh\nexit 101\n";
	static const char *const copied[] = { "etc/resolv.conf", "etc/hosts" };
	int r = put_own(w, "usr/sbin/policy-rc.d", policy, strlen(policy), 0755, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(copied); i++) {
		_cleanup_(freep) char *path = xasprintf("/%s", copied[i]);
		_cleanup_buf_ struct buf content = { 0 };

		if (fs_read(path, (size_t)1 << 20, &content, NULL) == 0)
			r = put_own(w, copied[i], buf_text(&content), content.len, 0644, err);
	}
	return r;
}

static int fill_tree(struct work *w, struct err *err)
{
	const struct image_recipe *recipe = w->build->recipe;
	_cleanup_(freep) char *bundle = NULL;
	struct place place = { .root = w->root_fd, .bare = recipe->external != NULL };
	int r = 0;

	if (recipe->n_files)
		r = bundle_directory(w->build->store, recipe->bundle, &bundle, err);
	place.bundle = bundle;
	if (r == 0 && needs_programs(recipe))
		r = put_own_files(w, err);
	if (r == 0 && recipe->packages && recipe->packages->n)
		r = install(w, err);
	if (r == 0)
		r = place_files(&place, recipe, err);
	if (r == -ENOSPC)
		r = disk_full(w, err);
	for (size_t i = 0; r == 0 && i < recipe->n_build; i++)
		r = run_step(w, i, err);
	return r;
}

static int mount_tree(struct work *w, struct err *err)
{
	const struct build *build = w->build;
	int r = 0;

	if (build->recipe->external) {
		w->upper = xstrdup(w->root);
		return fs_mkdirs(w->root, 0755, err);
	}
	/* Relative names, as many layers would not fit into mount(2)'s one page; this thread has a directory of its
	 * own. */
	for (size_t i = 0; r == 0 && i < build->n_base; i++) {
		_cleanup_(freep) char *path = NULL;

		r = store_rootfs(build->store, &build->base[i], &path, err);
		if (r == 0)
			strv_add(&w->lowers, build->base[i].sha256);
	}
	if (r == 0) {
		_cleanup_(freep) char *rootfs = fs_join(build->store->root, "rootfs");

		r = chdir(rootfs) < 0 ? err_errno(err, errno, _("Cannot open %s"), rootfs) : 0;
	}
	return r < 0 ? r : sandbox_mount(w->dir, &w->lowers, &w->upper, err);
}

static int pack_layer(struct work *w, int64_t since, struct err *err)
{
	_cleanup_(freep) char *tar = fs_join(w->dir, "layer.tar"), *sha256 = NULL;
	struct pack pack = { .dir = w->upper,
			     .to = tar,
			     .since = since,
			     .kind = w->build->recipe->machine ? PACK_MACHINE_LAYER : PACK_LAYER,
			     .lowers = &w->lowers };
	size_t entries = 0;
	int r = pack_tree(&pack, &sha256, &entries, err);

	if (r == -ENOSPC)
		return disk_full(w, err);
	if (r < 0 || !entries)
		return r;
	return store_adopt_layer(w->build->store, tar, sha256, w->ret, err);
}

/* Runs in a thread with private mounts, which go away with it. */
static int make_layer(void *data, struct err *err)
{
	int64_t since = time(NULL) - 1; /* files' clock may lag a tick behind */
	struct work *w = data;
	int r = mount_tree(w, err);

	if (r < 0)
		return r;
	w->root_fd = open(w->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->root_fd < 0)
		return err_errno(err, errno, _("Cannot open %s"), w->root);
	if (needs_programs(w->build->recipe))
		r = sandbox_furnish(w->dir, err);
	if (r == 0)
		r = fill_tree(w, err);
	return r < 0 ? r : pack_layer(w, since, err);
}

int build_layer(const struct build *build, struct image_layer *ret, struct err *err)
{
	struct work w = { .build = build, .root_fd = -1, .ret = ret };
	int r;

	w.sandbox = (struct sandbox){ .log_fd = build->log_fd, .deadline = build->deadline };
	sandbox_environment(&w.sandbox.env);
	strv_add(&w.sandbox.env, "APT_CONFIG=" APT_INSIDE "/apt.conf");
	r = store_build_directory(build->store, build->key, &w.dir, err);
	if (r == 0) {
		w.root = fs_join(w.dir, "root");
		w.sandbox.root = w.root;
		r = sandbox_call(make_layer, &w, err);
		fs_remove_tree(w.dir, NULL);
	}
	closep(&w.root_fd);
	strv_release(&w.sandbox.env);
	strv_release(&w.lowers);
	free(w.dir);
	free(w.root);
	free(w.upper);
	return r;
}
