/* Objects: keys of any type to values. */
#include "table.h"

rt_v rt_object(int32_t capacity) { return &table_new(RT_OBJECT, capacity > 0 ? (size_t)capacity : 0)->head; }

void rt_object_put(rt_v object, rt_v key, rt_v value) {
    bool added;
    rt_table *t = table_of(object);
    uint32_t entry = table_insert(t, key, &added);
    t->items[2 * (size_t)entry + 1] = value;
}

int32_t rt_object_put_once(rt_v object, rt_v key, rt_v value) {
    bool added;
    rt_table *t = table_of(object);
    uint32_t entry = table_insert(t, key, &added);
    rt_v *slot = &t->items[2 * (size_t)entry + 1];
    if (!added) return rt_equal(*slot, value);
    *slot = value;
    return 1;
}

rt_v rt_object_get(const rt_value *object, rt_v key) {
    const rt_table *t = table_of(object);
    uint32_t entry = table_find(t, key);
    return entry == TABLE_NONE ? 0 : t->items[2 * (size_t)entry + 1];
}

rt_v rt_object_get_c(const rt_value *object, const char *key) { return rt_object_get(object, rt_string_c(key)); }

void rt_object_put_c(rt_v object, const char *key, rt_v value) { rt_object_put(object, rt_string_c(key), value); }

/* A deeper nesting than any value that we make; more is an error, not a crash. */
static rt_v merged(rt_v a, rt_v b, int depth) {
    if (!a) return b;
    if (rt_tag(a) != RT_OBJECT || rt_tag(b) != RT_OBJECT) return a;
    if (depth > RT_VALUE_DEPTH_MAX) rt_abort(RT_ERR_DEPTH, "a value is nested too deeply to be merged");
    const rt_table *x = table_of(a), *y = table_of(b);
    rt_table *out = table_copy(y, x->len);
    for (size_t i = 0; i < x->len; i++) {
        bool added;
        uint32_t entry = table_insert(out, x->items[2 * i], &added);
        rt_v *slot = &out->items[2 * (size_t)entry + 1];
        *slot = added ? x->items[2 * i + 1] : merged(x->items[2 * i + 1], *slot, depth + 1);
    }
    return &out->head;
}

rt_v rt_object_merge(rt_v a, rt_v b) { return merged(a, b, 0); }

void rt_object_remove(rt_v object, rt_v key) {
    rt_table *t = table_of(object);
    uint32_t at = table_find(t, key);
    if (at == TABLE_NONE) return;
    memmove(t->items + 2 * (size_t)at, t->items + 2 * ((size_t)at + 1), 2 * ((size_t)t->len - at - 1) * sizeof *t->items);
    t->len--;
    t->head.hash = 0;
    if (t->index) table_reindex(t);
}
