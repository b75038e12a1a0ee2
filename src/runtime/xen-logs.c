/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a node's main process said: from the machine's journal by SSH, or from its disk when it does not run. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/run.h"
#include "runtime/xen-journal.h"
#include "runtime/xen-unit.h"
#include "runtime/xen.h"

#define READ_MS 300000
#define CONNECT_MS 30000
#define LOCK_MS 240000
#define MOST_STOPPED (64u << 20)

static void journalctl(struct strv *argv, int tail)
{
	strv_add_all(argv, "journalctl", "-q", "--no-pager", "--all", "-o", "json", "--output-fields=MESSAGE,PRIORITY",
		     "-n", NULL);
	if (tail < 0)
		strv_add(argv, "all");
	else
		strv_addf(argv, "%d", tail);
	strv_add_all(argv, "_SYSTEMD_UNIT=" XEN_UNIT, "_TRANSPORT=stdout", NULL);
}

static int take_output(void *data, bool is_stderr, const char *bytes, size_t len)
{
	return is_stderr ? 0 : xen_journal_feed(data, bytes, len);
}

static int read_running(struct xen *xen, const struct xen_node *node, const struct xen_record *record, int tail,
			bool follow, int stop_fd, struct xen_journal *journal, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = { .argv = &argv,
					  .sink = take_output,
					  .data = journal,
					  .stop_fd = stop_fd,
					  .timeout_ms = follow ? -1 : READ_MS };
	struct remote *remote = NULL;
	int status = 0, r;
	bool kept;

	journalctl(&argv, tail);
	if (follow)
		strv_add(&argv, "-f");
	r = xen_session(xen, node, record->run, follow, CONNECT_MS, &remote, &kept, err);
	r = r < 0 ? r : remote_exec(remote, &command, &status, err);
	if (r == 0 && !follow)
		xen_session_back(xen, node->name, record->run, remote);
	else
		remote_close(remote);
	if (r == -ECANCELED && !journal->failure)
		return 0; /* told to stop */
	/* A session that had died: nothing was said yet. */
	return r == -EHOSTUNREACH && kept ? -EAGAIN : r;
}

/* journalctl in dom0 reads the journal's files through the mount, which has no place of its own. */
struct reader {
	int root;
};

static int in_child(void *data)
{
	const struct reader *reader = data;

	return fcntl(reader->root, F_SETFD, 0) < 0 ? -errno : 0;
}

static int read_stopped(struct xen *xen, const char *id, int tail, struct xen_journal *journal, struct err *err)
{
	const struct xen_config *config;
	_cleanup_(xen_unmountp) struct xen_mount mount = XEN_MOUNT_INIT;
	_cleanup_(closep) int lock = -1, directory = -1;
	_cleanup_(freep) char *disk = NULL;
	_cleanup_run_ struct run run = { .timeout_ms = READ_MS, .most_output = MOST_STOPPED, .in_child = in_child };
	_cleanup_buf_ struct buf output = { 0 };
	struct reader reader;
	int r = xen_config_of(xen, &config, err);

	if (r < 0)
		return r;
	disk = xen_node_disk(config, id);
	lock = xen_lock_node(config, id, LOCK_MS, err);
	r = lock < 0 ? lock : xen_mount(disk, true, &mount, err);
	if (r < 0)
		return r;
	directory = openat(mount.root, "var/log/journal", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (directory < 0)
		return 0; /* it never ran */
	reader.root = directory;
	run.child_data = &reader;
	journalctl(&run.argv, tail);
	strv_addf(&run.argv, "--directory=/proc/self/fd/%d", directory);
	r = run_checked(&run, &output, err);
	close(directory);
	directory = -1;
	xen_unmount(&mount, NULL);
	close(lock);
	lock = -1;
	return r < 0 ? r : xen_journal_feed(journal, output.data, output.len);
}

static int read_once(struct xen *xen, const char *id, int tail, bool follow, int stop_fd, struct xen_journal *journal,
		     struct err *err)
{
	_cleanup_xen_node_ struct xen_node node = { 0 };
	struct xen_record record = { 0 };
	bool has_record, present = false;
	int r = xen_load_node(xen, id, &node, &record, &has_record, err);

	if (r == 0 && !has_record)
		return 0; /* it never ran */
	if (r == 0 && record.phase == XEN_RUNNING) {
		present = xen_has_session(xen, id, record.run);
		r = present ? 0 : xen_domain_runs(xen, id, &present, err);
	}
	if (r < 0)
		return r;
	if (!present)
		return record.run ? read_stopped(xen, id, tail, journal, err) : 0;
	r = read_running(xen, &node, &record, tail, follow, stop_fd, journal, err);
	if (r == -EAGAIN || r == -EHOSTUNREACH || r == -ETIMEDOUT) {
		xen_forget_sessions(xen, id);
		/* A log that is followed ends with its machine. */
		if (xen_domain_runs(xen, id, &present, NULL) == 0 && !present)
			return follow ? 0 : -EAGAIN;
	}
	return r;
}

int xen_logs(struct runtime *rt, const char *id, int tail, bool follow, bool timestamps, int stop_fd, runtime_log_fn fn,
	     void *data, struct err *err)
{
	struct xen *xen = xen_of(rt);
	struct xen_journal journal = { .timestamps = timestamps, .fn = fn, .data = data };
	int r = read_once(xen, id, tail, follow, stop_fd, &journal, err);

	if (r == -EAGAIN)
		r = read_once(xen, id, tail, follow, stop_fd, &journal, err);
	xen_journal_release(&journal);
	if (journal.failure < 0)
		return err_errno(err, -journal.failure, _("The reader of the log of %s ended it"), id);
	return r < 0 && r != -ENOENT && r != -EPERM && err ? err_wrap(err, _("Cannot read the log of %s"), id) : r;
}
