/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/xen-config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "host/step.h"

#define DOM0_MEMORY (INT64_C(2) << 30)

static int read_cards(const json_t *xen, struct err *err)
{
	static const char *const keys[] = { "bridge", "addresses", "gateway", NULL };
	const json_t *list = json_object_get(xen, "more");
	const char *text;
	json_t *card;
	size_t i;
	int r = 0;

	if (!list || json_is_null(list))
		return 0;
	r = input_list(xen, "more", &list, err);
	json_array_foreach((json_t *)list, i, card)
	{
		if (r == 0)
			r = json_is_object(card) ? input_keys(card, keys, err)
						 : err_set(err, EINVAL, _("The input's 'more' must list objects"));
		if (r == 0)
			r = input_text(card, "bridge", &text, err);
		if (r == 0)
			r = input_text(card, "addresses", &text, err);
		if (r == 0)
			r = input_text_or_null(card, "gateway", &text, err);
	}
	return r;
}

static int read_dns(const json_t *xen, struct err *err)
{
	const json_t *list = json_object_get(xen, "dns");
	json_t *server;
	size_t i;
	int r = 0;

	if (!list || json_is_null(list))
		return 0;
	r = input_list(xen, "dns", &list, err);
	json_array_foreach((json_t *)list, i, server) if (r == 0 && (!json_is_string(server) ||
								     !input_is_address(json_string_value(server)))) r =
	    err_set(err, EINVAL, _("The input's 'dns' must list addresses"));
	return r;
}

static bool is_interface(const char *name)
{
	return strlen(name) < 16 && !strpbrk(name, "/ \t\n:") && strcmp(name, ".") && strcmp(name, "..");
}

int xen_wish_read(const json_t *xen, struct xen_wish *ret, struct err *err)
{
	static const char *const keys[] = { "bridge",      "addresses", "gateway", "dns", "volume_group",
					    "dom0_memory", "type",      "more",    NULL };
	struct xen_wish wish = { .input = xen };
	const char *gateway, *type;
	int64_t memory = 0;
	int r;

	if (!json_is_object(xen))
		return err_set(err, EINVAL,
			       _("The input's 'xen' must be an object that says which addresses machines get"));
	r = input_keys(xen, keys, err);
	if (r == 0)
		r = input_text(xen, "bridge", &wish.bridge, err);
	if (r == 0 && !is_interface(wish.bridge))
		r = err_set(err, EINVAL, _("'%s' is not the name of a network interface"), wish.bridge);
	if (r == 0)
		r = input_text(xen, "addresses", &wish.addresses, err);
	if (r == 0)
		r = input_text_or_null(xen, "gateway", &gateway, err);
	if (r == 0)
		r = input_text_or_null(xen, "volume_group", &wish.volume_group, err);
	if (r == 0)
		r = input_text_or_null(xen, "type", &type, err);
	if (r == 0)
		r = input_number(xen, "dom0_memory", INT64_C(512) << 20, INT64_C(1) << 40, DOM0_MEMORY, &memory, err);
	if (r == 0)
		r = read_dns(xen, err);
	if (r == 0)
		r = read_cards(xen, err);
	wish.dom0_memory = (uint64_t)memory;
	if (r == 0)
		*ret = wish;
	return r;
}

char *xen_config_text(const struct xen_wish *wish, const struct strv *dns)
{
	json_t *all = json_object(), *servers = json_array(), *value;
	const char *key;
	char *json, *text;

	json_object_foreach((json_t *)wish->input, key,
			    value) if (!json_is_null(value) && strcmp(key, "dom0_memory") != 0)
	    json_object_set(all, key, value);
	for (size_t i = 0; i < dns->n; i++)
		json_array_append_new(servers, json_string(dns->v[i]));
	if (!json_object_get(all, "dns"))
		json_object_set(all, "dns", servers);
	json_decref(servers);
	json = json_dumps(all, JSON_SORT_KEYS | JSON_INDENT(1));
	text = xasprintf("%s\n", json);
	free(json);
	json_decref(all);
	return text;
}

void xen_name_servers(const char *text, struct strv *ret)
{
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");
		_cleanup_(freep) char *copy = xstrndup(line, len), *address = NULL;

		if (text_starts(copy, "nameserver")) {
			const char *at = copy + strlen("nameserver");

			at += strspn(at, " \t");
			address = xstrndup(at, strcspn(at, " \t"));
			if (input_is_address(address) && !text_starts(address, "127.") && strcmp(address, "::1") &&
			    !strv_has(ret, address) && ret->n < 3)
				strv_add(ret, address);
		}
		line += len + (line[len] == '\n');
	}
}

/* Whole MiB, which is what people write. */
static uint64_t mebibytes(uint64_t bytes)
{
	return bytes >> 20;
}

char *xen_grub_defaults(uint64_t dom0_memory)
{
	uint64_t m = mebibytes(dom0_memory);

	return xasprintf(
	    "# Written by 'tepuy setup runtime': the memory that the host keeps for itself (hosts.yaml, "
	    "xen.dom0_memory), and\n"
	    "# Xen as what boots. The file's name comes after xen.cfg's, whose words about the default count no more.\n"
	    "GRUB_CMDLINE_XEN_DEFAULT=\"$GRUB_CMDLINE_XEN_DEFAULT dom0_mem=%" PRIu64 "M,max:%" PRIu64 "M\"\n"
	    "GRUB_DEFAULT=$(printf \"$(gettext \"%%s, with Xen hypervisor\")\" \"$GRUB_DISTRIBUTOR GNU/Linux\")\n",
	    m, m);
}

/* "1024M", "2G", "1048576" (KiB) to bytes; 0: it is none. */
static uint64_t memory_of(const char *text, size_t len)
{
	_cleanup_(freep) char *copy = xstrndup(text, len);
	uint64_t value = 0;
	unsigned shift = 10;

	if (!len)
		return 0;
	switch (copy[len - 1] | 0x20) {
	case 'b':
		shift = 0;
		break;
	case 'k':
		shift = 10;
		break;
	case 'm':
		shift = 20;
		break;
	case 'g':
		shift = 30;
		break;
	default:
		len++;
	}
	copy[len - 1] = '\0';
	return text_u64(copy, &value) < 0 || value > UINT64_MAX >> shift ? 0 : value << shift;
}

bool xen_command_line_gives(const char *line, uint64_t dom0_memory)
{
	uint64_t least = 0, most = 0;

	/* The last word of its kind is the one that counts. */
	for (const char *at = line; (at = strstr(at, "dom0_mem=")); at += strlen("dom0_mem=")) {
		const char *value = at + strlen("dom0_mem=");

		if (at > line && at[-1] != ' ' && at[-1] != '\t')
			continue;
		least = most = 0;
		while (*value && !strchr(" \t\n", *value)) {
			size_t len = strcspn(value, ", \t\n");

			if (text_starts(value, "max:"))
				most = memory_of(value + 4, len - 4);
			else if (!text_starts(value, "min:"))
				least = memory_of(value, len);
			value += len + (value[len] == ',');
		}
	}
	return mebibytes(least) == mebibytes(dom0_memory) && mebibytes(most) == mebibytes(dom0_memory);
}

/* The title that `set default="…"` names; owned by the caller, NULL: it names none by title. */
static char *default_title(const char *cfg)
{
	static const char mark[] = "set default=\"";
	char *title = NULL;

	for (const char *at = cfg; (at = strstr(at, mark)); at += strlen(mark)) {
		const char *value = at + strlen(mark);

		/* ${next_entry} is for the next start only. */
		if (*value == '$')
			continue;
		free(title);
		title = xstrndup(value, strcspn(value, "\"\n"));
	}
	return title;
}

bool xen_grub_boots(const char *cfg, uint64_t dom0_memory)
{
	_cleanup_(freep) char *title = default_title(cfg), *entry = title ? xasprintf("menuentry '%s'", title) : NULL;
	_cleanup_(freep) char *body = NULL, *line = NULL;
	const char *begin, *end, *xen;

	if (!entry || !(begin = strstr(cfg, entry)))
		return false;
	end = strstr(begin + 1, "menuentry '");
	body = end ? xstrndup(begin, (size_t)(end - begin)) : xstrdup(begin);
	xen = strstr(body, "multiboot");
	if (!xen)
		xen = strstr(body, "xen_hypervisor");
	if (!xen)
		return false;
	line = xstrndup(xen, strcspn(xen, "\n"));
	return xen_command_line_gives(line, dom0_memory);
}

static bool has_option(const char *config, const char *name, const char *values)
{
	_cleanup_(freep) char *mark = xasprintf("%s=", name);

	for (const char *at = config; (at = strstr(at, mark)); at += strlen(mark))
		if ((at == config || at[-1] == '\n') && strchr(values, at[strlen(mark)]) && at[strlen(mark)])
			return true;
	return false;
}

bool xen_kernel_fits(const char *config)
{
	return has_option(config, "CONFIG_XEN_DOM0", "y") && has_option(config, "CONFIG_XEN_BLKDEV_BACKEND", "ym") &&
	       has_option(config, "CONFIG_XEN_NETDEV_BACKEND", "ym") &&
	       has_option(config, "CONFIG_XEN_BLKDEV_FRONTEND", "ym");
}

char *defaults_with(const char *text, const char *name, const char *value)
{
	_cleanup_(freep) char *mark = xasprintf("%s=", name);
	struct buf out = { 0 };
	bool set = false;

	while (*text) {
		size_t len = strcspn(text, "\n");

		if (!text_starts(text, mark)) {
			buf_add(&out, text, len);
			buf_addc(&out, '\n');
		} else if (!set) {
			buf_printf(&out, "%s\"%s\"\n", mark, value);
			set = true;
		}
		text += len + (text[len] == '\n');
	}
	if (!set)
		buf_printf(&out, "%s\"%s\"\n", mark, value);
	return buf_take(&out);
}
