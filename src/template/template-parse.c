/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "template/template-ops.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"

enum { MOST_DELIMITER = 16 };

struct parser {
	struct template *t;
	const char *end;    /* of the text */
	const char *at;     /* everything before it is compiled */
	const char *marked; /* the place of this byte is line and column */
	int line, column;
	struct slice open, close;              /* delimiters */
	size_t sections[TEMPLATE_MOST_LEVELS]; /* ops of the sections that are open */
	size_t depth;
	struct err *err;
};

/* One tag as it stands in the text. */
struct tag {
	const char *from, *to; /* with its delimiters */
	char sigil;            /* '#', '^', '/', '!', '=', '>' or '\0' for a value */
	struct slice body;     /* what is between delimiters and sigils, without blanks around */
	bool alone;            /* nothing but blanks beside it on its line */
	struct slice indent;   /* those before it */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_space(char c)
{
	return is_blank(c) || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static struct slice trim(const char *from, const char *to)
{
	while (from < to && is_space(*from))
		from++;
	while (to > from && is_space(to[-1]))
		to--;
	return (struct slice){ from, (size_t)(to - from) };
}

/* Counts lines and characters (not bytes of UTF-8) up to `to`, which never lies before an earlier one. */
static void mark(struct parser *p, const char *to)
{
	for (; p->marked < to; p->marked++) {
		if (*p->marked == '\n') {
			p->line++;
			p->column = 1;
		} else if ((*p->marked & 0xc0) != 0x80)
			p->column++;
	}
}

static int fail_here(struct parser *p, int r)
{
	return template_place(p->err, -r, p->t->name, p->line, p->column);
}

static struct op *add_op(struct parser *p, enum op_kind kind, struct slice text)
{
	struct template *t = p->t;

	t->ops = grow_array(t->ops, t->n_ops, &t->cap_ops, sizeof(*t->ops));
	t->ops[t->n_ops] = (struct op){ .kind = kind, .text = text, .line = p->line, .column = p->column };
	return &t->ops[t->n_ops++];
}

static const char *find(const char *from, const char *end, struct slice what)
{
	return memmem(from, (size_t)(end - from), what.at, what.len);
}

/* Finds the end of a tag whose body starts at `from`, after an extra closing character when there is one. */
static int close_tag(struct parser *p, struct tag *tag, const char *from, char extra)
{
	char text[MOST_DELIMITER + 1] = { extra };
	size_t before = extra ? 1 : 0;
	const char *close;

	memcpy(text + before, p->close.at, p->close.len);
	close = find(from, p->end, (struct slice){ text, p->close.len + before });
	if (!close)
		return fail_here(p, err_set(p->err, EINVAL, _("This tag is not closed: '%.*s' is missing"),
					    (int)(p->close.len + before), text));
	tag->body = trim(from, close);
	tag->to = close + p->close.len + before;
	return 0;
}

static int read_tag(struct parser *p, const char *from, struct tag *ret)
{
	const char *body = from + p->open.len;
	struct tag tag = { .from = from };
	char extra = '\0';
	int r;

	while (body < p->end && is_space(*body))
		body++;
	if (body < p->end && strchr("#^/!=>&{", *body)) {
		tag.sigil = *body++;
		extra = tag.sigil == '{' ? '}' : tag.sigil == '=' ? '=' : '\0';
		if (tag.sigil == '{' || tag.sigil == '&')
			tag.sigil = '\0';
	}
	r = close_tag(p, &tag, body, extra);
	if (r == 0)
		*ret = tag;
	return r;
}

/* A tag that is no value and has its line (or lines) for itself takes the whole line with it. */
static void look_beside(struct parser *p, struct tag *tag)
{
	const char *before = tag->from, *after = tag->to;

	if (!tag->sigil)
		return;
	while (before > p->t->text && is_blank(before[-1]))
		before--;
	while (after < p->end && is_blank(*after))
		after++;
	if (before > p->t->text && before[-1] != '\n')
		return;
	if (after < p->end && *after == '\r' && after + 1 < p->end && after[1] == '\n')
		after++;
	if (after < p->end && *after != '\n')
		return;
	tag->alone = true;
	tag->indent = (struct slice){ before, (size_t)(tag->from - before) };
	tag->from = before;
	tag->to = after < p->end ? after + 1 : after;
}

static int check_name(struct parser *p, const struct tag *tag)
{
	const struct slice *name = &tag->body;
	bool dots = tag->sigil != '>' && !(name->len == 1 && *name->at == '.');

	if (!name->len)
		return fail_here(p, err_set(p->err, EINVAL, _("This tag has no name in it")));
	if (strchr("$<*", *name->at))
		return fail_here(p, err_set(p->err, EINVAL,
					    _("'%c' tags (inheritance, dynamic names) are not supported"), *name->at));
	for (size_t i = 0; i < name->len; i++) {
		char c = name->at[i];
		bool edge = !i || i == name->len - 1 || name->at[i - 1] == '.';

		if ((unsigned char)c <= ' ' || c == '{' || c == '}' || c == 127 || (dots && c == '.' && edge))
			return fail_here(p, err_set(p->err, EINVAL,
						    _("'%.*s' is not a name; is this tag closed where it should be?"),
						    (int)(name->len < 60 ? name->len : 60), name->at));
	}
	return 0;
}

/* "{{=<% %>=}}": two words without '='. */
static int set_delimiters(struct parser *p, struct slice body)
{
	const char *end = body.at + body.len, *word = body.at, *next;
	struct slice open, close;

	while (word < end && !is_space(*word))
		word++;
	for (next = word; next < end && is_space(*next);)
		next++;
	open = (struct slice){ body.at, (size_t)(word - body.at) };
	close = (struct slice){ next, (size_t)(end - next) };
	if (!open.len || !close.len || open.len >= MOST_DELIMITER || close.len >= MOST_DELIMITER ||
	    memchr(body.at, '=', body.len) || strcspn(close.at, " \t\r\n\v\f=") != close.len)
		return fail_here(
		    p, err_set(p->err, EINVAL, _("New delimiters are written {{=<%% %%>=}}: two words without '='")));
	p->open = open;
	p->close = close;
	return 0;
}

static int open_section(struct parser *p, const struct tag *tag)
{
	if (p->depth == TEMPLATE_MOST_LEVELS)
		return fail_here(
		    p, err_set(p->err, EINVAL, _("Sections are nested more than %d deep here"), TEMPLATE_MOST_LEVELS));
	p->sections[p->depth++] = p->t->n_ops;
	add_op(p, tag->sigil == '#' ? OP_SECTION : OP_INVERTED, tag->body);
	return 0;
}

static int close_section(struct parser *p, const struct tag *tag)
{
	const struct slice *name = &tag->body;
	struct op *op;

	if (!p->depth)
		return fail_here(p, err_set(p->err, EINVAL, _("No section is open here that '%.*s' could close"),
					    (int)name->len, name->at));
	op = &p->t->ops[p->sections[p->depth - 1]];
	if (op->text.len != name->len || memcmp(op->text.at, name->at, name->len))
		return fail_here(p, err_set(p->err, EINVAL, _("The section '%.*s' of line %d is open here, not '%.*s'"),
					    (int)op->text.len, op->text.at, op->line, (int)name->len, name->at));
	op->end = p->t->n_ops;
	p->depth--;
	return 0;
}

static int compile_tag(struct parser *p, const struct tag *tag)
{
	int r;

	if (tag->sigil == '!')
		return 0;
	if (tag->sigil == '=')
		return set_delimiters(p, tag->body);
	r = check_name(p, tag);
	if (r < 0)
		return r;
	switch (tag->sigil) {
	case '#':
	case '^':
		return open_section(p, tag);
	case '/':
		return close_section(p, tag);
	case '>':
		add_op(p, OP_PARTIAL, tag->body)->indent = tag->indent;
		return 0;
	default:
		add_op(p, OP_VALUE, tag->body);
		return 0;
	}
}

/* Compiles the text up to the next tag, and the tag. */
static int step(struct parser *p)
{
	const char *from = find(p->at, p->end, p->open);
	struct tag tag = { 0 };
	int r;

	if (!from) {
		add_op(p, OP_TEXT, (struct slice){ p->at, (size_t)(p->end - p->at) });
		p->at = p->end;
		return 0;
	}
	mark(p, from);
	r = read_tag(p, from, &tag);
	if (r < 0)
		return r;
	look_beside(p, &tag);
	if (tag.from > p->at)
		add_op(p, OP_TEXT, (struct slice){ p->at, (size_t)(tag.from - p->at) });
	p->at = tag.to;
	return compile_tag(p, &tag);
}

static int check_text(const char *name, const char *text, size_t len, struct err *err)
{
	if (len > TEMPLATE_MOST_TEXT) {
		err_set(err, EFBIG, _("The template is larger than 1 MiB"));
		return template_place(err, EFBIG, name, 0, 0);
	}
	if (len && memchr(text, '\0', len)) {
		err_set(err, EINVAL, _("The template is no text: there is a zero byte in it"));
		return template_place(err, EINVAL, name, 0, 0);
	}
	return 0;
}

static int check_all_closed(struct parser *p)
{
	const struct op *op;
	int r;

	if (!p->depth)
		return 0;
	op = &p->t->ops[p->sections[p->depth - 1]];
	r = err_set(p->err, EINVAL, _("The section '%.*s' that opens here is never closed"), (int)op->text.len,
		    op->text.at);
	return template_place(p->err, -r, p->t->name, op->line, op->column);
}

int template_parse(const char *name, const char *text, size_t len, struct template **ret, struct err *err)
{
	_cleanup_(template_freep) struct template *t = NULL;
	struct parser p;
	int r = check_text(name, text, len, err);

	if (r < 0)
		return r;
	t = xcalloc(1, sizeof(*t));
	t->name = xstrdup(name);
	t->text = xstrndup(len ? text : "", len);
	p = (struct parser){ .t = t,
			     .at = t->text,
			     .end = t->text + len,
			     .marked = t->text,
			     .line = 1,
			     .column = 1,
			     .open = { "{{", 2 },
			     .close = { "}}", 2 },
			     .err = err };
	while (r == 0 && p.at < p.end)
		r = step(&p);
	if (r == 0)
		r = check_all_closed(&p);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(t);
	return 0;
}
