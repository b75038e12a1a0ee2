/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fnmatch.h>
#include <string.h>

#include "base/mem.h"
#include "image/pack.h"

/* Emptied: the directory itself stays. */
static const char *const emptied[] = {
	"dev",           "proc",
	"run",           "sys",
	"tmp",           "var/tmp",           /* the runtime's, or gone at each start */
	"var/cache/apt", "var/lib/apt/lists", /* apt's: as large as they are old */
};

/* Only the directories below stay: servers refuse to start when that of their log is missing. */
static const char *const files_emptied[] = { "var/log" };

/* Patterns for the whole path; what lies below a match goes with it. */
static const char *const dropped[] = {
	"etc/hostname",
	"etc/hosts",
	"etc/resolv.conf",      /* the runtime writes them for each node */
	"usr/sbin/policy-rc.d", /* ours, so that no service starts during the build */
	"etc/machine-id",
	"var/lib/dbus/machine-id",
	"var/lib/systemd/random-seed", /* identities of one machine */
	"etc/ssh/ssh_host_*",
	"etc/ssl/private/ssl-cert-snakeoil.key",
	"etc/ssl/certs/ssl-cert-snakeoil.pem",
	"etc/postgresql/*/*",
	"var/lib/postgresql/*/*", /* the cluster that the package makes: data, with an identity */
	"etc/.pwd.lock",
	"etc/passwd-",
	"etc/group-",
	"etc/shadow-",
	"etc/gshadow-",
	"etc/subuid-",
	"etc/subgid-",
	"var/cache/debconf/*-old",
	"var/lib/dpkg/*-old",
	"var/lib/dpkg/lock*",
	"var/lib/dpkg/triggers/Lock",
	"var/cache/ldconfig/aux-cache",
	"var/lib/apt/periodic",
	"var/lib/systemd/catalog/database",
};

/* Of a base system: the host's mirror and passwords stay on the host. */
static const char *const dropped_from_base[] = {
	"etc/apt/sources.list", "etc/apt/sources.list.d/*", "etc/apt/apt.conf.d/99mmdebstrap",
	"etc/apt/auth.conf",    "etc/apt/auth.conf.d/*",
};

/* Of a recipe's layer for machines. What its packages enabled would run beside the node that the recipe starts, or in
 * its place. As these never leave the layer, the base's own stay in force. */
static const char *const dropped_from_machine[] = {
	"etc/systemd/system/*.wants/*",
	"etc/systemd/system/*.requires/*",
	"etc/systemd/system/*.upholds/*",
	"etc/systemd/system/default.target",
	"etc/systemd/system-generators/*",
	"lib/systemd/system/*.wants/*",
	"lib/systemd/system/*.requires/*",
	"lib/systemd/system-generators/*",
	"usr/lib/systemd/system/*.wants/*",
	"usr/lib/systemd/system/*.requires/*",
	"usr/lib/systemd/system-generators/*",
	"usr/local/lib/systemd/system/*.wants/*",
	"usr/local/lib/systemd/system-generators/*",
};

static bool lies_in(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/' && path[n + 1];
}

static bool matches(const char *path, const char *const *patterns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fnmatch(patterns[i], path, FNM_PATHNAME | FNM_LEADING_DIR) == 0)
			return true;
	return false;
}

bool pack_leaves_out(const char *path, bool directory, enum pack_kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(emptied); i++)
		if (lies_in(path, emptied[i]))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(files_emptied); i++)
		if (!directory && lies_in(path, files_emptied[i]))
			return true;
	if (matches(path, dropped, ARRAY_SIZE(dropped)))
		return true;
	if (kind == PACK_MACHINE_LAYER)
		return matches(path, dropped_from_machine, ARRAY_SIZE(dropped_from_machine));
	return kind == PACK_BASE && matches(path, dropped_from_base, ARRAY_SIZE(dropped_from_base));
}
