/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/base.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/text.h"
#include "image/apt.h"
#include "image/digest.h"
#include "image/machine.h"
#include "image/pack.h"
#include "image/record.h"
#include "image/sandbox.h"

#define MACHINE "-machine" /* ends the suite in the name of a base for machines */
/* Four times what a base needs. */
#define ENOUGH_MEMORY_KIB (2ULL << 20)

struct base_job {
	struct image_store *store;
	const struct image_base *base;
	const char *dir; /* build/<key> */
	int log_fd;
	int64_t deadline;
	struct image_layer *ret;
};

const char *base_architecture(void)
{
#if defined(__x86_64__)
	return "amd64";
#elif defined(__aarch64__)
	return "arm64";
#elif defined(__i386__)
	return "i386";
#elif defined(__arm__)
	return "armhf";
#elif defined(__powerpc64__)
	return "ppc64el";
#elif defined(__riscv)
	return "riscv64";
#else
#error "Debian's name of this architecture is missing here."
#endif
}

bool base_suite_valid(const char *suite)
{
	return suite && *suite && strlen(suite) <= 48 && suite[0] != '-' &&
	       strspn(suite, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(suite) && !text_ends(suite, MACHINE);
}

char *base_name(const struct image_base *base)
{
	return xasprintf("%s%s-%s", base->suite, base->machine ? MACHINE : "", base_architecture());
}

bool base_of_name(const char *name, char **ret_suite, bool *ret_machine)
{
	_cleanup_(freep) char *suite = NULL, *end = xasprintf("-%s", base_architecture());
	bool machine;

	if (!text_ends(name, end))
		return false;
	suite = xstrndup(name, strlen(name) - strlen(end));
	machine = text_ends(suite, MACHINE);
	if (machine)
		suite[strlen(suite) - strlen(MACHINE)] = '\0';
	if (!base_suite_valid(suite))
		return false;
	*ret_suite = TAKE_PTR(suite);
	*ret_machine = machine;
	return true;
}

static char *record_path(const struct image_store *store, const struct image_base *base)
{
	_cleanup_(freep) char *name = base_name(base);

	return store_path_suffix(store, "bases", name, ".json");
}

int base_find(const struct image_store *store, const struct image_base *base, struct image_layer *ret, struct err *err)
{
	_cleanup_(freep) char *path = record_path(store, base);
	json_auto_t *record = NULL;
	int r = record_read(path, &record, err);
	const char *sha256 = record ? json_string_value(json_object_get(record, "layer")) : NULL;

	if (r < 0)
		return r;
	if (!digest_valid(sha256) || store_layer(store, sha256, ret) < 0)
		return err_set(err, ENOENT, _("The base system %s is not in the store"), base->suite);
	return 0;
}

int base_sources(const struct image_store *store, const char *suite, struct sources *ret, struct err *err)
{
	if (store->sources)
		return sources_of_text(store->sources, suite, ret, err);
	return sources_of_host(suite, base_architecture(), ret, err);
}

/*
 * Nodes read no manuals, documentation or translated messages (but Spanish ones): a third of a base, copied to every
 * host. Licences stay, as the law asks. Of the manuals only files go, because update-alternatives needs the
 * directories.
 */
static void add_arguments(const struct base_job *job, const char *apt, struct strv *argv)
{
	strv_add_all(
	    argv, "mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory",
	    "--dpkgopt=path-exclude=/usr/share/man/*.gz", "--dpkgopt=path-exclude=/usr/share/info/*.gz",
	    "--dpkgopt=path-exclude=/usr/share/lintian/*", "--dpkgopt=path-exclude=/usr/share/locale/*/LC_MESSAGES/*",
	    "--dpkgopt=path-include=/usr/share/locale/es/LC_MESSAGES/*", "--dpkgopt=path-exclude=/usr/share/doc/*/*",
	    "--dpkgopt=path-include=/usr/share/doc/*/copyright", NULL);
	if (job->base->machine)
		machine_arguments(argv);
	strv_addf(argv, "--aptopt=%s/apt-options", apt);
	strv_addf(argv, "--architectures=%s", base_architecture());
	strv_add(argv, job->base->suite);
	strv_addf(argv, "%s/root", job->dir);
	strv_addf(argv, "%s/sources.list.d/tepuy.sources", apt);
}

static int run_mmdebstrap(const struct base_job *job, const char *apt, struct err *err)
{
	struct sandbox sandbox = { .log_fd = job->log_fd, .deadline = job->deadline };
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_buf_ struct buf output = { 0 };
	int r, status;

	sandbox_environment(&sandbox.env);
	add_arguments(job, apt, &argv);
	r = status = sandbox_run(&sandbox, &argv, &output, err);
	strv_release(&sandbox.env);
	if (r == -ENOENT)
		return err_set(err, ENOENT,
			       _("The program mmdebstrap, which makes base systems, is not installed on this host: "
				 "install the package mmdebstrap"));
	if (r <= 0)
		return r;
	r = apt_explain(buf_text(&output), "", job->base->suite, err);
	if (r == -ENOSPC)
		return store_write_error(job->store, ENOSPC, job->dir, err);
	return r < 0 ? r
		     : err_set(err, EIO, _("mmdebstrap failed with exit status %d; its output is in the build log"),
			       status);
}

int base_record(const struct image_store *store, const struct image_base *base, const char *layer, struct err *err)
{
	_cleanup_(freep) char *path = record_path(store, base);
	json_auto_t *record = json_object();

	json_object_set_new(record, "layer", json_string(layer));
	json_object_set_new(record, "suite", json_string(base->suite));
	json_object_set_new(record, "machine", json_boolean(base->machine));
	json_object_set_new(record, "architecture", json_string(base_architecture()));
	json_object_set_new(record, "made", json_integer(clock_realtime_ms()));
	return record_write(store, path, record, err);
}

/*
 * Unpacks into memory where there is plenty: a third faster than dpkg and its syncs on a disk. Without it, or when the
 * mount fails, the tree lies on the store's disk. The mount is the thread's own and goes with it.
 */
static void use_memory(const char *root)
{
	_cleanup_buf_ struct buf text = { 0 };
	unsigned long long available = 0; /* KiB */
	const char *line;

	if (fs_read("/proc/meminfo", 65536, &text, NULL) < 0)
		return;
	line = strstr(buf_text(&text), "MemAvailable:");
	if (line && sscanf(line, "MemAvailable: %llu", &available) == 1 && available > ENOUGH_MEMORY_KIB &&
	    mount("tmpfs", root, "tmpfs", 0, "mode=755,size=1g") < 0)
		log_debug("the base system is unpacked on disk: %m");
}

/* Runs in a thread with private mounts. */
static int make_base(void *data, struct err *err)
{
	struct base_job *job = data;
	_cleanup_(freep) char *apt = fs_join(job->dir, "apt"), *tar = fs_join(job->dir, "base.tar");
	_cleanup_(freep) char *root = fs_join(job->dir, "root"), *sha256 = NULL;
	struct pack pack = { .dir = root, .to = tar, .since = time(NULL) - 1, .kind = PACK_BASE };
	_cleanup_sources_ struct sources sources = { 0 };
	int r = base_sources(job->store, job->base->suite, &sources, err);

	if (r == 0)
		r = fs_mkdirs(apt, 0755, err);
	if (r == 0)
		r = fs_mkdirs(root, 0755, err);
	if (r == 0)
		use_memory(root);
	if (r == 0)
		r = apt_prepare(&sources, apt, apt, err);
	if (r == 0)
		r = run_mmdebstrap(job, apt, err);
	if (r == 0 && job->base->machine)
		r = machine_settle(root, err);
	if (r == 0)
		r = pack_tree(&pack, &sha256, NULL, err);
	if (r == -ENOSPC)
		return store_write_error(job->store, ENOSPC, tar, err);
	if (r == 0)
		r = store_adopt_layer(job->store, tar, sha256, job->ret, err);
	return r < 0 ? r : base_record(job->store, job->base, sha256, err);
}

int base_build(struct image_store *store, const struct image_base *base, bool renew, int log_fd, int64_t deadline,
	       struct image_layer *ret, struct err *err)
{
	_cleanup_(freep) char *name = base_name(base), *key = xasprintf("base-%s", name), *dir = NULL;
	struct base_job job = { store, base, NULL, log_fd, deadline, ret };
	_cleanup_(closep) int lock = -1;
	int r;

	if (!renew && base_find(store, base, ret, NULL) == 0)
		return 0;
	lock = store_build_lock(store, key, true, err);
	if (lock < 0)
		return lock;
	/* Another builder may have made it while this one waited. */
	if (!renew && base_find(store, base, ret, NULL) == 0)
		return 0;
	r = store_build_directory(store, key, &dir, err);
	if (r == 0) {
		job.dir = dir;
		r = sandbox_call(make_base, &job, err);
		fs_remove_tree(dir, NULL);
	}
	if (r < 0)
		err_wrap(err, _("Cannot make the base system %s"), name);
	return r;
}
