/* Sets. The difference is `minus` in b_arith.c. */
#include "b_common.h"

static rt_v both(rt_v a, rt_v b) {
    if (rt_table_len(b) < rt_table_len(a)) {
        rt_v swap = a;
        a = b;
        b = swap;
    }
    rt_sorted(a);
    rt_v result = rt_set((int32_t)rt_table_len(a));
    for (RT_EACH(i, n, a)) {
        if (rt_set_get(b, rt_set_at(a, i))) rt_set_put(result, rt_set_at(a, i));
    }
    return result;
}

static void add_all(rt_v to, rt_v from) {
    rt_sorted(from);
    for (RT_EACH(i, n, from)) rt_set_put(to, rt_set_at(from, i));
}

RT_EXPORT rt_v bi_and(rt_v a, rt_v b) {
    B_SET("and", 1, a);
    B_SET("and", 2, b);
    return both(a, b);
}

RT_EXPORT rt_v bi_or(rt_v a, rt_v b) {
    B_SET("or", 1, a);
    B_SET("or", 2, b);
    rt_v result = rt_set(b_cap((size_t)rt_table_len(a) + rt_table_len(b)));
    add_all(result, a);
    add_all(result, b);
    return result;
}

RT_EXPORT rt_v bi_intersection(rt_v sets) {
    B_SET("intersection", 1, sets);
    rt_sorted(sets);
    rt_v result = 0;
    for (RT_EACH(i, n, sets)) {
        rt_v one = rt_set_at(sets, i);
        B_SET("intersection", 1, one);
        result = result ? both(result, one) : one;
    }
    return result ? result : rt_set(0);
}

RT_EXPORT rt_v bi_union(rt_v sets) {
    B_SET("union", 1, sets);
    rt_sorted(sets);
    rt_v result = rt_set(0);
    for (RT_EACH(i, n, sets)) {
        rt_v one = rt_set_at(sets, i);
        B_SET("union", 1, one);
        add_all(result, one);
    }
    return result;
}

RT_EXPORT rt_v bi_set_diff(rt_v a, rt_v b) {
    B_SET("set_diff", 1, a);
    B_SET("set_diff", 2, b);
    rt_sorted(a);
    rt_v result = rt_set((int32_t)rt_table_len(a));
    for (RT_EACH(i, n, a)) {
        if (!rt_set_get(b, rt_set_at(a, i))) rt_set_put(result, rt_set_at(a, i));
    }
    return result;
}
