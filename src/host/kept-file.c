/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/kept-file.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "host/place.h"

int kept_file_read(const char *path, struct kept_file *ret, struct err *err)
{
	_cleanup_(freep) char *text = NULL;
	int r = place_read_text(path, &text, err);

	if (r < 0)
		return r;
	*ret = (struct kept_file){ .path = path, .there = r == 0 };
	ret->text = text ? TAKE_PTR(text) : xstrdup("");
	return 0;
}

int kept_file_write(struct kept_file *file, const char *text, struct err *err)
{
	_cleanup_(freep) char *directory = xstrndup(file->path, (size_t)(strrchr(file->path, '/') - file->path));
	int r = fs_mkdirs(directory, 0755, err);

	if (r >= 0)
		r = place_write_text(file->path, text, 0, 0644, &file->written, err);
	return r < 0 ? r : 0;
}

int kept_file_put_back(const struct kept_file *file, struct err *err)
{
	if (!file->written)
		return 0;
	return file->there ? place_write_text(file->path, file->text, 0, 0644, NULL, err)
			   : place_remove(file->path, err);
}

void kept_file_release(struct kept_file *file)
{
	free(file->text);
	*file = (struct kept_file){ 0 };
}
