/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory: an allocation that fails aborts the program; a size that comes from input is capped by its reader. */
#ifndef TEPUY_BASE_MEM_H
#define TEPUY_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))

/* Hands a pointer's ownership to the receiver and leaves NULL behind. */
#define TAKE_PTR(p)                                                                                                    \
	({                                                                                                             \
		__typeof__(p) *take_from_ = &(p);                                                                      \
		__typeof__(p) taken_ = *take_from_;                                                                    \
		*take_from_ = NULL;                                                                                    \
		taken_;                                                                                                \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* As without the x, but for an allocation that fails: it ends the program. What they return is the caller's to free. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xreallocarray(void *p, size_t count, size_t size);
char *xstrdup(const char *s); /* NULL gives NULL */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *format, ...) _printf_(1, 2);
char *xvasprintf(const char *format, va_list ap) _printf_(1, 0);

/* Makes room for one more element behind `n` in `*array` (element size `size`); `*cap` counts elements. */
void *grow_array(void *array, size_t n, size_t *cap, size_t size);

/* Cleanup functions for _cleanup_: they take the address of the variable and accept NULL content. */
void freep(void *p);
void closep(int *fd);

#endif
