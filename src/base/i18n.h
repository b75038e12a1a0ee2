/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every message to a person goes through gettext: _() translates, N_() marks for later, ngettext() for counts. */
#ifndef TEPUY_BASE_I18N_H
#define TEPUY_BASE_I18N_H

#include <libintl.h>

#define _(s) gettext(s)
#define N_(s) (s)

#endif
