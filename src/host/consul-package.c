/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The step `consul-package`: the program consul, its user and its unit, from where the institution gets its software.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"
#include "host/apt.h"
#include "host/place.h"
#include "host/service.h"
#include "host/step.h"
#include "image/digest.h"

#define UNIT "consul.service"
#define BINARY "/usr/local/bin/consul"
#define UNIT_FILE "/etc/systemd/system/" UNIT
#define PIN_SOURCES "/etc/apt/sources.list.d/tepuy-consul.sources"
#define PIN_PREFERENCES "/etc/apt/preferences.d/tepuy-consul"
#define OWN_SUITE "bookworm"
#define PIN_SUITE "bullseye"
#define KEYRING "/usr/share/keyrings/debian-archive-keyring.gpg"

/* As the unit of Debian's package, with the program's other place. */
static const char unit_text[] =
    "# Written by tepuy setup, for a consul that came as a single program.\n"
    "[Unit]\n"
    "Description=Consul agent\n"
    "Documentation=https://www.consul.io/docs/\n"
    "After=network-online.target\n"
    "Wants=network-online.target\n"
    "\n"
    "[Service]\n"
    "ExecStart=" BINARY " agent -data-dir=" PLACE_CONSUL_DATA " -config-dir=" PLACE_CONSUL "\n"
    "ExecReload=/bin/kill -HUP $MAINPID\n"
    "Restart=on-failure\n"
    "User=consul\n"
    "KillSignal=SIGINT\n"
    "NoNewPrivileges=true\n"
    "PrivateDevices=true\n"
    "PrivateTmp=true\n"
    "ProtectSystem=full\n"
    "ProtectKernelTunables=true\n"
    "\n"
    "[Install]\n"
    "WantedBy=multi-user.target\n";

struct wish {
	const char *deb, *binary, *sha256;
	bool pin;
	int64_t lock_wait;
};

static const char advice[] = N_("Give a package or a binary of Consul, with its sha256");

static const char *program(void)
{
	static const char *const places[] = { BINARY, "/usr/bin/consul" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

/* "1.8.7" of "Consul v1.8.7"; the caller owns it. */
static int version(const char *path, char **ret, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = 30000 };
	_cleanup_buf_ struct buf output = { 0 };
	const char *found;
	int r;

	strv_add_all(&run.argv, path, "version", NULL);
	r = run_checked(&run, &output, err);
	if (r < 0)
		return r;
	found = strstr(buf_text(&output), "Consul v");
	if (!found)
		return err_set(err, EBADMSG, _("%s does not say which version of Consul it is"), path);
	found += strlen("Consul v");
	*ret = xstrndup(found, strcspn(found, " \n"));
	return 0;
}

static int verify(const char *path, const char *sha256, struct err *err)
{
	_cleanup_(freep) char *hash = NULL;
	int r;

	if (!sha256 || !digest_valid(sha256))
		return err_set(err, EINVAL, _("'sha256' must be the hash of %s: 64 lower case hexadecimal digits"),
			       path);
	r = digest_of_file(path, &hash, err);
	if (r < 0)
		return r;
	if (strcmp(hash, sha256) != 0)
		return err_set(err, EBADMSG, _("%s has the sha256 %s, not %s: get the file again"), path, hash, sha256);
	return 0;
}

/* Whatever a package does after it was unpacked, it cannot start a unit that is masked. */
static int install_masked(struct step *step, const char *package, int64_t lock_wait, struct err *err)
{
	int r = fs_mkdirs("/run/systemd/system", 0755, err);

	if (r < 0)
		return r;
	if (symlink("/dev/null", "/run/systemd/system/" UNIT) < 0 && errno != EEXIST)
		return err_errno(err, errno, _("Cannot mask %s"), UNIT);
	service_daemon_reload(NULL);
	return apt_install(step, package, lock_wait, err);
}

/* Also what a run that was killed left masked. */
static int unmask(struct err *err)
{
	char to[16];
	ssize_t n = readlink("/run/systemd/system/" UNIT, to, sizeof(to));

	if (n != (ssize_t)strlen("/dev/null") || memcmp(to, "/dev/null", (size_t)n) != 0)
		return 0;
	if (unlink("/run/systemd/system/" UNIT) < 0)
		return err_errno(err, errno, _("Cannot unmask %s"), UNIT);
	return service_daemon_reload(err);
}

static int make_user(struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = 30000 };
	struct passwd *user = getpwnam("consul");
	int r = 0;

	if (!user) {
		strv_add_all(&run.argv, "useradd", "--system", "--user-group", "--home-dir", PLACE_CONSUL_DATA,
			     "--no-create-home", "--shell", "/usr/sbin/nologin", "consul", NULL);
		r = run_checked(&run, NULL, err);
		user = getpwnam("consul");
	}
	if (r == 0 && !user)
		r = err_set(err, EIO, _("The user consul was made and is not there"));
	if (r == 0)
		r = fs_mkdirs(PLACE_CONSUL_DATA, 0750, err);
	if (r == 0 && (chown(PLACE_CONSUL_DATA, user->pw_uid, user->pw_gid) < 0 || chmod(PLACE_CONSUL_DATA, 0750) < 0))
		r = err_errno(err, errno, _("Cannot give %s to the user consul"), PLACE_CONSUL_DATA);
	return r < 0 ? r : fs_mkdirs(PLACE_CONSUL, 0755, err);
}

static int copy_program(const char *from, struct err *err)
{
	_cleanup_(closep) int in = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_(closep) int out = -1;
	static const char beside[] = BINARY ".tepuy-new";
	char chunk[65536];
	ssize_t n = 0;
	int r = 0;

	unlink(beside);
	out = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (in < 0 || out < 0)
		return err_errno(err, errno, _("Cannot copy %s to %s"), from, BINARY);
	while (r == 0 && (n = read(in, chunk, sizeof(chunk))) > 0)
		r = fs_write_all(out, chunk, (size_t)n);
	if (n < 0 || (r == 0 && (fchmod(out, 0755) < 0 || fsync(out) < 0)))
		r = -errno;
	if (r < 0) {
		unlink(beside);
		return err_errno(err, -r, _("Cannot copy %s to %s"), from, BINARY);
	}
	return 0;
}

/* The program last, and only when it runs here: with it there, Consul counts as installed. */
static int install_binary(const struct wish *wish, struct err *err)
{
	_cleanup_(freep) char *found = NULL;
	int r = make_user(err);

	if (r == 0)
		r = place_write_text(UNIT_FILE, unit_text, 0, 0644, NULL, err);
	if (r == 0)
		r = service_daemon_reload(err);
	if (r == 0)
		r = copy_program(wish->binary, err);
	if (r == 0)
		r = version(BINARY ".tepuy-new", &found, err);
	if (r < 0) {
		unlink(BINARY ".tepuy-new");
		return r;
	}
	if (rename(BINARY ".tepuy-new", BINARY) < 0)
		return err_errno(err, errno, _("Cannot write %s"), BINARY);
	return 0;
}

static int write_pin(struct err *err)
{
	static const char preferences[] = "# Written by tepuy setup: consul, and nothing else, from Debian 11.\n"
					  "Package: *\nPin: release n=" PIN_SUITE "\nPin-Priority: -10\n\n"
					  "Package: consul\nPin: release n=" PIN_SUITE "\nPin-Priority: 500\n";
	_cleanup_(freep) char *uri = NULL, *keyring = NULL, *sources = NULL;
	int r = apt_mirror(OWN_SUITE, &uri, &keyring, err);

	if (r < 0)
		return r;
	sources = xasprintf("# Written by tepuy setup: see %s.\nTypes: deb\nURIs: %s\nSuites: " PIN_SUITE
			    "\nComponents: main\nSigned-By: %s\n",
			    PIN_PREFERENCES, uri, keyring ? keyring : KEYRING);
	/* The preferences first: a run killed between the two must not leave Debian 11 open to all packages. */
	r = place_write_text(PIN_PREFERENCES, preferences, 0, 0644, NULL, err);
	return r < 0 ? r : place_write_text(PIN_SOURCES, sources, 0, 0644, NULL, err);
}

static int install_pinned(struct step *step, const struct wish *wish, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;
	_cleanup_(freep) char *candidate = NULL;
	int r = write_pin(&why);

	if (r == 0)
		r = apt_update(step, wish->lock_wait, &why);
	if (r == 0)
		candidate = apt_candidate("consul");
	if (r == 0 && !candidate)
		r = err_set(&why, ENOENT, _("the host's mirror has no Debian 11 with consul"));
	if (r == 0)
		return install_masked(step, "consul", wish->lock_wait, err);
	place_remove(PIN_SOURCES, NULL);
	place_remove(PIN_PREFERENCES, NULL);
	return err_set(err, -r, _("Consul is not in this host's apt sources, and Debian 11 cannot give it: %s. %s"),
		       err_text(&why), _(advice));
}

/*
 * 1: the host's own sources have it. A host fresh from an image has no lists, and knows neither candidates nor its own
 * mirror: they are fetched, unless a file was given, which may be because there is no mirror.
 */
static int find_candidate(struct step *step, const struct wish *wish, struct err *err)
{
	_cleanup_(freep) char *before = apt_candidate("consul"), *after = NULL;
	int r;

	if (before)
		return 1;
	if (wish->deb || wish->binary)
		return 0;
	r = apt_update(step, wish->lock_wait, err);
	if (r < 0)
		return r;
	after = apt_candidate("consul");
	return after != NULL;
}

static int install_given(struct step *step, const struct wish *wish, const char **from, struct err *err)
{
	const char *path = wish->deb ? wish->deb : wish->binary;
	int r = verify(path, wish->sha256, err);

	*from = wish->deb ? "deb" : "binary";
	if (r < 0)
		return r;
	return wish->deb ? install_masked(step, path, wish->lock_wait, err) : install_binary(wish, err);
}

static int install(struct step *step, const struct wish *wish, const char **from, struct err *err)
{
	bool given = wish->deb || wish->binary;
	int r = find_candidate(step, wish, err);

	if (r > 0) {
		*from = place_exists(PIN_SOURCES) ? "pin" : "sources";
		r = install_masked(step, "consul", wish->lock_wait, given ? NULL : err);
		if (r == 0 || !given)
			return r;
	}
	if (given)
		return install_given(step, wish, from, err);
	if (r < 0)
		return r;
	*from = "pin";
	if (!wish->pin)
		return err_set(err, ENOENT, _("Consul is not in this host's apt sources. %s"), _(advice));
	return install_pinned(step, wish, err);
}

static int read_wish(struct step *step, struct wish *wish, struct err *err)
{
	static const char *const keys[] = { "deb", "binary", "sha256", "pin", "lock_wait", NULL };
	int r = input_keys(step->input, keys, err);

	if (r == 0)
		r = input_text_or_null(step->input, "deb", &wish->deb, err);
	if (r == 0)
		r = input_text_or_null(step->input, "binary", &wish->binary, err);
	if (r == 0)
		r = input_text_or_null(step->input, "sha256", &wish->sha256, err);
	if (r == 0)
		r = input_flag(step->input, "pin", true, &wish->pin, err);
	if (r == 0)
		r = input_number(step->input, "lock_wait", 0, 3600000, 300000, &wish->lock_wait, err);
	if (r == 0 && wish->deb && (wish->deb[0] != '/' || !text_ends(wish->deb, ".deb")))
		r = err_set(err, EINVAL, _("'deb' must be the absolute path of a .deb file"));
	return r;
}

int step_consul_package(struct step *step, json_t **ret, struct err *err)
{
	_cleanup_(freep) char *is = NULL;
	const char *from = "installed", *path = program();
	struct wish wish = { 0 };
	int r = read_wish(step, &wish, err);

	if (r < 0)
		return r;
	/* The unit too, and all that the package does last: without them an installation has not come to its end. */
	if (path && service_known(UNIT) && !apt_interrupted("consul") && version(path, &is, NULL) == 0) {
		r = unmask(err);
		if (r < 0)
			return r;
		step_unchanged(step, "package", _("Consul %s is installed"), is);
	} else {
		step_begin(step, "package", _("Installing Consul"));
		r = install(step, &wish, &from, err);
		if (r == 0)
			r = unmask(err);
		path = program();
		if (r == 0 && !path)
			r = err_set(err, EIO, _("Consul was installed, but there is no program consul"));
		if (r == 0)
			r = version(path, &is, err);
		if (r < 0)
			return r;
		step_done(step, _("Consul %s is installed"), is);
	}
	*ret = json_pack("{s:s, s:s, s:s}", "version", is, "from", from, "program", path);
	return 0;
}
