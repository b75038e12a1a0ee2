/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"
#include "base/thread.h"
#include "image/apt.h"
#include "image/beneath.h"
#include "image/store.h"

/* mount(2) hands a page of options to the file system. */
#define MOST_OPTIONS 4000

struct call {
	int (*fn)(void *data, struct err *err);
	void *data;
	struct err *err;
	int r;
};

static void *call_thread(void *data)
{
	struct call *call = data;

	if (unshare(CLONE_FS | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		call->r = err_errno(call->err, errno,
				    _("Cannot make a mount namespace for the build (tepuy needs root, and in a "
				      "container the capability SYS_ADMIN)"));
	else
		call->r = call->fn(call->data, call->err);
	return NULL;
}

int sandbox_call(int (*fn)(void *data, struct err *err), void *data, struct err *err)
{
	struct call call = { .fn = fn, .data = data, .err = err };
	pthread_t thread;
	int code = thread_create(&thread, NULL, call_thread, &call);

	if (code)
		return err_errno(err, code, _("Cannot start a thread for the build"));
	pthread_join(thread, NULL);
	return call.r;
}

static int make_directories(const char *dir, const char *const *names, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *path = fs_join(dir, names[i]);
		int r = fs_mkdirs(path, 0755, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* "volatile": the upper directory is packed or thrown away, so dpkg's many syncs need not reach the disk. */
static int mount_overlay(const char *scratch, const char *root, const struct strv *lowers)
{
	_cleanup_buf_ struct buf options = { 0 };

	buf_adds(&options, "lowerdir=");
	for (size_t i = lowers->n; i-- > 0;)
		buf_printf(&options, "%s%s", lowers->v[i], i ? ":" : "");
	buf_printf(&options, ",upperdir=%s/upper,workdir=%s/work,redirect_dir=off,metacopy=off,index=off", scratch,
		   scratch);
	if (options.len > MOST_OPTIONS)
		return -E2BIG;
	buf_adds(&options, ",volatile");
	if (mount("overlay", root, "overlay", MS_NODEV, options.data) == 0)
		return 0;
	options.data[options.len - strlen(",volatile")] = '\0'; /* Linux before 5.10 */
	return mount("overlay", root, "overlay", MS_NODEV, options.data) < 0 ? -errno : 0;
}

static int mount_overlay_error(int code, const char *dir, struct err *err)
{
	if (code == E2BIG)
		return err_set(err, E2BIG, _("The image has too many layers below the recipe's own to build on"));
	if (code == ENODEV)
		return err_set(err, ENODEV, _("The kernel has no overlay file system: load it with modprobe overlay"));
	return err_errno(err, code,
			 _("Cannot put an overlay over the base system in %s: give the store a directory on ext4, xfs "
			   "or btrfs (in a container: a volume)"),
			 dir);
}

/* On a tmpfs when the disk's file system is no upper directory for an overlay. */
static int mount_root(const char *dir, const char *root, const struct strv *lowers, char **ret_upper, struct err *err)
{
	static const char *const names[] = { "upper", "work" };
	_cleanup_(freep) char *scratch = fs_join(dir, "scratch");
	int r = make_directories(dir, names, 2, err);

	if (r < 0)
		return r;
	r = mount_overlay(dir, root, lowers);
	if (r == 0) {
		*ret_upper = fs_join(dir, "upper");
		return 0;
	}
	if (r != -EINVAL && r != -EOPNOTSUPP)
		return mount_overlay_error(-r, dir, err);
	if (mkdir(scratch, 0700) < 0 || mount("tmpfs", scratch, "tmpfs", MS_NODEV, "mode=755") < 0)
		return err_errno(err, errno, _("Cannot make room for the build in memory"));
	r = make_directories(scratch, names, 2, err);
	if (r == 0)
		r = mount_overlay(scratch, root, lowers);
	if (r < 0)
		return mount_overlay_error(-r, dir, err);
	*ret_upper = fs_join(scratch, "upper");
	return 0;
}

/* Mounts on a directory of the image, which may hold any links. */
static int mount_in(int root, const char *name, const char *source, const char *type, unsigned long flags,
		    const char *options, struct err *err)
{
	_cleanup_(closep) int fd = beneath_mkdirs(root, name, BENEATH_NO_LINKS);
	char target[32];

	if (fd < 0)
		return err_errno(err, -fd, _("The base system has no directory /%s to mount on"), name);
	snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
	if (mount(source, target, type, flags, options) < 0)
		return err_errno(err, errno, _("Cannot mount /%s for the build"), name);
	return 0;
}

/* The devices that programs expect; as they are bound from the host, none needs to be made. */
static int fill_dev(int root, struct err *err)
{
	static const char *const devices[] = { "null", "zero", "full", "random", "urandom", "tty" };
	static const char *const links[][2] = { { "fd", "/proc/self/fd" },
						{ "stdin", "/proc/self/fd/0" },
						{ "stdout", "/proc/self/fd/1" },
						{ "stderr", "/proc/self/fd/2" },
						{ "ptmx", "pts/ptmx" } };
	_cleanup_(closep) int dev = beneath_open(root, "dev", O_RDONLY | O_DIRECTORY, 0, BENEATH_NO_LINKS);

	if (dev < 0)
		return err_errno(err, -dev, _("Cannot mount /%s for the build"), "dev");
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		_cleanup_(closep) int fd = openat(dev, devices[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		_cleanup_(freep) char *source = fs_join("/dev", devices[i]);
		char target[32];

		snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
		if (fd < 0 || mount(source, target, NULL, MS_BIND, NULL) < 0)
			return err_errno(err, errno, _("Cannot mount /dev/%s for the build"), devices[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i][1], dev, links[i][0]) < 0)
			return err_errno(err, errno, _("Cannot mount /dev/%s for the build"), links[i][0]);
	return 0;
}

int sandbox_mount(const char *dir, const struct strv *lowers, char **ret_upper, struct err *err)
{
	_cleanup_(freep) char *root = fs_join(dir, "root");
	int r = fs_mkdirs(root, 0755, err);

	return r < 0 ? r : mount_root(dir, root, lowers, ret_upper, err);
}

int sandbox_furnish(const char *dir, struct err *err)
{
	_cleanup_(freep) char *root = fs_join(dir, "root"), *apt = fs_join(dir, "apt");
	_cleanup_(closep) int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fs_mkdirs(apt, 0755, err);

	if (r < 0)
		return r;
	if (fd < 0)
		return err_errno(err, errno, _("Cannot open %s"), root);
	/*
	 * Root of a build may make device files, as packages do; in no place where it can write can they be opened,
	 * or they would be the host's disks. The devices that are bound into /dev are mounts of their own.
	 */
	r = mount_in(fd, "dev", "tmpfs", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755", err);
	if (r == 0)
		r = fill_dev(fd, err);
	if (r == 0)
		r = mount_in(fd, "dev/pts", "devpts", "devpts", MS_NOSUID | MS_NOEXEC,
			     "newinstance,ptmxmode=0666,mode=620", err);
	if (r == 0)
		r = mount_in(fd, "dev/shm", "tmpfs", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", err);
	if (r == 0)
		r = mount_in(fd, "run", "tmpfs", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755", err);
	if (r == 0)
		r = mount_in(fd, &APT_INSIDE[1], apt, NULL, MS_BIND, NULL, err);
	/* A bind mount takes over the flags of what it shows, whatever it is told. */
	if (r == 0)
		r = mount_in(fd, &APT_INSIDE[1], NULL, NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL, err);
	return r;
}

void sandbox_environment(struct strv *env)
{
	static const char *const proxies[] = { "http_proxy", "https_proxy", "no_proxy" };

	strv_add_all(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		     "LC_ALL=C.UTF-8", "TZ=UTC", "DEBIAN_FRONTEND=noninteractive", "DEBCONF_NONINTERACTIVE_SEEN=true",
		     "APT_LISTCHANGES_FRONTEND=none", "NEEDRESTART_SUSPEND=1", NULL);
	strv_addf(env, "SOURCE_DATE_EPOCH=%d", IMAGE_EPOCH);
	for (size_t i = 0; i < ARRAY_SIZE(proxies); i++)
		if (getenv(proxies[i]))
			strv_addf(env, "%s=%s", proxies[i], getenv(proxies[i]));
}

/* --- From here to enter(): between fork and exec; only system calls. --- */

/* Docker's own set: enough for any package's scripts, too little to reach the host's devices, clock or modules. */
static bool capability_stays(int capability)
{
	static const int kept[] = { CAP_CHOWN,   CAP_DAC_OVERRIDE, CAP_FSETID,           CAP_FOWNER,     CAP_MKNOD,
				    CAP_NET_RAW, CAP_SETGID,       CAP_SETUID,           CAP_SETFCAP,    CAP_SETPCAP,
				    CAP_KILL,    CAP_SYS_CHROOT,   CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE };

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (kept[i] == capability)
			return true;
	return false;
}

/*
 * Whoever is root may write here without any capability, and so change the host's kernel: have it run a program of
 * their own when another one crashes, or restart the machine. As in Docker's containers.
 */
static int protect_proc(void)
{
	static const char *const read_only[] = { "/proc/acpi", "/proc/asound", "/proc/bus", "/proc/fs",
						 "/proc/irq",  "/proc/scsi",   "/proc/sys", "/proc/sysrq-trigger" };
	static const char *const hidden[] = { "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
					      "/proc/sched_debug" };
	const unsigned long flags = MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;

	for (size_t i = 0; i < ARRAY_SIZE(read_only); i++) {
		if (access(read_only[i], F_OK) < 0)
			continue;
		if (mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL) < 0 ||
		    mount(NULL, read_only[i], NULL, MS_REMOUNT | flags, NULL) < 0)
			return -errno;
	}
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		if (access(hidden[i], F_OK) == 0 && mount("/dev/null", hidden[i], NULL, MS_BIND, NULL) < 0)
			return -errno;
	return 0;
}

static int change_root(const char *root)
{
	int r;

	if (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ||
	    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) < 0)
		return -errno;
	r = protect_proc();
	if (r < 0)
		return r;
	for (int i = 0; i <= CAP_LAST_CAP; i++)
		if (!capability_stays(i) && prctl(PR_CAPBSET_DROP, i) < 0 && errno != EINVAL)
			return -errno;
	return 0;
}

/* The first process of the namespace, and its parent outside: wait, and pass the exit status on. */
__attribute__((noreturn)) static void wait_for(pid_t pid)
{
	int status;
	pid_t ended;

	close_range(3, ~0U, 0);
	for (;;) {
		ended = waitpid(-1, &status, 0);
		if (ended == pid)
			_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
		if (ended < 0 && errno != EINTR)
			_exit(127);
	}
}

/* When the builder dies, so does this process; the kernel kills a process namespace whole with its first process. */
static int fork_below(void)
{
	pid_t pid = _Fork();

	if (pid < 0)
		return -errno;
	if (pid > 0)
		wait_for(pid);
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
}

static int enter(void *data)
{
	const struct sandbox *sandbox = data;
	int r;

	umask(022);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	    unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC) < 0)
		return -errno;
	r = fork_below();
	if (r == 0 && sethostname("tepuy-build", strlen("tepuy-build")) < 0)
		r = -errno;
	if (r == 0 && sandbox->root)
		r = change_root(sandbox->root);
	else if (r == 0 && mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		r = -errno;
	if (r == 0)
		r = fork_below();
	environ = sandbox->env.v;
	return r;
}

int sandbox_run(const struct sandbox *sandbox, const struct strv *argv, struct buf *output, struct err *err)
{
	_cleanup_run_ struct run run = { .output_fd = sandbox->log_fd,
					 .in_child = enter,
					 .child_data = (void *)sandbox };
	int64_t left = sandbox->deadline - clock_monotonic_ms();

	if (left <= 0)
		return err_set(err, ETIMEDOUT, _("The build did not end within its time"));
	run.timeout_ms = left;
	strv_copy(&run.argv, argv);
	return run_program(&run, output, err);
}
