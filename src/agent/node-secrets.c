/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/node-secrets.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"

#define MOST_SECRET (64u << 10)

int node_secrets_prepare(const char *run_dir, struct err *err)
{
	_cleanup_(freep) char *dir = fs_join(run_dir, "secrets");
	struct statfs st;
	int r = fs_mkdirs(dir, 0755, err);

	if (r < 0)
		return r;
	if (statfs(dir, &st) < 0)
		return err_errno(err, errno, _("Cannot look at %s"), dir);
	if (st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC)
		return 0;
	if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=64m") < 0)
		return err_errno(err, errno, _("Cannot mount a tmpfs for secrets on %s"), dir);
	return 0;
}

char *node_secrets_directory(const struct node_env *env, const struct instance_id *id)
{
	return xasprintf("%s/secrets/%s", env->run_dir, id->runtime_name);
}

/* Secrets are small; the copy that Consul gave is wiped. */
static int write_one(const struct node_env *env, const struct instance_id *id, const char *dir, const char *name,
		     struct err *err)
{
	_cleanup_(freep) char *key = xasprintf("tepuy/secret/%s/%s", id->service, name), *path = fs_join(dir, name);
	_cleanup_consul_kv_ struct consul_kv kv = { 0 };
	_cleanup_buf_ struct buf present = { 0 };
	int r = consul_kv_get(env->consul, key, &kv, err);

	if (r == -ENOENT)
		return err_set(err, ENOENT,
			       _("The secret %s of %s is not in Consul; give it with 'tepuy up --secret %s=@FILE'"),
			       name, id->service, name);
	if (r < 0)
		return r;
	if (fs_read(path, MOST_SECRET, &present, NULL) < 0 || present.len != kv.len ||
	    (kv.len && memcmp(present.data, kv.value, kv.len)))
		r = fs_write(path, kv.value, kv.len, 0400, err);
	explicit_bzero(kv.value, kv.len);
	if (present.len)
		explicit_bzero(present.data, present.len);
	return r;
}

int node_secrets_write(const struct node_env *env, const struct instance_id *id, const struct strv *names,
		       struct err *err)
{
	_cleanup_(freep) char *dir = node_secrets_directory(env, id);
	int r = fs_mkdirs(dir, 0755, err);

	for (size_t i = 0; r == 0 && i < names->n; i++)
		r = write_one(env, id, dir, names->v[i], err);
	return r;
}

void node_secrets_remove(const struct node_env *env, const struct instance_id *id)
{
	_cleanup_(freep) char *dir = node_secrets_directory(env, id);
	_cleanup_err_ struct err err = ERR_INIT;

	if (fs_remove_tree(dir, &err) < 0)
		log_warning("%s", err_text(&err));
}
