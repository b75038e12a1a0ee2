/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proxy/haproxy-proto.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/i18n.h"
#include "base/text.h"

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:"
#define DIGITS "0123456789"

enum { MOST_COLUMNS = 8 };

bool haproxy_is_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= HAPROXY_MOST_NAME && strspn(name, NAME_CHARACTERS) == len;
}

char *haproxy_server_name(const char *component, unsigned int n, unsigned long gen)
{
	return xasprintf("%s-%u.%lu", component, n, gen);
}

bool haproxy_is_node_name(const char *name)
{
	const char *dash = strrchr(name, '-');
	size_t n = dash ? strspn(dash + 1, DIGITS) : 0;
	const char *dot = n ? dash + 1 + n : NULL;

	return dash > name && dot && *dot == '.' && dot[1] && strspn(dot + 1, DIGITS) == strlen(dot + 1);
}

bool haproxy_is_word(const char *word)
{
	if (!*word)
		return false;
	for (const char *s = word; *s; s++)
		if (*s <= ' ' || *s > '~' || strchr(";\\\"'#<", *s))
			return false;
	return true;
}

int haproxy_write(const struct strv *words, char **ret, struct err *err)
{
	_cleanup_buf_ struct buf line = { 0 };

	for (size_t i = 0; i < words->n; i++) {
		if (!haproxy_is_word(words->v[i])) {
			_cleanup_(freep) char *shown = xstrdup(words->v[i]);

			text_printable(shown, false);
			return err_set(err, EINVAL,
				       _("'%s' cannot be sent to HAProxy: a word of letters, digits and signs "
					 "without blanks is needed"),
				       shown);
		}
		if (i)
			buf_addc(&line, ' ');
		buf_adds(&line, words->v[i]);
	}
	buf_addc(&line, '\n');
	if (line.len > HAPROXY_MOST_LINE)
		return err_set(err, EINVAL, _("A command for HAProxy would be longer than %d bytes"),
			       HAPROXY_MOST_LINE);
	*ret = buf_take(&line);
	return 0;
}

/* A run of bytes in an answer. */
struct field {
	const char *at;
	size_t len;
};

/* Reads records of a text: lines of fields with a separator between them. */
struct reader {
	const char *at;
	char separator;             /* ' ' or ',' (then fields may be in double quotes) */
	const char *const *columns; /* names of those that are wanted */
	size_t n_columns, n_needed; /* the first `n_needed` must be there */
	size_t index[MOST_COLUMNS]; /* where each one is in a record, SIZE_MAX: nowhere */
};

/* Takes the next field of the record. Returns whether another one follows. */
static bool next_field(struct reader *r, struct field *ret)
{
	bool quoted = r->separator == ',' && *r->at == '"';
	const char *end;

	ret->at = r->at + quoted;
	if (quoted) {
		for (end = ret->at; *end && !(*end == '"' && end[1] != '"');)
			end += *end == '"' ? 2 : 1;
		ret->len = (size_t)(end - ret->at);
		end += *end == '"';
		end += strcspn(end, ",\n");
	} else {
		for (end = ret->at; *end && *end != '\n' && *end != r->separator;)
			end++;
		ret->len = (size_t)(end - ret->at);
	}
	r->at = *end ? end + 1 : end;
	return *end == r->separator;
}

static bool field_is(struct field field, const char *text)
{
	return field.len == strlen(text) && !memcmp(field.at, text, field.len);
}

/* Reads the line "# name name …" and notes where the wanted columns are. */
static int read_header(struct reader *r)
{
	struct field field;
	bool more = true;

	while (*r->at == '\n')
		r->at++;
	if (*r->at != '#')
		return -EBADMSG;
	r->at += strspn(r->at, "# ");
	for (size_t c = 0; c < r->n_columns; c++)
		r->index[c] = SIZE_MAX;
	for (size_t i = 0; more; i++) {
		more = next_field(r, &field);
		for (size_t c = 0; c < r->n_columns; c++)
			if (field_is(field, r->columns[c]))
				r->index[c] = i;
	}
	for (size_t c = 0; c < r->n_needed; c++)
		if (r->index[c] == SIZE_MAX)
			return -EBADMSG;
	return 0;
}

/* 1: `values` has the wanted columns of a record (absent ones are empty); 0: no more records. */
static int read_record(struct reader *r, struct field *values)
{
	size_t found = 0;
	bool more = true;

	while (*r->at == '\n')
		r->at++;
	if (!*r->at)
		return 0;
	for (size_t c = 0; c < r->n_columns; c++)
		values[c] = (struct field){ "", 0 };
	for (size_t i = 0; more; i++) {
		struct field field;

		more = next_field(r, &field);
		for (size_t c = 0; c < r->n_columns; c++) {
			if (r->index[c] != i)
				continue;
			values[c] = field;
			found += c < r->n_needed;
		}
	}
	return found == r->n_needed ? 1 : -EBADMSG;
}

static int read_number(struct field field, uint64_t most, uint64_t *ret)
{
	char digits[24];
	uint64_t value;

	if (field.len >= sizeof(digits))
		return -EBADMSG;
	memcpy(digits, field.at, field.len);
	digits[field.len] = '\0';
	if (strlen(digits) != field.len || text_u64(digits, &value) < 0 || value > most)
		return -EBADMSG;
	*ret = value;
	return 0;
}

/* "…: " and the first line of what was answered instead, as "Permission denied" says more than anything of ours. */
static int not_understood(const char *command, const char *text, struct err *err)
{
	_cleanup_(freep) char *line = NULL;

	text += strspn(text, "\n ");
	line = xstrndup(text, strcspn(text, "\n") < 120 ? strcspn(text, "\n") : 120);
	text_printable(line, false);
	return err_set(err, EBADMSG, _("HAProxy's answer to '%s' cannot be understood: %s"), command,
		       *line ? line : _("it is empty"));
}

enum {
	STATE_BACKEND,
	STATE_SERVER,
	STATE_ADDRESS,
	STATE_PORT,
	STATE_OPERATION,
	STATE_ADMIN,
	STATE_WEIGHT,
	STATE_CHECK
};

static const char *const state_columns[] = {
	[STATE_BACKEND] = "be_name",    [STATE_SERVER] = "srv_name",        [STATE_ADDRESS] = "srv_addr",
	[STATE_PORT] = "srv_port",      [STATE_OPERATION] = "srv_op_state", [STATE_ADMIN] = "srv_admin_state",
	[STATE_WEIGHT] = "srv_uweight", [STATE_CHECK] = "srv_check_state",
};

static int add_row(struct haproxy_table *table, const struct field *values)
{
	uint64_t port, operation, admin, weight, check = 0;
	struct haproxy_row *row;

	if (table->n == HAPROXY_MOST_ROWS || !values[STATE_BACKEND].len || !values[STATE_SERVER].len ||
	    read_number(values[STATE_PORT], UINT16_MAX, &port) < 0 ||
	    read_number(values[STATE_OPERATION], 0xff, &operation) < 0 ||
	    read_number(values[STATE_ADMIN], 0xffff, &admin) < 0 ||
	    read_number(values[STATE_WEIGHT], HAPROXY_MOST_WEIGHT, &weight) < 0 ||
	    (values[STATE_CHECK].len && read_number(values[STATE_CHECK], 0xffff, &check) < 0))
		return -EBADMSG;
	table->rows = grow_array(table->rows, table->n, &table->cap, sizeof(*table->rows));
	row = &table->rows[table->n++];
	*row = (struct haproxy_row){ .port = (uint16_t)port,
				     .operation = (unsigned int)operation,
				     .admin = (unsigned int)admin,
				     .weight = (unsigned int)weight,
				     .check = (unsigned int)check };
	row->backend = xstrndup(values[STATE_BACKEND].at, values[STATE_BACKEND].len);
	row->server = xstrndup(values[STATE_SERVER].at, values[STATE_SERVER].len);
	row->address = xstrndup(values[STATE_ADDRESS].at, values[STATE_ADDRESS].len);
	return 0;
}

int haproxy_read_state(const char *text, struct haproxy_table *ret, struct err *err)
{
	_cleanup_haproxy_table_ struct haproxy_table table = { 0 };
	struct reader r = { .separator = ' ',
			    .columns = state_columns,
			    .n_columns = ARRAY_SIZE(state_columns),
			    .n_needed = STATE_CHECK };
	struct field values[ARRAY_SIZE(state_columns)];
	int result;

	/* The format's version stands before the header; whatever it is, the header says what is there. */
	r.at = text + strspn(text, "\n" DIGITS);
	result = read_header(&r);
	while (result >= 0 && (result = read_record(&r, values)) > 0)
		result = add_row(&table, values);
	if (result < 0)
		return not_understood("show servers state", text, err);
	*ret = table;
	table = (struct haproxy_table){ 0 };
	return 0;
}

enum { STAT_BACKEND, STAT_SERVER, STAT_SESSIONS, STAT_STATUS, STAT_QUEUED };

static const char *const stat_columns[] = {
	[STAT_BACKEND] = "pxname", [STAT_SERVER] = "svname", [STAT_SESSIONS] = "scur",
	[STAT_STATUS] = "status",  [STAT_QUEUED] = "qcur",
};

/* Both answers list servers in the same order, so that the row wanted is nearly always the next one. */
static struct haproxy_row *find_near(struct haproxy_table *table, struct field backend, struct field server,
				     size_t *near)
{
	for (size_t i = 0; i < table->n; i++) {
		struct haproxy_row *row = &table->rows[(*near + i) % table->n];

		if (field_is(server, row->server) && field_is(backend, row->backend)) {
			*near = (*near + i + 1) % table->n;
			return row;
		}
	}
	return NULL;
}

static int take_stat(struct haproxy_table *table, const struct field *values, size_t *near)
{
	struct haproxy_row *row;
	uint64_t sessions, queued = 0;

	if (field_is(values[STAT_SERVER], "BACKEND")) {
		if (table->backends.n == HAPROXY_MOST_ROWS)
			return -EBADMSG;
		strv_take(&table->backends, xstrndup(values[STAT_BACKEND].at, values[STAT_BACKEND].len));
		return 0;
	}
	row = find_near(table, values[STAT_BACKEND], values[STAT_SERVER], near);
	if (!row)
		return 0; /* a frontend, or a server that came between the two answers */
	if (read_number(values[STAT_SESSIONS], UINT32_MAX / 2, &sessions) < 0 ||
	    (values[STAT_QUEUED].len && read_number(values[STAT_QUEUED], UINT32_MAX / 2, &queued) < 0))
		return -EBADMSG;
	row->sessions = (unsigned int)(sessions + queued);
	free(row->status);
	row->status = xstrndup(values[STAT_STATUS].at, values[STAT_STATUS].len);
	return 0;
}

int haproxy_read_stat(const char *text, struct haproxy_table *table, struct err *err)
{
	struct reader r = { .at = text,
			    .separator = ',',
			    .columns = stat_columns,
			    .n_columns = ARRAY_SIZE(stat_columns),
			    .n_needed = STAT_QUEUED };
	struct field values[ARRAY_SIZE(stat_columns)];
	size_t near = 0;
	int result = read_header(&r);

	while (result >= 0 && (result = read_record(&r, values)) > 0)
		result = take_stat(table, values, &near);
	return result < 0 ? not_understood("show stat", text, err) : 0;
}

/* The value of the line "key: value", or an empty field. */
static struct field info_line(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (!strncmp(line, key, len) && line[len] == ':' && line[len + 1] == ' ')
			return (struct field){ line + len + 2, strcspn(line + len + 2, "\n") };
	return (struct field){ "", 0 };
}

int haproxy_read_info(const char *text, struct haproxy_info *ret, struct err *err)
{
	struct field version = info_line(text, "Version");
	uint64_t stopping = 0;
	struct haproxy_info info = { 0 };
	const struct {
		const char *key;
		uint64_t *to;
	} numbers[] = {
		{ "Pid", &info.pid },         { "Uptime_sec", &info.uptime_s }, { "CurrConns", &info.connections },
		{ "CumReq", &info.requests }, { "Stopping", &stopping },
	};

	if (!version.len)
		return not_understood("show info", text, err);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct field value = info_line(text, numbers[i].key);

		if (value.len && read_number(value, UINT64_MAX, numbers[i].to) < 0)
			return not_understood("show info", value.at, err);
	}
	info.stopping = stopping != 0;
	info.version = xstrndup(version.at, version.len);
	*ret = info;
	return 0;
}

void haproxy_info_release(struct haproxy_info *info)
{
	if (!info)
		return;
	free(info->version);
	*info = (struct haproxy_info){ 0 };
}

void haproxy_table_release(struct haproxy_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->n; i++) {
		free(table->rows[i].backend);
		free(table->rows[i].server);
		free(table->rows[i].address);
		free(table->rows[i].status);
	}
	free(table->rows);
	strv_release(&table->backends);
	*table = (struct haproxy_table){ 0 };
}

const struct haproxy_row *haproxy_table_find(const struct haproxy_table *table, const char *backend, const char *server)
{
	for (size_t i = 0; i < table->n; i++)
		if (!strcmp(table->rows[i].server, server) && !strcmp(table->rows[i].backend, backend))
			return &table->rows[i];
	return NULL;
}

enum haproxy_answer haproxy_read_answer(enum haproxy_verb verb, const char *text)
{
	bool done;

	switch (verb) {
	case HAPROXY_ADD:
		done = strstr(text, "New server registered");
		break;
	case HAPROXY_REMOVE:
		if (strstr(text, "still has connections"))
			return HAPROXY_BUSY;
		done = strstr(text, "Server deleted") || strstr(text, "No such server");
		break;
	case HAPROXY_ADDRESS:
		done = strstr(text, " changed from ") || strstr(text, "no need to change");
		break;
	default:
		done = !text[strspn(text, " \n")];
		break;
	}
	return done ? HAPROXY_DONE : HAPROXY_REFUSED;
}
