/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/apt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"
#include "image/sources.h"

#define APT_MS (INT64_C(900) * 1000)
#define QUERY_MS 60000

/* "4711 (apt-get upgrade)". The caller owns it. */
static char *describe_process(pid_t pid)
{
	_cleanup_(freep) char *path = xasprintf("/proc/%ld/cmdline", (long)pid);
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char words[200];
	ssize_t n = fd < 0 ? 0 : read(fd, words, sizeof(words) - 1);

	if (n <= 0)
		return xasprintf("%ld", (long)pid);
	for (ssize_t i = 0; i < n; i++)
		if (!words[i])
			words[i] = ' ';
	while (n && words[n - 1] == ' ')
		n--;
	words[n] = '\0';
	return xasprintf("%ld (%s)", (long)pid, words);
}

/* Who holds one of the locks that apt and dpkg take; owned by the caller, NULL: nobody. */
static char *lock_holder(void)
{
	static const char *const locks[] = { "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock",
					     "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock" };

	for (size_t i = 0; i < ARRAY_SIZE(locks); i++) {
		_cleanup_(closep) int fd = open(locks[i], O_RDWR | O_CLOEXEC);
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

		if (fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
			return describe_process(lock.l_pid);
	}
	return NULL;
}

static int wait_for_locks(struct step *step, int64_t wait_ms, struct err *err)
{
	int64_t until = clock_monotonic_ms() + wait_ms;
	int r = 0;

	for (;;) {
		_cleanup_(freep) char *who = lock_holder(), *why = NULL;

		if (!who)
			return 0;
		step_waiting(step, _("Waiting for apt's lock, which process %s holds"), who);
		why = xasprintf(_("Another program uses apt on this host, process %s: wait until it ends, or end it, "
				  "and run this again"),
				who);
		r = step_pause(step, until, why, err);
		if (r < 0)
			return err_set(err, EBUSY, "%s", why);
	}
}

static char *line_with(const char *output, const char *mark)
{
	const char *found = strstr(output, mark);
	char *line = found ? xstrndup(found, strcspn(found, "\n")) : NULL;

	if (line)
		text_printable(line, false);
	return line;
}

/* The first line of `output` that has one of the marks, from there on. */
static char *line_with_any(const char *output, const char *const *marks)
{
	char *line = NULL;

	for (size_t i = 0; !line && marks[i]; i++)
		line = line_with(output, marks[i]);
	return line;
}

int apt_say_why(const char *output, const char *what, struct err *err)
{
	static const char *const full[] = { "No space left on device", "enough free space", NULL };
	static const char *const early[] = { "is not valid yet", NULL };
	static const char *const late[] = { "is expired (invalid since", "is not valid anymore", NULL };
	static const char *const locked[] = { "Could not get lock", "Unable to lock", "is another process using it",
					      NULL };
	static const char *const away[] = { "Failed to fetch ",      "Could not resolve ",
					    "Could not connect to ", "Temporary failure resolving",
					    "Connection timed out",  NULL };
	static const char *const absent[] = { "Unable to locate package ", "has no installation candidate", NULL };
	static const char *const any[] = { "dpkg: error ", "E: ", NULL };
	_cleanup_(freep) char *line = line_with_any(output, full);

	if (line)
		return err_set(err, ENOSPC,
			       _("%s failed: the disk is full (%s). Make room below /var and run it again"), what,
			       line);
	line = line_with_any(output, early);
	if (line)
		return err_set(
		    err, EPROTO,
		    _("%s failed: this host's clock is behind the mirror's (%s). Set the clock, best by NTP, "
		      "and run it again"),
		    what, line);
	line = line_with_any(output, late);
	if (line)
		return err_set(err, EPROTO,
			       _("%s failed: the mirror is too old for this host's clock (%s). Look at both"), what,
			       line);
	line = line_with_any(output, locked);
	if (line)
		return err_set(err, EBUSY,
			       _("%s failed: another program uses apt on this host (%s). Run it again later"), what,
			       line);
	line = line_with_any(output, away);
	if (line)
		return err_set(err, EHOSTUNREACH,
			       _("%s failed: the package mirror cannot be used (%s). Check the network and this host's "
				 "apt sources"),
			       what, line);
	line = line_with_any(output, absent);
	if (line)
		return err_set(err, ENOENT, _("%s failed: this host's apt sources do not have it (%s)"), what, line);
	line = line_with_any(output, any);
	return err_set(err, EIO, _("%s failed: %s"), what,
		       line ? line : _("apt does not say why; see /var/log/apt/term.log"));
}

static int run_apt(struct run *run, struct buf *output, const char *what, struct err *err)
{
	int r;

	strv_add_all(&run->env, "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "APT_LISTCHANGES_FRONTEND=none",
		     "NEEDRESTART_SUSPEND=1", NULL);
	run->most_output = (size_t)1 << 20;
	r = run_program(run, output, err);
	return r > 0 ? apt_say_why(buf_text(output), what, err) : r;
}

static void apt_get(struct run *run, const struct step *step)
{
	strv_add_all(&run->argv, "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=60", "-o", "Dpkg::Use-Pty=0", NULL);
	run->timeout_ms = step_left(step) < APT_MS ? step_left(step) : APT_MS;
}

/* Does dpkg have a journal of an installation that did not end? */
static bool interrupted(void)
{
	DIR *updates = opendir("/var/lib/dpkg/updates");
	struct dirent *e;
	bool found = false;

	while (updates && (e = readdir(updates)))
		found |= e->d_name[0] != '.';
	if (updates)
		closedir(updates);
	return found;
}

/* Packages that are unpacked and not configured: what a kill between the two leaves. */
static bool half_installed(void)
{
	_cleanup_run_ struct run run = { .timeout_ms = QUERY_MS };
	_cleanup_buf_ struct buf output = { 0 };

	strv_add_all(&run.argv, "dpkg", "--audit", NULL);
	return run_program(&run, &output, NULL) == 0 && output.len > 0;
}

/* What dpkg cannot complete, apt-get's --fix-broken may, and its words count: so no result. */
static void complete_interrupted(struct step *step)
{
	_cleanup_run_ struct run run = { .timeout_ms = APT_MS };
	_cleanup_buf_ struct buf output = { 0 };

	if (!interrupted() && !half_installed())
		return;
	step_waiting(step, _("Completing an installation that was interrupted: dpkg --configure -a"));
	strv_add_all(&run.argv, "dpkg", "--force-confold", "--configure", "-a", NULL);
	run_apt(&run, &output, "dpkg --configure -a", NULL);
}

int apt_update(struct step *step, int64_t lock_wait_ms, struct err *err)
{
	_cleanup_run_ struct run run = { 0 };
	_cleanup_buf_ struct buf output = { 0 };
	int r = wait_for_locks(step, lock_wait_ms, err);

	if (r < 0)
		return r;
	apt_get(&run, step);
	strv_add_all(&run.argv, "-o", "APT::Update::Error-Mode=any", "update", NULL);
	return run_apt(&run, &output, "apt-get update", err);
}

static int install_once(struct step *step, const char *package, int64_t lock_wait_ms, struct err *err)
{
	_cleanup_(freep) char *what = xasprintf(_("Installing %s"), package);
	_cleanup_run_ struct run run = { 0 };
	_cleanup_buf_ struct buf output = { 0 };
	int r = wait_for_locks(step, lock_wait_ms, err);

	if (r < 0)
		return r;
	complete_interrupted(step);
	apt_get(&run, step);
	strv_add_all(&run.argv, "-o", "Dpkg::Options::=--force-confold", "--no-install-recommends", "--fix-broken",
		     "install", package, NULL);
	return run_apt(&run, &output, what, err);
}

int apt_install(struct step *step, const char *package, int64_t lock_wait_ms, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;
	int r = install_once(step, package, lock_wait_ms, &why);

	/* Lists that are old, or were never there, name packages that the mirror does not have any more. */
	if (r == -ENOENT || r == -EHOSTUNREACH) {
		r = apt_update(step, lock_wait_ms, err);
		return r < 0 ? r : install_once(step, package, lock_wait_ms, err);
	}
	return r < 0 ? err_set(err, -r, "%s", err_text(&why)) : 0;
}

char *apt_candidate(const char *package)
{
	static const char mark[] = "\n  Candidate: ";
	_cleanup_run_ struct run run = { .timeout_ms = QUERY_MS };
	_cleanup_buf_ struct buf output = { 0 };
	const char *found;

	strv_add_all(&run.argv, "apt-cache", "policy", package, NULL);
	strv_add(&run.env, "LC_ALL=C.UTF-8");
	if (run_program(&run, &output, NULL) != 0)
		return NULL;
	found = strstr(buf_text(&output), mark);
	if (!found || text_starts(found + strlen(mark), "(none)"))
		return NULL;
	found += strlen(mark);
	return xstrndup(found, strcspn(found, "\n"));
}

static bool has_status(const char *package, const char *const *statuses)
{
	_cleanup_run_ struct run run = { .timeout_ms = QUERY_MS };
	_cleanup_buf_ struct buf output = { 0 };
	bool found = false;

	strv_add_all(&run.argv, "dpkg-query", "-W", "-f", "${db:Status-Status}", package, NULL);
	if (run_program(&run, &output, NULL) != 0)
		return false;
	for (size_t i = 0; statuses[i]; i++)
		found |= !strcmp(buf_text(&output), statuses[i]);
	return found;
}

bool apt_installed(const char *package)
{
	static const char *const statuses[] = { "installed", NULL };

	return has_status(package, statuses);
}

bool apt_interrupted(const char *package)
{
	static const char *const statuses[] = { "half-installed", "unpacked", "half-configured", NULL };

	return has_status(package, statuses);
}

static int architecture(char **ret, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = QUERY_MS };
	_cleanup_buf_ struct buf output = { 0 };
	int r;

	strv_add_all(&run.argv, "dpkg", "--print-architecture", NULL);
	r = run_checked(&run, &output, err);
	if (r < 0)
		return r;
	*ret = xstrndup(buf_text(&output), strcspn(buf_text(&output), "\n"));
	return 0;
}

int apt_mirror(const char *suite, char **ret_uri, char **ret_keyring, struct err *err)
{
	_cleanup_sources_ struct sources sources = { 0 };
	_cleanup_(freep) char *machine = NULL;
	int r = architecture(&machine, err);

	if (r == 0)
		r = sources_of_host(suite, machine, &sources, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sources.n; i++) {
		const struct source *source = &sources.v[i];

		if (strcmp(source->release, suite) != 0 || !strv_has(&source->components, "main"))
			continue;
		*ret_uri = xstrdup(source->uri);
		*ret_keyring = source->signed_by && source->signed_by[0] == '/' ? xstrdup(source->signed_by) : NULL;
		return 0;
	}
	return err_set(err, ENOENT, _("This host's apt sources have no %s to take a mirror from"), suite);
}
