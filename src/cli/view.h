/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a person is told about services and nodes, made from the JSON of the agent's API. */
#ifndef TEPUY_CLI_VIEW_H
#define TEPUY_CLI_VIEW_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/table.h"

struct node_view {
	const char *text; /* "healthy", "building" …: translated */
	enum progress_kind kind;
};

/* One word for a node: what is wanted of it, how far it is, how it feels. */
struct node_view node_view(const json_t *node);
bool node_has_failed(const json_t *node);
/* "http 192.0.2.11:32768, …". The caller owns it. */
char *node_ports(const json_t *node);

enum colour phase_colour(const char *phase);
enum colour health_colour(const char *health);
/* The phase in the reader's language. */
const char *phase_text(const char *phase);
bool phase_is_final(const char *phase);

/* "portal: done, revision 3, for 5m 2s", the reason if there is one, and its nodes as a table. */
void view_service(const json_t *service, bool colour, struct buf *to);
/* Why a node does not work: its reason, its failing checks' output, its last log lines. */
void view_node_trouble(const json_t *node, bool colour, struct buf *to);
/* Text of several lines from elsewhere: made safe, each line behind `indent` spaces. */
void view_lines(const char *text, size_t indent, struct buf *to);

#endif
