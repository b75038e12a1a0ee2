/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A machine's start and stop. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"
#include "runtime/xen-copied.h"
#include "runtime/xen-unit.h"
#include "runtime/xen.h"

#define LOCK_MS 240000
#define CREATE_MS 180000
#define POWEROFF_MS 60000
#define UNIT_MS 120000
#define CONNECT_MS 10000

/* One start. */
struct start {
	struct xen *xen;
	const struct xen_config *config;
	struct xen_node node;
	struct xen_record record;
	struct err *err;
};

static bool wants_pvh(struct xen *xen, const struct xen_config *config)
{
	_cleanup_(freep) char *caps = NULL;
	enum xen_type can;

	if (config->type != XEN_ANY)
		return config->type == XEN_PVH;
	pthread_mutex_lock(&xen->lock);
	can = xen->can;
	pthread_mutex_unlock(&xen->lock);
	if (can == XEN_ANY) {
		if (xen_info("virt_caps", &caps, NULL) < 0)
			return false;
		can = strstr(caps, "hvm") ? XEN_PVH : XEN_PV;
		pthread_mutex_lock(&xen->lock);
		xen->can = can;
		pthread_mutex_unlock(&xen->lock);
	}
	return can == XEN_PVH;
}

/* What Xen would say in words that only its developers know. */
static int check_host(const struct start *start)
{
	const struct xen_config *config = start->config;

	if (access(config->kernel, R_OK) < 0)
		return err_errno(start->err, errno,
				 _("Machines of this host start with the kernel %s ('kernel' in xen.json)"),
				 config->kernel);
	if (access(config->initrd, R_OK) < 0)
		return err_errno(start->err, errno,
				 _("Machines of this host start with the initrd %s ('initrd' in xen.json)"),
				 config->initrd);
	for (size_t i = 0; i < start->node.n_networks; i++) {
		const char *bridge = start->node.networks[i].bridge;
		_cleanup_(freep) char *path = xasprintf("/sys/class/net/%s/bridge", bridge);

		if (access(path, F_OK) < 0)
			return err_set(start->err, ENODEV,
				       _("This host has no bridge %s, which the machine %s is to be on; make it, or "
					 "correct xen.json"),
				       bridge, start->node.name);
	}
	return 0;
}

/* xl.cfg in the node's directory. */
static int write_config(const struct start *start, char **ret_path)
{
	const struct xen_node *node = &start->node;
	struct xen_disk_line *lines = xcalloc(node->n_mounts + 1, sizeof(*lines));
	_cleanup_strv_ struct strv paths = { 0 };
	_cleanup_(freep) char *text = NULL;
	size_t n = 0;
	int r = 0;

	strv_take(&paths, xen_node_disk(start->config, node->name));
	lines[n++] = (struct xen_disk_line){ .path = paths.v[0] };
	for (size_t i = 0; i < node->n_mounts && r == 0; i++) {
		char *disk = NULL;
		bool device;

		if (node->mounts[i].copied)
			continue;
		r = xen_volume_disk(&node->mounts[i], &disk, &device, start->err);
		if (r < 0)
			break;
		strv_take(&paths, disk);
		lines[n++] = (struct xen_disk_line){ .path = disk, .read_only = node->mounts[i].read_only };
	}
	if (r == 0)
		r = xen_encode_config(start->config, node, wants_pvh(start->xen, start->config), lines, n, &text,
				      start->err);
	free(lines);
	if (r < 0)
		return r;
	*ret_path = xen_node_path(start->config, node->name, "xl.cfg");
	return fs_write(*ret_path, text, strlen(text), 0600, start->err);
}

static int no_memory(const struct start *start)
{
	_cleanup_(freep) char *left = NULL;

	if (xen_info("free_memory", &left, NULL) < 0)
		left = xstrdup("?");
	return err_set(
	    start->err, ENOMEM,
	    _("Xen has %s MiB of memory free, and the machine %s needs %llu; stop another one, give this one "
	      "less, or lower dom0's share"),
	    left, start->node.name, (unsigned long long)(xen_node_memory(start->config, &start->node) >> 20));
}

/* What went wrong first: what xl says after that is of how it cleared away. The caller owns it; NULL: nothing did. */
static char *first_error(const char *output)
{
	const char *line = strstr(output, "error: ");
	char *one;

	while (line && line > output && line[-1] != '\n')
		line--;
	one = line ? xstrndup(line, strcspn(line, "\n")) : NULL;
	if (one)
		text_printable(one, false);
	return one;
}

static int create_domain(const struct start *start)
{
	_cleanup_run_ struct run run = { .timeout_ms = xen_patience(start->config, CREATE_MS) };
	_cleanup_err_ struct err why = ERR_INIT;
	_cleanup_buf_ struct buf output = { 0 };
	_cleanup_(freep) char *path = NULL, *first = NULL;
	int r = write_config(start, &path);

	if (r < 0)
		return r;
	/* -e: no guard of xl's stays behind, which would clear the machine away at its end, but dies with the agent. */
	strv_add_all(&run.argv, "xl", "create", "-q", "-e", path, NULL);
	r = run_checked(&run, &output, &why);
	if (r == 0)
		return 0;
	if (strstr(buf_text(&output), "free memory") || strstr(buf_text(&output), "not enough memory") ||
	    strstr(buf_text(&output), "setting domain info max memory") ||
	    strstr(buf_text(&output), "Cannot allocate memory"))
		return no_memory(start);
	first = first_error(buf_text(&output));
	return err_set(start->err, -r, "%s", first ? first : err_text(&why));
}

/* The last line that the machine said on its console, where Xen keeps that. The caller owns it; NULL: none. */
static char *last_words(const char *name)
{
	_cleanup_(freep) char *path = xasprintf("/var/log/xen/console/guest-%s.log", name);
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char tail[2048];
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	ssize_t n = fd < 0 ? -1
			   : pread(fd, tail, sizeof(tail) - 1,
				   size > (off_t)sizeof(tail) - 1 ? size - (off_t)sizeof(tail) + 1 : 0);
	char *line;

	if (n <= 0)
		return NULL;
	tail[n] = '\0';
	while (n && strchr("\r\n ", tail[n - 1]))
		tail[--n] = '\0';
	line = strrchr(tail, '\n');
	line = xstrdup(line ? line + 1 : tail);
	text_printable(line, false);
	return line;
}

static int boot_failed(const struct start *start, int code, const char *why)
{
	_cleanup_(freep) char *said = last_words(start->node.name);

	return err_set(start->err, code, _("%s%s%s"), why, said ? _("; the last that it said on its console: ") : "",
		       said ? said : "");
}

static bool stopping(const struct xen *xen)
{
	return xen->stopping && atomic_load(xen->stopping);
}

/* Until its sshd lets us in. */
static int wait_for_ssh(const struct start *start, struct remote **ret)
{
	int64_t began = clock_monotonic_ms(), deadline = began + start->config->start_ms, looked = began;
	_cleanup_err_ struct err why = ERR_INIT;
	_cleanup_(freep) char *text = NULL;
	bool present = true, kept;
	int r = -ETIMEDOUT;

	while (clock_monotonic_ms() < deadline && present) {
		if (stopping(start->xen))
			return err_set(start->err, ECANCELED, _("The start of %s was given up"), start->node.name);
		r = xen_session(start->xen, &start->node, start->record.run, true, CONNECT_MS, ret, &kept, &why);
		if (r == 0 || r == -EKEYREJECTED || r == -EACCES)
			break;
		poll(NULL, 0, 300);
		if (clock_monotonic_ms() - looked < 5000)
			continue;
		looked = clock_monotonic_ms();
		if (xen_domain_runs(start->xen, start->node.name, &present, NULL) < 0)
			present = true;
	}
	if (r == 0)
		return 0;
	text = present ? xasprintf(_("The machine %s did not let the agent in by SSH within %lld seconds: %s"),
				   start->node.name, (long long)((clock_monotonic_ms() - began) / 1000), err_text(&why))
		       : xasprintf(_("The machine %s ended while it booted"), start->node.name);
	return boot_failed(start, present ? -r : EIO, text);
}

/* Secrets first, then the main process. */
static int start_unit(const struct start *start, struct remote *remote)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = { .argv = &argv, .timeout_ms = xen_patience(start->config, UNIT_MS) };
	int r = xen_push_copied(remote, &start->node, start->err);

	if (r < 0)
		return r;
	strv_add_all(&argv, "/bin/sh", "-c", "echo \"$1\" >" XEN_RUN_FILE " && exec systemctl start " XEN_UNIT, "tepuy",
		     NULL);
	strv_addf(&argv, "%lld", (long long)start->record.run);
	r = xen_command(remote, &command, NULL, start->err);
	if (r == -EIO && start->err)
		return err_wrap(start->err, _("The main process of %s did not start"), start->node.name);
	return r;
}

static int boot(const struct start *start, bool present)
{
	struct remote *remote = NULL;
	int r = present ? 0 : create_domain(start);

	r = r < 0 ? r : wait_for_ssh(start, &remote);
	r = r < 0 ? r : start_unit(start, remote);
	if (r == 0)
		xen_session_back(start->xen, start->node.name, start->record.run, remote);
	else
		remote_close(remote);
	return r;
}

/* The order in which nodes were first started on this host. */
static int64_t next_sequence(struct xen *xen, const struct xen_config *config)
{
	_cleanup_strv_ struct strv names = { 0 };
	int64_t most = 0;

	xen_node_names(config, &names, NULL);
	for (size_t i = 0; i < names.n; i++) {
		_cleanup_xen_node_ struct xen_node node = { 0 };
		struct xen_record record;
		bool has_record;

		if (xen_load_node(xen, names.v[i], &node, &record, &has_record, NULL) == 0 && has_record &&
		    record.sequence > most)
			most = record.sequence;
	}
	return most + 1;
}

static int begin(struct start *start, const struct xen_domains *domains)
{
	struct xen_record *record = &start->record;
	const struct xen_domain *domain = xen_find_domain(domains, start->node.name);
	bool present = domain && domain->state == XEN_ALIVE;
	int r = check_host(start);

	/* Half made by an agent that died at it, or ended. */
	if (r == 0 && domain && !present)
		r = xen_destroy(start->xen, start->node.name, start->err);
	if (r < 0)
		return r;
	if (!present) {
		record->run++;
		xen_forget_sessions(start->xen, start->node.name);
	}
	record->phase = XEN_STARTING;
	record->wanted = true;
	record->sequence = record->sequence ? record->sequence : next_sequence(start->xen, start->config);
	/* The volumes after that: another machine that wants them sees that this one is being started. */
	r = xen_save_record(start->config, start->node.name, record, start->err);
	r = r < 0 ? r : xen_take_volumes(start->xen, &start->node, start->err);
	r = r < 0 ? r : boot(start, present);
	if (r < 0)
		return r;
	record->phase = XEN_RUNNING;
	record->started_ms = clock_realtime_ms();
	return xen_save_record(start->config, start->node.name, record, start->err);
}

/* Nothing half started is left. */
static void undo(struct start *start, const struct xen_record *before)
{
	struct xen_record record = *before;

	if (stopping(start->xen))
		return; /* whoever looks next goes on from here */
	xen_destroy(start->xen, start->node.name, NULL);
	xen_forget_sessions(start->xen, start->node.name);
	record.run = start->record.run;
	record.sequence = start->record.sequence;
	if (record.phase == XEN_STARTING || record.phase == XEN_RUNNING)
		record.phase = XEN_ENDED;
	xen_save_record(start->config, start->node.name, &record, NULL);
}

static int load_locked(struct start *start, const char *id)
{
	bool has_record;
	int r = xen_load_node(start->xen, id, &start->node, &start->record, &has_record, start->err);

	if (r == 0 && !has_record)
		r = err_set(start->err, EIO, _("The node %s was never completed; remove it and make it again"), id);
	return r;
}

static bool runs_already(const struct start *start, const struct xen_domains *domains)
{
	const struct xen_domain *domain = xen_find_domain(domains, start->node.name);

	return start->record.phase == XEN_RUNNING && domain && domain->state != XEN_HALTED;
}

static int start_node(struct runtime *rt, const char *id, bool only_wanted, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;
	struct start start = { .xen = xen_of(rt), .err = &why };
	_cleanup_xen_domains_ struct xen_domains domains = { 0 };
	struct xen_record before;
	_cleanup_(closep) int lock = -1;
	int r = xen_config_of(start.xen, &start.config, err);

	if (r < 0)
		return r;
	r = load_locked(&start, id);
	if (r == 0) {
		/* One that something is done with now is not waited for: others may have to be started again, too. */
		lock = r = xen_lock_node(start.config, id, only_wanted ? 0 : LOCK_MS, &why);
		if (only_wanted && r == -EBUSY)
			r = -EAGAIN;
		xen_node_release(&start.node);
		r = r < 0 ? r : load_locked(&start, id);
	}
	r = r < 0 ? r : xen_list_domains(start.xen, &domains, &why);
	if (r == 0 && (!only_wanted || start.record.wanted) && !runs_already(&start, &domains)) {
		before = start.record;
		if (start.record.phase == XEN_RUNNING)
			r = xen_note_end(start.xen, id, &start.record, &why);
		r = r < 0 ? r : begin(&start, &domains);
		if (r < 0)
			undo(&start, &before);
	}
	xen_node_release(&start.node);
	if (r == -ENOENT || r == -EPERM)
		return err_set(err, -r, "%s", err_text(&why));
	return r < 0 ? err_set(err, -r, _("Cannot start the node %s: %s"), id, err_text(&why)) : 0;
}

int xen_start(struct runtime *rt, const char *id, struct err *err)
{
	return start_node(rt, id, false, err);
}

int xen_start_wanted(struct runtime *rt, const char *id, struct err *err)
{
	return start_node(rt, id, true, err);
}

/* Asks the main process to end, by its signal; true when the machine is on its way out. */
static bool ask_unit(struct start *start, int64_t timeout_ms)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = { .argv = &argv, .timeout_ms = timeout_ms };
	struct remote *remote = NULL;
	bool kept = false;
	int64_t deadline = clock_monotonic_ms() + timeout_ms;
	int r;

	/* Waits for its end: the machine goes when it has ended. */
	strv_add_all(&argv, "systemctl", "stop", XEN_UNIT, NULL);
	for (;;) {
		r = xen_session(start->xen, &start->node, start->record.run, false, CONNECT_MS, &remote, &kept, NULL);
		if (r < 0)
			return false;
		command.timeout_ms = deadline - clock_monotonic_ms() > 1 ? deadline - clock_monotonic_ms() : 1;
		r = xen_command(remote, &command, NULL, NULL);
		remote_close(remote);
		/* A session that was kept may have been dead already; else it broke because the machine goes. */
		if (r != -EHOSTUNREACH || !kept || clock_monotonic_ms() >= deadline)
			return r != -ETIMEDOUT;
		xen_forget_sessions(start->xen, start->node.name);
	}
}

/* Without SSH: Xen tells the machine's kernel, and that one its init. */
static bool ask_machine(struct start *start, int64_t timeout_ms)
{
	_cleanup_run_ struct run run = { .timeout_ms = POWEROFF_MS };

	strv_add_all(&run.argv, "xl", "shutdown", start->node.name, NULL);
	return run_program(&run, NULL, NULL) == 0 && xen_wait_gone(start->xen, start->node.name, timeout_ms, NULL) == 0;
}

static int stop_domain(struct start *start, bool runs, int64_t timeout_ms)
{
	const char *name = start->node.name;
	bool ending;
	int r;

	if (start->record.phase == XEN_RUNNING && runs) {
		ending = ask_unit(start, timeout_ms) || (timeout_ms > 2000 && ask_machine(start, timeout_ms));
		if (ending && xen_wait_gone(start->xen, name, xen_patience(start->config, POWEROFF_MS), NULL) == 0)
			return xen_note_end(start->xen, name, &start->record, start->err);
	}
	r = xen_destroy(start->xen, name, start->err);
	return r < 0 ? r : xen_note_end(start->xen, name, &start->record, start->err);
}

static int stop_locked(struct start *start, const char *id, int64_t timeout_ms)
{
	_cleanup_xen_domains_ struct xen_domains domains = { 0 };
	const struct xen_domain *domain;
	bool has_record;
	int r = xen_load_node(start->xen, id, &start->node, &start->record, &has_record, start->err);

	r = r < 0 ? r : xen_list_domains(start->xen, &domains, start->err);
	if (r < 0)
		return r;
	domain = xen_find_domain(&domains, id);
	if (!has_record)
		return domain ? xen_destroy(start->xen, id, start->err) : 0;
	start->record.wanted = false;
	r = xen_save_record(start->config, start->node.name, &start->record, start->err);
	if (r == 0 && domain)
		return stop_domain(start, domain->state != XEN_HALTED, timeout_ms);
	if (r == 0 && start->record.phase == XEN_RUNNING)
		return xen_note_end(start->xen, start->node.name, &start->record, start->err);
	if (r == 0 && start->record.phase == XEN_STARTING) {
		start->record.phase = start->record.started_ms ? XEN_ENDED : XEN_MADE;
		r = xen_save_record(start->config, start->node.name, &start->record, start->err);
	}
	return r;
}

int xen_stop(struct runtime *rt, const char *id, int64_t timeout_ms, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;
	struct start start = { .xen = xen_of(rt), .err = &why };
	_cleanup_(closep) int lock = -1;
	bool has_record;
	int r = xen_config_of(start.xen, &start.config, err);

	if (r < 0)
		return r;
	r = xen_load_node(start.xen, id, &start.node, &start.record, &has_record, &why);
	if (r == 0) {
		lock = r = xen_lock_node(start.config, id, LOCK_MS, &why);
		xen_node_release(&start.node);
		r = r < 0 ? r : stop_locked(&start, id, timeout_ms > 0 ? timeout_ms : 1);
	}
	xen_node_release(&start.node);
	if (r == -ENOENT)
		return 0;
	if (r == -EPERM)
		return err_set(err, EPERM, "%s", err_text(&why));
	return r < 0 ? err_set(err, -r, _("Cannot stop the node %s: %s"), id, err_text(&why)) : 0;
}
