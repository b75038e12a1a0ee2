/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completion scripts for shells, made from the command table. */
#ifndef TEPUY_CLI_COMPLETE_H
#define TEPUY_CLI_COMPLETE_H

#include "base/buf.h"

void complete_bash(struct buf *to);
void complete_zsh(struct buf *to);

#endif
