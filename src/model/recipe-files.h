/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What recipe.c and its neighbours share; not for others. */
#ifndef TEPUY_MODEL_RECIPE_FILES_H
#define TEPUY_MODEL_RECIPE_FILES_H

#include "model/recipe.h"

/* Whether the files that the recipe names are inside its directory; parses its templates and looks at their names. */
void recipe_check_files(const struct recipe *recipe, struct diag *diag);
/* Adds an error when the port of an http or tcp check is none that could be checked. */
void recipe_check_port(const struct recipe *recipe, const struct check *check, struct diag *diag);
/* Adds an error at `place` when the recipe provides no such port. */
void recipe_require_port(const struct recipe *recipe, const char *name, const struct place *place, struct diag *diag);

#endif
