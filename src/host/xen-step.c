/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The step `runtime` for Xen: the hypervisor installed and made what boots, a kernel for machines, their bridge. */
#include "host/xen-step.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"
#include "host/apt.h"
#include "host/network.h"
#include "host/place.h"
#include "host/service.h"
#include "host/xen-config.h"

#define GRUB_FILE "/etc/default/grub.d/zz-tepuy-xen.cfg"
#define GRUB_CFG "/boot/grub/grub.cfg"
#define XEN_DIR "/var/lib/tepuy/xen"
#define XEN_KERNEL XEN_DIR "/kernel"
#define XEN_INITRD XEN_DIR "/initrd"
#define XEN_RELEASE XEN_DIR "/kernel-release"
#define INITRAMFS XEN_DIR "/initramfs"
#define XENDOMAINS "/etc/default/xendomains"
#define XEN_DEFAULTS "/etc/default/xen"
/* Not in logrotate.d, which is looked at once a day: a machine may fill a disk in that time. */
#define CONSOLES_ROTATED PLACE_TEPUY "/xen-consoles.logrotate"
#define CONSOLES_BEFORE "/etc/logrotate.d/tepuy-xen"
#define UNITS "/etc/systemd/system/"
#define CONSOLES_SERVICE "tepuy-xen-consoles.service"
#define CONSOLES_TIMER "tepuy-xen-consoles.timer"

#define ASK_MS 60000
#define MAKE_MS (INT64_C(600) * 1000)
#define MOST_KERNEL ((size_t)256 << 20)

/* A machine's root disk and network card; it has no modules of this kernel to load anything else from. */
static const char initramfs_modules[] = "xen-blkfront\nxen-netfront\next4\ncrc32c_generic\n";
static const char initramfs_conf[] =
    "# Written by 'tepuy setup runtime', for machines only: the host's own initrd is made by what is in\n"
    "# /etc/initramfs-tools.\n"
    "MODULES=list\nBUSYBOX=auto\nCOMPRESS=gzip\nRESUME=none\nFSTYPE=ext4\n";

static bool is_booted(void)
{
	_cleanup_(freep) char *capabilities = NULL;

	return place_read_text("/proc/xen/capabilities", &capabilities, NULL) == 0 && strstr(capabilities, "control_d");
}

/* What xl says behind "NAME :"; owned by the caller, NULL: it does not say. */
static char *xl_info(const char *name)
{
	_cleanup_run_ struct run run = { .timeout_ms = ASK_MS };
	_cleanup_buf_ struct buf output = { 0 };

	strv_add_all(&run.argv, "xl", "info", NULL);
	if (run_program(&run, &output, NULL) != 0)
		return NULL;
	for (char *rest = output.data, *line; rest && (line = strsep(&rest, "\n"));) {
		size_t len = strlen(name);

		if (strncmp(line, name, len) || !strchr(" :", line[len]))
			continue;
		line += len + strspn(line + len, " ");
		return xstrdup(*line == ':' ? line + 1 + strspn(line + 1, " ") : line);
	}
	return NULL;
}

static int install_one(struct step *step, const char *package, int64_t lock_wait, struct err *err)
{
	int r;

	if (apt_installed(package))
		return 0;
	if (!step->item)
		step_begin(step, "package", _("Installing %s"), package);
	r = apt_install(step, package, lock_wait, err);
	return r < 0 ? r : 1;
}

static int install_all(struct step *step, const struct xen_wish *wish, int64_t lock_wait, struct err *err)
{
	static const char *const packages[] = { "xen-system-amd64", "bridge-utils",    "xenstore-utils",
						"e2fsprogs",        "initramfs-tools", "logrotate" };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(packages) && r >= 0; i++)
		r = install_one(step, packages[i], lock_wait, err);
	if (r >= 0 && wish->volume_group)
		r = install_one(step, "lvm2", lock_wait, err);
	if (r < 0)
		return r;
	if (step->item)
		step_done(step, _("Xen is installed"));
	else
		step_unchanged(step, "package", _("%s is installed"), "xen-system-amd64");
	return 0;
}

static bool kernel_fits(const char *release)
{
	_cleanup_(freep) char *path = xasprintf("/boot/config-%s", release), *image = NULL;
	_cleanup_buf_ struct buf config = { 0 };

	image = xasprintf("/boot/vmlinuz-%s", release);
	return place_exists(image) && place_read(path, &config, NULL) == 0 && xen_kernel_fits(buf_text(&config));
}

/* The kernel that runs, if it is one for Xen; else the newest one that is. The caller owns it; NULL: none. */
static char *choose_kernel(void)
{
	struct utsname self;
	char *best = NULL;
	struct dirent *e;
	DIR *boot;

	if (uname(&self) == 0 && kernel_fits(self.release))
		return xstrdup(self.release);
	boot = opendir("/boot");
	while (boot && (e = readdir(boot))) {
		const char *release = e->d_name + strlen("vmlinuz-");

		if (!text_starts(e->d_name, "vmlinuz-") || !kernel_fits(release) ||
		    (best && strverscmp(release, best) < 0))
			continue;
		free(best);
		best = xstrdup(release);
	}
	if (boot)
		closedir(boot);
	return best;
}

/* One that can be dom0: those for cloud machines cannot. */
static int find_kernel(struct step *step, int64_t lock_wait, char **ret, struct err *err)
{
	char *release = choose_kernel();
	int r;

	if (!release) {
		step_begin(step, "kernel", _("Installing %s: no kernel of this host can be Xen's"),
			   "linux-image-amd64");
		r = apt_install(step, "linux-image-amd64", lock_wait, err);
		if (r < 0)
			return r;
		release = choose_kernel();
		if (!release)
			return err_set(err, ENOTSUP,
				       _("No kernel in /boot can run under Xen (CONFIG_XEN_DOM0), not even Debian's "
					 "linux-image-amd64"));
		step_done(step, _("Linux %s is installed"), release);
	}
	*ret = release;
	return 0;
}

static int run_update_grub(struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = MAKE_MS };

	strv_add(&run.argv, "update-grub");
	strv_add(&run.env, "LC_ALL=C");
	return run_checked(&run, NULL, err);
}

static bool grub_is_right(const char *wanted, const struct xen_wish *wish)
{
	_cleanup_buf_ struct buf cfg = { 0 };

	/* Larger than PLACE_MOST where many kernels are. */
	return place_is(GRUB_FILE, wanted, 0, 0644) && fs_read(GRUB_CFG, MOST_KERNEL, &cfg, NULL) == 0 &&
	       xen_grub_boots(buf_text(&cfg), wish->dom0_memory);
}

static int set_grub(struct step *step, const struct xen_wish *wish, bool right_now, struct err *err)
{
	_cleanup_(freep) char *wanted = xen_grub_defaults(wish->dom0_memory);
	bool has_grub = access("/usr/sbin/update-grub", X_OK) == 0;
	int r;

	if (!has_grub && right_now) {
		step_unchanged(step, "boot-entry", _("This host boots Xen without GRUB"));
		return 0;
	}
	if (!has_grub)
		return err_set(err, ENOTSUP,
			       _("This host does not boot by GRUB, the only boot loader that tepuy can tell about Xen; "
				 "make it boot Xen with dom0_mem=%dM,max:%dM and run this again"),
			       (int)(wish->dom0_memory >> 20), (int)(wish->dom0_memory >> 20));
	if (grub_is_right(wanted, wish)) {
		step_unchanged(step, "boot-entry", _("GRUB boots Xen, and the host keeps %d MiB"),
			       (int)(wish->dom0_memory >> 20));
		return 0;
	}
	step_begin(step, "boot-entry", _("Making Xen what GRUB boots"));
	r = fs_mkdirs("/etc/default/grub.d", 0755, err);
	if (r == 0)
		r = place_write_text(GRUB_FILE, wanted, 0, 0644, NULL, err);
	if (r == 0)
		r = run_update_grub(err);
	if (r < 0)
		return r;
	if (!grub_is_right(wanted, wish))
		return err_set(err, EIO,
			       _("update-grub does not make Xen the default with %d MiB for the host; look at what "
				 "/etc/default/grub and /etc/default/grub.d say besides %s"),
			       (int)(wish->dom0_memory >> 20), GRUB_FILE);
	step_done(step, _("GRUB boots Xen, and the host keeps %d MiB"), (int)(wish->dom0_memory >> 20));
	return 0;
}

static int make_initrd(const char *release, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = MAKE_MS };
	static const char *const directories[] = { INITRAMFS, INITRAMFS "/conf.d", INITRAMFS "/hooks",
						   INITRAMFS "/scripts" };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(directories) && r == 0; i++)
		r = fs_mkdirs(directories[i], 0755, err);
	if (r == 0)
		r = place_write_text(INITRAMFS "/initramfs.conf", initramfs_conf, 0, 0644, NULL, err);
	if (r == 0)
		r = place_write_text(INITRAMFS "/modules", initramfs_modules, 0, 0644, NULL, err);
	if (r < 0)
		return r;
	strv_add_all(&run.argv, "mkinitramfs", "-d", INITRAMFS, "-o", XEN_INITRD ".new", release, NULL);
	strv_add(&run.env, "LC_ALL=C");
	r = run_checked(&run, NULL, err);
	if (r < 0)
		return err_wrap(err, _("The initrd for machines could not be made"));
	if (rename(XEN_INITRD ".new", XEN_INITRD) < 0)
		return err_errno(err, errno, _("Cannot rename %s"), XEN_INITRD ".new");
	return 0;
}

/* What is noted when both were made: another release, or other modules, make them again. */
static int make_guest_kernel(struct step *step, const char *release, struct err *err)
{
	_cleanup_(freep) char *mark = xasprintf("%s\n%s%s", release, initramfs_conf, initramfs_modules);
	_cleanup_(freep) char *path = xasprintf("/boot/vmlinuz-%s", release);
	_cleanup_buf_ struct buf image = { 0 };
	int r;

	if (place_holds(XEN_RELEASE, mark, strlen(mark)) && place_exists(XEN_KERNEL) && place_exists(XEN_INITRD)) {
		step_unchanged(step, "guest-kernel", _("Machines boot Linux %s"), release);
		return 0;
	}
	step_begin(step, "guest-kernel", _("Making the kernel and initrd of machines"));
	r = fs_mkdirs(XEN_DIR, 0755, err);
	if (r == 0)
		r = make_initrd(release, err);
	if (r == 0)
		r = fs_read(path, MOST_KERNEL, &image, err);
	if (r == 0)
		r = fs_write(XEN_KERNEL, image.data, image.len, 0644, err);
	if (r == 0)
		r = place_write_text(XEN_RELEASE, mark, 0, 0644, NULL, err);
	if (r == 0)
		step_done(step, _("Machines boot Linux %s"), release);
	return r;
}

/* Debian's own would save machines to disk when the host goes down, and restore them behind the agent's back. */
static int set_xendomains(struct step *step, struct err *err)
{
	_cleanup_(freep) char *saves = NULL, *wanted = NULL;
	_cleanup_buf_ struct buf now = { 0 };
	int r = place_read(XENDOMAINS, &now, err);

	if (r < 0)
		return r;
	saves = defaults_with(buf_text(&now), "XENDOMAINS_SAVE", "");
	wanted = defaults_with(saves, "XENDOMAINS_RESTORE", "false");
	if (place_is(XENDOMAINS, wanted, 0, 0644)) {
		step_unchanged(step, "shutdown", _("Machines are shut down with the host"));
		return 0;
	}
	step_begin(step, "shutdown", _("Having machines shut down with the host"));
	r = place_write_text(XENDOMAINS, wanted, 0, 0644, NULL, err);
	if (r == 0)
		step_done(step, _("Machines are shut down with the host"));
	return r;
}

static const char consoles_rotated[] = "# Written by 'tepuy setup runtime'.\n/var/log/xen/console/*.log {\n\tsize 1M\n"
				       "\trotate 2\n\tcopytruncate\n\tmissingok\n\tnotifempty\n}\n";
static const char consoles_service[] =
    "# Written by 'tepuy setup runtime'.\n[Unit]\nDescription=Rotation of what machines say on their consoles\n\n"
    "[Service]\nType=oneshot\nNice=19\nIOSchedulingClass=idle\n"
    "ExecStart=/usr/sbin/logrotate --state /var/lib/logrotate/tepuy-xen " CONSOLES_ROTATED "\n";
static const char consoles_timer[] =
    "# Written by 'tepuy setup runtime'.\n[Unit]\nDescription=Rotation of machines' consoles, each hour\n\n"
    "[Timer]\nOnCalendar=*:17\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n";

static bool consoles_are_rotated(void)
{
	return place_is(CONSOLES_ROTATED, consoles_rotated, 0, 0644) &&
	       place_is(UNITS CONSOLES_SERVICE, consoles_service, 0, 0644) &&
	       place_is(UNITS CONSOLES_TIMER, consoles_timer, 0, 0644) && !place_exists(CONSOLES_BEFORE) &&
	       service_enabled(CONSOLES_TIMER) && service_active(CONSOLES_TIMER);
}

static int rotate_consoles(struct err *err)
{
	int r = place_write_text(CONSOLES_ROTATED, consoles_rotated, 0, 0644, NULL, err);

	if (r == 0)
		r = place_write_text(UNITS CONSOLES_SERVICE, consoles_service, 0, 0644, NULL, err);
	if (r == 0)
		r = place_write_text(UNITS CONSOLES_TIMER, consoles_timer, 0, 0644, NULL, err);
	if (r == 0)
		r = place_remove(CONSOLES_BEFORE, err);
	if (r == 0)
		r = service_daemon_reload(err);
	if (r == 0)
		r = service_do("enable", CONSOLES_TIMER, err);
	return r == 0 ? service_do("restart", CONSOLES_TIMER, err) : r;
}

/* An operator may keep more of them. */
static char *console_defaults(const char *now)
{
	for (const char *line = now; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		_cleanup_(freep) char *one = xstrndup(line, strcspn(line, "\n"));

		if (text_starts(one, "XENCONSOLED_ARGS=") && (strstr(one, "--log=all") || strstr(one, "--log=guest")))
			return xstrdup(now);
	}
	return defaults_with(now, "XENCONSOLED_ARGS", "--log=guest");
}

/* Else nobody knows what a machine said that did not come up, or went down by itself. */
static int keep_consoles(struct step *step, struct err *err)
{
	_cleanup_(freep) char *wanted = NULL;
	_cleanup_buf_ struct buf now = { 0 };
	int r = place_read(XEN_DEFAULTS, &now, err);

	if (r < 0)
		return r;
	wanted = console_defaults(buf_text(&now));
	if (place_is(XEN_DEFAULTS, wanted, 0, 0644) && consoles_are_rotated()) {
		step_unchanged(step, "consoles", _("What machines say on their consoles is kept"));
		return 0;
	}
	step_begin(step, "consoles", _("Having what machines say on their consoles kept"));
	r = place_directory(PLACE_TEPUY, 0, 0755, NULL, err);
	if (r == 0)
		r = rotate_consoles(err);
	if (r == 0)
		r = place_write_text(XEN_DEFAULTS, wanted, 0, 0644, NULL, err);
	if (r == 0)
		step_done(step, _("What machines say on their consoles is kept from the host's next start on"));
	return r;
}

static int write_config(struct step *step, const struct xen_wish *wish, struct err *err)
{
	_cleanup_strv_ struct strv dns = { 0 };
	_cleanup_buf_ struct buf resolv = { 0 };
	_cleanup_(freep) char *text = NULL;
	int r = place_read("/etc/resolv.conf", &resolv, err);

	if (r < 0)
		return r;
	xen_name_servers(buf_text(&resolv), &dns);
	/* 127.0.0.53, where systemd-resolved listens, is not reached from a machine: the servers that it asks are. */
	buf_release(&resolv);
	if (!dns.n && place_read("/run/systemd/resolve/resolv.conf", &resolv, NULL) == 0)
		xen_name_servers(buf_text(&resolv), &dns);
	text = xen_config_text(wish, &dns);
	if (place_is(PLACE_XEN, text, 0, 0644)) {
		step_unchanged(step, "config", _("%s says what it must"), PLACE_XEN);
		return 0;
	}
	step_begin(step, "config", _("Writing %s"), PLACE_XEN);
	r = place_directory(PLACE_TEPUY, 0, 0755, NULL, err);
	if (r == 0)
		r = place_write_text(PLACE_XEN, text, 0, 0644, NULL, err);
	if (r == 0)
		step_done(step, _("%s is written"), PLACE_XEN);
	return r;
}

/* A volume group that is not there is the operator's to make: no disk is touched for it. */
static int look_at_volume_group(struct step *step, const struct xen_wish *wish, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = ASK_MS };
	int r;

	if (!wish->volume_group)
		return 0;
	strv_add_all(&run.argv, "vgs", "--noheadings", "-o", "vg_name", "--", wish->volume_group, NULL);
	strv_add(&run.env, "LC_ALL=C.UTF-8");
	r = run_program(&run, NULL, err);
	if (r > 0)
		return err_set(err, ENOENT,
			       _("There is no volume group %s on this host; make it (vgcreate), or leave volume_group "
				 "out of hosts.yaml"),
			       wish->volume_group);
	if (r == 0)
		step_unchanged(step, "volume-group", _("There is the volume group %s"), wish->volume_group);
	return r;
}

/* Which card they are of, nobody has said: they are the operator's to make. */
static int look_at_bridges(const struct xen_wish *wish, struct err *err)
{
	json_t *card;
	size_t i;

	json_array_foreach(json_object_get(wish->input, "more"), i, card)
	{
		const char *bridge = json_string_value(json_object_get(card, "bridge"));
		_cleanup_(freep) char *path = xasprintf("/sys/class/net/%s/bridge", bridge);

		if (!place_exists(path))
			return err_set(err, ENOENT,
				       _("There is no bridge %s on this host, on which machines are to have a further "
					 "card; set it up by hand, or leave it out of xen.more in hosts.yaml"),
				       bridge);
	}
	return 0;
}

/* Why the host must be rebooted, NULL: it need not be. The caller owns it. */
static char *why_reboot(const struct xen_wish *wish)
{
	_cleanup_(freep) char *line = NULL;

	if (!is_booted())
		return xstrdup(_("Xen is installed and was not booted yet: the host must be rebooted"));
	line = xl_info("xen_commandline");
	if (line && !xen_command_line_gives(line, wish->dom0_memory))
		return xasprintf(_("Xen runs with another memory for the host than %d MiB: the host must be rebooted"),
				 (int)(wish->dom0_memory >> 20));
	return NULL;
}

static int look_at_runtime(struct step *step, const char *name, char **ret_version, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;
	struct runtime *rt = NULL;
	enum runtime_probe answer;
	int r = runtime_open(name, NULL, &rt, err);

	if (r < 0)
		return r;
	answer = rt->ops->probe(rt, ret_version, &why);
	runtime_free(rt);
	if (answer != RUNTIME_MINE)
		return err_set(err, EIO, _("Xen was booted, and machines cannot be run: %s"),
			       answer == RUNTIME_BROKEN_HERE ? err_text(&why) : _("xl is not there"));
	step_unchanged(step, "service", _("Xen %s answers"), *ret_version ? *ret_version : "");
	return 0;
}

int xen_set_up(struct step *step, const char *name, int64_t lock_wait, json_t **ret, struct err *err)
{
	_cleanup_(freep) char *release = NULL, *version = NULL, *reboot = NULL;
	struct xen_wish wish;
	bool pending = false;
	int r = xen_wish_read(json_object_get(step->input, "xen"), &wish, err);

	if (r == 0)
		r = install_all(step, &wish, lock_wait, err);
	if (r == 0)
		r = find_kernel(step, lock_wait, &release, err);
	if (r == 0)
		reboot = why_reboot(&wish);
	if (r == 0)
		r = set_grub(step, &wish, !reboot, err);
	if (r == 0)
		r = make_guest_kernel(step, release, err);
	if (r == 0)
		r = set_xendomains(step, err);
	if (r == 0)
		r = keep_consoles(step, err);
	if (r == 0)
		r = look_at_volume_group(step, &wish, err);
	if (r == 0)
		r = look_at_bridges(&wish, err);
	if (r == 0)
		r = network_bridge(step, wish.bridge, &pending, err);
	/* Behind the bridge: the driver goes by it. */
	if (r == 0)
		r = write_config(step, &wish, err);
	if (r == 0 && reboot)
		step_pending(step, "boot", "%s", reboot);
	else if (r == 0)
		r = look_at_runtime(step, name, &version, err);
	if (r == 0)
		*ret = json_pack("{s:s, s:s*, s:b, s:s*}", "runtime", name, "version", version, "unconfirmed", pending,
				 "reboot", reboot);
	return r;
}
