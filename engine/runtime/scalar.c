/* null and booleans: three static values. */
#include "rt.h"

static rt_value the_null = {RT_NULL, 0, 0, RT_HASH_NULL};
static rt_value the_booleans[2] = {{RT_BOOLEAN, 0, 0, RT_HASH_FALSE}, {RT_BOOLEAN, 1, 0, RT_HASH_TRUE}};

rt_v rt_null(void) { return &the_null; }

rt_v rt_bool(int32_t truth) { return &the_booleans[truth != 0]; }

int32_t rt_is_true(const rt_value *v) { return v && !(v->tag == RT_BOOLEAN && !v->kind); }
