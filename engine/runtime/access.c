/* Access that does not know the kind of collection: what compiled policies call. */
#include "table.h"

int32_t rt_type(const rt_value *v) { return rt_tag(v); }

int32_t rt_len(const rt_value *v) {
    switch (rt_tag(v)) {
    case RT_ARRAY: return (int32_t)rt_array_len(v);
    case RT_OBJECT:
    case RT_SET: return (int32_t)rt_table_len(v);
    default: return -1;
    }
}

rt_v rt_get(rt_v source, rt_v key) {
    if (!source || !key) return 0;
    switch (source->tag) {
    case RT_OBJECT: return rt_object_get(source, key);
    case RT_ARRAY: {
        int64_t i;
        if (key->tag != RT_NUMBER || !rt_num_is_whole(key, &i) || i < 0 || i >= (int64_t)rt_array_len(source)) return 0;
        return rt_array_at(source, (uint32_t)i);
    }
    case RT_SET: return rt_set_get(source, key);
    default: return 0;
    }
}

rt_v rt_iter_key(rt_v source, int32_t i) {
    if (source->tag == RT_ARRAY) return rt_int(i);
    rt_sorted(source);
    return source->tag == RT_OBJECT ? rt_object_key(source, (uint32_t)i) : rt_set_at(source, (uint32_t)i);
}

rt_v rt_iter_value(rt_v source, int32_t i) {
    if (source->tag == RT_ARRAY) return rt_array_at(source, (uint32_t)i);
    rt_sorted(source);
    return source->tag == RT_OBJECT ? rt_object_value(source, (uint32_t)i) : rt_set_at(source, (uint32_t)i);
}

/* Loops along the path, copying the spine: nothing that base shares with others is changed. */
rt_v rt_with(rt_v base, rt_v path, rt_v value) {
    uint32_t steps = rt_array_len(path);
    if (steps == 0) return value;
    rt_v root = rt_tag(base) == RT_OBJECT ? rt_table_copy(base, 1) : rt_object(1);
    rt_v node = root;
    for (uint32_t i = 0; i + 1 < steps; i++) {
        rt_v key = rt_array_at(path, i);
        rt_v child = rt_object_get(node, key);
        child = rt_tag(child) == RT_OBJECT ? rt_table_copy(child, 1) : rt_object(1);
        rt_object_put(node, key, child);
        node = child;
    }
    rt_object_put(node, rt_array_at(path, steps - 1), value);
    return root;
}
