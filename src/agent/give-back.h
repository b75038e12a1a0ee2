/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_AGENT_GIVE_BACK_H
#define TEPUY_AGENT_GIVE_BACK_H

/*
 * Gives memory back that only what is over needed: free heap, and the pages of libraries that were read while they were
 * linked or used once. The kernel brings back from its cache what is touched again. For quiet moments.
 */
void give_back_memory(void);

#endif
