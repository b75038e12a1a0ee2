/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/host-package.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <strings.h>
#include <glob.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/i18n.h"
#include "base/text.h"

enum { MOST_CONTROL = 1 << 20, LEVELS = 3 };

static void archive_freep(struct archive **archive)
{
	if (*archive)
		archive_read_free(*archive);
}

/* Reads the member that `name` begins; a compressed tar inside the package, or a file inside that tar. */
static int read_member(struct archive *archive, const char *name, struct buf *to)
{
	struct archive_entry *entry;

	while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
		const char *path = archive_entry_pathname(entry);
		la_ssize_t n;

		if (path && text_starts(path, "./"))
			path += 2;
		if (!path || !text_starts(path, name))
			continue;
		while ((n = archive_read_data(archive, buf_reserve(to, 65536), 65536)) > 0) {
			to->len += (size_t)n;
			if (to->len > MOST_CONTROL)
				return -EFBIG;
		}
		return n < 0 ? -EINVAL : 0;
	}
	return -EINVAL;
}

static int read_control(const char *path, struct buf *control)
{
	_cleanup_(archive_freep) struct archive *outer = archive_read_new(), *inner = archive_read_new();
	_cleanup_buf_ struct buf tar = { 0 };
	int r;

	archive_read_support_format_ar(outer);
	archive_read_support_filter_all(inner);
	archive_read_support_format_tar(inner);
	if (archive_read_open_filename(outer, path, 65536) != ARCHIVE_OK)
		return -EINVAL;
	r = read_member(outer, "control.tar", &tar);
	if (r < 0)
		return r;
	if (archive_read_open_memory(inner, tar.data, tar.len) != ARCHIVE_OK)
		return -EINVAL;
	return read_member(inner, "control", control);
}

/* The value of a field of one line, or NULL. */
static char *field(const char *control, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = control; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncasecmp(line, name, len) || line[len] != ':')
			continue;
		line += len + 1;
		line += strspn(line, " \t");
		return xstrndup(line, strcspn(line, "\r\n"));
	}
	return NULL;
}

int deb_read(const char *path, struct deb *ret, struct err *err)
{
	_cleanup_buf_ struct buf control = { 0 };
	_cleanup_deb_ struct deb deb = { 0 };

	if (access(path, R_OK) < 0)
		return err_errno(err, errno, _("Cannot read the package %s"), path);
	if (read_control(path, &control) < 0)
		return err_set(err, EINVAL, _("%s is no Debian package, or it is damaged; make or copy it again"),
			       path);
	deb.path = xstrdup(path);
	deb.package = field(buf_text(&control), "Package");
	deb.version = field(buf_text(&control), "Version");
	deb.architecture = field(buf_text(&control), "Architecture");
	deb.build = field(buf_text(&control), "Tepuy-Build");
	if (!deb.package || !deb.version || !deb.architecture)
		return err_set(err, EINVAL, _("%s has no Package, Version or Architecture; make or copy it again"),
			       path);
	*ret = deb;
	deb = (struct deb){ 0 };
	return 0;
}

void deb_release(struct deb *deb)
{
	free(deb->path);
	free(deb->package);
	free(deb->version);
	free(deb->architecture);
	free(deb->build);
	*deb = (struct deb){ 0 };
}

void debs_release(struct debs *debs)
{
	for (size_t i = 0; i < debs->n; i++)
		deb_release(&debs->v[i]);
	free(debs->v);
	*debs = (struct debs){ 0 };
}

const struct deb *debs_for(const struct debs *debs, const char *architecture)
{
	for (size_t i = 0; i < debs->n; i++)
		if (!strcmp(debs->v[i].architecture, architecture) || !strcmp(debs->v[i].architecture, "all"))
			return &debs->v[i];
	return NULL;
}

static int add_deb(struct debs *debs, const char *path, struct err *err)
{
	_cleanup_deb_ struct deb deb = { 0 };
	const struct deb *other;
	int r = deb_read(path, &deb, err);

	if (r < 0)
		return r;
	if (strcmp(deb.package, "tepuy") || !deb.build)
		return err_set(err, EINVAL, _("%s is a package of %s, not of tepuy"), path, deb.package);
	other = debs_for(debs, deb.architecture);
	if (other)
		return err_set(err, EEXIST, _("%s and %s are both for %s; name the one to install with --package"),
			       other->path, path, deb.architecture);
	debs->v = grow_array(debs->v, debs->n, &debs->cap, sizeof(*debs->v));
	debs->v[debs->n++] = deb;
	deb = (struct deb){ 0 };
	return 0;
}

static int add_matching(struct debs *debs, const char *directory, struct err *err)
{
	_cleanup_(freep) char *pattern = xasprintf("%s/tepuy_%s_*.deb", directory, TEPUY_VERSION);
	glob_t found = { 0 };
	int r = 0;

	if (glob(pattern, 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc && r == 0; i++)
			r = add_deb(debs, found.gl_pathv[i], err);
	globfree(&found);
	return r;
}

/* Beside the program, or where scripts/package left it when the program is run from the tree it was built in. */
static int add_beside(struct debs *debs, struct err *err)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	int r = 0;

	if (n <= 0)
		return 0;
	path[n] = '\0';
	for (int level = 0; level <= LEVELS && r == 0 && !debs->n; level++) {
		char *slash = strrchr(path, '/');

		if (!slash || slash == path)
			break;
		*slash = '\0';
		r = add_matching(debs, path, err);
	}
	return r;
}

int debs_find(const struct strv *given, struct debs *ret, struct err *err)
{
	_cleanup_debs_ struct debs debs = { 0 };
	int r = 0;

	for (size_t i = 0; i < given->n && r == 0; i++)
		r = add_deb(&debs, given->v[i], err);
	if (r == 0 && !debs.n)
		r = add_beside(&debs, err);
	if (r == 0 && !debs.n)
		r = add_matching(&debs, "/var/cache/tepuy", err);
	if (r < 0)
		return r;
	if (!debs.n)
		return err_set(err, ENOENT,
			       _("There is no package of tepuy %s to install on hosts, neither beside this program nor "
				 "in /var/cache/tepuy; make it with scripts/package, or name it with --package"),
			       TEPUY_VERSION);
	*ret = debs;
	debs = (struct debs){ 0 };
	return 0;
}
