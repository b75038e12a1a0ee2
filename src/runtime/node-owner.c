/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "runtime/node-root.h"

/* The n-th field (from 0) of a line "a:b:c", not NUL-terminated; NULL when there are fewer. */
static const char *field(const char *line, size_t line_len, int n, size_t *ret_len)
{
	const char *end = line + line_len;

	for (; n > 0; n--) {
		line = memchr(line, ':', (size_t)(end - line));
		if (!line)
			return NULL;
		line++;
	}
	*ret_len = (size_t)(end - line);
	for (size_t i = 0; i < *ret_len; i++)
		if (line[i] == ':')
			*ret_len = i;
	return line;
}

static bool number_at(const char *line, size_t line_len, int n, uint32_t *ret)
{
	size_t len;
	const char *p = field(line, line_len, n, &len);
	_cleanup_(freep) char *text = p ? xstrndup(p, len) : NULL;
	uint64_t value;

	if (!text || text_u64(text, &value) < 0 || value >= UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

/* The line whose field `n` is `key`. */
static const char *find_line(const char *text, int n, const char *key, size_t *ret_len)
{
	for (const char *line = text; line && *line;) {
		size_t line_len = strcspn(line, "\n"), len;
		const char *p = field(line, line_len, n, &len);

		if (p && len == strlen(key) && !memcmp(p, key, len)) {
			*ret_len = line_len;
			return line;
		}
		line += line_len;
		line += *line == '\n';
	}
	return NULL;
}

static int find_user(const char *user, const char *passwd, uint32_t *uid, uint32_t *gid, struct err *err)
{
	uint64_t number;
	bool numeric = text_u64(user, &number) == 0 && number < UINT32_MAX;
	size_t len;
	const char *line = find_line(passwd, numeric ? 2 : 0, user, &len);

	if (line && number_at(line, len, 2, uid) && number_at(line, len, 3, gid))
		return 0;
	if (!numeric)
		return err_set(err, ENOENT,
			       _("The node has no user '%s'; add the package that makes it, or correct the owner"),
			       user);
	*uid = *gid = (uint32_t)number;
	return 0;
}

static int find_group(const char *name, const char *group, uint32_t *gid, struct err *err)
{
	uint64_t number;
	size_t len;
	const char *line = find_line(group, 0, name, &len);

	if (line && number_at(line, len, 2, gid))
		return 0;
	if (text_u64(name, &number) < 0 || number >= UINT32_MAX)
		return err_set(err, ENOENT,
			       _("The node has no group '%s'; add the package that makes it, or correct the owner"),
			       name);
	*gid = (uint32_t)number;
	return 0;
}

int node_owner(const char *owner, const char *passwd, const char *group, uid_t *ret_uid, gid_t *ret_gid,
	       struct err *err)
{
	size_t len = strcspn(owner, ":");
	_cleanup_(freep) char *user = xstrndup(owner, len);
	uint32_t uid = 0, gid = 0;
	int r = find_user(user, passwd, &uid, &gid, err);

	if (r == 0 && owner[len])
		r = find_group(owner + len + 1, group, &gid, err);
	if (r < 0)
		return r;
	*ret_uid = uid;
	*ret_gid = gid;
	return 0;
}

bool node_path_is_sane(const char *path)
{
	if (*path != '/' || strlen(path) >= 4096)
		return false;
	for (const char *part = path + 1;; part++) {
		size_t len = strcspn(part, "/");

		if (!len || (len == 1 && *part == '.') || (len == 2 && part[0] == '.' && part[1] == '.') || len > 200)
			return false;
		part += len;
		if (!*part)
			return true;
	}
}
