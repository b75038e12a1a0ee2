/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Values of scalars, without YAML 1.1's surprises. The rule: what a person wrote is what they get, or they are told.
 *
 *   string     the text as written. Without quotes, the words that YAML 1.1 takes for booleans or nothing (yes no on
 * off true false null ~) are errors that ask for quotes; texts that it takes for numbers with another spelling (022
 * 1_000 1e3 0x10 1.10 1:30 .inf) are kept as written, with a warning that asks for quotes; a plain decimal number is
 * kept in silence, as every reader agrees on its text. integer    decimal digits with an optional minus; 022, 1_000,
 * 1e3, 0x10 and quoted digits are errors. boolean    true or false; yes, no, on, off and quoted words are errors.
 *   duration   500ms 10s 5m 2h 7d; size: 512M 2G, or bytes.
 *
 * Every function returns 0, or -EINVAL after adding an error at the node's place; `ret` is then untouched. `min` and
 * `max` both 0 mean no bounds.
 */
#ifndef TEPUY_MODEL_SCALAR_H
#define TEPUY_MODEL_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

#include "model/yaml.h"

int scalar_string(const struct yaml_node *node, struct diag *diag, const char **ret); /* borrowed from the node */
int scalar_integer(const struct yaml_node *node, int64_t min, int64_t max, struct diag *diag, int64_t *ret);
int scalar_number(const struct yaml_node *node, int64_t min, int64_t max, struct diag *diag, double *ret);
int scalar_boolean(const struct yaml_node *node, struct diag *diag, bool *ret);
int scalar_duration(const struct yaml_node *node, int64_t min, int64_t max, struct diag *diag, int64_t *ret_ms);
int scalar_size(const struct yaml_node *node, int64_t min, int64_t max, struct diag *diag, int64_t *ret_bytes);
/* Octal file mode as for chmod: 0644 or 644, with or without quotes. */
int scalar_mode(const struct yaml_node *node, struct diag *diag, int64_t *ret);

/* "a text", "a list", "a set of keys": what a node is, for messages. */
const char *yaml_kind_name(const struct yaml_node *node);
/* Adds "expected X here, not Y" and returns -EINVAL. */
int scalar_expected(const struct yaml_node *node, const char *what, struct diag *diag);

#endif
