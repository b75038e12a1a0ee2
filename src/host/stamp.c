/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/stamp.h"

#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "host/place.h"
#include "host/service.h"
#include "image/digest.h"

#define DIRECTORY "/run/tepuy-setup"

static char *file_of(const char *unit, const char *aspect)
{
	return xasprintf(DIRECTORY "/%s.%s", unit, aspect);
}

/* "<invocation> <hash>", or NULL when the service does not run. */
static char *note_for(const char *unit, const char *text)
{
	_cleanup_(freep) char *invocation = service_property(unit, "InvocationID"),
			      *hash = digest_of(text, strlen(text));

	return *invocation && service_active(unit) ? xasprintf("%s %s", invocation, hash) : NULL;
}

bool stamp_is(const char *unit, const char *aspect, const char *text)
{
	_cleanup_(freep) char *file = file_of(unit, aspect), *note = note_for(unit, text), *noted = NULL;

	return note && place_read_line(file, &noted, NULL) == 0 && !strcmp(noted, note);
}

void stamp_set(const char *unit, const char *aspect, const char *text)
{
	_cleanup_(freep) char *file = file_of(unit, aspect), *note = note_for(unit, text);

	/* A note that cannot be written costs a restart that was not needed. */
	if (note && fs_mkdirs(DIRECTORY, 0700, NULL) == 0)
		place_write_text(file, note, 0, 0600, NULL, NULL);
}

/* Milliseconds since the epoch at which the service's main process was started, 0: unknown. */
static int64_t started(const char *unit)
{
	_cleanup_(freep) char *text = service_property(unit, "ExecMainStartTimestampMonotonic");
	uint64_t us;

	if (text_u64(text, &us) < 0 || !us)
		return 0;
	return clock_realtime_ms() - clock_monotonic_ms() + (int64_t)(us / 1000);
}

static int64_t newest(const struct strv *files)
{
	int64_t newest_ms = 0;
	struct stat st;

	for (size_t i = 0; i < files->n; i++)
		if (stat(files->v[i], &st) == 0) {
			int64_t ms = (int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000;

			newest_ms = ms > newest_ms ? ms : newest_ms;
		}
	return newest_ms;
}

void stamp_adopt(const char *unit, const char *aspect, const char *text, const struct strv *files)
{
	_cleanup_(freep) char *file = file_of(unit, aspect), *noted = NULL;
	_cleanup_(freep) char *invocation = service_property(unit, "InvocationID");

	if (!service_active(unit))
		return;
	if (place_read_line(file, &noted, NULL) == 0 && *invocation && text_starts(noted, invocation))
		return;
	if (started(unit) > newest(files))
		stamp_set(unit, aspect, text);
}
