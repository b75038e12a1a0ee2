/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images into Docker: a generated `docker save` archive goes into POST /images/load, its layers streamed from the
 * store. Layers that Docker has under the same lower ones are left out of the archive, which its load allows (moby
 * image/tarexport/load.go looks for the chain before it opens the layer's file): 0.1 s instead of seconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/i18n.h"
#include "base/text.h"
#include "runtime/docker.h"
#include "runtime/tar.h"

#define REPOSITORY "tepuy/image"
#define OUR_IMAGES "/images/json?filters=%7B%22reference%22%3A%5B%22" REPOSITORY "%22%5D%7D"
#define LOAD_MS (30 * 60 * 1000)
#define MOST_KNOWN 256 /* images looked at for common layers */

/* One import's work. */
struct import {
	struct docker *docker;
	const struct image *image;
	char *ref;
	bool has_base;
	struct docker_image base; /* image->external */
	struct strv layers;       /* all diff ids, the base's first */
};

static void import_release(struct import *import)
{
	free(import->ref);
	docker_image_release(&import->base);
	strv_release(&import->layers);
}

static int inspect_image(struct docker *docker, const char *name, struct docker_image *ret, struct err *err)
{
	_cleanup_(freep) char *encoded = http_encode(name), *path = xasprintf("/images/%s/json", encoded);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	int r = docker_call(docker, "GET", path, NULL, 0, &reply, err);

	return r < 0 ? r : docker_decode_image(reply.body.data, reply.body.len, ret, err);
}

static int find_base(struct import *import, struct err *err)
{
	const char *name = import->image->external;
	int r;

	if (!name)
		return 0;
	r = inspect_image(import->docker, name, &import->base, err);
	if (r == -ENOENT)
		return err_set(
		    err, ENOENT,
		    _("Docker on this host does not have the image %s; bring it here with `docker load -i FILE` (made "
		      "elsewhere by `docker save`) or `docker pull %s`"),
		    name, name);
	if (r < 0)
		return r;
	import->has_base = true;
	strv_copy(&import->layers, &import->base.layers);
	return 0;
}

/* How many layers, from the lowest, two lists have in common. */
static size_t common(const struct strv *a, const struct strv *b)
{
	size_t n = 0;

	while (n < a->n && n < b->n && !strcmp(a->v[n], b->v[n]))
		n++;
	return n;
}

/* How many layers Docker has already: the most that one of our images, or the base, has in common with this one. */
static size_t count_known(const struct import *import)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_strv_ struct strv ids = { 0 };
	size_t most = import->base.layers.n;

	if (docker_call(import->docker, "GET", OUR_IMAGES, NULL, 0, &reply, NULL) < 0 ||
	    docker_decode_images(reply.body.data, reply.body.len, &ids, NULL) < 0)
		return most;
	for (size_t i = 0; i < ids.n && i < MOST_KNOWN && most < import->layers.n; i++) {
		_cleanup_(docker_image_release) struct docker_image known = { 0 };
		size_t n = inspect_image(import->docker, ids.v[i], &known, NULL) == 0
			       ? common(&known.layers, &import->layers)
			       : 0;

		most = n > most ? n : most;
	}
	return most;
}

/* The archive as it is read: generated heads from `pending`, then a layer from its file. */
struct archive {
	const struct image *image;
	size_t first;  /* layer sent: lower ones are left out */
	size_t next;   /* layer to open */
	int fd;        /* layer being read, or -1 */
	uint64_t left; /* bytes of it still to come */
	struct buf pending;
	bool ended;
	struct err err; /* why reading failed */
};

static void archive_release(struct archive *archive)
{
	closep(&archive->fd);
	buf_release(&archive->pending);
	err_release(&archive->err);
}

static void add_document(struct archive *archive, const char *name, const char *text)
{
	struct tar_entry entry = { .name = name, .size = strlen(text), .mode = 0644, .type = '0' };

	tar_add_head(&archive->pending, &entry);
	buf_adds(&archive->pending, text);
	tar_add_padding(&archive->pending, entry.size);
}

static bool sent_before(const struct archive *archive, size_t layer)
{
	for (size_t i = archive->first; i < layer; i++)
		if (!strcmp(archive->image->layers[i].sha256, archive->image->layers[layer].sha256))
			return true;
	return false;
}

static int open_layer(struct archive *archive)
{
	const struct image_layer *layer = &archive->image->layers[archive->next++];
	_cleanup_(freep) char *name = xasprintf("%s.tar", layer->sha256);
	struct tar_entry entry = { .name = name, .mode = 0644, .type = '0' };
	struct stat st;

	if (sent_before(archive, archive->next - 1))
		return 0;
	archive->fd = open(layer->path, O_RDONLY | O_CLOEXEC);
	if (archive->fd < 0 || fstat(archive->fd, &st) < 0)
		return err_errno(&archive->err, errno, _("Cannot read the layer %s"), layer->path);
	archive->left = entry.size = (uint64_t)st.st_size;
	tar_add_head(&archive->pending, &entry);
	return 0;
}

/* Makes more of the archive pending. */
static int advance(struct archive *archive)
{
	if (archive->next < archive->image->n_layers)
		return open_layer(archive);
	tar_add_end(&archive->pending);
	archive->ended = true;
	return 0;
}

static ssize_t read_layer(struct archive *archive, char *to, size_t size)
{
	size_t want = archive->left < size ? (size_t)archive->left : size;
	ssize_t n = want ? read(archive->fd, to, want) : 0;

	if (n < 0)
		return err_errno(&archive->err, errno, _("Cannot read a layer of the image"));
	if (n == 0 && want)
		return err_set(&archive->err, EIO, _("A layer of the image became shorter while it was read"));
	archive->left -= (uint64_t)n;
	if (archive->left)
		return n;
	tar_add_padding(&archive->pending, (uint64_t)lseek(archive->fd, 0, SEEK_CUR));
	close(archive->fd);
	archive->fd = -1;
	return n;
}

static ssize_t archive_read(void *data, char *to, size_t size)
{
	struct archive *archive = data;

	for (;;) {
		size_t part = archive->pending.len < size ? archive->pending.len : size;
		ssize_t n;

		if (part) {
			memcpy(to, archive->pending.data, part);
			buf_consume(&archive->pending, part);
			return (ssize_t)part;
		}
		if (archive->fd >= 0) {
			n = read_layer(archive, to, size);
			if (n != 0)
				return n;
		} else if (archive->ended)
			return 0;
		else {
			int r = advance(archive);

			if (r < 0)
				return r;
		}
	}
}

/* Loads the image, without the first `known` layers of the whole. */
static int load(struct import *import, size_t known, struct err *err)
{
	_cleanup_(freep) char *config =
	    docker_encode_image(import->image, import->has_base ? &import->base : NULL, &import->layers);
	_cleanup_(freep) char *manifest = docker_encode_manifest(import->ref, &import->layers);
	_cleanup_(archive_release) struct archive archive = { .image = import->image, .fd = -1, .err = ERR_INIT };
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct http_request request = { .method = "POST",
					.path = "/images/load?quiet=1",
					.content_type = "application/x-tar",
					.source = archive_read,
					.source_data = &archive,
					.timeout_ms = LOAD_MS };
	int r;

	archive.first = archive.next = known > import->base.layers.n ? known - import->base.layers.n : 0;
	add_document(&archive, "manifest.json", manifest);
	add_document(&archive, "config.json", config);
	r = docker_request(import->docker, &request, &reply, err);
	if (archive.err.code)
		return err_set(err, archive.err.code, "%s", err_text(&archive.err));
	return r < 0 ? r : docker_decode_load(reply.body.data, reply.body.len, err);
}

/* -ENOENT: it is not there, or something else has its name. */
static int check_present(struct import *import, struct err *err)
{
	_cleanup_(docker_image_release) struct docker_image there = { 0 };
	int r = inspect_image(import->docker, import->ref, &there, err);

	if (r < 0)
		return r;
	return strv_equal(&there.layers, &import->layers) ? 0 : -ENOENT;
}

static bool is_tag(const char *id)
{
	return id && *id && strlen(id) <= 128 && *id != '.' && *id != '-' &&
	       !id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")];
}

static int load_missing(struct import *import, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;
	size_t known = count_known(import);
	int r = load(import, known, &why);

	/* What seemed to be there may have been removed meanwhile: then everything is sent. */
	if (r < 0 && r != -ENOSPC && r != -ECONNREFUSED && known > import->base.layers.n)
		r = load(import, import->base.layers.n, &why);
	if (r < 0)
		return err_set(err, -r, _("Docker did not take the image %s: %s"), import->ref, err_text(&why));
	r = check_present(import, &why);
	return r < 0 ? err_set(err, EIO, _("Docker took the image %s, but does not show it: %s"), import->ref,
			       err_text(&why))
		     : 0;
}

int docker_import(struct runtime *rt, const struct image *image, char **ret_ref, struct err *err)
{
	_cleanup_(import_release) struct import import = { .docker = docker_of(rt), .image = image };
	_cleanup_err_ struct err why = ERR_INIT;
	int r;

	if (!is_tag(image->id))
		return err_set(err, EINVAL, _("'%s' is no identity of an image"), image->id ? image->id : "");
	import.ref = xasprintf(REPOSITORY ":%s", image->id);
	r = find_base(&import, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < image->n_layers; i++)
		strv_addf(&import.layers, "sha256:%s", image->layers[i].sha256);
	r = check_present(&import, &why);
	if (r == -ENOENT)
		r = load_missing(&import, err);
	else if (r < 0)
		err_set(err, -r, "%s", err_text(&why));
	if (r < 0)
		return r;
	*ret_ref = TAKE_PTR(import.ref);
	return 0;
}

/* Docker itself refuses (409) to remove what a container uses, also a stopped one. */
int docker_prune(struct runtime *rt, const struct strv *images, struct err *err)
{
	struct docker *docker = rt->priv;
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_strv_ struct strv names = { 0 };
	int r = docker_call(docker, "GET", OUR_IMAGES, NULL, 0, &reply, err);

	if (r == 0)
		r = docker_decode_image_names(reply.body.data, reply.body.len, &names, err);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		_cleanup_(http_reply_release) struct http_reply removed = { 0 };
		_cleanup_(freep) char *path = xasprintf("/images/%s", names.v[i]);

		if (text_starts(names.v[i], REPOSITORY ":") && !strv_has(images, names.v[i] + strlen(REPOSITORY ":")))
			docker_call(docker, "DELETE", path, NULL, 0, &removed, NULL);
	}
	return r;
}
