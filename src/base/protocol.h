/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the command line and the agent must agree on to understand each other. */
#ifndef TEPUY_BASE_PROTOCOL_H
#define TEPUY_BASE_PROTOCOL_H

/*
 * Version of the agent's HTTP API (docs/api.md). Raised when an older program would misunderstand a newer one; what is
 * only added does not raise it. Each request of the command line carries PROTOCOL_HEADER, and an agent of another
 * version refuses it before anything is done.
 */
#define PROTOCOL_API 1
#define PROTOCOL_HEADER "Tepuy-Api"

/* "Tepuy-Api: 1 0.3.0": protocol, then the program's version, for the sentence that says what to upgrade. */
#define PROTOCOL_STRING_(number) #number
#define PROTOCOL_STRING(number) PROTOCOL_STRING_(number)
#define PROTOCOL_LINE PROTOCOL_HEADER ": " PROTOCOL_STRING(PROTOCOL_API) " " TEPUY_VERSION

/* Layout of the keys in Consul (docs/state.md, tepuy/schema). An agent leaves a cluster with a higher one alone. */
#define PROTOCOL_SCHEMA 1

#endif
