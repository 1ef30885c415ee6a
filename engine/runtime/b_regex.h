/* Compiled regular expressions (engine/regex/FORMAT.md): finding the program of a pattern, and running it. */
#ifndef B_REGEX_H
#define B_REGEX_H

#include "b_common.h"

#define B_REGEX_NONE UINT32_MAX /* slot of a group that took no part */

/* The program of a pattern: compiled with the policy, cached in this instance, or by the host. 0: `*error` is what the
 * builtin `name` answers. */
const uint8_t *b_regex_program(const char *name, rt_v pattern, rt_v *error);
/* The same for glob.match: `key` is [pattern, delimiters or null]. */
const uint8_t *b_glob_program(const char *name, rt_v key, rt_v *error);
/* Whether the pattern compiles. */
bool b_regex_compiles(rt_v pattern);

uint32_t b_regex_groups(const uint8_t *program); /* the whole match included */
/* Number of the group with this name that took part in the match, or groups() when there is none. */
uint32_t b_regex_group(const uint8_t *program, const char *name, size_t len, const uint32_t *slots);

/* Whether there is a match anywhere. */
bool b_regex_test(const uint8_t *program, const char *text, size_t len);
/* The leftmost match that starts at or after `from`: fills `count` slots (2g start, 2g + 1 end of group g). */
bool b_regex_find(const uint8_t *program, const char *text, size_t len, size_t from, uint32_t *slots, uint32_t count);

#endif
