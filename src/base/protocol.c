/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/protocol.h"

/* tests/e2e/meson.build sets others. */
#ifndef PROTOCOL_API
#define PROTOCOL_API 1
#define PROTOCOL_SCHEMA 1
#define PROTOCOL_PROGRAM TEPUY_VERSION
#endif

#define STRING_(number) #number
#define STRING(number) STRING_(number)

const int protocol_api = PROTOCOL_API;
const int protocol_schema = PROTOCOL_SCHEMA;
const char protocol_schema_text[] = STRING(PROTOCOL_SCHEMA);
const char protocol_program[] = PROTOCOL_PROGRAM;
const char protocol_line[] = PROTOCOL_HEADER ": " STRING(PROTOCOL_API) " " PROTOCOL_PROGRAM;
