/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the command line and the agent must agree on to understand each other. Variables, not numbers in the code: so
 * that tests can link a program of another version from the same objects (tests/e2e/version-skew.sh).
 */
#ifndef TEPUY_BASE_PROTOCOL_H
#define TEPUY_BASE_PROTOCOL_H

#define PROTOCOL_HEADER "Tepuy-Api"

/*
 * Version of the agent's HTTP API (docs/api.md). Raised when an older program would misunderstand a newer one; what is
 * only added does not raise it. Each request of the command line carries PROTOCOL_HEADER, and an agent of another
 * version refuses it before anything is done.
 */
extern const int protocol_api;
/* Layout of the keys in Consul (docs/state.md, tepuy/schema). An agent leaves a cluster with a higher one alone. */
extern const int protocol_schema;
extern const char protocol_schema_text[];
/* The program's version, for the sentence that says what to upgrade. */
extern const char protocol_program[];
/* "Tepuy-Api: 1 0.3.0": the header of each request. */
extern const char protocol_line[];

#endif
