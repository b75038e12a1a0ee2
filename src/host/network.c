/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/network.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"
#include "host/network-plan.h"
#include "host/place.h"
#include "host/service.h"

/* What to do to have the network as it was: {"card","bridge","by","files":[{"path","text" or null,"mode"}]}. It is
 * there from before the first change until somebody confirms. */
#define CHANGE "/var/lib/tepuy/network-change.json"
#define CHANGE_LOCK "/run/tepuy-network.lock"
#define UNDO_SERVICE "tepuy-network-undo.service"
#define UNDO_TIMER "tepuy-network-undo.timer"
#define UNITS "/etc/systemd/system/"
#define INTERFACES "/etc/network/interfaces"
#define INTERFACES_D "/etc/network/interfaces.d"
#define NETWORKD "/etc/systemd/network/"

#define IP_MS 15000
#define CARD_MS 60000
#define ADDRESS_MS 30000

struct change {
	struct strv paths, texts; /* side by side: what files are to say */
	const char *by;           /* "ifupdown" or "networkd" */
	char *card, *mac;
	const char *bridge;
};

static void change_release(struct change *change)
{
	strv_release(&change->paths);
	strv_release(&change->texts);
	free(change->card);
	free(change->mac);
}

/* A program whose words are the rest; its output in `output` (may be NULL). */
static int call(int64_t timeout_ms, struct buf *output, struct err *err, ...)
{
	_cleanup_run_ struct run run = { .timeout_ms = timeout_ms };
	const char *word;
	va_list ap;

	va_start(ap, err);
	while ((word = va_arg(ap, const char *)))
		strv_add(&run.argv, word);
	va_end(ap);
	strv_add(&run.env, "LC_ALL=C.UTF-8");
	return run_checked(&run, output, err);
}

static bool is_bridge(const char *name)
{
	_cleanup_(freep) char *path = xasprintf("/sys/class/net/%s/bridge", name);

	return place_exists(path);
}

static bool has_link(const char *name)
{
	_cleanup_(freep) char *path = xasprintf("/sys/class/net/%s", name);

	return place_exists(path);
}

/* Has it an IPv4 or a global IPv6 address? */
static bool has_address(const char *name)
{
	_cleanup_buf_ struct buf output = { 0 };

	return call(IP_MS, &output, NULL, "ip", "-o", "addr", "show", "dev", name, "scope", "global", NULL) == 0 &&
	       output.len;
}

/* The card behind which the rest of the world is: the default route's with the least metric. */
static int default_card(char **ret, struct err *err)
{
	_cleanup_buf_ struct buf output = { 0 };
	_cleanup_json_ json_t *routes = NULL;
	const char *card = NULL;
	json_int_t least = 0;
	size_t i;
	json_t *route;
	int r = call(IP_MS, &output, err, "ip", "-j", "route", "show", "default", NULL);

	if (r < 0)
		return r;
	routes = json_loadb(buf_text(&output), output.len, 0, NULL);
	json_array_foreach(routes, i, route)
	{
		json_int_t metric = json_integer_value(json_object_get(route, "metric"));
		const char *dev = json_string_value(json_object_get(route, "dev"));

		if (dev && (!card || metric < least)) {
			card = dev;
			least = metric;
		}
	}
	if (!card)
		return err_set(err, ENOTSUP,
			       _("This host has no default route, so that tepuy does not know which card to put into "
				 "the bridge; set the bridge up by hand and name it in hosts.yaml as xen.bridge"));
	*ret = xstrdup(card);
	return 0;
}

static int look_at_card(struct change *change, struct err *err)
{
	_cleanup_(freep) char *wireless = NULL, *address = NULL;
	int r = default_card(&change->card, err);

	if (r < 0)
		return r;
	if (is_bridge(change->card))
		return err_set(err, EEXIST,
			       _("There is no bridge %s, but this host's address is on the bridge %s; name that one in "
				 "hosts.yaml as xen.bridge"),
			       change->bridge, change->card);
	wireless = xasprintf("/sys/class/net/%s/wireless", change->card);
	if (place_exists(wireless))
		return err_set(err, ENOTSUP, _("The card %s is a wireless one, which cannot be in a bridge"),
			       change->card);
	address = xasprintf("/sys/class/net/%s/address", change->card);
	return place_read_line(address, &change->mac, err);
}

static void set_file(struct change *change, const char *path, char *text)
{
	strv_add(&change->paths, path);
	strv_take(&change->texts, text);
}

/* Files of ifupdown: the main one, and those that it is told to read besides as Debian's default does. */
static void list_interfaces(struct strv *ret)
{
	DIR *directory = opendir(INTERFACES_D);
	struct dirent *e;

	while (directory && (e = readdir(directory)))
		if (*e->d_name != '.' && !text_ends(e->d_name, "~"))
			strv_addf(ret, INTERFACES_D "/%s", e->d_name);
	if (directory)
		closedir(directory);
	strv_sort(ret);
	strv_add(ret, INTERFACES);
}

/* 1: ifupdown does not configure the card. */
static int plan_ifupdown(struct change *change, struct err *err)
{
	struct bridge_wish wish = { .card = change->card, .bridge = change->bridge, .mac = change->mac };
	_cleanup_strv_ struct strv files = { 0 };
	int r = 0;

	change->by = "ifupdown";
	list_interfaces(&files);
	for (size_t i = 0; i < files.n && r >= 0; i++) {
		_cleanup_buf_ struct buf now = { 0 };
		char *text = NULL;

		r = place_read(files.v[i], &now, err);
		if (r == 0)
			r = interfaces_bridge(files.v[i], buf_text(&now), &wish, !change->paths.n, &text, err);
		if (r == 0 && text)
			set_file(change, files.v[i], text);
	}
	return r < 0 ? r : !change->paths.n;
}

/* The .network file that systemd-networkd found for the card; owned by the caller, NULL: none. */
static char *networkd_file(const char *card)
{
	_cleanup_(freep) char *index = xasprintf("/sys/class/net/%s/ifindex", card), *number = NULL, *links = NULL;
	_cleanup_buf_ struct buf text = { 0 };
	const char *found;

	if (!service_active("systemd-networkd.service") || place_read_line(index, &number, NULL) != 0)
		return NULL;
	links = xasprintf("/run/systemd/netif/links/%s", number);
	if (place_read(links, &text, NULL) != 0)
		return NULL;
	found = strstr(buf_text(&text), "NETWORK_FILE=");
	return found ? xstrndup(found + strlen("NETWORK_FILE="), strcspn(found + strlen("NETWORK_FILE="), "\n")) : NULL;
}

/* 1: systemd-networkd does not configure the card. */
static int plan_networkd(struct change *change, struct err *err)
{
	struct bridge_wish wish = { .card = change->card, .bridge = change->bridge, .mac = change->mac };
	_cleanup_(freep) char *file = networkd_file(change->card), *text = NULL, *path = NULL;
	_cleanup_buf_ struct buf now = { 0 };
	int r;

	if (!file)
		return 1;
	if (!text_starts(file, NETWORKD))
		return err_set(err, ENOTSUP,
			       _("The card %s is configured by %s, which another program makes (netplan?); set the "
				 "bridge up there and name it in hosts.yaml as xen.bridge"),
			       change->card, file);
	change->by = "networkd";
	r = place_read(file, &now, err);
	if (r == 0)
		r = networkd_for_bridge(file, buf_text(&now), &wish, &text, err);
	if (r < 0)
		return r;
	/* The first file that matches is the one that counts: these come before all others. */
	path = xasprintf(NETWORKD "05-tepuy-%s.netdev", change->bridge);
	set_file(change, path, networkd_netdev(&wish));
	freep(&path);
	path = xasprintf(NETWORKD "05-tepuy-%s.network", change->bridge);
	set_file(change, path, TAKE_PTR(text));
	freep(&path);
	path = xasprintf(NETWORKD "05-tepuy-%s.network", change->card);
	set_file(change, path, networkd_port(&wish));
	return 0;
}

static int plan(struct change *change, struct err *err)
{
	int r = look_at_card(change, err);

	if (r == 0)
		r = plan_networkd(change, err);
	if (r == 1)
		r = plan_ifupdown(change, err);
	if (r == 1)
		r = err_set(
		    err, ENOTSUP,
		    service_active("NetworkManager.service")
			? _("The card %s is configured by NetworkManager, which tepuy does not change; set a bridge "
			    "up with it and name that in hosts.yaml as xen.bridge")
			: _("Neither /etc/network/interfaces nor systemd-networkd says how %s gets its address, so "
			    "tepuy cannot put it into a bridge; set the bridge up by hand and name it in hosts.yaml "
			    "as xen.bridge"),
		    change->card);
	return r;
}

/* Such a file may hold passwords, of another card for instance: whoever could not read it shall not be able to now. */
static mode_t mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mode & 0777 : 0644;
}

/* All that undo needs, in one file that is there whole or not at all. */
static int keep_what_is(const struct change *change, struct err *err)
{
	json_t *files = json_array();
	_cleanup_json_ json_t *all = json_pack("{s:s, s:s, s:s, s:o}", "card", change->card, "bridge", change->bridge,
					       "by", change->by, "files", files);
	_cleanup_(freep) char *text = NULL;
	int r = 0;

	for (size_t i = 0; i < change->paths.n && r >= 0; i++) {
		_cleanup_(freep) char *now = NULL;

		r = place_read_text(change->paths.v[i], &now, err);
		json_array_append_new(files, json_pack("{s:s, s:s?, s:i}", "path", change->paths.v[i], "text", now,
						       "mode", (int)mode_of(change->paths.v[i])));
	}
	text = json_dumps(all, JSON_INDENT(1));
	if (r >= 0)
		r = fs_mkdirs("/var/lib/tepuy", 0755, err);
	return r < 0 ? r : place_write_text(CHANGE, text ? text : "", 0, 0600, NULL, err);
}

static int own_path(char **ret, struct err *err)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0)
		return err_errno(err, errno, _("Cannot find this program's own path"));
	*ret = xstrndup(path, (size_t)n);
	return 0;
}

/* A unit of its own, which a power cut does not forget: until it is confirmed, each start of the host arms it again. */
static int arm(struct err *err)
{
	_cleanup_(freep) char *program = NULL, *service = NULL, *timer = NULL;
	int r = own_path(&program, err);

	if (r < 0)
		return r;
	service =
	    xasprintf("[Unit]\nDescription=tepuy: puts the network back as it was, as nobody confirmed the new one\n"
		      "ConditionPathExists=" CHANGE "\n\n[Service]\nType=oneshot\nExecStart=%s setup network-undo\n",
		      program);
	timer = xasprintf("[Unit]\nDescription=tepuy: waits until somebody confirms the new network\n\n"
			  "[Timer]\nOnActiveSec=%ds\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n",
			  NETWORK_CONFIRM_SECONDS);
	r = place_write_text(UNITS UNDO_SERVICE, service, 0, 0644, NULL, err);
	if (r == 0)
		r = place_write_text(UNITS UNDO_TIMER, timer, 0, 0644, NULL, err);
	if (r == 0)
		r = service_daemon_reload(err);
	if (r == 0)
		r = service_do("enable", UNDO_TIMER, err);
	return r == 0 ? service_do("restart", UNDO_TIMER, err) : r;
}

static void disarm(void)
{
	if (!place_exists(UNITS UNDO_TIMER) && !place_exists(UNITS UNDO_SERVICE))
		return;
	service_do("stop", UNDO_TIMER, NULL);
	service_do("disable", UNDO_TIMER, NULL);
	place_remove(UNITS UNDO_TIMER, NULL);
	place_remove(UNITS UNDO_SERVICE, NULL);
	service_daemon_reload(NULL);
}

static int take_lock(int *ret, struct err *err)
{
	_cleanup_(closep) int fd = open(CHANGE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	while (fd >= 0 && flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_errno(err, errno, _("Cannot lock %s"), CHANGE_LOCK);
	if (fd < 0)
		return err_errno(err, errno, _("Cannot open %s"), CHANGE_LOCK);
	*ret = fd;
	fd = -1;
	return 0;
}

/* 1: no change waits. */
static int read_change(json_t **ret, struct err *err)
{
	_cleanup_buf_ struct buf text = { 0 };
	int r = place_read(CHANGE, &text, err);

	if (r != 0)
		return r;
	*ret = json_loadb(buf_text(&text), text.len, 0, NULL);
	if (json_is_array(json_object_get(*ret, "files")))
		return 0;
	json_decref(*ret);
	*ret = NULL;
	return err_set(err, EBADMSG, _("%s cannot be read; put the network right by hand and delete that file"),
		       CHANGE);
}

static int restore_files(const json_t *files, struct err *err)
{
	json_t *file;
	size_t i;
	int r = 0;

	json_array_foreach((json_t *)files, i, file)
	{
		const char *path = json_string_value(json_object_get(file, "path"));
		const char *text = json_string_value(json_object_get(file, "text"));
		const json_t *kept = json_object_get(file, "mode");
		mode_t mode = json_is_integer(kept) ? (mode_t)json_integer_value(kept) & 0777 : 0644;
		int one = !path ? 0 : text ? place_write_text(path, text, 0, mode, NULL, err) : place_remove(path, err);

		r = one < 0 ? one : r;
	}
	return r;
}

/* As it was before. What one command says does not keep the next from trying: this is the way back to the host. */
static int undo_locked(struct err *err)
{
	_cleanup_json_ json_t *change = NULL;
	const char *card, *bridge;
	bool ifupdown;
	int r = read_change(&change, err);

	if (r != 0)
		return r < 0 ? r : 0;
	card = json_string_value(json_object_get(change, "card"));
	bridge = json_string_value(json_object_get(change, "bridge"));
	ifupdown = !strcmp(json_string_value(json_object_get(change, "by")) ?: "", "ifupdown");
	if (ifupdown)
		call(CARD_MS, NULL, NULL, "ifdown", "--force", bridge, NULL);
	r = restore_files(json_object_get(change, "files"), err);
	call(IP_MS, NULL, NULL, "ip", "link", "del", "dev", bridge, "type", "bridge", NULL);
	call(IP_MS, NULL, NULL, "ip", "link", "set", "dev", card, "up", NULL);
	if (ifupdown) {
		call(CARD_MS, NULL, NULL, "ifdown", "--force", card, NULL);
		call(CARD_MS, NULL, NULL, "ifup", "--force", card, NULL);
	} else {
		call(IP_MS, NULL, NULL, "networkctl", "reload", NULL);
		call(IP_MS, NULL, NULL, "networkctl", "reconfigure", card, NULL);
	}
	if (r < 0)
		return r;
	r = place_remove(CHANGE, err);
	disarm();
	return r;
}

static int undo(struct err *err)
{
	_cleanup_(closep) int lock = -1;
	int r = take_lock(&lock, err);

	return r < 0 ? r : undo_locked(err);
}

static int write_files(const struct change *change, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < change->paths.n && r == 0; i++)
		r = place_write_text(change->paths.v[i], change->texts.v[i], 0, mode_of(change->paths.v[i]), NULL, err);
	return r;
}

static int apply_ifupdown(const struct change *change, struct err *err)
{
	int r;

	/* With the old files, which know what to take away. */
	call(CARD_MS, NULL, NULL, "ifdown", "--force", change->card, NULL);
	call(IP_MS, NULL, NULL, "ip", "addr", "flush", "dev", change->card, NULL);
	r = write_files(change, err);
	return r < 0 ? r : call(CARD_MS, NULL, err, "ifup", change->bridge, NULL);
}

static int apply_networkd(const struct change *change, struct err *err)
{
	int r = write_files(change, err);

	if (r == 0)
		r = call(IP_MS, NULL, err, "networkctl", "reload", NULL);
	return r < 0 ? r : call(IP_MS, NULL, err, "networkctl", "reconfigure", change->card, NULL);
}

static int wait_for_address(struct step *step, const char *bridge, struct err *err)
{
	int64_t until = clock_monotonic_ms() + ADDRESS_MS;

	while (!has_address(bridge)) {
		_cleanup_(freep) char *what = xasprintf(_("The bridge %s got no address"), bridge);
		int r = step_pause(step, until, what, err);

		if (r < 0)
			return r;
		step_waiting(step, _("Waiting until the bridge %s has an address"), bridge);
	}
	return 0;
}

static int apply(struct step *step, const struct change *change, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;
	int r = strcmp(change->by, "ifupdown") ? apply_networkd(change, &why) : apply_ifupdown(change, &why);

	if (r == 0)
		r = wait_for_address(step, change->bridge, &why);
	if (r == 0)
		return 0;
	undo(NULL);
	return err_set(err, -r, _("The card %s could not be put into the bridge %s, and the network is as it was: %s"),
		       change->card, change->bridge, err_text(&why));
}

static int make_bridge(struct step *step, const char *bridge, struct err *err)
{
	_cleanup_(change_release) struct change change = { .bridge = bridge };
	int r = plan(&change, err);

	if (r < 0)
		return r;
	if (has_link(bridge))
		return err_set(err, EEXIST, _("There is an interface %s on this host, and it is no bridge"), bridge);
	step_begin(step, "bridge", _("Putting the card %s into the bridge %s"), change.card, bridge);
	r = keep_what_is(&change, err);
	if (r == 0)
		r = arm(err);
	if (r == 0)
		r = apply(step, &change, err);
	if (r == 0)
		step_done(step, _("The card %s is in the bridge %s; this is taken back in %d s unless it is confirmed"),
			  change.card, bridge, NETWORK_CONFIRM_SECONDS);
	return r;
}

int network_bridge(struct step *step, const char *bridge, bool *ret_pending, struct err *err)
{
	bool there = is_bridge(bridge) && has_address(bridge);
	int r = 0;

	/* From a run that was killed, or whose caller is gone: finished, it can still be confirmed; else begun again.
	 */
	*ret_pending = place_exists(CHANGE);
	if (*ret_pending && !there) {
		r = undo(err);
		there = is_bridge(bridge) && has_address(bridge);
		*ret_pending = false;
	}
	if (r < 0)
		return r;
	if (is_bridge(bridge)) {
		step_unchanged(step, "bridge", _("There is the bridge %s"), bridge);
		return 0;
	}
	r = make_bridge(step, bridge, err);
	if (r == 0)
		*ret_pending = true;
	return r;
}

int step_network_undo(struct step *step, json_t **ret, struct err *err)
{
	static const char *const keys[] = { NULL };
	int r = input_keys(step->input, keys, err);

	(void)ret;
	if (r < 0)
		return r;
	if (!place_exists(CHANGE)) {
		disarm();
		step_unchanged(step, "network", _("No change of the network waits to be confirmed"));
		return 0;
	}
	step_begin(step, "network", _("Putting the network back as it was"));
	r = undo(err);
	if (r == 0)
		step_done(step, _("The network is as it was"));
	return r;
}

int step_network_confirm(struct step *step, json_t **ret, struct err *err)
{
	static const char *const keys[] = { "bridge", NULL };
	_cleanup_(closep) int lock = -1;
	const char *bridge;
	int r = input_keys(step->input, keys, err);

	(void)ret;
	if (r == 0)
		r = input_text(step->input, "bridge", &bridge, err);
	if (r == 0)
		r = take_lock(&lock, err);
	if (r < 0)
		return r;
	if (!is_bridge(bridge))
		return err_set(err, ECANCELED,
			       _("The bridge %s was taken back, as nobody confirmed within %d s that this host can be "
				 "reached through it"),
			       bridge, NETWORK_CONFIRM_SECONDS);
	if (!place_exists(CHANGE)) {
		step_unchanged(step, "network", _("No change of the network waits to be confirmed"));
		return 0;
	}
	step_begin(step, "network", _("Keeping the bridge %s"), bridge);
	r = place_remove(CHANGE, err);
	if (r < 0)
		return r;
	disarm();
	step_done(step, _("The bridge %s stays"), bridge);
	return 0;
}
