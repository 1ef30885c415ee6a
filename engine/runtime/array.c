/* Arrays: a growing block of addresses. */
#include "rt.h"

rt_v rt_array(int32_t capacity) {
    size_t cap = capacity > 0 ? (size_t)capacity : 0;
    size_t bytes;
    if (__builtin_mul_overflow(cap, sizeof(rt_v), &bytes) || bytes > SIZE_MAX / 2)
        rt_abort(RT_ERR_MEMORY, "an array is too large");
    rt_array_value *a = rt_alloc(sizeof *a + bytes);
    a->head = (rt_value){RT_ARRAY, 0, 0, 0};
    a->len = 0;
    a->cap = (uint32_t)cap;
    a->items = (rt_v *)(void *)(a + 1);
    return &a->head;
}

RT_COLD static void grow(rt_array_value *a) {
    if (a->cap > UINT32_MAX / 4) rt_abort(RT_ERR_MEMORY, "an array is too large");
    uint32_t cap = a->cap < 4 ? 8 : a->cap * 2;
    rt_v *items = rt_alloc_array(cap, sizeof *items);
    memcpy(items, a->items, a->len * sizeof *items);
    a->items = items;
    a->cap = cap;
}

void rt_array_push(rt_v array, rt_v item) {
    rt_array_value *a = (rt_array_value *)(void *)array;
    if (a->len == a->cap) grow(a);
    a->items[a->len++] = item;
    a->head.hash = 0;
}
