/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/host-bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"
#include "cli/host-step.h"
#include "image/apt.h"
#include "image/base.h"
#include "image/digest.h"

#define OFFLINE "/var/lib/tepuy/offline"
#define LISTS "/var/lib/apt/lists/_var_lib_tepuy_offline_"
#define SENT "/var/cache/tepuy/offline.tar"

enum { APT_MS = 60 * 60 * 1000, MOST_INDEX = 64 << 20 };

struct bundle {
	char *dir, *apt, *repo; /* work; apt's own; what is packed */
};

static void bundle_release(struct bundle *bundle)
{
	if (bundle->dir)
		fs_remove_tree(bundle->dir, NULL);
	free(bundle->dir);
	free(bundle->apt);
	free(bundle->repo);
}

/* The source that this machine's Debian 12 comes from, for the one package that only Debian 11 has. */
static void add_older(struct sources *sources)
{
	const struct source *first = &sources->v[0];
	struct source older = { .uri = xstrdup(first->uri), .release = xstrdup("bullseye") };

	strv_add(&older.components, "main");
	older.signed_by = xstrdup("/usr/share/keyrings/debian-archive-keyring.gpg");
	sources->v = grow_array(sources->v, sources->n, &sources->cap, sizeof(*sources->v));
	sources->v[sources->n++] = older;
}

static int prepare(struct bundle *bundle, const char *file, struct err *err)
{
	_cleanup_sources_ struct sources sources = { 0 };
	/* apt takes paths of its configuration that are not absolute for ones below its own directories. */
	_cleanup_(freep) char *here = *file == '/' ? xstrdup("") : get_current_dir_name();
	_cleanup_(freep) char *template = xasprintf("%s%s%s.XXXXXX", here ? here : ".", *file == '/' ? "" : "/", file);
	_cleanup_(freep) char *status = NULL;
	int r = sources_of_host("bookworm", base_architecture(), &sources, err);

	if (r < 0)
		return r;
	add_older(&sources);
	if (!mkdtemp(template))
		return err_errno(err, errno, _("Cannot make a directory beside %s"), file);
	bundle->dir = TAKE_PTR(template);
	bundle->apt = fs_join(bundle->dir, "apt");
	bundle->repo = fs_join(bundle->dir, "repo");
	status = fs_join(bundle->dir, "status");
	r = fs_mkdirs(bundle->apt, 0755, err);
	if (r >= 0)
		r = fs_mkdirs(bundle->repo, 0755, err);
	if (r >= 0)
		r = fs_write(status, "", 0, 0644, err);
	return r < 0 ? r : apt_prepare(&sources, bundle->apt, bundle->apt, err);
}

/* apt-get with the bundle's own configuration, as on a machine that has nothing installed. */
static int apt(const struct bundle *bundle, const struct strv *words, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = APT_MS };
	_cleanup_buf_ struct buf output = { 0 };

	strv_add_all(&run.argv, "apt-get", "-q", "-y", "-o", "APT::Sandbox::User=root", "-o",
		     "APT::Update::Error-Mode=any", "-o", "Debug::NoLocking=true", NULL);
	strv_addf(&run.argv, "-oDir::State::status=%s/status", bundle->dir);
	strv_addf(&run.argv, "-oDir::Cache::archives=%s", bundle->repo);
	strv_copy(&run.argv, words);
	strv_addf(&run.env, "APT_CONFIG=%s/apt.conf", bundle->apt);
	strv_add_all(&run.env, "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", NULL);
	return run_checked(&run, &output, err);
}

static int download(const struct bundle *bundle, const struct deb *deb, const struct strv *more, struct err *err)
{
	_cleanup_strv_ struct strv update = { 0 }, install = { 0 };
	_cleanup_(freep) char *path = realpath(deb->path, NULL), *partial = fs_join(bundle->repo, "partial");
	int r;

	strv_add(&update, "update");
	r = apt(bundle, &update, err);
	if (r < 0)
		return r;
	strv_add_all(&install, "install", "--download-only", "--no-install-recommends", "?essential", "apt",
		     "docker.io", "consul", "iptables", path ? path : deb->path, NULL);
	strv_copy(&install, more);
	r = apt(bundle, &install, err);
	if (r == 0)
		r = fs_remove_tree(partial, err);
	return r;
}

static int copy_deb(const struct bundle *bundle, const struct deb *deb, struct err *err)
{
	_cleanup_(freep) char *to = xasprintf("%s/tepuy_%s_%s.deb", bundle->repo, deb->version, deb->architecture);
	_cleanup_buf_ struct buf bytes = { 0 };
	int r = fs_read(deb->path, MOST_INDEX, &bytes, err);

	return r < 0 ? r : fs_write(to, bytes.data, bytes.len, 0644, err);
}

/* In the child: paths in the index are relative to where it lies, and only standard output is the index. */
static int write_here(void *data)
{
	int fd;

	if (chdir(data) < 0)
		return -errno;
	fd = open("Packages", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 || dup2(fd, STDOUT_FILENO) < 0 ? -errno : 0;
}

static int write_index(const struct bundle *bundle, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = APT_MS, .in_child = write_here, .child_data = bundle->repo };
	_cleanup_(freep) char *lock = fs_join(bundle->repo, "lock");
	int r;

	(void)unlink(lock);
	strv_add_all(&run.argv, "dpkg-scanpackages", "--multiversion", ".", NULL);
	strv_add(&run.env, "LC_ALL=C");
	r = run_checked(&run, NULL, err);
	return r == -ENOENT
		   ? err_set(err, ENOENT, _("There is no program dpkg-scanpackages here; install the package dpkg-dev"))
		   : r;
}

static int pack(const struct bundle *bundle, const char *file, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = APT_MS };
	_cleanup_(freep) char *tar = fs_join(bundle->dir, "tar");
	int r;

	strv_add_all(&run.argv, "tar", "--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--file",
		     tar, "-C", bundle->repo, ".", NULL);
	r = run_checked(&run, NULL, err);
	if (r == 0 && rename(tar, file) < 0)
		r = err_errno(err, errno, _("Cannot write %s"), file);
	return r;
}

static int fill(const struct bundle *bundle, const struct bundle_wish *wish, struct err *err)
{
	_cleanup_(freep) char *images = fs_join(bundle->repo, OFFLINE_IMAGES);

	return wish->fill ? wish->fill(wish->data, images, bundle->dir, err) : 0;
}

int bundle_make(const char *file, const struct bundle_wish *wish, struct err *err)
{
	_cleanup_(bundle_release) struct bundle bundle = { 0 };
	int r = prepare(&bundle, file, err);

	if (r == 0) {
		wish->say(wish->data, _("fetching the packages"));
		r = download(&bundle, wish->deb, wish->more, err);
	}
	if (r == 0)
		r = copy_deb(&bundle, wish->deb, err);
	if (r == 0)
		r = write_index(&bundle, err);
	if (r == 0)
		r = fill(&bundle, wish, err);
	if (r < 0)
		return r;
	wish->say(wish->data, _("packing them"));
	return pack(&bundle, file, err);
}

/*
 * The source first and the switch to it last: killed between, the host is as it was. `$1` is the bundle's hash, by
 * which it is known again.
 */
static const char unpack[] =
    "set -e\n"
    "[ \"$(cat " OFFLINE
    "/sha256 2>/dev/null)\" != \"$1\" ] || [ ! -e /etc/apt/apt.conf.d/90tepuy-offline ] || exit 0\n"
    "rm -rf " OFFLINE ".new\n"
    "mkdir -p " OFFLINE ".new\n"
    "tar -x -C " OFFLINE ".new --no-same-owner -f " SENT "\n"
    "echo \"$1\" >" OFFLINE ".new/sha256\n"
    "chmod -R a+rX " OFFLINE ".new\n"
    "[ ! -d " OFFLINE ".new/" OFFLINE_IMAGES " ] || chmod 0700 " OFFLINE ".new/" OFFLINE_IMAGES "\n"
    "chmod a+x /var/lib/tepuy\n"
    "rm -rf " OFFLINE "\n"
    "mv " OFFLINE ".new " OFFLINE "\n"
    "rm -f " SENT " " LISTS "*\n"
    "echo 'deb [trusted=yes] file:" OFFLINE " ./' >/etc/apt/tepuy-offline.list\n"
    "printf 'Dir::Etc::sourcelist \"/etc/apt/tepuy-offline.list\";\\nDir::Etc::sourceparts \"/dev/null\";\\n' "
    ">/etc/apt/apt.conf.d/90tepuy-offline.new\n"
    "mv /etc/apt/apt.conf.d/90tepuy-offline.new /etc/apt/apt.conf.d/90tepuy-offline\n";

static const char is_there[] = "[ \"$(cat " OFFLINE "/sha256 2>/dev/null)\" = \"$1\" ] && "
			       "[ -e /etc/apt/apt.conf.d/90tepuy-offline ]";

int bundle_give(struct cluster *cluster, struct member *host, const char *bundle, const char *sha256, struct err *err)
{
	_cleanup_(closep) int fd = open(bundle, O_RDONLY | O_CLOEXEC);
	_cleanup_err_ struct err absent = ERR_INIT;
	int r;

	if (fd < 0)
		return err_errno(err, errno, _("Cannot read %s"), bundle);
	r = host_run(host, NULL, &absent, "sh", "-c", is_there, "sh", sha256, NULL);
	if (r == 0)
		return 0;
	if (r != -EIO)
		return err_set(err, -r, "%s", err_text(&absent));
	cluster_say(cluster, host, PROGRESS_WORKING, _("copying packages"));
	host->changes++;
	r = host_run(host, NULL, err, "install", "-d", "-m", "755", "/var/cache/tepuy", NULL);
	if (r == 0)
		r = remote_put(host->remote, fd, SENT, 0600, true, err);
	if (r == 0)
		r = host_run(host, NULL, err, "sh", "-c", unpack, "sh", sha256, NULL);
	return r;
}

int bundle_take_back(struct member *host, struct err *err)
{
	host->changes++;
	return host_run(host, NULL, err, "sh", "-c",
			"rm -rf /etc/apt/apt.conf.d/90tepuy-offline /etc/apt/tepuy-offline.list " OFFLINE
			" /var/lib/tepuy/store/carried " LISTS "*",
			NULL);
}
