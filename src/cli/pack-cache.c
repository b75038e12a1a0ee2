/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/pack-cache.h"

#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/output.h"

enum { WORTH_BYTES = 1 << 20, RACY_MS = 2000, MOST_FILE = 1 << 20, MOST_ENTRIES = 200 };

static int64_t time_ms(const struct timespec *time)
{
	return (int64_t)time->tv_sec * 1000 + time->tv_nsec / 1000000;
}

static void add_entry(struct buf *list, const FTSENT *entry, struct pack_stamp *stamp)
{
	const struct stat *st = entry->fts_statp;

	buf_printf(list, "%s %o %ju %ju %jd.%09ld %jd.%09ld\n", entry->fts_path, st->st_mode, (uintmax_t)st->st_ino,
		   (uintmax_t)st->st_size, (intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
		   (intmax_t)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
	if (S_ISREG(st->st_mode))
		stamp->bytes += (uint64_t)st->st_size;
	if (time_ms(&st->st_ctim) > stamp->changed)
		stamp->changed = time_ms(&st->st_ctim);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

void pack_stamp_take(const char *dir, struct pack_stamp *ret)
{
	char *const paths[] = { (char *)dir, NULL };
	FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	unsigned char digest[SHA256_DIGEST_LENGTH];
	_cleanup_buf_ struct buf list = { 0 };
	struct pack_stamp stamp = { 0 };
	bool whole = walk != NULL;
	const FTSENT *entry;

	while (walk && (entry = fts_read(walk))) {
		if (entry->fts_info == FTS_DP)
			continue;
		if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS)
			whole = false;
		else
			add_entry(&list, entry, &stamp);
	}
	if (walk)
		fts_close(walk);
	if (whole) {
		SHA256((const unsigned char *)buf_text(&list), list.len, digest);
		stamp.text = text_hex(digest, sizeof(digest));
	}
	*ret = stamp;
}

void pack_stamp_release(struct pack_stamp *stamp)
{
	free(stamp->text);
	*stamp = (struct pack_stamp){ 0 };
}

/* $XDG_CACHE_HOME/tepuy, or NULL when there is no home. */
static char *cache_directory(void)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (cache && *cache == '/')
		return fs_join(cache, "tepuy");
	return home && *home == '/' ? xasprintf("%s/.cache/tepuy", home) : NULL;
}

/* {directory: {"stamp", "sha256"}}; an unreadable one is empty. */
static json_t *load(const char *directory)
{
	_cleanup_(freep) char *path = fs_join(directory, "bundles.json");
	_cleanup_buf_ struct buf text = { 0 };
	json_t *all = NULL;

	if (fs_read(path, MOST_FILE, &text, NULL) == 0)
		all = json_loadb(buf_text(&text), text.len, 0, NULL);
	if (json_is_object(all) && json_object_size(all) < MOST_ENTRIES)
		return all;
	json_decref(all);
	return json_object();
}

char *pack_cache_find(const char *dir, const struct pack_stamp *stamp)
{
	_cleanup_(freep) char *directory = cache_directory(), *real = realpath(dir, NULL);
	_cleanup_json_ json_t *all = NULL;
	const json_t *entry;

	if (!directory || !real || !stamp->text || stamp->bytes < WORTH_BYTES)
		return NULL;
	all = load(directory);
	entry = json_object_get(all, real);
	if (strcmp(json_text(entry, "stamp"), stamp->text) || strlen(json_text(entry, "sha256")) != 64)
		return NULL;
	return xstrdup(json_text(entry, "sha256"));
}

static void save(const char *directory, const json_t *all)
{
	_cleanup_(freep) char *path = fs_join(directory, "bundles.json"), *text = json_dumps(all, JSON_INDENT(1));

	fs_write(path, text, strlen(text), 0600, NULL);
}

void pack_cache_store(const char *dir, const struct pack_stamp *stamp, const char *sha256)
{
	_cleanup_(freep) char *directory = cache_directory(), *real = realpath(dir, NULL);
	_cleanup_json_ json_t *all = NULL;

	if (!directory || !real || !stamp->text || stamp->bytes < WORTH_BYTES ||
	    stamp->changed > clock_realtime_ms() - RACY_MS || fs_mkdirs(directory, 0700, NULL) < 0)
		return;
	all = load(directory);
	json_object_set_new(all, real, json_pack("{s:s, s:s}", "stamp", stamp->text, "sha256", sha256));
	save(directory, all);
}

void pack_cache_forget(const char *dir)
{
	_cleanup_(freep) char *directory = cache_directory(), *real = realpath(dir, NULL);
	_cleanup_json_ json_t *all = NULL;

	if (!directory || !real)
		return;
	all = load(directory);
	if (json_object_del(all, real) == 0)
		save(directory, all);
}
