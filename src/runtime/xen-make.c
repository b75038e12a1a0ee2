/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A node's making and removal. What is killed half way has a directory and no state: list tells it as broken. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"
#include "runtime/xen.h"
#include "ssh/known-hosts.h"

#define KEY "ssh_host_ed25519_key"
#define LOCK_MS 240000
#define TRIES 100

static int make_key_at(const char *path, const char *comment, struct err *err)
{
	_cleanup_run_ struct run run = { 0 };

	strv_add_all(&run.argv, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path, NULL);
	return run_checked(&run, NULL, err);
}

/* The driver's own key, made once on a host; its name appears when both of its files are complete. */
int xen_make_key(const struct xen_config *config, struct err *err)
{
	_cleanup_(freep) char *key = fs_join(config->directory, "key"), *public = xasprintf("%s.pub", key);
	_cleanup_(freep) char *lock_path = xasprintf("%s.lock", key), *new = xasprintf("%s.new", key);
	_cleanup_(freep) char *new_public = xasprintf("%s.pub", new);
	_cleanup_(closep) int lock = -1;
	int r = 0;

	if (access(key, F_OK) == 0)
		return 0;
	r = fs_mkdirs(config->directory, 0700, err);
	if (r < 0)
		return r;
	lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return err_errno(err, errno, _("Cannot lock %s"), lock_path);
	if (access(key, F_OK) == 0)
		return 0;
	unlink(new);
	unlink(new_public);
	r = make_key_at(new, "tepuy", err);
	if (r == 0 && (rename(new_public, public) < 0 || rename(new, key) < 0))
		r = err_errno(err, errno, _("Cannot make the key %s"), key);
	return r;
}

/* "ssh-ed25519 AAAA… comment" */
static int read_fingerprint(const char *public, char **ret, struct err *err)
{
	_cleanup_buf_ struct buf text = { 0 };
	char *blob, *end;
	int r = fs_read(public, 4096, &text, err);

	if (r < 0)
		return r;
	blob = strchr(text.data, ' ');
	end = blob ? strpbrk(blob + 1, " \n") : NULL;
	if (!end)
		return err_set(err, EBADMSG, _("%s is no public key"), public);
	*end = '\0';
	*ret = known_hosts_fingerprint(blob + 1);
	return 0;
}

static bool signal_is_sane(const char *name)
{
	return *name && strlen(name) < 16 && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+") == strlen(name);
}

static int check_networks(const struct xen_config *config, const struct runtime_spec *spec, struct err *err)
{
	if (spec->isolated)
		return 0;
	if (spec->n_networks != config->n_networks)
		return err_set(err, EINVAL, _("The node %s has %zu addresses, and this host's machines have %zu"),
			       spec->name, spec->n_networks, config->n_networks);
	for (size_t i = 0; i < spec->n_networks; i++)
		if (!spec->networks[i].address || !spec->networks[i].bridge)
			return err_set(err, EINVAL, _("The node %s has no address"), spec->name);
	return 0;
}

static int check(const struct xen_config *config, const struct runtime_spec *spec, struct err *err)
{
	_cleanup_(freep) char *directory = xen_path(config, "nodes", spec->name), *golden = NULL;

	if (!xen_name_is_sane(spec->name))
		return err_set(err, EINVAL, _("'%s' is no name for a machine"), spec->name);
	if (!runtime_has_instance(spec->labels))
		return err_set(err, EINVAL, _("The node %s has no label %s"), spec->name, RUNTIME_LABEL_INSTANCE);
	if (spec->stop_signal && !signal_is_sane(spec->stop_signal))
		return err_set(err, EINVAL, _("'%s' is no name of a signal"), spec->stop_signal);
	if (access(directory, F_OK) == 0)
		return err_set(err, EEXIST, _("There is a node %s already"), spec->name);
	golden = xen_golden(config, spec->image_ref);
	if (!xen_name_is_sane(spec->image_ref) || access(golden, F_OK) < 0)
		return err_set(err, ENOENT, _("This host has no disk of the image %s of the node %s; import it again"),
			       spec->image_ref, spec->name);
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (access(spec->mounts[i].from, F_OK) < 0)
			return err_errno(err, errno, _("Cannot mount %s at %s in the node"), spec->mounts[i].from,
					 spec->mounts[i].to);
	return check_networks(config, spec, err);
}

/* Removes what a making that was killed left before its node had a name. */
void xen_sweep(const struct xen_config *config)
{
	_cleanup_(freep) char *path = fs_join(config->directory, "nodes");
	DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		_cleanup_(freep) char *one = fs_join(path, entry->d_name);
		_cleanup_(closep) int fd = -1;

		if (!text_starts(entry->d_name, ".new-") && !text_starts(entry->d_name, ".gone-"))
			continue;
		fd = open(one, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			fs_remove_tree(one, NULL);
	}
	if (dir)
		closedir(dir);
}

int xen_new_directory(const struct xen_config *config, char **ret, struct err *err)
{
	for (int i = 0; i < TRIES; i++) {
		_cleanup_(freep) char *dir = xasprintf("%s/nodes/.new-XXXXXX", config->directory);
		_cleanup_(closep) int lock = -1;
		struct stat held, now;
		int r;

		if (!mkdtemp(dir))
			return err_errno(err, errno, _("Cannot make %s"), dir);
		lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = lock < 0 || flock(lock, LOCK_EX) < 0 || fstat(lock, &held) < 0 ? -errno : 0;
		if (r < 0 && r != -ENOENT) {
			rmdir(dir);
			return err_errno(err, -r, _("Cannot lock %s"), dir);
		}
		/* A sweep may have had the lock first, and taken it away. */
		if (r == 0 && stat(dir, &now) == 0 && held.st_ino == now.st_ino) {
			*ret = TAKE_PTR(dir);
			r = lock;
			lock = -1;
			return r;
		}
	}
	return err_set(err, EAGAIN, _("Directories in %s/nodes are removed as soon as they are made"),
		       config->directory);
}

/* The directory with node.json and the host key, under a name that is nobody's. Returns its lock, or -errno. */
static int make_directory(const struct xen_config *config, struct xen_node *node, char **ret, struct err *err)
{
	_cleanup_(freep) char *nodes = fs_join(config->directory, "nodes"),
			      *states = fs_join(config->directory, "state");
	_cleanup_(freep) char *text = NULL, *key = NULL, *public = NULL, *file = NULL;
	_cleanup_(closep) int lock = -1;
	int r = fs_mkdirs(nodes, 0700, err);

	r = r < 0 ? r : fs_mkdirs(states, 0700, err);
	if (r < 0)
		return r;
	lock = xen_new_directory(config, ret, err);
	if (lock < 0)
		return lock;
	key = fs_join(*ret, KEY);
	public = xasprintf("%s.pub", key);
	file = fs_join(*ret, "node.json");
	r = make_key_at(key, node->name, err);
	r = r < 0 ? r : read_fingerprint(public, &node->fingerprint, err);
	if (r < 0)
		return r;
	text = xen_node_encode(node);
	if (!text)
		return err_set(err, EINVAL, _("The node %s has a text that is no UTF-8"), node->name);
	r = fs_write(file, text, strlen(text), 0600, err);
	if (r < 0)
		return r;
	r = lock;
	lock = -1;
	return r;
}

static int make_disk(const struct xen_config *config, const struct xen_node *node, struct err *err)
{
	_cleanup_(freep) char *golden = xen_golden(config, node->image), *disk = xen_node_disk(config, node->name);
	_cleanup_(freep) char *origin = xasprintf("tepuy-golden-%s", node->image);
	_cleanup_(freep) char *link = xen_node_path(config, node->name, XEN_DISK_LINK);
	int r;

	if (!config->volume_group)
		return xen_copy_sparse(golden, disk, err);
	if (symlink(disk, link) < 0)
		return err_errno(err, errno, _("Cannot write %s"), link);
	r = xen_volume_remove(config->volume_group, node->name, err);
	return r < 0 ? r : xen_volume_snapshot(config->volume_group, origin, node->name, err);
}

/* The rest, once the node has its name. */
static int furnish(const struct xen_config *config, const struct xen_node *node, struct err *err)
{
	_cleanup_(freep) char *disk = xen_node_disk(config, node->name), *key = xen_node_path(config, node->name, KEY);
	_cleanup_(freep) char *public = xasprintf("%s.pub", key);
	struct xen_record record = { .phase = XEN_MADE };
	int r = make_disk(config, node, err);

	r = r < 0 ? r : xen_make_volumes(config, node, err);
	r = r < 0 ? r : xen_provision(config, node, disk, key, err);
	if (r < 0)
		return r;
	unlink(key); /* it is the machine's own from here on */
	unlink(public);
	return xen_save_record(config, node->name, &record, err);
}

static int put_name(const struct xen_config *config, const struct xen_node *node, const char *directory,
		    struct err *err)
{
	_cleanup_(freep) char *path = xen_path(config, "nodes", node->name),
			      *record = xen_record_path(config, node->name);

	/* Of an earlier node of that name whose removal was killed at its end. */
	if (access(path, F_OK) < 0)
		unlink(record);
	if (rename(directory, path) == 0)
		return 0;
	if (errno == ENOTEMPTY || errno == EEXIST)
		return err_set(err, EEXIST, _("There is a node %s already"), node->name);
	return err_errno(err, errno, _("Cannot make the node %s"), node->name);
}

int xen_create(struct runtime *rt, const struct runtime_spec *spec, char **ret_id, struct err *err)
{
	struct xen *xen = xen_of(rt);
	const struct xen_config *config;
	_cleanup_xen_node_ struct xen_node node = { 0 };
	_cleanup_(freep) char *directory = NULL;
	_cleanup_(closep) int lock = -1;
	_cleanup_err_ struct err why = ERR_INIT;
	int r = xen_config_of(xen, &config, err);

	r = r < 0 ? r : check(config, spec, err);
	r = r < 0 ? r : xen_make_key(config, err);
	if (r < 0)
		return r;
	xen_sweep(config);
	xen_node_from_spec(spec, &node);
	lock = r = make_directory(config, &node, &directory, &why);
	if (r >= 0 && directory) /* never without one: for the analyzer */
		r = put_name(config, &node, directory, &why);
	if (r < 0) {
		if (directory)
			fs_remove_tree(directory, NULL);
		return err_set(err, -r, "%s", err_text(&why));
	}
	r = furnish(config, &node, &why);
	if (r < 0) {
		xen_remove_node(xen, node.name, NULL);
		return err_set(err, -r, _("Cannot make the node %s: %s"), node.name, err_text(&why));
	}
	*ret_id = xstrdup(node.name);
	return 0;
}

void xen_forget_console(const char *directory, const char *name)
{
	_cleanup_(freep) char *log = xasprintf("guest-%s.log", name);
	DIR *dir = opendir(directory);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const char *rest = entry->d_name + strlen(log);

		/* And those that were rotated: ".1", ".1.gz", "-20261123". */
		if (text_starts(entry->d_name, log) && (!*rest || *rest == '.' || *rest == '-'))
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/* In an order that leaves a node at each step that remove knows, until the last rename. */
int xen_remove_node(struct xen *xen, const char *name, struct err *err)
{
	const struct xen_config *config;
	_cleanup_(freep) char *path = NULL, *gone = NULL, *record = NULL, *group = NULL;
	int r = xen_config_of(xen, &config, err);

	if (r < 0)
		return r;
	group = xen_node_group(config, name);
	path = xen_path(config, "nodes", name);
	gone = xasprintf("%s/nodes/.gone-%s", config->directory, name);
	record = xen_record_path(config, name);
	r = xen_destroy(xen, name, err);
	if (r < 0)
		return r;
	xen_forget_sessions(xen, name);
	xen_forget_console(XEN_CONSOLES, name);
	if (unlink(record) < 0 && errno != ENOENT)
		return err_errno(err, errno, _("Cannot remove %s"), record);
	if (group)
		r = xen_volume_remove(group, name, err);
	if (r < 0)
		return r;
	fs_remove_tree(gone, NULL);
	if (rename(path, gone) < 0 && errno != ENOENT)
		return err_errno(err, errno, _("Cannot remove the node %s"), name);
	return fs_remove_tree(gone, err);
}

int xen_remove(struct runtime *rt, const char *id, struct err *err)
{
	struct xen *xen = xen_of(rt);
	const struct xen_config *config;
	_cleanup_err_ struct err why = ERR_INIT;
	_cleanup_(freep) char *path = NULL;
	_cleanup_(closep) int lock = -1;
	bool present;
	int r = xen_config_of(xen, &config, err);

	if (r < 0)
		return r;
	if (!xen_name_is_sane(id))
		return 0;
	path = xen_path(config, "nodes", id);
	if (access(path, F_OK) < 0) {
		r = xen_domain_present(xen, id, &present, err);
		return r < 0 || !present ? r : err_set(err, EPERM, _("The machine %s was not made by tepuy"), id);
	}
	lock = xen_lock_node(config, id, LOCK_MS, &why);
	if (lock == -ENOENT)
		return 0;
	r = lock < 0 ? lock : xen_remove_node(xen, id, &why);
	if (r == 0)
		xen_sweep(config);
	return r < 0 ? err_set(err, -r, _("Cannot remove the node %s: %s"), id, err_text(&why)) : 0;
}
