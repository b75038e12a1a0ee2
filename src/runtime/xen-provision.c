/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A node's own disk, before it is first started: who it is, where it is, who may come in, what it runs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "runtime/node-root.h"
#include "runtime/xen-unit.h"
#include "runtime/xen.h"

#define MOST_KEY 16384
#define SEED 512

/* The files, and what keeps their content. */
struct files {
	struct runtime_file list[24];
	size_t n;
	struct strv texts;
};

static void files_release(struct files *files)
{
	for (size_t i = 0; i < files->texts.n; i++)
		explicit_bzero(files->texts.v[i], strlen(files->texts.v[i]));
	strv_release(&files->texts);
}

static void add(struct files *files, const char *path, mode_t mode, const char *text)
{
	files->list[files->n++] =
	    (struct runtime_file){ .path = (char *)path, .data = text, .len = strlen(text), .mode = mode };
}

/* Takes the text over. */
static void add_own(struct files *files, const char *path, mode_t mode, char *text)
{
	strv_take(&files->texts, text);
	add(files, path, mode, text);
}

static int add_file(struct files *files, const char *path, mode_t mode, const char *from, struct err *err)
{
	struct buf text = { 0 };
	int r = fs_read(from, MOST_KEY, &text, err);

	if (r < 0) {
		buf_release(&text);
		return r;
	}
	add_own(files, path, mode, buf_take(&text));
	return 0;
}

static int random_hex(size_t n, char **ret, struct err *err)
{
	unsigned char bytes[64];

	if (n > sizeof(bytes) || getrandom(bytes, n, 0) != (ssize_t)n)
		return err_errno(err, errno, _("The system gives no random numbers"));
	*ret = text_hex(bytes, n);
	return 0;
}

static int collect(const struct xen_config *config, const struct xen_node *node, const char *key_file,
		   struct files *files, struct err *err)
{
	_cleanup_(freep) char *public = xasprintf("%s.pub", key_file), *ours = fs_join(config->directory, "key.pub");
	char *text = NULL;
	int r = random_hex(16, &text, err);

	if (r < 0)
		return r;
	strv_take(&files->texts, text);
	add_own(files, "/etc/machine-id", 0444, xasprintf("%s\n", text));
	add_own(files, "/etc/hostname", 0644, xasprintf("%s\n", node->host_name));
	add_own(files, "/etc/hosts", 0644, xen_hosts(node));
	add_own(files, "/etc/resolv.conf", 0644, xen_resolv(node));
	add_own(files, "/etc/systemd/system/tepuy-network.service", 0644, xen_network_unit(node));
	add_own(files, "/etc/systemd/journald.conf.d/tepuy.conf", 0644, xen_journal_conf(node));
	add(files, "/etc/systemd/system/multi-user.target.d/tepuy.conf", 0644, xen_target_conf);
	add(files, "/etc/ssh/sshd_config.d/tepuy.conf", 0644, xen_sshd_conf);
	add(files, XEN_ENDED_SCRIPT, 0755, xen_ended_script);
	r = add_file(files, "/etc/ssh/ssh_host_ed25519_key", 0600, key_file, err);
	r = r < 0 ? r : add_file(files, "/etc/ssh/ssh_host_ed25519_key.pub", 0644, public, err);
	r = r < 0 ? r : add_file(files, "/root/.ssh/authorized_keys", 0600, ours, err);
	text = NULL;
	r = r < 0 ? r : xen_volumes_fstab(node, &text, err);
	if (r < 0)
		return r;
	add_own(files, "/etc/fstab", 0644, text);
	text = NULL;
	r = xen_unit_text(node, &text, err);
	if (r == 0)
		add_own(files, "/etc/systemd/system/" XEN_UNIT, 0644, text);
	return r;
}

/* Entropy for the first boot: not a text. */
static int put_seed(int root, struct err *err)
{
	char seed[SEED];
	struct runtime_file file = {
		.path = (char *)"/var/lib/systemd/random-seed", .data = seed, .len = sizeof(seed), .mode = 0600
	};
	int r;

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return err_errno(err, errno, _("The system gives no random numbers"));
	r = node_root_put(root, &file, 1, err);
	explicit_bzero(seed, sizeof(seed));
	return r;
}

static bool boots(int root)
{
	static const char *const needed[] = { "lib/systemd/systemd", "usr/lib/systemd/systemd" };

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (faccessat(root, needed[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return faccessat(root, "usr/sbin/sshd", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	return false;
}

int xen_provision(const struct xen_config *config, const struct xen_node *node, const char *disk, const char *key_file,
		  struct err *err)
{
	_cleanup_(xen_unmountp) struct xen_mount mount = XEN_MOUNT_INIT;
	_cleanup_(files_release) struct files files = { 0 };
	int r = collect(config, node, key_file, &files, err);

	r = r < 0 ? r : xen_mount(disk, false, &mount, err);
	if (r == 0 && !boots(mount.root))
		r = err_set(
		    err, ENOEXEC,
		    _("The image of the node %s has no systemd or no sshd, so it cannot run as a machine; build "
		      "its recipe with 'base: {suite:}'"),
		    node->name);
	r = r < 0 ? r : node_root_put(mount.root, files.list, files.n, err);
	r = r < 0 ? r : put_seed(mount.root, err);
	return r < 0 ? r : xen_unmount(&mount, err);
}
