/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_CLI_DOT_H
#define TEPUY_CLI_DOT_H

#include <jansson.h>

#include "base/buf.h"

/* Appends a spec (docs/state.md) as a graph in Graphviz's language: components, links, volumes, published ports. */
void dot_service(const json_t *spec, struct buf *to);

#endif
