/* What objects and sets share: entries in one block, a hash index when there are many, Rego order on demand. */
#ifndef RT_TABLE_H
#define RT_TABLE_H

#include "rt.h"

#define TABLE_NONE UINT32_MAX

/* Words of an entry: an object has key and value, a set the element alone. */
static inline size_t table_stride(const rt_table *t) { return t->head.tag == RT_OBJECT ? 2 : 1; }

rt_table *table_new(uint8_t tag, size_t capacity);
/* Entry number of `key`, or TABLE_NONE. */
uint32_t table_find(const rt_table *t, rt_v key);
/* The same inside a nested comparison: keys are compared from `depth` on. */
uint32_t table_find_at(const rt_table *t, rt_v key, int depth);
bool rt_equal_at(rt_v a, rt_v b, int depth);
int rt_compare_at(rt_v a, rt_v b, int depth);
/* Finds or adds the key; *added says which. The value of a new entry is not set yet. */
uint32_t table_insert(rt_table *t, rt_v key, bool *added);

/* A shallow copy with room for `extra` more entries. */
rt_table *table_copy(const rt_table *t, size_t extra);
/* Makes the hash index again after entries were moved or taken out. */
void table_reindex(rt_table *t);

static inline rt_table *table_of(const rt_value *v) { return (rt_table *)(void *)(uintptr_t)v; }

#endif
