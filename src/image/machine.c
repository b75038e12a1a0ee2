/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "image/beneath.h"

#define UNITS "etc/systemd/system"

struct text {
	const char *path, *content;
};

static const struct text files[] = {
	/* A key of root's is the only way in. The first value counts, so that a driver's tepuy.conf may say otherwise.
	 */
	{ "etc/ssh/sshd_config.d/zz-machine.conf", "PermitRootLogin prohibit-password\n"
						   "AuthenticationMethods publickey\n"
						   "PasswordAuthentication no\n"
						   "KbdInteractiveAuthentication no\n"
						   "UsePAM no\n"
						   "UseDNS no\n"
						   "X11Forwarding no\n"
						   "PrintMotd no\n"
						   "PrintLastLog no\n"
						   "ClientAliveInterval 15\n"
						   "ClientAliveCountMax 4\n" },
	/* sshd says the same when it starts. */
	{ UNITS "/ssh.service.d/machine.conf", "[Service]\nExecStartPre=\n" },
	/* Disks and cards are all that anything waits for. */
	{ UNITS "/systemd-udev-trigger.service.d/machine.conf",
	  "[Service]\nExecStart=\n"
	  "ExecStart=-udevadm trigger --type=devices --action=add --prioritized-subsystem=net,block "
	  "--subsystem-match=net --subsystem-match=block\n" },
	/* Nobody hands it credentials; each would be a mount at boot. */
	{ UNITS "/systemd-sysctl.service.d/machine.conf", "[Service]\nLoadCredential=\n" },
	{ UNITS "/systemd-tmpfiles-setup.service.d/machine.conf", "[Service]\nLoadCredential=\n" },
	{ "etc/systemd/journald.conf.d/machine.conf",
	  "[Journal]\nStorage=persistent\nSystemMaxUse=64M\nSystemMaxFileSize=8M\nRuntimeMaxUse=8M\n"
	  "ForwardToSyslog=no\nRateLimitBurst=0\nAudit=no\n" },
	/* As much as a container has: the machine's own size is the limit. */
	{ "etc/systemd/system.conf.d/machine.conf",
	  "[Manager]\nDefaultEnvironment=HOME=/root\nDefaultLimitNOFILE=65536:524288\nDefaultTasksMax=infinity\n"
	  "ShowStatus=no\n" },
	{ "etc/sysctl.d/machine.conf", "# As in a container: its ports are nobody else's.\n"
				       "net.ipv4.ip_unprivileged_port_start=0\n" },
	/* Nothing is enabled because it came with a package, not even by a first boot or by `systemctl preset-all`. */
	{ "etc/systemd/system-preset/00-machine.preset", "enable ssh.service\ndisable *\n" },
};

/* Links: what starts at boot. */
static const struct text links[] = {
	{ UNITS "/multi-user.target.wants/ssh.service", "/lib/systemd/system/ssh.service" },
	{ UNITS "/default.target", "/lib/systemd/system/multi-user.target" },
	{ "etc/localtime", "/usr/share/zoneinfo/Etc/UTC" },
};

/* Of units that nothing in a node needs, and of generators that would bring such ones. */
static const char *const masked[] = {
	/* Logins on a console, and what is kept about logins. */
	UNITS "/getty.target",
	UNITS "/getty@.service",
	UNITS "/serial-getty@.service",
	UNITS "/console-getty.service",
	UNITS "/systemd-logind.service",
	UNITS "/systemd-user-sessions.service",
	UNITS "/systemd-update-utmp.service",
	UNITS "/systemd-update-utmp-runlevel.service",
	UNITS "/systemd-ask-password-console.path",
	UNITS "/systemd-ask-password-wall.path",
	"etc/tmpfiles.d/systemd-nologin.conf",
	"etc/systemd/system-generators/systemd-getty-generator",
	"etc/systemd/system-generators/systemd-debug-generator",
	/* A first boot's. */
	UNITS "/systemd-firstboot.service",
	UNITS "/systemd-machine-id-commit.service",
	UNITS "/systemd-sysusers.service",
	UNITS "/systemd-hwdb-update.service",
	UNITS "/systemd-journal-catalog-update.service",
	UNITS "/systemd-update-done.service",
	UNITS "/ldconfig.service",
	"etc/systemd/system-generators/systemd-system-update-generator",
	/* Timers: each would write on every node's disk at the same time. */
	UNITS "/apt-daily.timer",
	UNITS "/apt-daily-upgrade.timer",
	UNITS "/dpkg-db-backup.timer",
	UNITS "/e2scrub_all.timer",
	UNITS "/e2scrub_reap.service",
	UNITS "/fstrim.timer",
	UNITS "/systemd-tmpfiles-clean.timer",
	/* Modules and hardware: the kernel is the host's and has none of its modules here. */
	UNITS "/systemd-modules-load.service",
	UNITS "/kmod-static-nodes.service",
	UNITS "/modprobe@.service",
	UNITS "/systemd-binfmt.service",
	UNITS "/proc-sys-fs-binfmt_misc.automount",
	UNITS "/proc-sys-fs-binfmt_misc.mount",
	UNITS "/systemd-journald-audit.socket",
	UNITS "/systemd-initctl.socket",
	UNITS "/systemd-repart.service",
	UNITS "/systemd-pstore.service",
	UNITS "/systemd-boot-system-token.service",
	UNITS "/systemd-pcrphase.service",
	UNITS "/systemd-pcrphase-initrd.service",
	UNITS "/systemd-pcrphase-sysinit.service",
	UNITS "/sys-kernel-config.mount",
	UNITS "/sys-kernel-debug.mount",
	UNITS "/sys-kernel-tracing.mount",
	UNITS "/sys-fs-fuse-connections.mount",
	UNITS "/dev-hugepages.mount",
	UNITS "/dev-mqueue.mount",
	UNITS "/systemd-tmpfiles-setup-dev.service",
	"etc/systemd/system-generators/systemd-bless-boot-generator",
	"etc/systemd/system-generators/systemd-cryptsetup-generator",
	"etc/systemd/system-generators/systemd-gpt-auto-generator",
	"etc/systemd/system-generators/systemd-hibernate-resume-generator",
	"etc/systemd/system-generators/systemd-integritysetup-generator",
	"etc/systemd/system-generators/systemd-veritysetup-generator",
	/* Scripts in /etc/init.d and /etc/rc.local: recipes' packages bring them. */
	"etc/systemd/system-generators/systemd-rc-local-generator",
	"etc/systemd/system-generators/systemd-sysv-generator",
	"etc/systemd/system-generators/systemd-run-generator",
};

void machine_arguments(struct strv *argv)
{
	/* What machines are made of; iproute2 as a driver gives addresses with it. Names of hardware fill a third of
	 * udev. */
	strv_add_all(argv, "--include=systemd-sysv,udev,openssh-server,iproute2",
		     "--dpkgopt=path-exclude=/lib/udev/hwdb.d/*", "--dpkgopt=path-exclude=/usr/lib/udev/hwdb.d/*",
		     NULL);
}

/* Puts a file (mode > 0) or a link in the place of whatever is there. */
static int put(int root, const char *path, const char *content, mode_t mode, struct err *err)
{
	const char *name;
	_cleanup_(closep) int dir = beneath_parent(root, path, BENEATH_NO_LINKS, &name), fd = -1;
	int r = dir;

	if (r >= 0)
		r = unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	if (r == 0 && !mode)
		r = symlinkat(content, dir, name) < 0 ? -errno : 0;
	if (r == 0 && mode) {
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		r = fd < 0 || fchmod(fd, mode) < 0 ? -errno : fs_write_all(fd, content, strlen(content));
	}
	if (r == -ENOSPC)
		return r;
	return r < 0 ? err_errno(err, -r, _("Cannot write /%s of the base system"), path) : 0;
}

/* Takes away what the packages enabled: what starts is what is said here. */
static int disable(int units, const char *name)
{
	_cleanup_(closep) int dir = openat(units, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_strv_ struct strv names = { 0 };
	int r = dir < 0 ? -errno : beneath_list(dir, &names);

	for (size_t i = 0; r == 0 && i < names.n; i++)
		r = unlinkat(dir, names.v[i], 0) < 0 ? -errno : 0;
	return r;
}

static int disable_all(int root, struct err *err)
{
	_cleanup_(closep) int units = beneath_mkdirs(root, UNITS, BENEATH_NO_LINKS);
	_cleanup_strv_ struct strv names = { 0 };
	int r = units < 0 ? units : beneath_list(units, &names);

	for (size_t i = 0; r == 0 && i < names.n; i++)
		if (text_ends(names.v[i], ".wants") || text_ends(names.v[i], ".requires"))
			r = disable(units, names.v[i]);
	return r < 0 ? err_errno(err, -r, _("Cannot write /%s of the base system"), UNITS) : 0;
}

int machine_settle(const char *root, struct err *err)
{
	_cleanup_(closep) int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? err_errno(err, errno, _("Cannot open %s"), root) : disable_all(fd, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		r = put(fd, files[i].path, files[i].content, 0644, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(links); i++)
		r = put(fd, links[i].path, links[i].content, 0, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(masked); i++)
		r = put(fd, masked[i], "/dev/null", 0, err);
	return r;
}
