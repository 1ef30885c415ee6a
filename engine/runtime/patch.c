/* The linker's patch points: variables whose first values a policy's data segment overwrites (ABI.md).
 *
 * They must stay plain global variables in this file of their own: a compiler that could see that nobody writes them
 * would put their first values into the code.
 */
#include "rt.h"

RT_EXPORT char *rt_heap_start = 0;
RT_EXPORT const rt_program_entry *rt_regex_table = 0;
RT_EXPORT int32_t rt_regex_count = 0;
RT_EXPORT const rt_program_entry *rt_glob_table = 0;
RT_EXPORT int32_t rt_glob_count = 0;
RT_EXPORT int32_t rt_regex_compile_id = -1;
RT_EXPORT int32_t rt_zoned_ids[RT_ZONED_COUNT] = {-1, -1, -1, -1, -1};
RT_EXPORT int32_t rt_error_id = -1;
RT_EXPORT int32_t rt_strict = 0;
