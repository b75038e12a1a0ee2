/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "runtime/tar.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* POSIX.1-1988 ustar, as in tar.h of GNU tar. */
struct tar_head {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};

_Static_assert(sizeof(struct tar_head) == TAR_BLOCK, "a tar head is one block");

/* Octal digits, or, when they are too few, the GNU base-256 form that every reader of today knows. */
static void put_number(char *to, size_t size, uint64_t value)
{
	uint64_t big = htobe64(value);

	if (value < 1ull << 3 * (size - 1)) {
		snprintf(to, size, "%0*llo", (int)size - 1, (unsigned long long)value);
		return;
	}
	memset(to, 0, size);
	if (size >= sizeof(big))
		memcpy(to + size - sizeof(big), &big, sizeof(big));
	to[0] |= (char)0x80;
}

static void put_sum(struct tar_head *head)
{
	const unsigned char *p = (const unsigned char *)head;
	unsigned int sum = 0;

	memset(head->sum, ' ', sizeof(head->sum));
	for (size_t i = 0; i < sizeof(*head); i++)
		sum += p[i];
	snprintf(head->sum, sizeof(head->sum), "%06o", sum);
}

static void add_block(struct buf *to, const struct tar_entry *entry)
{
	struct tar_head head = { .type = entry->type, .magic = "ustar", .version = { '0', '0' } };
	size_t len = strlen(entry->name);

	memcpy(head.name, entry->name, len < sizeof(head.name) ? len : sizeof(head.name));
	put_number(head.mode, sizeof(head.mode), entry->mode & 07777);
	put_number(head.uid, sizeof(head.uid), entry->uid);
	put_number(head.gid, sizeof(head.gid), entry->gid);
	put_number(head.size, sizeof(head.size), entry->size);
	put_number(head.mtime, sizeof(head.mtime), 0);
	put_sum(&head);
	buf_add(to, &head, sizeof(head));
}

/* A pax record is "<length> path=<name>\n", where the length counts its own digits. */
static void add_pax_name(struct buf *to, const char *name)
{
	_cleanup_buf_ struct buf record = { 0 };
	size_t body = strlen(" path=\n") + strlen(name), len = body + 1;
	struct tar_entry entry = { .name = "pax", .mode = 0644, .type = 'x' };

	while (body + (size_t)snprintf(NULL, 0, "%zu", len) > len)
		len++;
	buf_printf(&record, "%zu path=%s\n", len, name);
	entry.size = record.len;
	add_block(to, &entry);
	buf_add(to, record.data, record.len);
	tar_add_padding(to, record.len);
}

void tar_add_head(struct buf *to, const struct tar_entry *entry)
{
	if (strlen(entry->name) > sizeof((struct tar_head *)0)->name)
		add_pax_name(to, entry->name);
	add_block(to, entry);
}

size_t tar_padding(uint64_t size)
{
	return (size_t)(-size % TAR_BLOCK);
}

static void add_zeros(struct buf *to, size_t len)
{
	static const char zeros[2 * TAR_BLOCK];

	buf_add(to, zeros, len);
}

void tar_add_padding(struct buf *to, uint64_t size)
{
	add_zeros(to, tar_padding(size));
}

void tar_add_end(struct buf *to)
{
	add_zeros(to, 2 * TAR_BLOCK);
}

static int get_octal(const char *from, size_t size, uint64_t *ret)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size && from[i] && from[i] != ' '; i++) {
		if (from[i] < '0' || from[i] > '7')
			return -EBADMSG;
		value = value * 8 + (uint64_t)(from[i] - '0');
	}
	*ret = value;
	return 0;
}

int tar_first_file(const char *bytes, size_t len, const char **ret, size_t *ret_len)
{
	while (len >= TAR_BLOCK && bytes[0]) {
		const struct tar_head *head = (const struct tar_head *)bytes;
		uint64_t size, all;

		if (memcmp(head->magic, "ustar", 5) || get_octal(head->size, sizeof(head->size), &size) < 0)
			return -EBADMSG;
		all = size + tar_padding(size);
		bytes += TAR_BLOCK;
		len -= TAR_BLOCK;
		if (size > len)
			return -EBADMSG;
		if (head->type == '0' || head->type == '\0') {
			*ret = bytes;
			*ret_len = (size_t)size;
			return 0;
		}
		if (all > len)
			return -EBADMSG;
		bytes += all;
		len -= (size_t)all;
	}
	return len == 0 || len >= TAR_BLOCK ? -ENOENT : -EBADMSG;
}
