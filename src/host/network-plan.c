/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/network-plan.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/i18n.h"
#include "base/strv.h"
#include "base/text.h"

struct rewriting {
	const char *name;
	const struct bridge_wish *wish;
	struct buf text;
	bool ours;     /* in a stanza of the card */
	bool found;    /* there was one */
	bool options;  /* the bridge's own are yet to be written */
	bool has_auto; /* the bridge comes up at boot */
};

static void split(const char *line, size_t len, struct strv *ret)
{
	_cleanup_(freep) char *copy = xstrndup(line, len);

	for (char *rest = copy, *word; (word = strsep(&rest, " \t"));)
		if (*word)
			strv_add(ret, word);
}

/* "eth0", or with an alias "eth0:1": what stands behind the card's name, NULL for another card. */
static const char *alias_of(const char *word, const char *card)
{
	size_t len = strlen(card);

	if (strncmp(word, card, len) || (word[len] && word[len] != ':'))
		return NULL;
	return word + len;
}

static int refuse(const struct rewriting *state, const char *line, size_t len, struct err *err)
{
	_cleanup_(freep) char *copy = xstrndup(line, len);

	text_printable(copy, false);
	return err_set(err, ENOTSUP,
		       _("%s says '%s', and tepuy does not know what that means once %s is in a bridge; set the bridge "
			 "up by hand and name it in hosts.yaml as xen.bridge"),
		       state->name, copy + strspn(copy, " \t"), state->wish->card);
}

static void keep(struct rewriting *state, const char *line, size_t len)
{
	buf_add(&state->text, line, len);
	buf_addc(&state->text, '\n');
}

/* `auto` and `allow-hotplug`: a bridge is no card that is plugged in, so it is always `auto`. */
static void take_auto(struct rewriting *state, const struct strv *words, const char *line, size_t len)
{
	_cleanup_strv_ struct strv others = { 0 };
	_cleanup_(freep) char *rest = NULL;
	bool named = false;

	for (size_t i = 1; i < words->n; i++) {
		const char *alias = alias_of(words->v[i], state->wish->card);

		if (!alias) {
			strv_add(&others, words->v[i]);
			continue;
		}
		named = true;
		if (*alias)
			strv_addf(&others, "%s%s", state->wish->bridge, alias);
	}
	if (!named) {
		keep(state, line, len);
		return;
	}
	rest = strv_join(&others, " ");
	if (others.n)
		buf_printf(&state->text, "%s %s\n", words->v[0], rest);
	if (!state->has_auto)
		buf_printf(&state->text, "auto %s\n", state->wish->bridge);
	state->has_auto = true;
}

static void add_options(struct rewriting *state)
{
	const struct bridge_wish *wish = state->wish;

	buf_printf(&state->text, "    bridge_ports %s\n    bridge_stp off\n    bridge_fd 0\n    bridge_maxwait 5\n",
		   wish->card);
	if (wish->mac)
		buf_printf(&state->text, "    bridge_hw %s\n", wish->mac);
	state->options = false;
}

static int take_iface(struct rewriting *state, const struct strv *words, const char *line, size_t len, struct err *err)
{
	const char *name = words->n > 1 ? words->v[1] : "", *alias = alias_of(name, state->wish->card);
	size_t card = strlen(state->wish->card);

	state->ours = alias != NULL;
	/* A VLAN whose card is named by its own name. */
	if (!strncmp(name, state->wish->card, card) && name[card] == '.')
		return refuse(state, line, len, err);
	if (!alias) {
		if (!strcmp(name, state->wish->bridge))
			return refuse(state, line, len, err);
		keep(state, line, len);
		return 0;
	}
	buf_printf(&state->text, "iface %s%s", state->wish->bridge, alias);
	for (size_t i = 2; i < words->n; i++)
		buf_printf(&state->text, " %s", words->v[i]);
	buf_addc(&state->text, '\n');
	state->found = true;
	if (state->options && !*alias)
		add_options(state);
	return 0;
}

/* An option of a stanza. Those that make a card part of something else, or name it, are not ours to rewrite. */
static int take_option(struct rewriting *state, const struct strv *words, const char *line, size_t len, struct err *err)
{
	static const char *const parts[] = {
		"bridge", "bond", "slaves", "vlan", "wpa", "wireless", "team", "inherits"
	};
	bool part = false, names = false;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		part |= text_starts(words->v[0], parts[i]);
	for (size_t i = 1; i < words->n; i++)
		names |= !strcmp(words->v[i], state->wish->card);
	if (state->ours ? part || names : part && names)
		return refuse(state, line, len, err);
	keep(state, line, len);
	return 0;
}

static bool is_source(const char *word)
{
	return text_starts(word, "source") || text_starts(word, "no-") || !strcmp(word, "rename");
}

static int take_line(struct rewriting *state, const char *line, size_t len, struct err *err)
{
	_cleanup_strv_ struct strv words = { 0 };
	int r = 0;

	split(line, len, &words);
	if (!words.n || *words.v[0] == '#') {
		keep(state, line, len);
		return 0;
	}
	if (!strcmp(words.v[0], "auto") || text_starts(words.v[0], "allow-")) {
		state->ours = false;
		take_auto(state, &words, line, len);
	} else if (!strcmp(words.v[0], "iface")) {
		r = take_iface(state, &words, line, len, err);
	} else if (!strcmp(words.v[0], "mapping")) {
		state->ours = false;
		for (size_t i = 1; r == 0 && i < words.n; i++)
			if (alias_of(words.v[i], state->wish->card))
				r = refuse(state, line, len, err);
		if (r == 0)
			keep(state, line, len);
	} else if (is_source(words.v[0])) {
		state->ours = false;
		keep(state, line, len);
	} else {
		r = take_option(state, &words, line, len, err);
	}
	/* Lines that go on would need more than words. */
	if (r == 0 && len && line[len - 1] == '\\' && (state->ours || !strcmp(words.v[0], "auto")))
		r = refuse(state, line, len, err);
	return r;
}

int interfaces_bridge(const char *name, const char *text, const struct bridge_wish *wish, bool first, char **ret,
		      struct err *err)
{
	struct rewriting state = { .name = name, .wish = wish, .options = first };
	int r = 0;

	if (!interfaces_configure(text, wish->card)) {
		*ret = NULL;
		return 0;
	}
	for (const char *line = text; *line && r == 0;) {
		size_t len = strcspn(line, "\n");

		r = take_line(&state, line, len, err);
		line += len + (line[len] == '\n');
	}
	if (r == 0 && first) {
		if (!state.has_auto)
			buf_printf(&state.text, "\nauto %s\n", wish->bridge);
		buf_printf(&state.text, "\n# In the bridge %s.\niface %s inet manual\n", wish->bridge, wish->card);
	}
	if (r == 0)
		*ret = buf_take(&state.text);
	buf_release(&state.text);
	return r;
}

bool interfaces_configure(const char *text, const char *card)
{
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");
		_cleanup_strv_ struct strv words = { 0 };

		split(line, len, &words);
		if (words.n >= 4 && !strcmp(words.v[0], "iface") && !strcmp(words.v[1], card) &&
		    strcmp(words.v[3], "manual") != 0)
			return true;
		line += len + (line[len] == '\n');
	}
	return false;
}

static bool is_section(const char *line, size_t len, const char *name)
{
	return len >= strlen(name) && !strncmp(line, name, strlen(name));
}

int networkd_for_bridge(const char *name, const char *text, const struct bridge_wish *wish, char **ret, struct err *err)
{
	static const char *const parts[] = { "Bridge=", "Bond=", "VLAN=", "VRF=", "MACVLAN=", "MACVTAP=", "IPVLAN=" };
	struct rewriting state = { .name = name, .wish = wish };
	_cleanup_buf_ struct buf out = { 0 };
	bool match = false;

	buf_printf(&out, "# Made by tepuy from %s, whose card %s is in this bridge.\n[Match]\nName=%s\n", name,
		   wish->card, wish->bridge);
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");

		if (*line == '[')
			match = is_section(line, len, "[Match]");
		for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
			if (is_section(line + strspn(line, " \t"), len, parts[i]))
				return refuse(&state, line, len, err);
		if (!match) {
			buf_add(&out, line, len);
			buf_addc(&out, '\n');
		}
		line += len + (line[len] == '\n');
	}
	*ret = buf_take(&out);
	return 0;
}

char *networkd_netdev(const struct bridge_wish *wish)
{
	struct buf out = { 0 };

	buf_printf(&out, "# Made by tepuy: the bridge of the host's machines.\n[NetDev]\nName=%s\nKind=bridge\n",
		   wish->bridge);
	if (wish->mac)
		buf_printf(&out, "MACAddress=%s\n", wish->mac);
	buf_adds(&out, "\n[Bridge]\nSTP=no\nForwardDelaySec=0\n");
	return buf_take(&out);
}

char *networkd_port(const struct bridge_wish *wish)
{
	return xasprintf(
	    "# Made by tepuy: the card is a port of the bridge of the host's machines.\n[Match]\nName=%s\n\n"
	    "[Network]\nBridge=%s\n",
	    wish->card, wish->bridge);
}
