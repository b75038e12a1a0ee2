/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The agent's log: lines on standard error with the journal's <N> priority prefix when it runs under systemd. Library
 * code logs at debug only; secrets are never logged.
 */
#ifndef TEPUY_BASE_LOG_H
#define TEPUY_BASE_LOG_H

#include "base/mem.h"

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

void log_set_level(enum log_level most);
void log_message(enum log_level level, const char *format, ...) _printf_(2, 3);

#define log_error(...) log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
