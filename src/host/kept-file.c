/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/kept-file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "host/place.h"

int kept_file_read(const char *path, struct kept_file *ret, struct err *err)
{
	_cleanup_(freep) char *text = NULL;
	struct stat st = { .st_mode = 0644 };
	int r = place_read_text(path, &text, err);

	if (r == 0 && stat(path, &st) < 0)
		return err_errno(err, errno, _("Cannot read %s"), path);
	if (r < 0)
		return r;
	*ret = (struct kept_file){ .path = path, .there = r == 0, .group = st.st_gid, .mode = st.st_mode & 07777 };
	ret->text = text ? TAKE_PTR(text) : xstrdup("");
	return 0;
}

int kept_file_write(struct kept_file *file, const char *text, struct err *err)
{
	_cleanup_(freep) char *directory = xstrndup(file->path, (size_t)(strrchr(file->path, '/') - file->path));
	int r = fs_mkdirs(directory, 0755, err);

	if (r >= 0)
		r = place_write_text(file->path, text, file->group, file->mode, &file->written, err);
	return r < 0 ? r : 0;
}

int kept_file_put_back(const struct kept_file *file, struct err *err)
{
	if (!file->written)
		return 0;
	return file->there ? place_write_text(file->path, file->text, file->group, file->mode, NULL, err)
			   : place_remove(file->path, err);
}

void kept_file_release(struct kept_file *file)
{
	free(file->text);
	*file = (struct kept_file){ 0 };
}
