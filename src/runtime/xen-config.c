/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "runtime/xen-config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"

#define MOST_CONFIG (64u << 10)
#define MOST_NETWORKS 8
#define MIB ((uint64_t)1 << 20)
#define START_MS 180000

static const char *const keys[] = { "bridge", "addresses", "gateway", "dns",      "volume_group",
				    "kernel", "initrd",    "type",    "memory",   "system_memory",
				    "room",   "start",     "more",    "directory" };
static const char *const more_keys[] = { "bridge", "addresses", "gateway" };

void xen_config_release(struct xen_config *config)
{
	free(config->directory);
	runtime_networks_free(config->networks, config->n_networks);
	free(config->volume_group);
	free(config->kernel);
	free(config->initrd);
	*config = (struct xen_config){ 0 };
}

/* What is being read: `where` is "" or "more[0].". */
struct reading {
	const char *file, *where;
	struct err *err;
};

static int bad(const struct reading *reading, const char *key, const char *why)
{
	return err_set(reading->err, EINVAL, _("%s: %s%s %s"), reading->file, reading->where, key, why);
}

static int check_keys(const struct reading *reading, const json_t *object, const char *const *known, size_t n)
{
	const json_t *value;
	const char *key;

	json_object_foreach((json_t *)object, key, value)
	{
		const char *meant;
		size_t i = 0;

		while (i < n && strcmp(known[i], key))
			i++;
		if (i < n)
			continue;
		meant = text_suggest(key, known, n);
		if (meant)
			return err_set(reading->err, EINVAL, _("%s: %s%s is no key; did you mean %s?"), reading->file,
				       reading->where, key, meant);
		return bad(reading, key, _("is no key"));
	}
	return 0;
}

/* A text that may be put into a configuration file of xl: `ret` stays as it is when the key is absent or null. */
static int take_text(const struct reading *reading, const json_t *object, const char *key, char **ret)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);

	if (!value || json_is_null(value))
		return 0;
	if (!text || !*text)
		return bad(reading, key, _("must be a text that is not empty"));
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || strchr("\"'\\,", *p) || *p == 0x7f)
			return bad(reading, key, _("has a character that xl does not take in a value"));
	free(*ret);
	*ret = xstrdup(text);
	return 0;
}

static int take_path(const struct reading *reading, const json_t *object, const char *key, char **ret)
{
	int r = take_text(reading, object, key, ret);

	return r < 0 || !*ret || **ret == '/' ? r : bad(reading, key, _("must be an absolute path"));
}

static int take_size(const struct reading *reading, const json_t *object, const char *key, uint64_t least,
		     uint64_t *ret)
{
	const json_t *value = json_object_get(object, key);
	_cleanup_err_ struct err why = ERR_INIT;
	uint64_t size;

	if (!value)
		return 0;
	if (!json_is_string(value) || text_size(json_string_value(value), &size, &why) < 0 || size < least)
		return bad(reading, key, _("must be a size such as \"512M\" that is large enough for a system"));
	*ret = size;
	return 0;
}

static int take_duration(const struct reading *reading, const json_t *object, const char *key, int64_t *ret)
{
	const json_t *value = json_object_get(object, key);
	int64_t ms;

	if (!value)
		return 0;
	if (!json_is_string(value) || text_duration_ms(json_string_value(value), &ms, NULL) < 0 || ms < 1000)
		return bad(reading, key, _("must be a duration of a second or more, such as \"3m\""));
	*ret = ms;
	return 0;
}

static bool parse_ipv4(const char *text, uint32_t *ret)
{
	struct in_addr address;

	if (!text || inet_pton(AF_INET, text, &address) != 1)
		return false;
	*ret = ntohl(address.s_addr);
	return true;
}

/* "192.0.2.100-192.0.2.120/24" */
static bool parse_range(const char *text, struct runtime_network *network)
{
	const char *dash = strchr(text, '-'), *slash = strchr(text, '/');
	uint32_t first, last, mask;
	uint64_t bits;

	if (!dash || !slash || slash < dash || text_u64(slash + 1, &bits) < 0 || bits < 1 || bits > 30)
		return false;
	network->address = xstrndup(text, (size_t)(dash - text));
	network->last = xstrndup(dash + 1, (size_t)(slash - dash - 1));
	network->prefix = (unsigned)bits;
	mask = UINT32_MAX << (32 - bits);
	return parse_ipv4(network->address, &first) && parse_ipv4(network->last, &last) && first <= last &&
	       (first & mask) == (last & mask) && (first & ~mask) != 0 && (last & ~mask) != (uint32_t)~mask;
}

static int take_gateway(const struct reading *reading, const json_t *object, struct runtime_network *network)
{
	uint32_t first = 0, gateway;
	int r = take_text(reading, object, "gateway", &network->gateway);

	if (r < 0 || !network->gateway)
		return r;
	parse_ipv4(network->address, &first);
	if (!parse_ipv4(network->gateway, &gateway) || (gateway ^ first) >> (32 - network->prefix))
		return bad(reading, "gateway", _("must be an IPv4 address of the same network as the addresses"));
	return 0;
}

static int take_network(const struct reading *reading, const json_t *object, struct runtime_network *network)
{
	const char *addresses = json_string_value(json_object_get(object, "addresses"));
	int r = take_text(reading, object, "bridge", &network->bridge);

	if (r < 0)
		return r;
	if (!network->bridge || strlen(network->bridge) > 15 || strchr(network->bridge, '/'))
		return bad(reading, "bridge", _("must be the name of a bridge, such as \"xenbr0\""));
	if (!addresses || !parse_range(addresses, network))
		return bad(reading, "addresses",
			   _("must be a range of IPv4 addresses with its prefix, such as "
			     "\"192.0.2.100-192.0.2.120/24\""));
	return take_gateway(reading, object, network);
}

static int take_dns(const struct reading *reading, const json_t *root, struct strv *to)
{
	const json_t *list = json_object_get(root, "dns"), *server;
	size_t i;

	if (!list)
		return 0;
	if (!json_is_array(list))
		return bad(reading, "dns", _("must be a list of addresses"));
	json_array_foreach(list, i, server)
	{
		const char *text = json_string_value(server);
		unsigned char address[16];

		if (!text || (inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1))
			return bad(reading, "dns", _("must be a list of addresses"));
		strv_add(to, text);
	}
	return 0;
}

static int take_more(const struct reading *reading, const json_t *root, struct xen_config *config)
{
	const json_t *list = json_object_get(root, "more"), *item;
	size_t i;
	int r = 0;

	if (!list)
		return 0;
	if (!json_is_array(list) || json_array_size(list) >= MOST_NETWORKS)
		return bad(reading, "more", _("must be a list of at most 7 networks"));
	json_array_foreach(list, i, item)
	{
		_cleanup_(freep) char *where = xasprintf("more[%zu].", i);
		struct reading inner = { reading->file, where, reading->err };

		if (!json_is_object(item))
			return bad(&inner, "", _("must be an object"));
		r = check_keys(&inner, item, more_keys, ARRAY_SIZE(more_keys));
		if (r == 0)
			r = take_network(&inner, item, &config->networks[config->n_networks++]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_type(const struct reading *reading, const json_t *root, enum xen_type *ret)
{
	_cleanup_(freep) char *type = NULL;
	int r = take_text(reading, root, "type", &type);

	if (r < 0 || !type)
		return r;
	if (strcmp(type, "pv") && strcmp(type, "pvh"))
		return bad(reading, "type", _("must be \"pv\" or \"pvh\""));
	*ret = !strcmp(type, "pv") ? XEN_PV : XEN_PVH;
	return 0;
}

static int take_all(const struct reading *reading, const json_t *root, struct xen_config *config)
{
	int r = check_keys(reading, root, keys, ARRAY_SIZE(keys));

	config->networks = xcalloc(MOST_NETWORKS, sizeof(*config->networks));
	r = r < 0 ? r : take_network(reading, root, &config->networks[config->n_networks++]);
	r = r < 0 ? r : take_dns(reading, root, &config->networks[0].dns);
	r = r < 0 ? r : take_more(reading, root, config);
	r = r < 0 ? r : take_path(reading, root, "directory", &config->directory);
	r = r < 0 ? r : take_text(reading, root, "volume_group", &config->volume_group);
	r = r < 0 ? r : take_path(reading, root, "kernel", &config->kernel);
	r = r < 0 ? r : take_path(reading, root, "initrd", &config->initrd);
	r = r < 0 ? r : take_type(reading, root, &config->type);
	r = r < 0 ? r : take_size(reading, root, "memory", 64 * MIB, &config->memory);
	r = r < 0 ? r : take_size(reading, root, "system_memory", 32 * MIB, &config->system_memory);
	r = r < 0 ? r : take_size(reading, root, "room", 16 * MIB, &config->room);
	return r < 0 ? r : take_duration(reading, root, "start", &config->start_ms);
}

static void fill_in(struct xen_config *config)
{
	if (!config->directory)
		config->directory = xstrdup("/var/lib/tepuy/xen");
	if (!config->kernel)
		config->kernel = fs_join(config->directory, "kernel");
	if (!config->initrd)
		config->initrd = fs_join(config->directory, "initrd");
}

int64_t xen_patience(const struct xen_config *config, int64_t ms)
{
	return config->start_ms > START_MS ? ms * config->start_ms / START_MS : ms;
}

int xen_config_parse(const char *file, const char *text, size_t len, struct xen_config *ret, struct err *err)
{
	struct xen_config config = {
		.memory = 512 * MIB, .system_memory = 96 * MIB, .room = 2048 * MIB, .start_ms = START_MS
	};
	struct reading reading = { file, "", err };
	json_error_t why;
	json_auto_t *root = json_loadb(text ? text : "", len, JSON_REJECT_DUPLICATES, &why);
	int r;

	if (!root)
		return err_set(err, EINVAL, _("%s:%d:%d: this is not JSON: %s"), file, why.line, why.column, why.text);
	if (!json_is_object(root))
		return err_set(err, EINVAL, _("%s: this must be a JSON object"), file);
	r = take_all(&reading, root, &config);
	if (r < 0) {
		xen_config_release(&config);
		return r;
	}
	fill_in(&config);
	*ret = config;
	return 0;
}

int xen_config_load(const char *file, struct xen_config *ret, struct err *err)
{
	_cleanup_buf_ struct buf text = { 0 };
	int r = fs_read(file, MOST_CONFIG, &text, err);

	return r < 0 ? r : xen_config_parse(file, buf_text(&text), text.len, ret, err);
}
