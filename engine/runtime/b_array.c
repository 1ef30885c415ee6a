/* Arrays. */
#include "b_common.h"

RT_EXPORT rt_v bi_array_concat(rt_v a, rt_v b) {
    B_ARRAY("array.concat", 1, a);
    B_ARRAY("array.concat", 2, b);
    if (rt_array_len(a) == 0) return b;
    if (rt_array_len(b) == 0) return a;
    rt_v result = rt_array(b_cap((size_t)rt_array_len(a) + rt_array_len(b)));
    for (RT_EACH(i, n, a)) rt_array_push(result, rt_array_at(a, i));
    for (RT_EACH(i, n, b)) rt_array_push(result, rt_array_at(b, i));
    return result;
}

RT_EXPORT rt_v bi_array_reverse(rt_v a) {
    B_ARRAY("array.reverse", 1, a);
    uint32_t n = rt_array_len(a);
    rt_v result = rt_array((int32_t)n);
    for (uint32_t i = n; i > 0; i--) rt_array_push(result, rt_array_at(a, i - 1));
    return result;
}

RT_EXPORT rt_v bi_array_slice(rt_v a, rt_v start, rt_v stop) {
    int64_t from, to;
    B_ARRAY("array.slice", 1, a);
    B_INTEGER("array.slice", 2, start, &from);
    B_INTEGER("array.slice", 3, stop, &to);
    int64_t len = rt_array_len(a);
    to = to < 0 ? 0 : to > len ? len : to;
    from = from < 0 ? 0 : from > to ? to : from;
    if (from == 0 && to == len) return a;
    rt_v result = rt_array((int32_t)(to - from));
    for (int64_t i = from; i < to; i++) rt_array_push(result, rt_array_at(a, (uint32_t)i));
    return result;
}

RT_EXPORT rt_v bi_array_flatten(rt_v a) {
    B_ARRAY("array.flatten", 1, a);
    rt_v result = rt_array((int32_t)rt_array_len(a));
    for (RT_EACH(i, n, a)) {
        rt_v item = rt_array_at(a, i);
        if (rt_tag(item) != RT_ARRAY) {
            rt_array_push(result, item);
            continue;
        }
        for (RT_EACH(j, m, item)) rt_array_push(result, rt_array_at(item, j));
    }
    return result;
}
