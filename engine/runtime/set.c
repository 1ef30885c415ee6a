/* Sets: each value once. */
#include "table.h"

rt_v rt_set(int32_t capacity) { return &table_new(RT_SET, capacity > 0 ? (size_t)capacity : 0)->head; }

void rt_set_put(rt_v set, rt_v element) {
    bool added;
    table_insert(table_of(set), element, &added);
}

rt_v rt_set_get(const rt_value *set, rt_v element) {
    const rt_table *t = table_of(set);
    uint32_t entry = table_find(t, element);
    return entry == TABLE_NONE ? 0 : t->items[entry];
}
