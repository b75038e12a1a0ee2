/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is kept of nodes, and what Xen says of them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"
#include "runtime/xen-unit.h"
#include "runtime/xen.h"

#define MOST_FILE (4u << 20)
#define MOST_LISTING (16u << 20)
#define MOST_NODES 4096
#define LIST_MS 30000
#define DESTROY_MS 60000
#define KILLED 137 /* 128 + SIGKILL: what is gone without a word */

char *xen_path(const struct xen_config *config, const char *kind, const char *name)
{
	return xasprintf("%s/%s/%s", config->directory, kind, name);
}

char *xen_node_path(const struct xen_config *config, const char *name, const char *file)
{
	return xasprintf("%s/nodes/%s/%s", config->directory, name, file);
}

char *xen_record_path(const struct xen_config *config, const char *name)
{
	return xasprintf("%s/state/%s.json", config->directory, name);
}

char *xen_node_group(const struct xen_config *config, const char *name)
{
	_cleanup_(freep) char *link = xen_node_path(config, name, XEN_DISK_LINK), *file = NULL;
	char to[PATH_MAX], *end;
	ssize_t n = readlink(link, to, sizeof(to) - 1);

	if (n > 0) {
		to[n] = '\0';
		end = strrchr(to, '/');
		if (text_starts(to, "/dev/") && end > to + strlen("/dev/"))
			return xstrndup(to + strlen("/dev/"), (size_t)(end - to) - strlen("/dev/"));
	}
	file = xen_node_path(config, name, "disk.img");
	return config->volume_group && access(file, F_OK) < 0 ? xstrdup(config->volume_group) : NULL;
}

char *xen_node_disk(const struct xen_config *config, const char *name)
{
	_cleanup_(freep) char *group = xen_node_group(config, name);

	return group ? xasprintf("/dev/%s/%s", group, name) : xen_node_path(config, name, "disk.img");
}

char *xen_golden(const struct xen_config *config, const char *image)
{
	if (config->volume_group)
		return xasprintf("/dev/%s/tepuy-golden-%s", config->volume_group, image);
	return xasprintf("%s/golden/%s.img", config->directory, image);
}

int xen_list_domains(struct xen *xen, struct xen_domains *ret, struct err *err)
{
	_cleanup_run_ struct run run = { .most_output = MOST_LISTING };
	_cleanup_buf_ struct buf output = { 0 };
	const struct xen_config *config;
	int r = xen_config_of(xen, &config, err);

	if (r < 0)
		return r;
	run.timeout_ms = xen_patience(config, LIST_MS);
	strv_add_all(&run.argv, "xl", "list", NULL);
	r = run_checked(&run, &output, err);
	if (r < 0)
		return err ? err_wrap(err, _("Cannot see Xen's machines")) : r;
	return xen_decode_domains(buf_text(&output), ret, err);
}

static int look_at(struct xen *xen, const char *name, bool *ret_present, enum xen_domain_state *ret, struct err *err)
{
	_cleanup_xen_domains_ struct xen_domains domains = { 0 };
	const struct xen_domain *domain;
	int r = xen_list_domains(xen, &domains, err);

	if (r < 0)
		return r;
	domain = xen_find_domain(&domains, name);
	*ret_present = domain != NULL;
	*ret = domain ? domain->state : XEN_HALTED;
	return 0;
}

int xen_domain_present(struct xen *xen, const char *name, bool *ret, struct err *err)
{
	enum xen_domain_state state;

	return look_at(xen, name, ret, &state, err);
}

int xen_domain_runs(struct xen *xen, const char *name, bool *ret, struct err *err)
{
	enum xen_domain_state state;
	int r = look_at(xen, name, ret, &state, err);

	if (r == 0)
		*ret &= state != XEN_HALTED;
	return r;
}

/* Its own end may be quicker: whether it is gone decides. */
static void tell_destroy(const struct xen_config *config, const char *name)
{
	_cleanup_run_ struct run run = { .timeout_ms = xen_patience(config, DESTROY_MS) };
	_cleanup_buf_ struct buf output = { 0 };

	strv_add_all(&run.argv, "xl", "destroy", name, NULL);
	run_program(&run, &output, NULL);
}

/* `xl shutdown -w` and `xl destroy` may return before the domain is gone. */
int xen_wait_gone(struct xen *xen, const char *name, int64_t ms, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + ms;
	const struct xen_config *config;
	bool told = false;
	int r = xen_config_of(xen, &config, err);

	while (r == 0) {
		enum xen_domain_state state;
		bool present = false;

		r = look_at(xen, name, &present, &state, err);
		if (r < 0 || !present)
			return r;
		/* Nobody else does that: xl's own guard of a machine would die with the agent that called it. */
		if (state == XEN_HALTED && !told)
			tell_destroy(config, name);
		else if (clock_monotonic_ms() >= deadline)
			return err_set(err, ETIMEDOUT, _("The machine %s is still there"), name);
		else
			poll(NULL, 0, 200);
		told |= state == XEN_HALTED;
	}
	return r;
}

int xen_destroy(struct xen *xen, const char *name, struct err *err)
{
	const struct xen_config *config;
	bool present = false;
	int r = xen_config_of(xen, &config, err);

	r = r < 0 ? r : xen_domain_present(xen, name, &present, err);
	if (r < 0 || !present)
		return r;
	tell_destroy(config, name);
	r = xen_wait_gone(xen, name, xen_patience(config, DESTROY_MS), err);
	return r < 0 && err ? err_wrap(err, _("Cannot destroy the machine %s"), name) : r;
}

int xen_info(const char *key, char **ret, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = LIST_MS };
	_cleanup_buf_ struct buf output = { 0 };
	int r;

	strv_add_all(&run.argv, "xl", "info", NULL);
	r = run_checked(&run, &output, err);
	if (r < 0)
		return err ? err_wrap(err, _("Xen does not answer")) : r;
	*ret = xen_info_value(buf_text(&output), key);
	return *ret ? 0 : err_set(err, EBADMSG, _("'xl info' does not tell %s"), key);
}

int xen_lock_node(const struct xen_config *config, const char *name, int64_t wait_ms, struct err *err)
{
	_cleanup_(freep) char *path = xen_path(config, "nodes", name);
	int64_t deadline = clock_monotonic_ms() + wait_ms;

	if (!xen_name_is_sane(name))
		return err_set(err, ENOENT, _("There is no node %s"), name);
	for (;;) {
		int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct stat held, now;

		if (fd < 0)
			return err_errno(err, errno, _("Cannot open the node %s"), name);
		/* The one that has the lock may have removed the directory, and another may have its name. */
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &held) == 0 && stat(path, &now) == 0 &&
		    held.st_ino == now.st_ino)
			return fd;
		close(fd);
		if (clock_monotonic_ms() >= deadline)
			return err_set(err, EBUSY, _("The node %s is busy: something else is done with it"), name);
		poll(NULL, 0, 50);
	}
}

static int load_node(const struct xen_config *config, const char *name, struct xen_node *ret, struct err *err)
{
	_cleanup_(freep) char *path = xen_node_path(config, name, "node.json");
	_cleanup_buf_ struct buf text = { 0 };
	int r = fs_read(path, MOST_FILE, &text, err);

	return r < 0 ? r : xen_node_decode(buf_text(&text), text.len, ret, err);
}

static int load_record(const struct xen_config *config, const char *name, struct xen_record *ret, struct err *err)
{
	_cleanup_(freep) char *path = xen_record_path(config, name);
	_cleanup_buf_ struct buf text = { 0 };
	int r = fs_read(path, MOST_FILE, &text, err);

	return r < 0 ? r : xen_record_decode(buf_text(&text), text.len, ret, err);
}

int xen_save_node(const struct xen_config *config, const struct xen_node *node, struct err *err)
{
	_cleanup_(freep) char *path = xen_node_path(config, node->name, "node.json"), *text = xen_node_encode(node);

	return fs_write(path, text, strlen(text), 0600, err);
}

int xen_save_record(const struct xen_config *config, const char *name, const struct xen_record *record, struct err *err)
{
	_cleanup_(freep) char *path = xen_record_path(config, name), *text = xen_record_encode(record);

	return fs_write(path, text, strlen(text), 0600, err);
}

static int nobody(struct xen *xen, const char *name, struct err *err)
{
	bool present = false;

	if (xen_name_is_sane(name) && xen_domain_present(xen, name, &present, NULL) == 0 && present)
		return err_set(err, EPERM, _("The machine %s was not made by tepuy"), name);
	return err_set(err, ENOENT, _("There is no node %s"), name);
}

int xen_load_node(struct xen *xen, const char *name, struct xen_node *node, struct xen_record *record, bool *ret_record,
		  struct err *err)
{
	const struct xen_config *config;
	int r = xen_config_of(xen, &config, err);

	if (r < 0)
		return r;
	r = xen_name_is_sane(name) ? load_node(config, name, node, NULL) : -ENOENT;
	if (r == -ENOENT)
		return nobody(xen, name, err);
	if (r < 0)
		return err_set(err, -r, _("The description of the node %s is damaged; remove it"), name);
	r = load_record(config, name, record, NULL);
	*ret_record = r == 0;
	return 0;
}

int xen_node_names(const struct xen_config *config, struct strv *ret, struct err *err)
{
	_cleanup_(freep) char *path = fs_join(config->directory, "nodes");
	DIR *dir = opendir(path);
	const struct dirent *entry;

	if (!dir)
		return errno == ENOENT ? 0 : err_errno(err, errno, _("Cannot read %s"), path);
	while ((entry = readdir(dir)) && ret->n < MOST_NODES)
		if (xen_name_is_sane(entry->d_name))
			strv_add(ret, entry->d_name);
	closedir(dir);
	strv_sort(ret);
	return 0;
}

/* Its own account of how it ended, from its disk. Read without mounting it: nothing of a machine that ended should be
 * able to hold up a look at all of them. */
static int read_exit(const struct xen_config *config, const char *name, struct buf *to)
{
	_cleanup_(freep) char *disk = xen_node_disk(config, name);
	_cleanup_run_ struct run run = { .timeout_ms = LIST_MS, .most_output = 4096 };

	strv_add_all(&run.argv, "debugfs", "-R", "cat " XEN_EXIT_FILE, disk, NULL);
	return run_program(&run, to, NULL);
}

int xen_note_end(struct xen *xen, const char *name, struct xen_record *record, struct err *err)
{
	const struct xen_config *config;
	_cleanup_buf_ struct buf text = { 0 };
	int r = xen_config_of(xen, &config, err);

	if (r < 0)
		return r;
	record->phase = XEN_ENDED;
	record->exit_code = KILLED;
	record->out_of_memory = false;
	if (read_exit(config, name, &text) == 0) {
		/* debugfs says its version on the first line. */
		const char *line = buf_text(&text);

		while (*line && xen_decode_exit(line, record->run, &record->exit_code, &record->out_of_memory) < 0) {
			line += strcspn(line, "\n");
			line += *line == '\n';
		}
	}
	xen_forget_sessions(xen, name);
	return xen_save_record(config, name, record, err);
}

void xen_seen_release(struct xen_seen *seen)
{
	xen_node_release(&seen->node);
}

/* One that was running when it was last looked at, and does not: its end is noted by the first who sees it. */
static int ended(struct xen *xen, const struct xen_config *config, struct xen_seen *seen, struct err *err)
{
	const char *name = seen->node.name;
	_cleanup_(closep) int lock = xen_lock_node(config, name, 0, NULL);
	bool runs = false;
	int r;

	if (lock < 0) {
		/* Whoever has it knows better: it is being started, or stopped. */
		seen->running = seen->record.phase == XEN_RUNNING;
		return 0;
	}
	r = load_record(config, name, &seen->record, NULL);
	if (r == 0 && (seen->record.phase == XEN_RUNNING || seen->record.phase == XEN_STARTING))
		r = xen_domain_runs(xen, name, &runs, err);
	if (r == 0 && !runs && seen->record.phase == XEN_RUNNING) {
		r = xen_destroy(xen, name, err);
		return r < 0 ? r : xen_note_end(xen, name, &seen->record, err);
	}
	seen->running = runs && seen->record.phase == XEN_RUNNING;
	return r;
}

static enum runtime_state state_of(const struct xen_seen *seen)
{
	if (seen->running)
		return RUNTIME_RUNNING;
	return seen->record.phase == XEN_ENDED || seen->record.started_ms ? RUNTIME_EXITED : RUNTIME_CREATED;
}

int xen_look(struct xen *xen, const char *name, const struct xen_domains *domains, struct xen_seen *ret,
	     struct err *err)
{
	const struct xen_config *config;
	const struct xen_domain *domain = xen_find_domain(domains, name);
	bool has_record = false, runs = domain && domain->state != XEN_HALTED;
	int r = xen_config_of(xen, &config, err), lock;

	*ret = (struct xen_seen){ 0 };
	r = r < 0 ? r : xen_load_node(xen, name, &ret->node, &ret->record, &has_record, err);
	if (r < 0)
		return r;
	if (!has_record) {
		ret->state = RUNTIME_BROKEN;
		lock = xen_lock_node(config, name, 0, NULL);
		ret->absent = lock == -EBUSY || lock == -ENOENT;
		if (lock >= 0)
			close(lock);
		return 0;
	}
	ret->running = runs && ret->record.phase == XEN_RUNNING;
	if (!runs && ret->record.phase == XEN_RUNNING)
		r = ended(xen, config, ret, err);
	ret->state = state_of(ret);
	return r;
}

int xen_find_running(struct xen *xen, const char *id, struct xen_node *node, struct xen_record *record, struct err *err)
{
	bool has_record = false, runs = false;
	int r = xen_load_node(xen, id, node, record, &has_record, err);

	if (r < 0)
		return r;
	if (has_record && record->phase == XEN_RUNNING) {
		if (xen_has_session(xen, id, record->run))
			return 0;
		r = xen_domain_runs(xen, id, &runs, err);
	}
	if (r == 0 && !runs)
		r = err_set(err, ESRCH, _("The node %s does not run"), id);
	return r;
}
