/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/tar-write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"

#define BLOCK 512
#define PENDING ((size_t)256 * 1024)

struct tar_writer {
	tar_sink sink;
	void *data;
	uint64_t left;  /* bytes still owed to the present entry */
	size_t padding; /* zeros that follow them */
	struct buf pending;
};

/* The ustar header (POSIX.1-1988, "pax Interchange Format" in POSIX.1-2017, ustar section). */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6],
	    version[2], user[32], group[32], major[8], minor[8], prefix[155], unused[12];
};

_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

struct tar_writer *tar_new(tar_sink sink, void *data)
{
	struct tar_writer *tar = xcalloc(1, sizeof(*tar));

	tar->sink = sink;
	tar->data = data;
	return tar;
}

static int flush(struct tar_writer *tar)
{
	int r = tar->pending.len ? tar->sink(tar->data, tar->pending.data, tar->pending.len) : 0;

	tar->pending.len = 0;
	return r;
}

static int put(struct tar_writer *tar, const void *bytes, size_t len)
{
	buf_add(&tar->pending, bytes, len);
	return tar->pending.len >= PENDING ? flush(tar) : 0;
}

static int put_zeros(struct tar_writer *tar, size_t len)
{
	static const char zeros[BLOCK];

	while (len) {
		size_t n = len < BLOCK ? len : BLOCK;
		int r = put(tar, zeros, n);

		if (r < 0)
			return r;
		len -= n;
	}
	return 0;
}

static size_t padding_of(uint64_t size)
{
	return (BLOCK - size % BLOCK) % BLOCK;
}

/* Octal with a final NUL; false when the number needs more than `size` - 1 digits (the field is then zero). */
static bool octal(char *field, size_t size, uint64_t value)
{
	bool fits = (size - 1) * 3 >= 64 || value >> ((size - 1) * 3) == 0;
	char digits[32];

	snprintf(digits, sizeof(digits), "%0*" PRIo64, (int)size - 1, fits ? value : 0);
	memcpy(field, digits, size);
	return fits;
}

/* Splits a long path at a slash into prefix and name. */
static bool path_fields(struct header *header, const char *path, size_t len)
{
	if (len <= sizeof(header->name)) {
		memcpy(header->name, path, len);
		return true;
	}
	for (size_t i = len - 1; i > 0; i--) {
		if (path[i] != '/' || i > sizeof(header->prefix) || i + 1 == len)
			continue;
		if (len - i - 1 > sizeof(header->name))
			break;
		memcpy(header->prefix, path, i);
		memcpy(header->name, path + i + 1, len - i - 1);
		return true;
	}
	memcpy(header->name, path, sizeof(header->name));
	return false;
}

static void seal(struct header *header)
{
	unsigned sum = 0;

	memcpy(header->magic, "ustar", 6);
	memcpy(header->version, "00", 2);
	memset(header->checksum, ' ', sizeof(header->checksum));
	for (size_t i = 0; i < BLOCK; i++)
		sum += ((unsigned char *)header)[i];
	snprintf(header->checksum, sizeof(header->checksum), "%06o", sum);
}

/* One record of an extended header: "<length> <key>=<value>\n", where the length counts its own digits. */
static void pax_record(struct buf *pax, const char *key, const void *value, size_t len)
{
	size_t rest = strlen(key) + len + 3, total = rest + 1, was;
	char digits[24];

	do {
		was = total;
		total = rest + (size_t)snprintf(digits, sizeof(digits), "%zu", was);
	} while (total != was);
	buf_printf(pax, "%zu %s=", total, key);
	buf_add(pax, value, len);
	buf_addc(pax, '\n');
}

static void pax_text(struct buf *pax, const char *key, const char *value)
{
	pax_record(pax, key, value, strlen(value));
}

static void pax_number(struct buf *pax, const char *key, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	pax_text(pax, key, digits);
}

static char type_flag(const struct tar_entry *entry)
{
	if (entry->hard)
		return '1';
	if (S_ISLNK(entry->mode))
		return '2';
	if (S_ISDIR(entry->mode))
		return '5';
	return S_ISFIFO(entry->mode) ? '6' : '0';
}

/* Fills the header, and `pax` with what does not fit in it. */
static void describe(const struct tar_entry *entry, struct header *header, struct buf *pax)
{
	const char *link = entry->hard ? entry->hard : S_ISLNK(entry->mode) ? entry->link : "";
	_cleanup_(freep) char *path = xasprintf(S_ISDIR(entry->mode) ? "%s/" : "%s", entry->path);

	if (!path_fields(header, path, strlen(path)))
		pax_text(pax, "path", path);
	if (strlen(link) > sizeof(header->link))
		pax_text(pax, "linkpath", link);
	memcpy(header->link, link, strnlen(link, sizeof(header->link)));
	octal(header->mode, sizeof(header->mode), entry->mode & 07777);
	if (!octal(header->uid, sizeof(header->uid), entry->uid))
		pax_number(pax, "uid", entry->uid);
	if (!octal(header->gid, sizeof(header->gid), entry->gid))
		pax_number(pax, "gid", entry->gid);
	if (!octal(header->size, sizeof(header->size), entry->size))
		pax_number(pax, "size", entry->size);
	if (!octal(header->mtime, sizeof(header->mtime), (uint64_t)entry->mtime))
		pax_number(pax, "mtime", (uint64_t)entry->mtime);
	for (size_t i = 0; i < entry->n_xattrs; i++) {
		_cleanup_(freep) char *key = xasprintf("SCHILY.xattr.%s", entry->xattrs[i].name);

		pax_record(pax, key, entry->xattrs[i].value, entry->xattrs[i].len);
	}
	header->type = type_flag(entry);
	seal(header);
}

static int put_pax(struct tar_writer *tar, const struct buf *pax)
{
	struct header header = { .name = "pax", .type = 'x' };
	int r;

	octal(header.mode, sizeof(header.mode), 0644);
	octal(header.uid, sizeof(header.uid), 0);
	octal(header.gid, sizeof(header.gid), 0);
	octal(header.size, sizeof(header.size), pax->len);
	octal(header.mtime, sizeof(header.mtime), 0);
	seal(&header);
	r = put(tar, &header, BLOCK);
	if (r == 0)
		r = put(tar, pax->data, pax->len);
	return r < 0 ? r : put_zeros(tar, padding_of(pax->len));
}

int tar_add(struct tar_writer *tar, const struct tar_entry *entry)
{
	_cleanup_buf_ struct buf pax = { 0 };
	struct header header = { 0 };
	struct tar_entry fixed = *entry;
	int r = 0;

	if (tar->left)
		return -EINVAL;
	if (entry->hard || !S_ISREG(entry->mode))
		fixed.size = 0;
	describe(&fixed, &header, &pax);
	if (pax.len)
		r = put_pax(tar, &pax);
	if (r == 0)
		r = put(tar, &header, BLOCK);
	tar->left = fixed.size;
	tar->padding = padding_of(fixed.size);
	return r;
}

int tar_data(struct tar_writer *tar, const void *bytes, size_t len)
{
	int r;

	if (len > tar->left)
		return -EINVAL;
	r = put(tar, bytes, len);
	tar->left -= len;
	if (r < 0 || tar->left)
		return r;
	r = put_zeros(tar, tar->padding);
	tar->padding = 0;
	return r;
}

int tar_finish(struct tar_writer *tar)
{
	int r = tar->left ? -EINVAL : put_zeros(tar, (size_t)2 * BLOCK);

	return r < 0 ? r : flush(tar);
}

void tar_free(struct tar_writer *tar)
{
	if (!tar)
		return;
	buf_release(&tar->pending);
	free(tar);
}

void tar_freep(struct tar_writer **tar)
{
	tar_free(*tar);
}
