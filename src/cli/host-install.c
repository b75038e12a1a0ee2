/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/host-install.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"
#include "cli/host-bundle.h"
#include "cli/host-step.h"

enum { MOST_OUTPUT = 256 << 10, APT_MS = 25 * 60 * 1000, LOCK_PAUSE_MS = 1000 };

#define CACHE "/var/cache/tepuy"

char *apt_lock_holder(const char *output)
{
	static const char held[] = "It is held by ";
	const char *lock = strstr(output, "Could not get lock"), *by;
	size_t len;

	if (!lock)
		return strstr(output, "Unable to acquire the dpkg frontend lock") ? xstrdup(_("another process"))
										  : NULL;
	by = strstr(lock, held);
	if (!by)
		return xstrdup(_("another process"));
	by += strlen(held);
	len = strcspn(by, "\n");
	return xstrndup(by, len && by[len - 1] == '.' ? len - 1 : len);
}

static int keep_output(void *data, bool is_stderr, const char *bytes, size_t len)
{
	struct buf *output = data;

	(void)is_stderr;
	buf_add(output, bytes, len);
	if (output->len > MOST_OUTPUT)
		buf_consume(output, output->len - MOST_OUTPUT / 2);
	return 0;
}

/* The last of apt's own errors, or its last line. */
static char *apt_complaint(const char *output)
{
	const char *best = NULL, *line = output;

	while (line && *line) {
		const char *next = strchr(line, '\n');

		if (text_starts(line, "E: ") || text_starts(line, "dpkg: error") ||
		    strstr(line, "No space left on device"))
			best = line;
		line = next ? next + 1 : NULL;
	}
	if (!best)
		best = output;
	return xstrndup(best, strcspn(best, "\n"));
}

static bool is_disk_full(const char *output)
{
	return strstr(output, "No space left on device") || strstr(output, "enough free space");
}

static bool was_interrupted(const char *output)
{
	return strstr(output, "dpkg was interrupted") != NULL;
}

/* One call of apt-get or dpkg: its status, with what it wrote in `output`. */
static int call(struct member *host, const struct strv *argv, struct buf *output, struct err *err)
{
	struct remote_command command = {
		.argv = argv, .sudo = true, .sink = keep_output, .data = output, .timeout_ms = APT_MS
	};
	int status = 0, r = remote_exec(host->remote, &command, &status, err);

	buf_addc(output, '\0');
	output->len--;
	return r < 0 ? r : status;
}

static int configure_rest(struct cluster *cluster, struct member *host, struct err *err)
{
	_cleanup_buf_ struct buf output = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };
	int r;

	cluster_say(cluster, host, PROGRESS_WORKING, _("mending what an interrupted dpkg left"));
	strv_add_all(&argv, "env", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-confold",
		     "--configure", "-a", NULL);
	r = call(host, &argv, &output, err);
	return r < 0 ? r : 0; /* what it could not mend, apt says next */
}

static int apt_failed(const char *what, const char *output, struct err *err)
{
	_cleanup_(freep) char *complaint = apt_complaint(output);

	if (is_disk_full(output))
		return err_set(err, ENOSPC, _("Its disk is full, so %s failed: %s; make room and run this again"), what,
			       complaint);
	return err_set(err, EIO, _("%s failed: %s; mend it there and run this again"), what, complaint);
}

/* apt-get with `words`; waits for its lock. `what` names it for a person. */
static int apt(struct cluster *cluster, struct member *host, const struct install *install, const char *what,
	       const struct strv *words, struct err *err)
{
	int64_t end = clock_monotonic_ms() + install->lock_wait_ms;
	_cleanup_strv_ struct strv argv = { 0 };
	bool mended = false;

	strv_add_all(&argv, "env", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o",
		     "DPkg::Lock::Timeout=0", "-o", "Dpkg::Options::=--force-confold", "-o",
		     "APT::Update::Error-Mode=any", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1",
		     NULL);
	strv_copy(&argv, words);
	for (;;) {
		_cleanup_buf_ struct buf output = { 0 };
		_cleanup_(freep) char *holder = NULL;
		int status = call(host, &argv, &output, err);

		if (status <= 0)
			return status;
		holder = apt_lock_holder(buf_text(&output));
		if (!holder && was_interrupted(buf_text(&output)) && !mended) {
			mended = true;
			status = configure_rest(cluster, host, err);
			if (status < 0)
				return status;
			continue;
		}
		if (!holder)
			return apt_failed(what, buf_text(&output), err);
		if (clock_monotonic_ms() > end)
			return err_set(err, EBUSY,
				       _("apt's lock is held by %s there, longer than was waited for; let it end, or "
					 "end it, and run this again"),
				       holder);
		cluster_say(cluster, host, PROGRESS_WORKING, _("waiting for apt's lock, held by %s"), holder);
		nanosleep(&(struct timespec){ .tv_sec = LOCK_PAUSE_MS / 1000 }, NULL);
	}
}

/* Copies a file of this machine; the host has it already when it is equal. */
static int give_file(struct member *host, const char *from, const char *to, mode_t mode, struct err *err)
{
	_cleanup_(closep) int fd = open(from, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, errno, _("Cannot read %s"), from);
	return remote_put(host->remote, fd, to, mode, true, err);
}

static int make_cache(struct member *host, struct err *err)
{
	return host_run(host, NULL, err, "install", "-d", "-m", "755", CACHE, NULL);
}

/* A host that is ahead of what would be installed must not be set back behind its operator's back. */
static int refuse_newer(struct member *host, const struct deb *deb, struct err *err)
{
	_cleanup_err_ struct err own = ERR_INIT;
	int r;

	if (!host->facts.installed)
		return 0;
	r = host_run(host, NULL, &own, "dpkg", "--compare-versions", host->facts.installed, "le", deb->version, NULL);
	if (r == 0)
		return 0;
	if (r != -EIO)
		return err_set(err, -r, "%s", err_text(&own));
	return err_set(err, EEXIST,
		       _("It has tepuy %s, newer than the %s that would be installed; name the newer package with "
			 "--package"),
		       host->facts.installed, deb->version);
}

static bool is_there(const struct member *host, const struct deb *deb)
{
	return host->facts.installed && host->facts.build && !strcmp(host->facts.installed, deb->version) &&
	       !strcmp(host->facts.build, deb->build) && !host->facts.interrupted;
}

static int install_deb(struct cluster *cluster, struct member *host, const struct install *install, const char *path,
		       struct err *err)
{
	_cleanup_(freep) char *what = xasprintf("apt-get install %s", path);
	_cleanup_strv_ struct strv update = { 0 }, words = { 0 };
	int r;

	strv_add(&update, "update");
	strv_add_all(&words, "install", "--no-install-recommends", "--reinstall", NULL);
	if (install->upgrade)
		strv_add(&words, "--allow-downgrades");
	strv_add(&words, path);
	cluster_say(cluster, host, PROGRESS_WORKING, _("reading the lists of its apt mirror"));
	r = apt(cluster, host, install, "apt-get update", &update, err);
	if (r < 0)
		return r;
	cluster_say(cluster, host, PROGRESS_WORKING, _("installing tepuy"));
	return apt(cluster, host, install, what, &words, err);
}

/* Earlier packages of tepuy in the cache: only the one that is installed is of use. */
static void drop_others(struct member *host, const char *kept)
{
	(void)host_run(host, NULL, NULL, "find", CACHE, "-maxdepth", "1", "-name", "tepuy_*.deb", "!", "-path", kept,
		       "-delete", NULL);
}

/*
 * A host that was prepared offline has its own sources again when it is prepared without a bundle. Another version of
 * tepuy is no reason: it comes with its file, and the host may have no other source.
 */
static int choose_sources(struct cluster *cluster, struct member *host, const struct install *install, struct err *err)
{
	if (install->bundle)
		return bundle_give(cluster, host, install->bundle, install->bundle_sha256, err);
	return host->facts.offline && !install->upgrade ? bundle_take_back(host, err) : 0;
}

int host_install(struct cluster *cluster, struct member *host, const struct install *install, struct err *err)
{
	const struct deb *deb = debs_for(&install->debs, host->facts.architecture ? host->facts.architecture : "?");
	_cleanup_(freep) char *path = NULL;
	int r;

	if (!deb)
		return err_set(err, ENOENT,
			       _("It is a machine of architecture %s, for which there is no package of tepuy; make one "
				 "with scripts/package on such a machine and add it with --package"),
			       host->facts.architecture);
	r = choose_sources(cluster, host, install, err);
	if (r < 0 || is_there(host, deb))
		return r;
	r = install->upgrade ? 0 : refuse_newer(host, deb, err);
	if (r == 0)
		r = make_cache(host, err);
	if (r < 0)
		return r;
	cluster_say(cluster, host, PROGRESS_WORKING, _("copying tepuy %s"), deb->version);
	path = xasprintf("%s/tepuy_%s_%s.deb", CACHE, deb->version, deb->architecture);
	r = give_file(host, deb->path, path, 0644, err);
	if (r == 0)
		r = install_deb(cluster, host, install, path, err);
	if (r < 0)
		return r;
	host->changes++;
	drop_others(host, path);
	return 0;
}

int host_give_consul(struct cluster *cluster, struct member *host, const struct install *install, char **ret_path,
		     struct err *err)
{
	_cleanup_(freep) char *path = NULL;
	int r;

	if (!install->consul || host->facts.consul)
		return 0;
	cluster_say(cluster, host, PROGRESS_WORKING, _("copying Consul"));
	path = xstrdup(install->consul_is_binary ? CACHE "/consul" : CACHE "/consul.deb");
	r = make_cache(host, err);
	if (r == 0)
		r = give_file(host, install->consul, path, install->consul_is_binary ? 0755 : 0644, err);
	if (r == 0)
		*ret_path = TAKE_PTR(path);
	return r;
}
