/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Values of a recipe's configuration. As JSON: string, boolean and integer as they are, list an array of strings, size
 * an integer of bytes, duration an integer of milliseconds, secret {"secret": name, "owner": user or null}.
 */
#ifndef TEPUY_MODEL_CONFIG_H
#define TEPUY_MODEL_CONFIG_H

#include "model/recipe.h"

/*
 * Reads a value of the declared type and holds it against enum, bounds and pattern; 0 with a new reference, or -EINVAL
 * after adding errors. `name` is the key for messages.
 */
int config_value(const struct recipe_config *declared, const struct yaml_node *node, struct diag *diag, json_t **ret);
/* Checks the declaration itself (bounds of the type, pattern, default) and fills fallback, min and max. */
void config_declare(struct recipe_config *declared, struct diag *diag);
/*
 * Whether a POSIX ERE compiles and costs little: at most 256 bytes, no back-references, bounded repetition (glibc
 * copies what is repeated, so nesting would multiply). 0, or -EINVAL with a sentence.
 */
int pattern_check(const char *pattern, struct err *err);
bool pattern_matches(const char *pattern, const char *text); /* false also when it does not compile */

#endif
