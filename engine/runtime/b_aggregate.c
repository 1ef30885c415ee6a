/* Aggregates over arrays and sets, and membership. */
#include "b_common.h"

RT_EXPORT rt_v bi_count(rt_v v) {
    switch (rt_tag(v)) {
    case RT_STRING: return rt_int((int64_t)rt_str_runes(v));
    case RT_ARRAY:
    case RT_OBJECT:
    case RT_SET: return rt_int(rt_len(v));
    default: return rt_type_error("count", 1, "one of {array, object, set, string}", v);
    }
}

static rt_v fold(const char *name, rt_v v, rt_v start, rt_v (*step)(rt_v, rt_v), bool rounding) {
    if (!b_is_items(v)) return rt_type_error(name, 1, "one of {set, array}", v);
    rt_v total = start;
    uint32_t n = b_items(v);
    bool whole = true;
    for (uint32_t i = 0; i < n; i++) {
        rt_v item = b_item(v, i);
        if (rt_tag(item) != RT_NUMBER) return b_element_error(name, 1, v, item, "number");
        if (!rt_num_is_integer(item)) whole = false;
    }
    for (uint32_t i = 0; i < n; i++) {
        total = step(total, b_item(v, i));
        if (whole || !rounding) continue;
        /* With a fraction among them, OPA keeps 53 bits between two steps of a product. */
        double rounded = rt_num_to_double(total);
        if (__builtin_isfinite(rounded) && (rounded != 0 || rt_num_sign(total) == 0)) total = rt_num_from_double(rounded);
    }
    return total;
}

RT_EXPORT rt_v bi_sum(rt_v v) { return fold("sum", v, rt_int(0), rt_num_add, false); }
RT_EXPORT rt_v bi_product(rt_v v) { return fold("product", v, rt_int(1), rt_num_mul, true); }

static rt_v extreme(const char *name, rt_v v, int sign) {
    if (!b_is_items(v)) return rt_type_error(name, 1, "one of {set, array}", v);
    uint32_t n = b_items(v);
    rt_v best = 0;
    for (uint32_t i = 0; i < n; i++) {
        rt_v item = b_item(v, i);
        if (!best || rt_compare(item, best) * sign >= 0) best = item;
    }
    return best;
}

RT_EXPORT rt_v bi_max(rt_v v) { return extreme("max", v, 1); }
RT_EXPORT rt_v bi_min(rt_v v) { return extreme("min", v, -1); }

RT_EXPORT rt_v bi_sort(rt_v v) {
    if (!b_is_items(v)) return rt_type_error("sort", 1, "one of {set, array}", v);
    uint32_t n = b_items(v);
    rt_v *from = rt_alloc_array(n ? n : 1, sizeof(rt_v));
    for (uint32_t i = 0; i < n; i++) from[i] = b_item(v, i);
    if (v->tag == RT_ARRAY) { /* merge sort from the bottom: stable, no recursion */
        rt_v *to = rt_alloc_array(n ? n : 1, sizeof(rt_v));
        for (size_t width = 1; width < n; width *= 2) {
            for (size_t low = 0; low < n; low += 2 * width) {
                size_t mid = low + width < n ? low + width : n;
                size_t high = low + 2 * width < n ? low + 2 * width : n;
                size_t a = low, b = mid;
                for (size_t at = low; at < high; at++)
                    to[at] = a < mid && (b >= high || rt_compare(from[a], from[b]) <= 0) ? from[a++] : from[b++];
            }
            rt_v *swap = from;
            from = to;
            to = swap;
        }
    }
    rt_v result = rt_array((int32_t)n);
    for (uint32_t i = 0; i < n; i++) rt_array_push(result, from[i]);
    return result;
}

static rt_v truth(const char *name, rt_v v, bool all) {
    if (!b_is_items(v)) return rt_type_error(name, 1, "one of {array, set}", v);
    uint32_t n = b_items(v);
    for (uint32_t i = 0; i < n; i++) {
        rt_v item = b_item(v, i);
        bool is_true = rt_tag(item) == RT_BOOLEAN && rt_bool_value(item);
        if (is_true != all) return rt_bool(!all);
    }
    return rt_bool(all);
}

RT_EXPORT rt_v bi_all(rt_v v) { return truth("all", v, true); }
RT_EXPORT rt_v bi_any(rt_v v) { return truth("any", v, false); }

RT_EXPORT rt_v bi_internal_member_2(rt_v item, rt_v collection) {
    switch (rt_tag(collection)) {
    case RT_SET: return rt_bool(rt_set_get(collection, item) != 0);
    case RT_ARRAY:
        for (RT_EACH(i, n, collection)) {
            if (rt_equal(rt_array_at(collection, i), item)) return rt_bool(1);
        }
        return rt_bool(0);
    case RT_OBJECT:
        for (RT_EACH(i, n, collection)) {
            if (rt_equal(rt_object_value(collection, i), item)) return rt_bool(1);
        }
        return rt_bool(0);
    default: return rt_bool(0);
    }
}

RT_EXPORT rt_v bi_internal_member_3(rt_v key, rt_v item, rt_v collection) {
    if (!collection || collection->tag < RT_ARRAY) return rt_bool(0);
    rt_v found = rt_get(collection, key);
    return rt_bool(found && rt_equal(found, item));
}
