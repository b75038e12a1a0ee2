/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "image/beneath.h"
#include "image/digest.h"
#include "image/pack.h"
#include "image/store.h"
#include "image/untar.h"

#define MOST_DATABASE ((size_t)1 << 20) /* of /etc/passwd or /etc/group */
#define TIME_SPAN ((int64_t)3 * 365 * 86400)

struct owner {
	uid_t uid;
	gid_t gid;
};

struct placer {
	const struct place *place;
	const char *recipe;
	struct owner owner;
	mode_t mode; /* of files; 0: as in the bundle */
};

static int place_tree(struct placer *p, int from, int to, const char *path, struct err *err);

static int cannot(struct placer *p, int code, const char *path, struct err *err)
{
	return err_errno(err, code, _("Cannot put %s of the recipe %s into the image"), path, p->recipe);
}

/* Looks a name up in passwd(5) or group(5): fields are separated by ':', the id is the third. */
static int look_up(const char *database, const char *name, uint32_t *ret_id, uint32_t *ret_group)
{
	size_t len = strlen(name);
	unsigned id, group = 0;

	while (*database) {
		const char *field =
		    strncmp(database, name, len) == 0 && database[len] == ':' ? database + len + 1 : NULL;

		field = field ? strchr(field, ':') : NULL;
		if (field && sscanf(field, ":%u:%u", &id, &group) >= 1) {
			*ret_id = id;
			if (ret_group)
				*ret_group = group;
			return 0;
		}
		database += strcspn(database, "\n");
		database += *database == '\n';
	}
	return -ENOENT;
}

static int read_database(int root, const char *path, struct buf *ret)
{
	_cleanup_(closep) int fd = beneath_open(root, path, O_RDONLY | O_NONBLOCK, 0, BENEATH_FOLLOW);
	ssize_t n;

	if (fd < 0)
		return fd;
	while (ret->len < MOST_DATABASE && (n = read(fd, buf_reserve(ret, 4096), 4096)) > 0)
		ret->len += (size_t)n;
	*buf_reserve(ret, 0) = '\0';
	return 0;
}

/* A number, or a name of the image's own users or groups. */
static int find_id(struct placer *p, const char *path, const char *name, uint32_t *ret_id, uint32_t *ret_group,
		   struct err *err)
{
	_cleanup_buf_ struct buf database = { 0 };
	uint64_t number;

	if (text_u64(name, &number) == 0 && number < UINT32_MAX) {
		*ret_id = (uint32_t)number;
		return 0;
	}
	if (strcmp(name, "root") == 0) {
		*ret_id = 0;
		return 0;
	}
	if (p->place->bare)
		return err_set(err, ENOENT,
			       _("The recipe %s gives a file to '%s', but its base is the runtime's own image, whose "
				 "users are not known here: write the number of the user"),
			       p->recipe, name);
	if (read_database(p->place->root, path, &database) == 0 &&
	    look_up(buf_text(&database), name, ret_id, ret_group) == 0)
		return 0;
	return err_set(err, ENOENT,
		       _("The recipe %s gives a file to '%s', which /%s of its image does not have: install the "
			 "package that makes it, or make it in a build step and set the owner there"),
		       p->recipe, name, path);
}

/* "user", "user:group", ":group"; the group of a lone user is its own. */
static int parse_owner(struct placer *p, const char *text, struct err *err)
{
	const char *colon = text ? strchr(text, ':') : NULL;
	_cleanup_(freep) char *user = text ? xstrndup(text, colon ? (size_t)(colon - text) : strlen(text)) : NULL;
	uint32_t uid = 0, gid = 0;
	int r = 0;

	if (user && *user)
		r = find_id(p, "etc/passwd", user, &uid, &gid, err);
	if (r == 0 && colon && colon[1])
		r = find_id(p, "etc/group", colon + 1, &gid, NULL, err);
	if (r == 0)
		p->owner = (struct owner){ uid, gid };
	return r;
}

/* The build's own time would make two builds differ, and a fixed one would make two versions of a page look the same.
 */
static int64_t time_of_content(struct digest *digest)
{
	_cleanup_(freep) char *hex = digest_hex(digest);
	uint64_t number;

	hex[8] = '\0';
	number = strtoull(hex, NULL, 16);
	return IMAGE_EPOCH - 1 - (int64_t)(number % (uint64_t)TIME_SPAN);
}

static int finish_file(struct placer *p, int fd, mode_t mode, struct digest *digest)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time_of_content(digest) } };

	if (fchown(fd, p->owner.uid, p->owner.gid) < 0 || fchmod(fd, mode) < 0 || futimens(fd, times) < 0)
		return -errno;
	return 0;
}

/* Opens a new file in place of whatever is there; a directory is not replaced. */
static int replace_file(int dir, const char *name)
{
	int fd;

	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

static int copy_file(struct placer *p, int from, int dir, const char *name, mode_t mode)
{
	_cleanup_digest_ struct digest *digest = digest_new();
	_cleanup_(closep) int fd = replace_file(dir, name);
	char chunk[65536];
	ssize_t n;
	int r = fd < 0 ? fd : 0;

	while (r == 0 && (n = read(from, chunk, sizeof(chunk))) != 0) {
		if (n < 0)
			return -errno;
		digest_add(digest, chunk, (size_t)n);
		r = fs_write_all(fd, chunk, (size_t)n);
	}
	return r < 0 ? r : finish_file(p, fd, p->mode ? p->mode : mode, digest);
}

static int copy_link(struct placer *p, int from, const char *name, int dir, const char *as)
{
	char target[UNTAR_MOST_PATH + 1];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if ((unlinkat(dir, as, 0) < 0 && errno != ENOENT) || symlinkat(target, dir, as) < 0 ||
	    fchownat(dir, as, p->owner.uid, p->owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int copy_directory(struct placer *p, int from, int dir, const char *as, const char *path, struct err *err)
{
	_cleanup_(closep) int to = -1;

	if (mkdirat(dir, as, 0755) < 0 && errno != EEXIST)
		return cannot(p, errno, path, err);
	to = openat(dir, as, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return cannot(p, errno, path, err);
	return place_tree(p, from, to, path, err);
}

/* Copies the entry `name` of directory `from` as `as` into directory `dir`. */
static int place_entry(struct placer *p, int from, const char *name, int dir, const char *as, const char *path,
		       struct err *err)
{
	_cleanup_(closep) int fd = -1;
	struct stat st;
	int r;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return cannot(p, errno, path, err);
	if (S_ISLNK(st.st_mode)) {
		r = copy_link(p, from, name, dir, as);
		return r < 0 ? cannot(p, -r, path, err) : 0;
	}
	fd = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return cannot(p, errno, path, err);
	if (S_ISDIR(st.st_mode))
		return copy_directory(p, fd, dir, as, path, err);
	r = copy_file(p, fd, dir, as, st.st_mode & 0777);
	return r < 0 ? cannot(p, -r, path, err) : 0;
}

static int place_tree(struct placer *p, int from, int to, const char *path, struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 };
	int r = beneath_list(from, &names);

	if (r == 0 && fchown(to, p->owner.uid, p->owner.gid) < 0)
		r = -errno;
	if (r < 0)
		return cannot(p, -r, path, err);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		_cleanup_(freep) char *below = fs_join(path, names.v[i]);

		r = place_entry(p, from, names.v[i], to, names.v[i], below, err);
	}
	return r;
}

static int check_target(struct placer *p, const char *to, struct err *err)
{
	const char *path = to + strspn(to, "/");

	if (to[0] != '/' || strstr(to, "/../") || text_ends(to, "/.."))
		return err_set(err, EINVAL, _("The recipe %s puts a file at '%s', which is not an absolute path"),
			       p->recipe, to);
	if (pack_leaves_out(path, false, PACK_LAYER))
		return err_set(err, EINVAL,
			       _("The recipe %s puts a file at %s, which never becomes part of an image, because each "
				 "node has its own: write it in the start script"),
			       p->recipe, to);
	return 0;
}

/* Opens the directory that gets the entry. */
static int open_target(struct placer *p, const char *to, const char **ret_name, struct err *err)
{
	int fd, r = check_target(p, to, err);

	if (r < 0)
		return r;
	fd = beneath_parent(p->place->root, to, BENEATH_FOLLOW, ret_name);
	return fd < 0 ? cannot(p, -fd, to, err) : fd;
}

static int place_one(struct placer *p, int bundle, const struct image_file *file, struct err *err)
{
	const char *slash = strrchr(file->from, '/'), *base = slash ? slash + 1 : file->from, *name = NULL;
	_cleanup_(freep) char *to = xasprintf(text_ends(file->to, "/") ? "%s%s" : "%s", file->to, base);
	_cleanup_(freep) char *above = xstrndup(file->from, slash ? (size_t)(slash - file->from) : 0);
	_cleanup_(closep) int from = -1, target = -1;
	int r = parse_owner(p, file->owner, err);

	if (r < 0)
		return r;
	from = beneath_open(bundle, above, O_RDONLY | O_DIRECTORY, 0, BENEATH_FOLLOW);
	if (from < 0 || faccessat(from, *base ? base : ".", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, ENOENT, _("The recipe %s has no file %s to put into its image"), p->recipe,
			       file->from);
	target = open_target(p, to, &name, err);
	p->mode = file->mode;
	return target < 0 ? target : place_entry(p, from, *base ? base : ".", target, name, file->from, err);
}

static int place_text(struct placer *p, const struct image_text *text, struct err *err)
{
	_cleanup_digest_ struct digest *digest = digest_new();
	_cleanup_(closep) int target = -1, fd = -1;
	const char *name = NULL;
	int r;

	p->owner = (struct owner){ 0 };
	target = open_target(p, text->to, &name, err);
	if (target < 0)
		return target;
	fd = replace_file(target, name);
	r = fd < 0 ? fd : fs_write_all(fd, text->content, strlen(text->content));
	digest_add(digest, text->content, strlen(text->content));
	if (r == 0)
		r = finish_file(p, fd, text->mode ? text->mode : 0644, digest);
	return r < 0 ? cannot(p, -r, text->to, err) : 0;
}

int place_files(const struct place *place, const struct image_recipe *recipe, struct err *err)
{
	struct placer p = { .place = place, .recipe = recipe->name };
	_cleanup_(closep) int bundle = -1;
	int r = 0;

	if (recipe->n_files) {
		bundle = open(place->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (bundle < 0)
			return err_errno(err, errno, _("Cannot open %s"), place->bundle);
	}
	for (size_t i = 0; r == 0 && i < recipe->n_files; i++)
		r = place_one(&p, bundle, &recipe->files[i], err);
	for (size_t i = 0; r == 0 && i < recipe->n_texts; i++)
		r = place_text(&p, &recipe->texts[i], err);
	/* What lies on the runtime's image keeps root's directory closed, whatever is put there. */
	if (r == 0 && place->bare && fchmodat(place->root, "root", 0700, 0) < 0 && errno != ENOENT)
		r = cannot(&p, errno, "/root", err);
	return r;
}
