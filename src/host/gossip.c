/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The steps `rotate-gossip` and `gossip`: a new key for the cluster's gossip, without a host falling out. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/i18n.h"
#include "consul/consul-types.h"
#include "host/acl.h"
#include "host/consul-config.h"
#include "host/identity.h"
#include "host/pki.h"
#include "host/place.h"
#include "host/service.h"
#include "host/stamp.h"
#include "host/step.h"

#define KEYRING "/v1/operator/keyring"
#define KEYRING_FILE PLACE_CONSUL_DATA "/serf/local.keyring"
#define ANSWER_MS 60000

static int keyring(struct consul *consul, const char *method, const char *key, struct err *err)
{
	_cleanup_json_ json_t *body = json_pack("{s:s}", "Key", key);
	_cleanup_(pki_wipe) char *text = json_dumps(body, JSON_COMPACT);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	int r = consul_send(consul, method, KEYRING, text, strlen(text), &reply, err);

	/* Consul's words may quote the key. */
	if (r < 0 && err && strstr(err_text(err), key))
		return err_set(err, -r, _("Consul refuses to change its keyring"));
	return r;
}

/* Names of members that cannot be told anything now; owned by the caller, NULL: none. */
static int silent_members(struct consul *consul, char **ret, struct err *err)
{
	_cleanup_consul_members_ struct consul_members members = { 0 };
	_cleanup_strv_ struct strv silent = { 0 };
	int r = consul_agent_members(consul, &members, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < members.n; i++)
		if (members.v[i].status == CONSUL_MEMBER_NONE || members.v[i].status == CONSUL_FAILED)
			strv_add(&silent, members.v[i].name);
	*ret = silent.n ? strv_join(&silent, ", ") : NULL;
	return 0;
}

/* Do the members know this key, and no other? */
static bool is_only_key(const json_t *rings, const char *key)
{
	bool known = false, others = false;
	json_t *ring, *count;
	const char *other;
	size_t i;

	json_array_foreach(rings, i, ring) json_object_foreach(json_object_get(ring, "Keys"), other, count)
	{
		if (strcmp(other, key) != 0)
			others = true;
		else
			known = true;
	}
	return known && !others;
}

static int read_rings(struct consul *consul, json_t **ret, struct err *err)
{
	return consul_send_json(consul, "GET", KEYRING, NULL, 0, ret, err);
}

/* The one of a change that was begun here and is not ended yet, or a new one. */
static int next_key(struct consul *consul, char **ret, struct err *err)
{
	_cleanup_json_ json_t *rings = NULL;
	_cleanup_(pki_wipe) char *key = NULL;
	int r = read_rings(consul, &rings, err);

	if (r == 0)
		r = place_read_line(PLACE_GOSSIP_NEXT, &key, err);
	/* Another server has ended it: that key is the present one. */
	if (r == 0 && is_only_key(rings, key)) {
		pki_wipe(&key);
		r = 1;
	}
	if (r == 1) {
		unsigned char bytes[32];
		_cleanup_(pki_wipe_buf) struct buf text = { 0 };

		r = pki_random(bytes, sizeof(bytes), err);
		if (r < 0)
			return r;
		base64_encode(&text, bytes, sizeof(bytes));
		key = xstrdup(buf_text(&text));
		r = place_write_text(PLACE_GOSSIP_NEXT, key, 0, 0600, NULL, err);
	}
	if (r == 0)
		*ret = TAKE_PTR(key);
	return r;
}

static int seal_for(const json_t *rows, const char *key, json_t *hosts, struct err *err)
{
	_cleanup_json_ json_t *secrets = json_pack("{s:s}", "gossip", key);
	_cleanup_(freep) char *ca = NULL;
	const json_t *row;
	size_t i;
	int r = authority_certificate(&ca, err);

	json_array_foreach(rows, i, row)
	{
		_cleanup_(freep) char *sealed = NULL;
		const char *name, *certificate;

		if (r == 0)
			r = input_name(row, "name", &name, err);
		if (r == 0)
			r = input_text(row, "certificate", &certificate, err);
		if (r == 0)
			r = authority_recognises(ca, certificate, name, err);
		if (r == 0)
			r = sealed_pack(certificate, secrets, &sealed, err);
		if (r < 0)
			return r;
		json_array_append_new(hosts, json_pack("{s:s, s:s}", "name", name, "sealed", sealed));
	}
	return r;
}

static int install(struct step *step, struct consul *consul, json_t **ret, struct err *err)
{
	_cleanup_(pki_wipe) char *key = NULL;
	_cleanup_(freep) char *silent = NULL;
	_cleanup_json_ json_t *hosts = json_array();
	const json_t *rows;
	int r = input_list(step->input, "hosts", &rows, err);

	if (r == 0)
		r = silent_members(consul, &silent, err);
	if (r < 0)
		return r;
	step_begin(step, "keyring", _("Making a new gossip key known to all members"));
	if (silent)
		return err_set(
		    err, EHOSTUNREACH,
		    _("These hosts do not answer Consul and would be shut out: %s. Bring them back, or take them "
		      "out with 'remove-host'"),
		    silent);
	r = next_key(consul, &key, err);
	if (r == 0)
		r = keyring(consul, "POST", key, err);
	if (r == 0)
		r = seal_for(rows, key, hosts, err);
	if (r < 0)
		return r;
	step_done(step, _("All members know the new gossip key beside the old one"));
	*ret = json_pack("{s:O}", "hosts", hosts);
	return 0;
}

/* Every key but this one goes. */
static int remove_others(struct consul *consul, const json_t *rings, const char *key, struct err *err)
{
	json_t *ring, *count;
	const char *other;
	size_t i;
	int r = 0;

	json_array_foreach(rings, i, ring)
	    json_object_foreach(json_object_get(ring, "Keys"), other, count) if (r == 0 && strcmp(other, key) != 0) r =
		keyring(consul, "DELETE", other, err);
	return r;
}

/* The one that was made known from here or, by another server that is lost since, the one that `gossip` wrote here. */
static int key_to_use(char **ret, bool *ret_begun_here, struct err *err)
{
	int r = place_read_line(PLACE_GOSSIP_NEXT, ret, err);

	*ret_begun_here = r == 0;
	if (r == 1)
		r = place_read_line(PLACE_GOSSIP_KEY, ret, err);
	return r == 1 ? err_set(err, ENOENT, _("There is no gossip key on this server; run 'authority'")) : r;
}

static int finish(struct step *step, struct consul *consul, struct err *err)
{
	_cleanup_(pki_wipe) char *key = NULL;
	_cleanup_json_ json_t *rings = NULL;
	bool begun_here;
	int r = key_to_use(&key, &begun_here, err);

	if (r == 0)
		r = read_rings(consul, &rings, err);
	if (r < 0)
		return r;
	if (!begun_here && is_only_key(rings, key)) {
		step_unchanged(step, "keyring", _("No change of the gossip key is under way"));
		return 0;
	}
	step_begin(step, "keyring", _("Changing to the new gossip key"));
	r = keyring(consul, "PUT", key, err);
	if (r == 0)
		r = remove_others(consul, rings, key, err);
	if (r == 0)
		r = place_write_text(PLACE_GOSSIP_KEY, key, 0, 0600, NULL, err);
	if (r == 0)
		r = place_remove(PLACE_GOSSIP_NEXT, err);
	if (r == 0)
		step_done(step, _("The cluster uses the new gossip key and no other"));
	return r;
}

int step_rotate_gossip(struct step *step, json_t **ret, struct err *err)
{
	static const char *const keys[] = { "phase", "hosts", NULL };
	_cleanup_(consul_freep) struct consul *consul = NULL;
	const char *phase;
	int r = input_keys(step->input, keys, err);

	if (r == 0)
		r = input_text(step->input, "phase", &phase, err);
	if (r == 0)
		r = acl_management(&consul, err);
	if (r == 0)
		r = acl_wait(step, consul, err);
	if (r < 0)
		return r;
	if (!strcmp(phase, "install"))
		return install(step, consul, ret, err);
	if (!strcmp(phase, "finish"))
		return finish(step, consul, err);
	return err_set(err, EINVAL, _("The input's 'phase' must be install or finish, not '%s'"), phase);
}

static bool keyring_has(const char *key)
{
	_cleanup_(pki_wipe_buf) struct buf text = { 0 };

	return place_read(KEYRING_FILE, &text, NULL) == 0 && strstr(buf_text(&text), key);
}

/* A host that was away when the key was made known hears nobody: Consul begins with the configured key again. */
static int begin_keyring_anew(struct step *step, struct err *err)
{
	int r;

	step_begin(step, "keyring", _("Giving Consul the new gossip key"));
	r = service_do("stop", CONSUL_UNIT, err);
	if (r == 0)
		r = place_remove(KEYRING_FILE, err);
	if (r == 0)
		r = service_do("start", CONSUL_UNIT, err);
	if (r == 0)
		step_done(step, _("Consul begins with the new gossip key"));
	return r;
}

/* What a change that another server made in this one's stead left here must not be taken for the next new key. */
static int forget_other_next(const char *key, struct err *err)
{
	_cleanup_(pki_wipe) char *next = NULL;
	int r = place_read_line(PLACE_GOSSIP_NEXT, &next, err);

	if (r != 0)
		return r < 0 ? r : 0;
	return strcmp(next, key) != 0 ? place_remove(PLACE_GOSSIP_NEXT, err) : 0;
}

static int write_key(struct step *step, const char *key, struct err *err)
{
	_cleanup_(pki_wipe_buf) struct buf now = { 0 };
	_cleanup_(pki_wipe) char *wanted = NULL;
	struct stat st;
	int r = place_read(PLACE_CONSUL_CONFIG, &now, err);

	if (r == 1 || (r == 0 && stat(PLACE_CONSUL_CONFIG, &st) < 0))
		return err_set(err, ENOENT, _("Consul is not configured on this host: run 'consul'"));
	if (r == 0)
		r = consul_config_with_gossip(buf_text(&now), key, &wanted, err);
	if (r == 0)
		r = forget_other_next(key, err);
	if (r < 0)
		return r;
	if (!wanted && (!place_exists(PLACE_AUTHORITY) || place_holds(PLACE_GOSSIP_KEY, key, strlen(key)))) {
		step_unchanged(step, "files", _("This host has this gossip key"));
		return 0;
	}
	step_begin(step, "files", _("Writing the new gossip key"));
	if (place_exists(PLACE_AUTHORITY))
		r = place_write_text(PLACE_GOSSIP_KEY, key, 0, 0600, NULL, err);
	if (r == 0 && wanted)
		r = place_write_text(PLACE_CONSUL_CONFIG, wanted, st.st_gid, 0640, NULL, err);
	if (r == 0)
		step_done(step, _("The new gossip key is written"));
	return r;
}

int step_gossip(struct step *step, json_t **ret, struct err *err)
{
	static const char *const keys[] = { "sealed", NULL };
	_cleanup_json_ json_t *secrets = NULL;
	const char *sealed, *key;
	int r = input_keys(step->input, keys, err);

	(void)ret;
	if (r == 0)
		r = input_text(step->input, "sealed", &sealed, err);
	if (r == 0)
		r = sealed_unpack_here(sealed, &secrets, err);
	if (r < 0)
		return r;
	key = json_string_value(json_object_get(secrets, "gossip"));
	if (!key)
		return err_set(err, EBADMSG, _("What was sealed for this host has no gossip key"));
	r = write_key(step, key, err);
	if (r < 0 || keyring_has(key))
		return r;
	return begin_keyring_anew(step, err);
}
