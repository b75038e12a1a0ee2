/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/err.h"

#include <errno.h>
#include <string.h>

static int err_take(struct err *err, int code, char *message)
{
	if (!err) {
		free(message);
		return -code;
	}
	err_release(err);
	err->code = code;
	err->message = message;
	return -code;
}

int err_set(struct err *err, int code, const char *format, ...)
{
	va_list ap;
	char *message;

	va_start(ap, format);
	message = xvasprintf(format, ap);
	va_end(ap);
	return err_take(err, code, message);
}

int err_errno(struct err *err, int code, const char *format, ...)
{
	_cleanup_(freep) char *what = NULL;
	va_list ap;

	va_start(ap, format);
	what = xvasprintf(format, ap);
	va_end(ap);
	return err_take(err, code, xasprintf("%s: %s", what, strerror(code)));
}

int err_wrap(struct err *err, const char *format, ...)
{
	_cleanup_(freep) char *what = NULL;
	char *message;
	va_list ap;

	if (!err)
		return -EIO;
	va_start(ap, format);
	what = xvasprintf(format, ap);
	va_end(ap);
	message = xasprintf("%s: %s", what, err_text(err));
	free(err->message);
	err->message = message;
	if (!err->code)
		err->code = EIO;
	return -err->code;
}

const char *err_text(const struct err *err)
{
	return err && err->message ? err->message : strerror(err ? err->code : EIO);
}

void err_release(struct err *err)
{
	if (!err)
		return;
	free(err->message);
	free(err->file);
	*err = ERR_INIT;
}
