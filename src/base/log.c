/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic int most_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level most)
{
	most_level = most;
}

static void stamp(char *to, size_t size)
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(to, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(to + n, size - n, ".%03ldZ ", ts.tv_nsec / 1000000);
}

void log_message(enum log_level level, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	char time[40] = "";
	va_list ap;

	if ((int)level > most_level)
		return;
	va_start(ap, format);
	text = xvasprintf(format, ap);
	va_end(ap);
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", level, text); /* the journal has its own clock */
	else {
		stamp(time, sizeof(time));
		fprintf(stderr, "%s%s\n", time, text);
	}
}
