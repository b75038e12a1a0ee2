/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Each rule of the public Mustache specification, in cases of our own; then places of errors; then caps. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "template/template-ops.h"

/* One outcome: `template` with `json` (and partials, name and text in turn) renders as `wanted`. */
struct render_case {
	const char *rule, *json, *template, *wanted;
	const char *partials[8];
};

static char *give_partial(void *data, const char *name)
{
	const char *const *partials = data;

	for (; partials[0]; partials += 2)
		if (!strcmp(partials[0], name))
			return xstrdup(partials[1]);
	return NULL;
}

static int render(const char *text, const char *json, const char *const *partials, struct buf *out, struct err *err)
{
	_cleanup_(template_freep) struct template *t = NULL;
	json_t *context = json_loads(json, JSON_DECODE_ANY, NULL);
	int r;

	assert_non_null(context);
	r = template_parse("t.conf", text, strlen(text), &t, err);
	if (r == 0)
		r = template_render(t, context, partials ? give_partial : NULL, (void *)partials, out, err);
	json_decref(context);
	return r;
}

static void check_case(void **state)
{
	const struct render_case *c = *state;
	_cleanup_buf_ struct buf out = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	if (render(c->template, c->json, c->partials, &out, &err) < 0)
		fail_msg("%s", err_text(&err));
	assert_string_equal(buf_text(&out), c->wanted);
}

static struct render_case cases[] = {
	/* Interpolation */
	{ "plain text stays as it is", "{}", "a } b { c\n", "a } b { c\n" },
	{ "a value", "{\"who\":\"Ana\"}", "Hi {{who}}!", "Hi Ana!" },
	{ "nothing is interpolated again", "{\"a\":\"{{b}}\",\"b\":1}", "{{a}}", "{{b}}" },
	{ "two braces do not escape", "{\"a\":\"<&\\\">\"}", "{{a}}", "<&\">" },
	{ "three braces do not escape", "{\"a\":\"<&\\\">\"}", "{{{a}}}", "<&\">" },
	{ "ampersand does not escape", "{\"a\":\"<&\\\">\"}", "{{&a}}", "<&\">" },
	{ "an integer", "{\"n\":85}", "{{n}}|{{{n}}}|{{&n}}", "85|85|85" },
	{ "a negative integer", "{\"n\":-9007199254740993}", "{{n}}", "-9007199254740993" },
	{ "a decimal", "{\"n\":1.21}", "{{n}}", "1.21" },
	{ "a decimal that needs all digits", "{\"n\":0.30000000000000004}", "{{n}}", "0.30000000000000004" },
	{ "a whole real has no decimals", "{\"n\":5.0}", "{{n}}", "5" },
	{ "minus zero is zero", "{\"n\":-0.0}", "{{n}}", "0" },
	{ "a whole real of fifteen digits", "{\"n\":123456789012345.0}", "{{n}}", "123456789012345" },
	{ "a large real", "{\"n\":1.5e300}", "{{n}}", "1.5e+300" },
	{ "booleans", "{\"y\":true,\"n\":false}", "{{y}} {{n}}", "true false" },
	{ "null is nothing", "{\"a\":null}", "({{a}})({{{a}}})({{&a}})", "()()()" },
	{ "a missing name is nothing", "{}", "({{a}})({{{a}}})({{&a}})", "()()()" },
	{ "dotted names", "{\"a\":{\"b\":{\"c\":\"x\"}}}", "{{a.b.c}}{{{a.b.c}}}{{&a.b.c}}", "xxx" },
	{ "dotted names are sections unrolled", "{\"a\":{\"b\":\"x\"}}", "{{a.b}} = {{#a}}{{b}}{{/a}}", "x = x" },
	{ "a broken chain is nothing", "{\"a\":{}}", "({{a.b.c}})", "()" },
	{ "a chain is not completed from elsewhere", "{\"a\":{\"b\":{}},\"c\":{\"d\":\"no\"}}", "({{a.b.c.d}})", "()" },
	{ "the first part is looked up outwards", "{\"a\":{\"b\":\"x\"},\"c\":{\"b\":\"y\"}}", "{{#c}}{{a.b}}{{/c}}",
	  "x" },
	{ "the first part found decides", "{\"a\":{\"b\":{}},\"b\":{\"c\":\"no\"}}", "({{#a}}{{b.c}}{{/a}})", "()" },
	{ "text has no members", "{\"a\":\"text\"}", "({{a.length}})", "()" },
	{ "implicit iterator at the root", "\"world\"", "{{.}}{{{.}}}{{&.}}", "worldworldworld" },
	{ "blanks around a value stay", "{\"a\":\"x\"}", "| {{a}} {{{a}}} {{&a}} |", "| x x x |" },
	{ "a value alone on its line keeps the line", "{\"a\":\"x\"}", "  {{a}}\n", "  x\n" },
	{ "blanks inside a tag do not count", "{\"a\":\"x\"}", "{{ a }}{{{ a }}}{{& a }}{{\n a\t}}", "xxxx" },

	/* Sections */
	{ "true renders", "{\"a\":true}", "{{#a}}yes{{/a}}", "yes" },
	{ "false does not", "{\"a\":false}", "({{#a}}no{{/a}})", "()" },
	{ "null does not", "{\"a\":null}", "({{#a}}no{{/a}})", "()" },
	{ "missing does not", "{}", "({{#a}}no{{/a}})", "()" },
	{ "an empty list does not", "{\"a\":[]}", "({{#a}}no{{/a}})", "()" },
	{ "empty text and zero are true", "{\"a\":\"\",\"b\":0}", "{{#a}}a{{/a}}{{#b}}b{{/b}}", "ab" },
	{ "an empty object is true", "{\"a\":{}}", "{{#a}}a{{/a}}", "a" },
	{ "an object is the context", "{\"a\":{\"b\":\"x\"}}", "{{#a}}{{b}}{{/a}}", "x" },
	{ "a text is the context", "{\"a\":\"x\"}", "{{#a}}{{.}}{{/a}}", "x" },
	{ "outer contexts are seen", "{\"o\":1,\"a\":{\"b\":{}}}", "{{#a}}{{#b}}{{o}}{{/b}}{{/a}}", "1" },
	{ "inner contexts hide outer ones", "{\"x\":1,\"a\":{\"x\":2}}", "{{x}}{{#a}}{{x}}{{/a}}{{x}}", "121" },
	{ "a hiding null hides", "{\"x\":1,\"a\":{\"x\":null}}", "({{#a}}{{x}}{{/a}})", "()" },
	{ "a list repeats", "{\"l\":[{\"i\":1},{\"i\":2}]}", "{{#l}}{{i}};{{/l}}", "1;2;" },
	{ "implicit iterator", "{\"l\":[\"a\",1,2.5,true]}", "{{#l}}({{.}}){{/l}}", "(a)(1)(2.5)(true)" },
	{ "nested lists", "{\"l\":[[1,2],[\"x\"]]}", "{{#l}}({{#.}}{{.}}{{/.}}){{/l}}", "(12)(x)" },
	{ "a list at the root", "[{\"v\":1},{\"v\":2}]", "{{#.}}{{v}}{{/.}}", "12" },
	{ "the same section twice", "{\"a\":true}", "{{#a}}1{{/a}}-{{#a}}2{{/a}}", "1-2" },
	{ "sections in sections", "{\"a\":true,\"b\":false}", "{{#a}}A{{#b}}B{{/b}}C{{/a}}", "AC" },
	{ "a section in itself", "{\"a\":{\"a\":{\"x\":1}}}", "{{#a}}{{#a}}{{x}}{{/a}}{{/a}}", "1" },
	{ "dotted sections", "{\"a\":{\"b\":{\"c\":true}}}", "{{#a.b.c}}yes{{/a.b.c}}", "yes" },
	{ "dotted sections, broken", "{\"a\":{}}", "({{#a.b.c}}no{{/a.b.c}})", "()" },
	{ "blanks around a section stay", "{\"a\":true}", " | {{#a}}\t|\t{{/a}} | \n", " | \t|\t | \n" },
	{ "blanks inside section tags do not count", "{\"a\":true}", "{{# a }}x{{/ a }}", "x" },
	{ "lines of a section go", "{\"a\":true}", "1\n{{#a}}\n2\n{{/a}}\n3\n", "1\n2\n3\n" },
	{ "indented lines of a section go", "{\"a\":true}", "1\n  {{#a}}\n2\n\t{{/a}} \n3\n", "1\n2\n3\n" },
	{ "CR LF lines of a section go", "{\"a\":true}", "1\r\n{{#a}}\r\n2\r\n{{/a}}\r\n3", "1\r\n2\r\n3" },
	{ "a section on the first line", "{\"a\":true}", "  {{#a}}\nx{{/a}}\n", "x\n" },
	{ "a section on the last line", "{\"a\":true}", "{{#a}}x\n  {{/a}}", "x\n" },
	{ "two tags on a line keep it", "{\"a\":true}", "1\n{{#a}}{{/a}}\n2", "1\n\n2" },
	{ "text on the line keeps it", "{\"a\":true}", " {{#a}}x{{/a}} \n", " x \n" },

	/* Inverted sections */
	{ "inverted: false", "{\"a\":false}", "{{^a}}yes{{/a}}", "yes" },
	{ "inverted: null", "{\"a\":null}", "{{^a}}yes{{/a}}", "yes" },
	{ "inverted: missing", "{}", "{{^a}}yes{{/a}}", "yes" },
	{ "inverted: empty list", "{\"a\":[]}", "{{^a}}yes{{/a}}", "yes" },
	{ "inverted: true", "{\"a\":true}", "({{^a}}no{{/a}})", "()" },
	{ "inverted: list", "{\"a\":[0]}", "({{^a}}no{{/a}})", "()" },
	{ "inverted: object", "{\"a\":{}}", "({{^a}}no{{/a}})", "()" },
	{ "inverted: broken chain", "{\"a\":{}}", "{{^a.b.c}}yes{{/a.b.c}}", "yes" },
	{ "inverted: the context stays", "{\"x\":1}", "{{^a}}{{x}}{{/a}}", "1" },
	{ "inverted: lines go", "{}", "1\n {{^a}}\n2\n {{/a}}\n3\n", "1\n2\n3\n" },
	{ "both ways", "{\"a\":true}", "{{#a}}yes{{/a}}{{^a}}no{{/a}}", "yes" },
	{ "inverted sections nest", "{}", "{{^a}}1{{^b}}2{{/b}}{{/a}}", "12" },

	/* Comments */
	{ "a comment goes", "{}", "12{{! so }}34", "1234" },
	{ "a comment of lines goes", "{}", "12{{! so\n and on \n}}34", "1234" },
	{ "a comment alone takes its line", "{}", "1\n  {{! so }}\n2\n", "1\n2\n" },
	{ "a comment of lines alone takes them", "{}", "1\n  {{!\nso\n  }}  \n2\n", "1\n2\n" },
	{ "CR LF comment", "{}", "1\r\n{{! so }}\r\n2", "1\r\n2" },
	{ "a comment on the only line", "{}", "  {{! so }}", "" },
	{ "a comment beside text keeps its line", "{}", "  1 {{! so }}\n", "  1 \n" },
	{ "a comment may hold anything", "{}", "{{!# {a} = ^ }}x", "x" },

	/* Set delimiters */
	{ "other delimiters", "{\"a\":\"x\"}", "{{=<% %>=}}<%a%> {{a}}", "x {{a}}" },
	{ "characters special elsewhere", "{\"a\":\"x\"}", "({{=[ ]=}}[a])", "(x)" },
	{ "the same on both sides", "{\"a\":\"x\"}", "{{=| |=}}|a|-|&a|", "x-x" },
	{ "and back", "{\"a\":\"x\"}", "{{=<% %>=}}<%a%><%={{ }}=%>{{a}}<%a%>", "xx<%a%>" },
	{ "sections under other delimiters", "{\"a\":true,\"b\":\"x\"}", "{{=| |=}}|#a|{{b}}|b||/a|", "{{b}}x" },
	{ "sections over a change", "{\"a\":true}", "{{#a}}{{=| |=}}x|/a|y", "xy" },
	{ "other delimiters, alone on a line", "{}", "1\n  {{=@ @=}}  \n2\n", "1\n2\n" },
	{ "other delimiters, CR LF", "{}", "1\r\n{{=@ @=}}\r\n2", "1\r\n2" },
	{ "other delimiters beside text", "{}", "1 {{=@ @=}} 2", "1  2" },
	{ "blanks inside", "{\"a\":1}", "{{=  @   @  =}}@a@", "1" },
	{ "partials do not inherit delimiters", "{\"a\":1}", "{{=@ @=}}@>p@@a@", "@a@11", { "p", "@a@{{a}}" } },
	{ "partials' delimiters do not leak", "{\"a\":1}", "{{>p}}{{a}}@a@", "11@a@", { "p", "{{=@ @=}}@a@" } },

	/* Partials */
	{ "a partial", "{}", "({{>p}})", "(from p)", { "p", "from p" } },
	{ "a missing partial is nothing", "{}", "({{>p}})", "()" },
	{ "a partial sees the context", "{\"a\":\"x\"}", "{{>p}}", "*x*", { "p", "*{{a}}*" } },
	{ "a partial sees the innermost context", "{\"l\":[1,2]}", "{{#l}}{{>p}}{{/l}}", "<1><2>", { "p", "<{{.}}>" } },
	{ "a partial calls itself",
	  "{\"v\":1,\"n\":[{\"v\":2,\"n\":[]},{\"v\":3,\"n\":[]}]}",
	  "{{>p}}",
	  "1<2<>3<>>",
	  { "p", "{{v}}<{{#n}}{{>p}}{{/n}}>" } },
	{ "partials in partials", "{\"a\":1}", "{{>o}}", "[<1>]", { "o", "[{{>i}}]", "i", "<{{a}}>" } },
	{ "blanks around a partial stay", "{}", "| {{>p}} |", "| \t|\t |", { "p", "\t|\t" } },
	{ "a partial in a line is not indented", "{\"a\":1}", "  {{a}}  {{>p}}\n", "  1  >\n>\n", { "p", ">\n>" } },
	{ "a partial alone takes its line", "{}", "1\n{{>p}}\n2\n", "1\nx\n2\n", { "p", "x\n" } },
	{ "a partial alone, CR LF", "{}", "|\r\n{{>p}}\r\n|", "|\r\n>|", { "p", ">" } },
	{ "a partial alone without previous line", "{}", "  {{>p}}\n>", "  >\n  >>", { "p", ">\n>" } },
	{ "a partial alone without newline", "{}", ">\n  {{>p}}", ">\n  >\n  >", { "p", ">\n>" } },
	{ "each line of a partial is indented, values are not",
	  "{\"a\":\"<\\n->\"}",
	  "\\\n {{>p}}\n/\n",
	  "\\\n |\n <\n->\n |\n/\n",
	  { "p", "|\n{{{a}}}\n|\n" } },
	{ "indents add up", "{}", " {{>o}}\n", "  x\n  y\n", { "o", " {{>i}}\n", "i", "x\ny\n" } },
	{ "section lines of an indented partial go",
	  "{\"l\":[1,2]}",
	  "  {{>p}}\n",
	  "  1\n  2\n",
	  { "p", "{{#l}}\n{{.}}\n{{/l}}\n" } },
	{ "blanks inside a partial's tag do not count", "{}", "{{> p }}", "x", { "p", "x" } },
	{ "a partial's name may be a path", "{}", "{{>parts/a.conf}}", "x", { "parts/a.conf", "x" } },
};

/* What is wrong, where. */
struct error_case {
	const char *rule, *template, *wanted;
	int line, column;
};

static void check_error(void **state)
{
	const struct error_case *c = *state;
	_cleanup_buf_ struct buf out = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	buf_adds(&out, "before");
	assert_int_equal(render(c->template, "{\"l\":[1],\"o\":{\"x\":{}}}", NULL, &out, &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), c->wanted));
	assert_string_equal(err.file, "t.conf");
	assert_int_equal(err.line, c->line);
	assert_int_equal(err.column, c->column);
	assert_string_equal(buf_text(&out), "before");
}

static struct error_case errors[] = {
	{ "unclosed tag", "a\n b {{name", "not closed", 2, 4 },
	{ "unclosed triple tag", "{{{name}}", "'}}}' is missing", 1, 1 },
	{ "unclosed comment", "x{{! name }", "'}}' is missing", 1, 2 },
	{ "unclosed tag before another", "{{a \n{{b}}", "not a name", 1, 1 },
	{ "unclosed section is placed where it opens", "1\n{{#l}}\n{{#o}}{{/o}}", "'l' that opens here", 2, 1 },
	{ "mismatched close", "{{#l}}\n {{/o}}", "'l' of line 1 is open here, not 'o'", 2, 2 },
	{ "nothing to close", "{{/o}}", "No section is open", 1, 1 },
	{ "a name is missing", "{{ }}", "no name", 1, 1 },
	{ "a section's name is missing", "{{#}}{{/}}", "no name", 1, 1 },
	{ "empty parts", "{{a..b}}", "'a..b'", 1, 1 },
	{ "a part is missing in front", "{{.a}}", "'.a'", 1, 1 },
	{ "a part is missing behind", "{{a.}}", "'a.'", 1, 1 },
	{ "one new delimiter only", "{{=<%=}}", "New delimiters", 1, 1 },
	{ "three new delimiters", "{{=a b c=}}", "New delimiters", 1, 1 },
	{ "equals sign in a delimiter", "{{=a= =b=}}", "New delimiters", 1, 1 },
	{ "very long delimiters", "{{=aaaaaaaaaaaaaaaaaaaaaaaa b=}}", "New delimiters", 1, 1 },
	{ "inheritance", "{{<parent}}", "not supported", 1, 1 },
	{ "a list is no text", "\n\tx {{l}}", "'l' is a list", 2, 4 },
	{ "an object is no text", "{{o.x}}", "'o.x' is a group", 1, 1 },
	{ "columns are characters, not bytes", "ñandú {{o}}", "'o' is a group", 1, 7 },
};

static void an_error_in_a_partial_names_the_partial(void **state)
{
	static const char *const partials[] = { "p", "x\n{{l}}", NULL };
	_cleanup_buf_ struct buf out = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(render("{{#l}}\n{{>p}}{{/l}}", "{\"l\":[1]}", partials, &out, &err), -EINVAL);
	assert_string_equal(err.file, "p");
	assert_int_equal(err.line, 2);
}

static void a_broken_partial_names_itself(void **state)
{
	static const char *const partials[] = { "p", "\n\n{{#l}}", NULL };
	_cleanup_buf_ struct buf out = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(render("{{>p}}", "{}", partials, &out, &err), -EINVAL);
	assert_string_equal(err.file, "p");
	assert_int_equal(err.line, 3);
}

static void endless_partials_are_stopped(void **state)
{
	static const char *const partials[] = { "p", "{{>p}}", NULL };
	_cleanup_buf_ struct buf out = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(render("{{>p}}", "{}", partials, &out, &err), -ELOOP);
	assert_non_null(strstr(err_text(&err), "nested more than 128"));
}

static void exploding_partials_are_stopped(void **state)
{
	_cleanup_buf_ struct buf out = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	char names[40][8], texts[40][32];
	const char *partials[81] = { 0 };

	(void)state;
	for (int i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "p%d", i);
		snprintf(texts[i], sizeof(texts[i]), "{{>p%d}}{{>p%d}}", i + 1, i + 1);
		partials[2 * i] = names[i];
		partials[2 * i + 1] = texts[i];
	}
	assert_int_equal(render("{{>p0}}", "{}", partials, &out, &err), -ELOOP);
	assert_non_null(strstr(err_text(&err), "too many steps"));
}

static void deep_sections_are_refused(void **state)
{
	_cleanup_buf_ struct buf text = { 0 }, out = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	(void)state;
	for (int i = 0; i < 65; i++)
		buf_adds(&text, "{{#a}}");
	assert_int_equal(render(buf_text(&text), "{}", NULL, &out, &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "more than 64 deep"));
	assert_int_equal(err.column, 64 * 6 + 1);
}

static void sixty_four_sections_are_fine(void **state)
{
	_cleanup_buf_ struct buf text = { 0 }, out = { 0 };

	(void)state;
	for (int i = 0; i < 64; i++)
		buf_adds(&text, "{{#a}}");
	buf_addc(&text, 'x');
	for (int i = 0; i < 64; i++)
		buf_adds(&text, "{{/a}}");
	assert_int_equal(render(buf_text(&text), "{\"a\":1}", NULL, &out, NULL), 0);
	assert_string_equal(buf_text(&out), "x");
}

static void large_output_is_refused(void **state)
{
	_cleanup_buf_ struct buf text = { 0 }, out = { 0 };

	(void)state;
	buf_adds(&text, "{{#l}}{{#l}}{{#l}}{{#l}}{{#l}}{{#l}}{{#l}}");
	for (int i = 0; i < 100; i++)
		buf_adds(&text, "0123456789");
	buf_adds(&text, "{{/l}}{{/l}}{{/l}}{{/l}}{{/l}}{{/l}}{{/l}}");
	assert_int_equal(render(buf_text(&text), "{\"l\":[1,2,3,4,5,6,7,8]}", NULL, &out, NULL), -EFBIG);
	assert_int_equal(out.len, 0);
}

static void large_templates_are_refused(void **state)
{
	static char text[(1 << 20) + 1];
	struct template *t = NULL;

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(template_parse("t.conf", text, sizeof(text), &t, NULL), -EFBIG);
	assert_null(t);
}

static void binary_files_are_refused(void **state)
{
	struct template *t = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(template_parse("t.conf", "a\0b", 3, &t, &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "zero byte"));
}

/* One line of a megabyte with 200,000 tags must not take quadratic time: the test's own limit is the bound. */
static void many_tags_on_a_line_are_quick(void **state)
{
	_cleanup_buf_ struct buf text = { 0 }, out = { 0 };

	(void)state;
	for (int i = 0; i < 200000; i++)
		buf_adds(&text, "{{a}}");
	assert_int_equal(render(buf_text(&text), "{\"a\":1}", NULL, &out, NULL), 0);
	assert_int_equal(out.len, 200000);
}

static void an_empty_template_renders_nothing(void **state)
{
	_cleanup_(template_freep) struct template *t = NULL;
	_cleanup_buf_ struct buf out = { 0 };

	(void)state;
	assert_int_equal(template_parse("t.conf", NULL, 0, &t, NULL), 0);
	assert_int_equal(template_render(t, NULL, NULL, NULL, &out, NULL), 0);
	assert_int_equal(out.len, 0);
}

static void decimals_ignore_the_locale(void **state)
{
	char comma[] = "-2,5e+300",
	     arabic[] = "2\xd9\xab"
			"5",
	     whole[] = "1e+20";

	(void)state;
	assert_int_equal(template_plain_number(comma), 9);
	assert_string_equal(comma, "-2.5e+300");
	assert_int_equal(template_plain_number(arabic), 3);
	assert_string_equal(arabic, "2.5");
	assert_int_equal(template_plain_number(whole), 5);
}

static void names_are_listed_once_and_in_order(void **state)
{
	static const char text[] = "{{b}}{{#a.l}}{{n}}{{b}}{{.}}{{^c}}{{d}}{{/c}}{{/a.l}}{{! e }}{{>f}}{{g}}";
	_cleanup_(template_freep) struct template *t = NULL;
	_cleanup_strv_ struct strv names = { 0 };
	_cleanup_(freep) char *joined = NULL;

	(void)state;
	assert_int_equal(template_parse("t.conf", text, strlen(text), &t, NULL), 0);
	template_names(t, &names);
	joined = strv_join(&names, " ");
	assert_string_equal(joined, "b a.l n c d g");
}

static void note_use(void *data, const char *name, int line, int column, int depth)
{
	buf_printf(data, "%s@%d:%d/%d ", name, line, column, depth);
}

static void uses_have_places_and_depths(void **state)
{
	static const char text[] = "{{b}}\n{{#a}}\n {{b}}{{#c}}{{d}}{{/c}}{{/a}}{{e}}";
	_cleanup_(template_freep) struct template *t = NULL;
	_cleanup_buf_ struct buf out = { 0 };

	(void)state;
	assert_int_equal(template_parse("t.conf", text, strlen(text), &t, NULL), 0);
	template_each_name(t, note_use, &out);
	assert_string_equal(buf_text(&out), "b@1:1/0 a@2:1/0 b@3:2/1 c@3:7/1 d@3:13/2 e@3:30/0 ");
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(an_error_in_a_partial_names_the_partial),
		cmocka_unit_test(a_broken_partial_names_itself),
		cmocka_unit_test(endless_partials_are_stopped),
		cmocka_unit_test(exploding_partials_are_stopped),
		cmocka_unit_test(deep_sections_are_refused),
		cmocka_unit_test(sixty_four_sections_are_fine),
		cmocka_unit_test(large_output_is_refused),
		cmocka_unit_test(large_templates_are_refused),
		cmocka_unit_test(binary_files_are_refused),
		cmocka_unit_test(many_tags_on_a_line_are_quick),
		cmocka_unit_test(an_empty_template_renders_nothing),
		cmocka_unit_test(decimals_ignore_the_locale),
		cmocka_unit_test(names_are_listed_once_and_in_order),
		cmocka_unit_test(uses_have_places_and_depths),
	};
	struct CMUnitTest tests[ARRAY_SIZE(cases) + ARRAY_SIZE(errors) + ARRAY_SIZE(others)];
	struct CMUnitTest *test = tests;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		*test++ = (struct CMUnitTest){ cases[i].rule, check_case, NULL, NULL, &cases[i] };
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		*test++ = (struct CMUnitTest){ errors[i].rule, check_error, NULL, NULL, &errors[i] };
	memcpy(test, others, sizeof(others));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
