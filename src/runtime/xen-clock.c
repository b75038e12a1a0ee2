/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A machine's kernel reads Xen's clock when it boots, and counts by itself from there: what keeps the host's clock
 * right does nothing for it. It has no time daemon of its own, nor a server that it could ask, as a host need not be
 * one.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/log.h"
#include "runtime/xen.h"

#define CONNECT_MS 5000
#define ASK_MS 10000
#define MOST_OFF 1000
#define TRIES 3

int xen_clock_lacks(const char *said, int64_t before_ms, int64_t after_ms, int64_t *ret_ms)
{
	long long seconds, nanoseconds;
	int64_t off, unsure = (after_ms - before_ms) / 2;
	char end;

	if (sscanf(said, "%12lld.%9lld%c", &seconds, &nanoseconds, &end) != 3 || end != '\n' || seconds < 0 ||
	    seconds > INT32_MAX * 4LL || nanoseconds < 0 || unsure < 0)
		return -EBADMSG;
	off = before_ms + unsure - (seconds * 1000 + nanoseconds / 1000000);
	*ret_ms = off > MOST_OFF + unsure || off < -MOST_OFF - unsure ? off : 0;
	return 0;
}

static int ask(struct remote *remote, const struct xen_config *config, int64_t *ret_ms, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = { .argv = &argv, .timeout_ms = xen_patience(config, ASK_MS) };
	int64_t before = 0, after = 0;
	_cleanup_buf_ struct buf said = { 0 };
	int r = 0;

	strv_add_all(&argv, "date", "-u", "+%s.%N", NULL);
	/* The first answer of a machine that does little takes longer. */
	for (int i = 0; i < TRIES && r == 0 && (i == 0 || after - before > MOST_OFF / 4); i++) {
		buf_consume(&said, said.len);
		before = clock_realtime_ms();
		r = xen_command(remote, &command, &said, err);
		after = clock_realtime_ms();
	}
	if (r == 0 && xen_clock_lacks(buf_text(&said), before, after, ret_ms) < 0)
		r = err_set(err, EBADMSG, _("A machine did not tell the time"));
	return r;
}

static int set(struct remote *remote, const struct xen_config *config, int64_t by_ms, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = { .argv = &argv, .timeout_ms = xen_patience(config, ASK_MS) };

	/* By how much, not to which time: how long this takes on its way does not matter then. */
	strv_add_all(&argv, "date", "-u", "-s", NULL);
	strv_addf(&argv, "%c%lld.%03lld seconds", by_ms < 0 ? '-' : '+', (long long)(by_ms < 0 ? -by_ms : by_ms) / 1000,
		  (long long)(by_ms < 0 ? -by_ms : by_ms) % 1000);
	return xen_command(remote, &command, NULL, err);
}

int xen_level_clock(struct xen *xen, const char *name, struct err *err)
{
	_cleanup_xen_node_ struct xen_node node = { 0 };
	const struct xen_config *config;
	struct xen_record record;
	struct remote *remote = NULL;
	int64_t by_ms = 0;
	bool kept;
	int r = xen_config_of(xen, &config, err);

	r = r < 0 ? r : xen_find_running(xen, name, &node, &record, err);
	if (r < 0)
		return r;
	if (node.isolated)
		return 0; /* nothing can be asked of it */
	/* Not kept: each session that is open takes memory in the machine. */
	r = xen_session(xen, &node, record.run, true, CONNECT_MS, &remote, &kept, err);
	r = r < 0 ? r : ask(remote, config, &by_ms, err);
	if (r == 0 && by_ms) {
		r = set(remote, config, by_ms, err);
		if (r == 0)
			log_debug("The clock of %s was off by %lld ms and is set.", name, (long long)by_ms);
	}
	remote_close(remote);
	return r;
}
