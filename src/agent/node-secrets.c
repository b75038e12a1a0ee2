/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/node-secrets.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/text.h"

/* In the directory of secrets; no instance can be called so. */
#define KEPT ".kept"

int node_secrets_prepare(const char *run_dir, struct err *err)
{
	_cleanup_(freep) char *dir = fs_join(run_dir, "secrets");
	struct statfs st;
	int r = fs_mkdirs(dir, 0700, err);

	if (r < 0)
		return r;
	if (statfs(dir, &st) < 0)
		return err_errno(err, errno, _("Cannot look at %s"), dir);
	if (st.f_type != TMPFS_MAGIC && st.f_type != RAMFS_MAGIC &&
	    mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=64m") < 0)
		return err_errno(err, errno, _("Cannot mount a tmpfs for secrets on %s"), dir);
	/* A secret's owner is a number: 33 is www-data in the node, and on the host too. */
	if (chmod(dir, 0700) < 0)
		return err_errno(err, errno, _("Cannot keep others out of %s"), dir);
	return 0;
}

char *node_secrets_directory(const struct node_env *env, const struct instance_id *id)
{
	return xasprintf("%s/secrets/%s", env->run_dir, id->runtime_name);
}

/*
 * What the instance was given, once more. Its own files could be changed from inside of the node, by who broke into it,
 * and then other nodes would get what it says.
 */
static char *kept_directory(const struct node_env *env, const struct instance_id *id)
{
	return xasprintf("%s/secrets/" KEPT "/%s", env->run_dir, id->runtime_name);
}

static void wipe(struct buf *buf)
{
	if (buf->len)
		explicit_bzero(buf->data, buf->len);
}

/* Not written anew when it is the same: its time says when this value came. What the node put in its place is not
 * looked at: a link would be followed on the host. */
static int write_if_other(const char *dir, const char *name, const struct consul_kv *kv, mode_t mode, struct err *err)
{
	_cleanup_(freep) char *path = fs_join(dir, name);
	_cleanup_buf_ struct buf present = { 0 };
	int r = 0;

	if (fs_read_no_link(path, NODE_SECRETS_MOST_BYTES, &present, NULL) < 0 || present.len != kv->len ||
	    (kv->len && memcmp(present.data, kv->value, kv->len)))
		r = fs_write(path, kv->value, kv->len, mode, err);
	wipe(&present);
	return r;
}

/* Secrets are small; the copy that Consul gave is wiped. */
static int write_one(const struct node_env *env, const struct instance_id *id, const char *dir, const char *name,
		     struct err *err)
{
	_cleanup_(freep) char *key = xasprintf("tepuy/secret/%s/%s", id->service, name);
	_cleanup_(freep) char *kept = kept_directory(env, id);
	_cleanup_consul_kv_ struct consul_kv kv = { 0 };
	int r = consul_kv_get(env->consul, key, &kv, err);

	if (r == -ENOENT)
		return err_set(err, ENOENT,
			       _("The secret %s of %s is not in Consul; give it with 'tepuy up --secret %s=@FILE'"),
			       name, id->service, name);
	if (r < 0)
		return r;
	r = write_if_other(dir, name, &kv, 0400, err);
	if (r == 0)
		r = write_if_other(kept, name, &kv, 0400, err);
	explicit_bzero(kv.value, kv.len);
	return r;
}

int node_secrets_write(const struct node_env *env, const struct instance_id *id, const struct strv *names,
		       struct err *err)
{
	_cleanup_(freep) char *dir = node_secrets_directory(env, id);
	_cleanup_(freep) char *all_kept = xasprintf("%s/secrets/" KEPT, env->run_dir), *kept = kept_directory(env, id);
	int r = fs_mkdirs(dir, 0755, err);

	if (r >= 0)
		r = fs_mkdirs(all_kept, 0700, err);
	if (r >= 0)
		r = fs_mkdirs(kept, 0700, err);
	for (size_t i = 0; r == 0 && i < names->n; i++)
		r = write_one(env, id, dir, names->v[i], err);
	return r;
}

void node_secrets_remove(const struct node_env *env, const struct instance_id *id)
{
	_cleanup_(freep) char *dir = node_secrets_directory(env, id), *kept = kept_directory(env, id);
	_cleanup_err_ struct err err = ERR_INIT;

	if (fs_remove_tree(dir, &err) < 0 || fs_remove_tree(kept, &err) < 0)
		log_warning("%s", err_text(&err));
}

/* --- what Consul lost --- */

struct kept {
	char *service, *name, *path;
	struct timespec since;
};

struct kept_list {
	struct kept *v;
	size_t n, cap;
};

static void kept_list_release(struct kept_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->v[i].service);
		free(list->v[i].name);
		free(list->v[i].path);
	}
	free(list->v);
}

static struct kept *kept_get(struct kept_list *list, const char *service, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i].service, service) && !strcmp(list->v[i].name, name))
			return &list->v[i];
	list->v = grow_array(list->v, list->n, &list->cap, sizeof(*list->v));
	list->v[list->n] = (struct kept){ .service = xstrdup(service), .name = xstrdup(name) };
	return &list->v[list->n++];
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

static void add_kept(struct kept_list *list, const char *service, const char *name, const char *path)
{
	struct kept *kept;
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	kept = kept_get(list, service, name);
	if (kept->path && !is_later(&st.st_mtim, &kept->since))
		return;
	free(kept->path);
	kept->path = xstrdup(path);
	kept->since = st.st_mtim;
}

/* A node without secrets has no directory. */
static void add_instance(const struct node_env *env, const char *text, struct kept_list *list)
{
	_cleanup_(freep) char *path = NULL;
	const struct dirent *entry;
	struct instance_id id;
	DIR *dir;

	if (instance_id_parse(text, &id, NULL) < 0)
		return;
	path = kept_directory(env, &id);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		_cleanup_(freep) char *file = fs_join(path, entry->d_name);

		if (text_is_name(entry->d_name))
			add_kept(list, id.service, entry->d_name, file);
	}
	if (dir)
		closedir(dir);
	instance_id_release(&id);
}

static int give_back_one(const struct node_env *env, const struct kept *kept, struct err *err)
{
	_cleanup_(freep) char *key = xasprintf("tepuy/secret/%s/%s", kept->service, kept->name);
	_cleanup_buf_ struct buf value = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	int r = fs_read(kept->path, NODE_SECRETS_MOST_BYTES, &value, err);

	if (r == -EFBIG) {
		log_warning("The secret %s of %s is larger than 64 KiB, and is not given back to Consul.", kept->name,
			    kept->service);
		err_release(err);
		return 0;
	}
	if (r < 0)
		return r == -ENOENT ? 0 : r; /* its node was removed just now */
	r = consul_kv_cas(env->consul, key, buf_text(&value), value.len, 0, &why);
	wipe(&value);
	if (r == 0)
		log_info(
		    "Consul did not have the secret %s of %s any more; this host, whose nodes have it, gave it back.",
		    kept->name, kept->service);
	if (r == -ESTALE) /* it has one: that counts */
		return 0;
	return r < 0 ? err_set(err, -r, "%s", err_text(&why)) : 0;
}

int node_secrets_give_back(const struct node_env *env, const struct strv *instances, struct err *err)
{
	_cleanup_(kept_list_release) struct kept_list list = { 0 };
	int r = 0;

	for (size_t i = 0; i < instances->n; i++)
		add_instance(env, instances->v[i], &list);
	for (size_t i = 0; r == 0 && i < list.n; i++)
		r = give_back_one(env, &list.v[i], err);
	return r;
}
